"""How often the 95 % interval contains the truth where no solver of hyco made the data.

    python benchmarks/independent.py --draws 200 --results independent.jsonl
    python benchmarks/independent.py --results independent.jsonl --write docs/studies/independent.md

Each draw has another smooth state at t = 0, given as a formula, other places of its sensors where there are any, and
other noise, 1 % of the standard deviation of the values. The truth is a formula (sums of waves), or a Fourier or cosine
series integrated by SciPy to a relative 1e-7; of a diffusivity that varies, a matrix exponential of 768 finite volumes.
All settings of the fits are defaults, but for what a problem names. Draw k of a problem has the seed k.

`covered`: draws whose 95 % interval contains the true number (of a field: its value at a place drawn at random), `band`
the counts that coverage 0.95 explains at the 99 % level (exact binomial test). `told`: draws in which the error of grid
and time step is larger than the standard deviation, so that a warning names a finer grid; `silent`: draws that neither
contain the truth nor are told. `noise alone`: draws that estimate ± 1.96 std would cover. `width`: median and largest
width of the interval over 3.92 std, the noise's alone. `bias` and `predicted`: means of (estimate - truth)/std and of
`discretisation`/std; `slope`: the least-squares slope of the former over the latter, through zero, in the draws where
`discretisation` is 1 to 10 std (five at least), 1 if it predicts the error; the noise leaves it uncertain by about
1/√draws ([predicted_bias.md](predicted_bias.md) has it without noise). `χ²` is the mean reduced χ², `s` the median of
the seconds of a draw on one core.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hyco
from hyco.equations import registry
from hyco.inversion.optimisers.result import NotConverged
from hyco.stepping import refinement
from problems.independent import PROBLEMS, Problem
from study import band, command_line, compute, described, draws_to_do, write_page

NOISE = 0.01
READ = """Where the grid is fine enough, counts are inside the band, and intervals hardly wider than the noise's alone:
what is missed in silence is the 5 % that a 95 % interval may miss. Where it is not, draws are told, intervals are
wider, and hold the truth more often than 95 %; those of the noise alone hold it hardly ever there. `discretisation`
predicts the error to a few percent where many draws tell it (`slope`), of a single draw to about the noise. Draws of
`burgers` that are told have layers that are thin for its cells."""


@cache
def share_equations() -> None:
    """Equal equations are one object from now on, so that their steps are recorded once, not in each draw."""
    made: dict[str, Any] = {}
    build = registry.build_equation

    def shared(config: Any) -> Any:
        key = (registry.equation_config(config) if isinstance(config, dict) else config).model_dump_json()
        if key not in made:
            made[key] = build(config)
        return made[key]

    registry.build_equation = shared
    refinement.build_equation = shared  # type: ignore[attr-defined]


@cache
def equation_of(name: str) -> Any:
    """Made once, so that its step is recorded once."""
    return hyco.equation(PROBLEMS[name].section)


def measured(
    problem: Problem, equation: Any, random: np.random.Generator, noise: float = NOISE, sigma: float = NOISE
) -> Any:
    """The measurements of one draw of a problem, in the cells of an equation or at sensors.

    Args:
        random: of the state at t = 0, the places and the noise.
        noise: its standard deviation, over that of the values.
        sigma: what the fit is told that it is.
    """
    start, truth = problem.draw(random)
    grid, t = equation.layout.grid, problem.times
    if problem.sensors:
        lower, size = np.array(grid.lower), np.array(grid.size)
        places = (lower + size * random.uniform(size=(problem.sensors, grid.dimensions))).T
    else:
        places = np.stack([c.ravel() for c in np.meshgrid(*map(grid.centers, grid.axes), indexing="ij")])
    at = {axis: np.broadcast_to(x, (len(t), len(x))) for axis, x in zip(grid.axes, places, strict=True)}
    columns = {"t": np.broadcast_to(t[:, None], (len(t), places.shape[1])), **at}
    std = {}
    for column, values in truth(t, at).items():
        std[problem.channels[column]] = float(sigma * values.std())
        columns[column] = values + noise * values.std() * random.normal(size=values.shape)
    section = {
        "time": "t",
        "axes": {axis: axis for axis in grid.axes},
        "fields": {channel: column for column, channel in problem.channels.items()},
        "std": std,
        "start": 0.0,
        "initial": start,
    }
    observation = {"train_sim": [0], "interpolation": problem.interpolation}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured.csv"
        table = np.stack([values.ravel() for values in columns.values()], axis=1)
        np.savetxt(path, table, delimiter=",", header=",".join(columns), comments="", fmt="%.17g")
        return hyco.read_measurements(str(path), equation, section, observation)


def draw(name: str, seed: int) -> dict[str, Any]:
    """The fit to one draw, as a line of results."""
    share_equations()
    begin, problem = time.process_time(), PROBLEMS[name]()
    random = np.random.default_rng([list(PROBLEMS).index(name), seed])
    seen = measured(problem, equation_of(name), random)
    try:
        estimate = hyco.fit(equation_of(name), seen, problem.learn, method="Levenberg-Marquardt").estimate
    except NotConverged as error:
        return {"problem": name, "seed": seed, "stopped": str(error), "seconds": time.process_time() - begin}
    numbers = {}
    for label, true in problem.true.items():
        if callable(true):
            found, grid = estimate[label], equation_of(name).layout.grid
            cell = int(np.random.default_rng([99, seed]).integers(grid.resolution[0]))
            (low, high), std = found.interval, float(found.std[cell])
            value, shift, true = float(found.value[cell]), found.discretisation, float(true(grid.centers("x")[cell]))
            low, high, shift = float(low[cell]), float(high[cell]), None if shift is None else float(shift[cell])
        else:
            number = estimate[label]
            value, std, (low, high), shift = number.value, number.std, number.interval, number.discretisation
        numbers[label] = {"true": true, "estimate": value, "std": std, "interval": [low, high], "discretisation": shift}
    return {
        "problem": name,
        "seed": seed,
        "numbers": numbers,
        "chi_square": estimate.reduced_chi_square,
        "told": [key for key, n in numbers.items() if n["discretisation"] and abs(n["discretisation"]) > n["std"]],
        "seconds": time.process_time() - begin,
    }


def table(lines: list[dict[str, Any]]) -> str:
    """One row per problem and number."""
    head = "problem | number | draws | covered | band | told | silent | noise alone | width, largest | bias | predicted"
    head += " | slope | χ² | s"
    rows = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    for name in (name for name in PROBLEMS if any(line["problem"] == name for line in lines)):
        own = [line for line in lines if line["problem"] == name and "stopped" not in line]
        for label in own[0]["numbers"]:
            found = [line["numbers"][label] for line in own]
            held = [e["interval"][0] <= e["true"] <= e["interval"][1] for e in found]
            told = [label in line["told"] for line in own]
            plain = [abs(e["estimate"] - e["true"]) <= 1.96 * e["std"] for e in found]
            width = [(e["interval"][1] - e["interval"][0]) / (3.92 * e["std"]) for e in found]
            actual = [(e["estimate"] - e["true"]) / e["std"] for e in found]
            shifts = [(e["discretisation"] or 0.0) / e["std"] for e in found]
            bias, shift = statistics.mean(actual), statistics.mean(shifts)
            pairs = [(a, d) for a, d in zip(actual, shifts, strict=True) if 1 <= abs(d) <= 10]
            slope = sum(a * d for a, d in pairs) / sum(d * d for _, d in pairs) if len(pairs) >= 5 else None
            n = len(own)
            low, high = band(n)
            silent = sum(not h and not t for h, t in zip(held, told, strict=True))
            row = [name, label, n, sum(held), f"{low}-{high}", sum(told), silent, sum(plain)]
            row += [f"{statistics.median(width):.2f}, {max(width):.2f}", f"{bias:+.2f}", f"{shift:+.2f}"]
            row += ["" if slope is None else f"{slope:.2f} ({len(pairs)})"]
            row += [f"{statistics.mean(line['chi_square'] for line in own):.3f}"]
            row += [f"{statistics.median(line['seconds'] for line in own):.1f}"]
            rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows) + ended_with_an_error(lines)


def ended_with_an_error(lines: list[dict[str, Any]]) -> str:
    """A sentence below a table, if there is anything to say."""
    stopped = [f"{line['problem']} {line['seed']}" for line in lines if "stopped" in line]
    return f"\n\nEnded with an error, as not converged: {', '.join(stopped)}." if stopped else ""


def main() -> None:
    """Run draws that the file does not have, and print or write the table."""
    arguments = command_line(__doc__, PROBLEMS).parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    # All problems advance together: a run that is stopped has as many draws of each.
    cases = [(name, seed) for seed in range(arguments.draws) for name in arguments.problem]
    lines = draws_to_do(cases, draw, arguments.results, ("problem", "seed"), compute(arguments))
    if arguments.write:
        words = f"{described(__doc__)}\n\nProblems:\n\n" + "\n".join(
            f"- `{name}`: {' '.join((problem.__doc__ or '').split())}" for name, problem in PROBLEMS.items()
        )
        draws = max(line["seed"] for line in lines) + 1
        command = f"python benchmarks/independent.py --draws {draws} --results independent.jsonl"
        write_page(arguments.write, "Coverage on independent data", f"{words}\n\n{READ}", [command], table(lines))
    print(table(lines))


if __name__ == "__main__":
    main()
