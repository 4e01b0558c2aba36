"""How often the 95 % intervals contain the truth, over many draws of the noise.

    python benchmarks/coverage.py --problem heat --draws 500 --results heat.jsonl --workers 2
    python benchmarks/coverage.py --table heat.jsonl burgers.jsonl --write docs/studies/coverage.md

A problem is simulated once, with the model's own equation and grid, so that nothing but the noise stands between the
data and the truth. Each draw adds the noise anew, fits the unknown numbers and looks whether their intervals contain
the true ones. Draw k has the seed k, whatever else is run; a file of results is continued where it ends.

To add a problem, write a function that returns the sections of a configuration (and the seed of the simulations) and
add it to `PROBLEMS`. Its fit should take a second or two at most.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binomtest

from hyco.compute import ComputeConfig
from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.observations import ObservationConfig, observe
from hyco.parameters import ParameterSpace
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig
from study import CONFIDENCE, NOMINAL, add_workers, assessed, compute, draws_to_do, in_band, read_lines

Sections = dict[str, Any]

ABOUT = """# Coverage of the 95 % intervals

Each problem is simulated once, on the model's own grid; each draw adds Gaussian noise anew and fits the unknown
numbers. `covered` counts the draws whose 95 % interval contains the true number; `coverage` has its exact
(Clopper-Pearson) 99 % interval, and `in band` says whether the count is one that coverage 0.95 explains at that level
(exact binomial test). `bias` and `spread` are mean and standard deviation of (estimate - truth)/std: 0 and 1 if the
stated standard deviation is right. `largest std` is the largest that was stated, over the true number.
"""


def heat() -> Sections:
    """Two numbers of a diffusivity that varies in space; initial state exact."""
    start = {"temperature": "sin(pi * x / 2) * (1 + 0.6 * cos(2 * pi * y / 1.5)) + 0.4 * x * sin(4 * pi * y / 1.5)"}
    return {
        "seed": 0,
        "equation": {
            "name": "heat",
            "order": 2,
            "domain": {"x": {"size": 2.0, "resolution": 16}, "y": {"size": 1.5, "resolution": 12}},
            "boundary": {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"},
            "dt": 0.04,
            "max_diffusivity": 1.0,
            "parameters": {"diffusivity": "0.08 + 0.3 * exp(-((x - 1.4)**2 + (y - 0.5)**2) / 0.3)"},
        },
        "generation": {"simulations": 1, "steps": 8, "initial_state": start},
        "observation": {"train_sim": [0], "noise": 0.02, "time": {"mode": "custom", "indices": [0, 4, 8]}},
        "physical": {
            "learnable_parameters": [
                {
                    "name": "diffusivity",
                    "kind": "expression",
                    "expression": "floor + bump * exp(-((x - 1.4)**2 + (y - 0.5)**2) / 0.3)",
                    "scalars": [
                        {"name": "floor", "initial_guess": 0.2, "bounds": [0.01, 0.5], "true_value": 0.08},
                        {"name": "bump", "initial_guess": 0.1, "bounds": [0.0, 0.5], "true_value": 0.3},
                    ],
                }
            ]
        },
    }


def burgers() -> Sections:
    """Viscosity and convection; initial states exact."""
    return {
        "seed": 3,
        "equation": {
            "name": "burgers",
            "scheme": "upwind",
            "domain": {"x": {"size": 4.0, "resolution": 48}},
            "dt": 0.02,
            "max_speed": 2.5,
            "max_convection": 1.2,
            "parameters": {"viscosity": 0.06, "convection": 0.9},
        },
        "generation": {"simulations": 2, "steps": 12, "length_scale": 0.5, "amplitude": 0.7},
        "observation": {
            "train_sim": [0, 1],
            "noise": 0.02,
            "initial_state": "exact",
            "time": {"mode": "custom", "indices": [0, 4, 8, 12]},
        },
        "physical": {
            "learnable_parameters": [
                {"name": "viscosity", "initial_guess": 0.02, "bounds": [0.005, 0.5]},
                {"name": "convection", "initial_guess": 0.5, "bounds": [0.0, 1.2]},
            ]
        },
    }


def burgers_noisy_start() -> Sections:
    """The same with initial states that were measured like all others: 96 unknowns more."""
    sections = burgers()
    sections["observation"]["initial_state"] = "full"
    return sections


def gray_scott() -> Sections:
    """Both diffusivities, from 1000 samples in space and time of both substances; initial state exact."""
    width = 100 / 63
    return {
        "seed": 0,
        "equation": {
            "name": "gray_scott",
            "scheme": "euler",
            "domain": {"x": {"size": 24 * width, "resolution": 24}, "y": {"size": 20 * width, "resolution": 20}},
            "dt": 40.0,
            "substeps": 100,
            "parameters": {"diffusivity_u": 0.20, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
        },
        "generation": {"simulations": 1, "steps": 10, "length_scale": 5.0},
        "observation": {"train_sim": [0], "noise": 0.01, "space": {"mode": "samples", "count": 1000}},
        "physical": {
            "learnable_parameters": [
                {"name": "diffusivity_u", "initial_guess": 0.10, "bounds": [0.02, 0.5]},
                {"name": "diffusivity_v", "initial_guess": 0.05, "bounds": [0.01, 0.5]},
            ],
            "horizons": [2, 5],
        },
    }


PROBLEMS: dict[str, Callable[[], Sections]] = {
    "heat": heat,
    "burgers": burgers,
    "burgers_noisy_start": burgers_noisy_start,
    "gray_scott": gray_scott,
}


class Experiment:
    """A problem, simulated once; `draw` fits one draw of its noise."""

    def __init__(self, name: str) -> None:
        self.name, sections = name, PROBLEMS[name]()
        self.equation = build_equation(sections["equation"])
        self.observation = ObservationConfig.model_validate(sections["observation"])
        generation = GenerationConfig.model_validate(sections["generation"])
        self.trajectories = generate(self.equation, generation, sections["seed"])
        fit = {"method": "Levenberg-Marquardt", "abs_tol": 1e-9, "num_predict_steps": generation.steps}
        self.physical = PhysicalConfig.model_validate(fit | sections["physical"])
        self.true: dict[str, float] = {}
        for p in self.physical.learnable_parameters:
            value = self.equation.parameters[p.name]
            self.true |= p.true_numbers(value if isinstance(value, float) else None)
        labels = ParameterSpace(self.physical.learnable_parameters, self.equation.layout.grid).labels
        assert set(self.true) == set(labels), f"{name}: true values are missing"

    def draw(self, seed: int) -> dict[str, Any]:
        """The fit to one draw of the noise, as a line of results."""
        begin = time.process_time()
        observations = observe(self.trajectories, self.observation, seed)
        trainer = Calibrator(
            self.equation,
            observations,
            self.physical,
            num_predict_steps=self.physical.num_predict_steps,
            device=torch.device("cpu"),
        )
        result = trainer.update()
        assessment = assessed(trainer)
        numbers = {}
        for label, e in trainer.model.numbers().items():
            lower, upper = e.interval
            true = self.true[label]
            numbers[label] = {**e.to_json(), "true": true, "covered": lower <= true <= upper}
        return {
            "problem": self.name,
            "seed": seed,
            "status": str(result.status),
            "chi_square": assessment.uncertainty.reduced_chi_square,
            "numbers": numbers,
            "seconds": time.process_time() - begin,
        }


@cache
def experiment(name: str) -> Experiment:
    """The experiment of this name, built once."""
    return Experiment(name)


def draw(name: str, seed: int) -> dict[str, Any]:
    """One draw of a problem, as a line of results."""
    return experiment(name).draw(seed)


def run(
    name: str, seeds: Iterable[int], results: Path | None, workers: ComputeConfig | None = None
) -> list[dict[str, Any]]:
    """The draws of these seeds; those that the file has are not run again."""
    lines = draws_to_do([(name, seed) for seed in seeds], draw, results, ("problem", "seed"), workers)
    return [line for line in lines if line["problem"] == name]


def table(lines: list[dict[str, Any]]) -> str:
    """One row per problem and number."""
    head = "problem | number | truth | draws | covered | coverage (99 %) | in band"
    head += " | bias | spread | largest std | converged"
    rows = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    for problem in dict.fromkeys(line["problem"] for line in lines):
        own = [line for line in lines if line["problem"] == problem]
        converged = sum(line["status"] == "converged" for line in own)
        for label in own[0]["numbers"]:
            found = [line["numbers"][label] for line in own]
            n, covered, true = len(found), sum(e["covered"] for e in found), found[0]["true"]
            exact = binomtest(covered, n, NOMINAL).proportion_ci(CONFIDENCE, "exact")
            z = [(e["estimate"] - true) / e["std"] for e in found]
            largest = max(e["std"] for e in found) / abs(true)
            row = [problem, label, f"{true:g}", n, covered, f"{covered / n:.3f} ({exact.low:.3f}-{exact.high:.3f})"]
            row += ["yes" if in_band(covered, n) else "**no**", f"{statistics.mean(z):+.2f}"]
            row += [f"{statistics.stdev(z) if n > 1 else math.nan:.2f}", f"{largest:.2%}", f"{converged} of {n}"]
            rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


def document(lines: list[dict[str, Any]]) -> str:
    """The page of the study."""
    names = list(dict.fromkeys(line["problem"] for line in lines))
    draws = max(line["seed"] for line in lines) + 1
    about = [f"- `{name}`: {(PROBLEMS[name].__doc__ or '').strip()}" for name in names]
    again = [f"python benchmarks/coverage.py --problem {n} --draws {draws} --results {n}.jsonl" for n in names]
    seconds = [statistics.mean(line["seconds"] for line in lines if line["problem"] == n) for n in names]
    cost = ", ".join(f"{s:.2f} s ({n})" for n, s in zip(names, seconds, strict=True))
    parts = [ABOUT, "\n".join(about), table(lines), f"Mean time of a draw on one core: {cost}."]
    parts += ["To run it again:", "```bash\n" + "\n".join(again) + "\n```"]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    """Run draws, or make the table of what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, default="heat")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--results", type=Path, help="file that a line is appended to per draw")
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of these files and stop")
    parser.add_argument("--write", type=Path, help="with --table: write the page of the study")
    add_workers(parser)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if arguments.table:
        lines = read_lines(arguments.table)
        if arguments.write:
            arguments.write.write_text(document(lines))
    else:
        seeds = range(arguments.seed, arguments.seed + arguments.draws)
        lines = run(arguments.problem, seeds, arguments.results, compute(arguments))
    print(table(lines))


if __name__ == "__main__":
    main()
