"""Heat with an unknown diffusivity from sensors that move: the study of benchmark B3 (see `problems/heat.py`).

    python benchmarks/heat.py --cells 18 --order 4 --draws 10 --results heat_18.jsonl
    python benchmarks/heat.py --table heat_18.jsonl heat_35.jsonl --write docs/studies/heat.md

Physics alone: Levenberg-Marquardt from the benchmark's one first guess, for each draw of the sensors (and of the noise)
in each region, at each level of noise. A line of JSON per fit; a file of results is continued where it ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.training.physical import PhysicalConfig
from problems import heat as problem
from study import assessed

# Published for 18×18, e_s and e_p: of the hybrid's physical model, and of physics alone.
PUBLISHED = {
    "full": (".014-.018, .20", ".014-.018, .20"),
    "half": (".036-.045, .42", ".036-.046, .42"),
    "quarter": (".048-.109, .53-.58", ".276, 1.73"),
}
# What the medians of e_s and e_p should not exceed, noise-free.
BARS = {
    (18, "full"): (0.018, 0.07),
    (18, "half"): (0.027, 0.20),
    (35, "full"): (0.0050, 0.03),
    (35, "half"): (0.0065, 0.05),
}
ABOUT = """# Heat with an unknown diffusivity, from sensors that move

u_t = a Δu on [-3, 3]², u = 0 on the boundary, a = min(2.5, 0.1 + two bumps), six unknown numbers, 60 sensors that
turn about the centre of the region where they start. The physical model alone, Levenberg-Marquardt from the
benchmark's single first guess; the truth is an independent solution on 100×100 nodes. `cells` are the model's unknowns
along each axis (18: 18×18 cells, walls at their outer faces), `order` is that of its differences in space. `read` says
how the model is read between its cells, at the sensors and for e_s. Each row is the median and the worst over the draws
of the sensors and of the noise, in percent of the standard deviation of the data. e_s is the relative error of the
solution on the nodes of the truth, e_p the error of amplitudes plus that of centres.
"""
SURE = """## What the data determine

`flagged`: draws in which some number is reported as not identifiable. `undetermined` is the direction named most often.
`far` and `near`: the 95 % intervals of amplitude and both coordinates of the centre that contain the truth, of the bump
at (-2, -2), which in `quarter` is far from all sensors, and of the one at (1, 1). Intervals tell the noise, not the
error of the grid: where the misfit (the reduced χ², in units of the noise; without noise, of a thousandth of the data's
standard deviation) is above 1, they are too short.

From `quarter` the data say little of the far bump: in one draw amplitudes of 0.1 and of 10 differed by 4 in χ², and
the error of the grid moves the estimate as much as the noise does. A fit from one first guess may end beside the lowest
χ². Intervals and flags come from the slopes at the point that was found: where that is a far bump of small amplitude,
the interval is too short, and the draw may go without a flag.
"""


class Fits:
    """Fits with one grid and one truth; the equation's step is traced once for all of them."""

    def __init__(self, cells: int, order: int = 4, truth: str = "published", read: str = "cubic") -> None:
        self.cells, self.order, self.truth, self.read = cells, order, truth, read
        self.equation = build_equation(problem.equation(cells, truth, order))

    def fit(self, region: str, noise: float, draw: int) -> dict[str, Any]:
        """One fit, as a line of results."""
        begin = time.process_time()
        layout = self.equation.layout
        observations = problem.observations(region, draw, noise, layout, self.truth, self.read)
        config = PhysicalConfig.model_validate(
            {
                "learnable_parameters": problem.learnable(),
                "method": "Levenberg-Marquardt",
                "num_predict_steps": problem.STATES,
                "epochs": 100,
                "abs_tol": 1e-8 if noise else 1e-6,
            }
        )
        trainer = Calibrator(
            self.equation, observations, config, num_predict_steps=problem.STATES, device=torch.device("cpu")
        )
        result = trainer.update()
        assessment = assessed(trainer)
        swap = problem.swapped(tuple(trainer.model.values.values()), self.truth)
        estimates = problem.order([e.to_json() for e in trainer.model.numbers().values()], swap)
        numbers = tuple(e["estimate"] for e in estimates)
        states = trainer.model.rollout(observations.initial_states, problem.STATES)[0, :, 0]
        true = problem.TRUTHS[self.truth]
        return {
            "cells": self.cells,
            "order": self.order,
            "truth": self.truth,
            "read": self.read,
            "region": region,
            "noise": noise,
            "draw": draw,
            "status": str(result.status),
            "iterations": result.iterations,
            "seconds": time.process_time() - begin,
            "e_s": problem.solution_error(states, layout, self.truth, self.read),
            "e_p": problem.parameter_error(numbers, self.truth),
            "chi_square": assessment.uncertainty.reduced_chi_square,
            "numbers": dict(zip(problem.NAMES, estimates, strict=True)),
            "inside": [e["interval"][0] <= t <= e["interval"][1] for e, t in zip(estimates, true, strict=True)],
            "flagged": not all(e["identifiable"] for e in estimates),
            "undetermined": [_renamed(w, swap) for w in assessment.identifiability.words()],
        }


def _renamed(words: str, swap: bool) -> str:
    """A direction with its bumps called near and far, as in the truth."""
    words = words.replace("diffusivity.", "")
    for i, name in (("1", "far" if swap else "near"), ("2", "near" if swap else "far")):
        for kind in ("amplitude", "center_x", "center_y"):
            words = words.replace(f"{kind}_{i}", f"{name} {kind}")
    return words


def read_lines(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The lines of files of results."""
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


KEYS = ("cells", "order", "truth", "read", "region", "noise")


def groups(lines: list[dict[str, Any]]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """The lines of each row of the tables."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    regions = list(problem.SQUARES)
    for line in lines:
        found.setdefault(tuple(line[key] for key in KEYS), []).append(line)

    def rank(key: tuple[Any, ...]) -> tuple[Any, ...]:
        cells, order, truth, read, region, noise = key
        return truth != "published", -order, regions.index(region), cells, read, noise

    return {key: found[key] for key in sorted(found, key=rank)}


def table(lines: list[dict[str, Any]]) -> str:
    """Errors: one row per region, grid, noise and way of reading."""
    head = "region | cells | order | truth | read | noise | draws | e_s median (worst) | e_p median (worst) | bar | met"
    head += " | published hybrid | published physics alone | seconds"
    rows = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    for (cells, order, truth, read, region, noise), own in groups(lines).items():
        medians = [statistics.median(x[e] for x in own) for e in ("e_s", "e_p")]
        worst = [max(x[e] for x in own) for e in ("e_s", "e_p")]
        bar = BARS.get((cells, region)) if noise == 0 and truth == "published" else None
        met = "" if bar is None else ", ".join("yes" if m <= b else "**no**" for m, b in zip(medians, bar, strict=True))
        published = PUBLISHED[region] if noise == 0 and cells == 18 and truth == "published" else ("", "")
        row = [region, cells, order, truth, read, f"{noise:.0%}", len(own)]
        row += [f"{m:.4f} ({w:.4f})" for m, w in zip(medians[:1], worst[:1], strict=True)]
        row += [f"{medians[1]:.3f} ({worst[1]:.3f})", "" if bar is None else f"{bar[0]:g}, {bar[1]:g}", met, *published]
        row += [f"{statistics.mean(x['seconds'] for x in own):.1f}"]
        rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


def certainty(lines: list[dict[str, Any]]) -> str:
    """Flags and intervals: one row as above."""
    head = (
        "region | cells | order | truth | read | noise | flagged | undetermined | far A, x, y | near A, x, y | misfit"
    )
    rows = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    for (cells, order, truth, read, region, noise), own in groups(lines).items():
        named = Counter(word for x in own for word in {_kind(w) for w in x["undetermined"]})
        inside = [sum(x["inside"][i] for x in own) for i in range(6)]
        far, near = (", ".join(map(str, part)) for part in (inside[3:], inside[:3]))
        words = "; ".join(f"{word} ({count})" for word, count in named.most_common(2))
        chi = statistics.median(x["chi_square"] for x in own)
        flagged = f"{sum(x['flagged'] for x in own)} of {len(own)}"
        row = [region, cells, order, truth, read, f"{noise:.0%}", flagged, words, far, near, f"{chi:.3g}"]
        rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


def _kind(words: str) -> str:
    """The number that has the largest share of a direction."""
    return " ".join(words.split()[1:3])


def document(lines: list[dict[str, Any]]) -> str:
    """The page of the study."""
    again = []
    for settings in dict.fromkeys(key[:4] for key in groups(lines)):
        cells, order, truth, read = settings
        own = [x for x in lines if tuple(x[key] for key in KEYS[:4]) == settings]
        regions, noises = (",".join(str(v) for v in dict.fromkeys(x[k] for x in own)) for k in ("region", "noise"))
        again.append(
            f"python benchmarks/heat.py --cells {cells} --order {order} --truth {truth} --read {read} "
            f"--regions {regions} --noise {noises} --draws {max(x['draw'] for x in own) + 1} --results heat.jsonl"
        )
    parts = [ABOUT, table(lines), SURE, certainty(lines)]
    parts += ["To run it again:", "```bash\n" + "\n".join(again) + "\n```"]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    """Run fits, or make the tables of what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=18)
    parser.add_argument("--order", type=int, choices=(2, 4), default=4, help="of the model's differences in space")
    parser.add_argument("--truth", choices=problem.TRUTHS, default="published")
    parser.add_argument("--read", choices=("linear", "cubic"), default="cubic", help="the model at sensors")
    parser.add_argument("--regions", default="full,half,quarter")
    parser.add_argument("--noise", default="0.0,0.01", help="levels, of the data's standard deviation")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--results", type=Path, help="file that a line is appended to per fit")
    parser.add_argument("--table", type=Path, nargs="+", help="print the tables of these files and stop")
    parser.add_argument("--write", type=Path, help="with --table: write the page of the study")
    a = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if a.table:
        lines = read_lines(a.table)
        if a.write:
            a.write.write_text(document(lines))
    else:
        lines = read_lines([a.results]) if a.results and a.results.exists() else []
        done = {tuple(line[key] for key in (*KEYS, "draw")) for line in lines}
        fits = Fits(a.cells, a.order, a.truth, a.read)
        for region in a.regions.split(","):
            for noise in map(float, a.noise.split(",")):
                for draw in range(a.seed, a.seed + a.draws):
                    if (a.cells, a.order, a.truth, a.read, region, noise, draw) in done:
                        continue
                    lines.append(fits.fit(region, noise, draw))
                    if a.results:
                        with a.results.open("a") as file:
                            file.write(json.dumps(lines[-1]) + "\n")
    print(table(lines))
    print()
    print(certainty(lines))


if __name__ == "__main__":
    main()
