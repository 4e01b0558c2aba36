"""Darcy flow (benchmark B2): ten numbers from 50 noisy pressures, by the physical model alone with a prior.

    python benchmarks/darcy.py --draws 40 --results data/darcy.jsonl
    python benchmarks/darcy.py --results data/darcy.jsonl --table
    python benchmarks/darcy.py --results data/darcy.jsonl --write docs/studies/darcy.md

Each draw has other sensors, another noise and another first guess from U(-1, 1); one draw has the same sensors and
first guess at every level of noise. A line of JSON per draw and level is appended at once, and a draw that is in the
file already is not run again. The problem itself is `benchmarks/problems/darcy.py`.

The noise is not all that separates the data from the model: on 19×19 nodes the model has an error of its own. Each
fit is therefore made three times. After the first and the second, model and sensors are refined to twice the resolution
with the numbers found; 4/3 of the root mean square change at the sensors is the model's own error (the scheme is
second order), and the next fit weighs the data by both: σ² = noise² + own error². The truth is not
used.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.fields import Layout
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.result import Status
from hyco.observations import Observations
from hyco.parameters import LearnableParameter
from hyco.training.physical import PhysicalConfig
from problems import darcy as problem
from study import assessed

CPU = torch.device("cpu")
STARTS, REFINEMENTS = 4, 2
# Published, by level of noise: error of the numbers (physics alone, hybrid, PINN), of the solution (physics alone,
# hybrid's physics, hybrid's network, PINN). One draw each; physics alone diverged at 0.4.
PUBLISHED = {
    0.0: ((0.22, 0.22, 0.34), (0.0141, 0.0141, 0.0560, 0.0375)),
    0.05: ((0.84, 0.59, 0.39), (0.0358, 0.0286, 0.0326, 0.0423)),
    0.1: ((1.68, 0.83, 0.45), (0.0744, 0.0446, 0.0653, 0.0510)),
    0.2: ((2.75, 1.22, 0.58), (0.3145, 0.0718, 0.0718, 0.0869)),
    0.3: ((3.04, 1.36, 0.75), (0.2087, 0.0994, 0.1012, 0.1298)),
    0.4: ((5.9, 1.6, 0.94), (math.nan, 0.128, 0.125, 0.173)),
}


def observations(draw: problem.Draw, layout: Layout, sigma: float) -> Observations:
    """The measurements of a draw as hyco has them: a static problem is one step from a state of zeros."""
    count = len(draw.values)
    values = torch.zeros(1, 2, 1, count, dtype=torch.float64)
    mask = torch.zeros_like(values, dtype=torch.bool)
    values[0, 1, 0], mask[0, 1] = draw.values, True
    return Observations(
        values=values,
        mask=mask,
        initial_states=torch.zeros(1, 1, *layout.shape, dtype=torch.float64),
        noise_std=torch.tensor([sigma], dtype=torch.float64),
        train=[0],
        val=[],
        layout=layout,
        dt=1.0,
        positions=draw.points.expand(1, 2, -1, -1).clone(),
        interpolation="cubic",
    )


@cache
def model_equation(nodes: int) -> Equation:
    """The equation on a grid; all fits share it, and with it the traced step."""
    return build_equation(problem.equation(nodes))


def trainer(draw: problem.Draw, sigma: float, guess: dict[str, float], nodes: int, starts: int) -> Calibrator:
    """The physical model on its grid, with a measurement error of standard deviation `sigma`."""
    equation = model_equation(nodes)
    config = PhysicalConfig(
        learnable_parameters=TypeAdapter(list[LearnableParameter]).validate_python(problem.learnable(guess)),
        method="Levenberg-Marquardt",
        abs_tol=1e-6,
        max_iterations=100,
        num_predict_steps=1,
        starts=starts,
        suppress_convergence_errors=True,
    )
    return Calibrator(equation, observations(draw, equation.layout, sigma), config, num_predict_steps=1, device=CPU)


def numbers(model: Calibrator) -> dict[str, float]:
    """The numbers found, by their own names."""
    return {name.removeprefix("permeability."): value for name, value in model.model.values.items()}


def at_sensors(found: dict[str, float], nodes: int, points: Tensor) -> Tensor:
    """What the model says at the sensors, on a grid of its own."""
    equation = build_equation(problem.equation(nodes, found))
    return problem.read(problem.solve(equation)[None], equation.layout, points)[0]


def own_error(found: dict[str, float], nodes: int, points: Tensor) -> float:
    """The root mean square error of the model at the sensors, from a grid of half the spacing."""
    coarse, fine = (at_sensors(found, n, points) for n in (nodes, 2 * nodes - 1))
    return float((coarse - fine).square().mean().sqrt()) * 4 / 3


def fit(seed: int, noise: float, nodes: int = problem.NODES, starts: int = STARTS) -> dict[str, Any]:
    """One draw at one level of noise: what was found, and how far it is from the truth."""
    draw = problem.draw(seed, noise)
    begin = time.process_time()
    model = trainer(draw, draw.noise_std, draw.start, nodes, starts)
    outcomes, errors = [model.update()], [problem.parameter_error(numbers(model))]
    error = 0.0
    for _ in range(REFINEMENTS):
        error = own_error(numbers(model), nodes, draw.points)
        model = trainer(draw, math.hypot(draw.noise_std, error), numbers(model), nodes, 1)
        outcomes.append(model.update())
        errors.append(problem.parameter_error(numbers(model)))
    assessment = assessed(model)
    found, names = numbers(model), problem.NAMES
    entries = model.model.numbers()
    estimates = {n: entries[f"permeability.{n}"].to_json() for n in names}
    state = problem.solve(build_equation(problem.equation(nodes, found)))
    return {
        "seed": seed,
        "noise": noise,
        "nodes": nodes,
        "starts": starts,
        "parameter_error": errors[-1],
        "parameter_errors": errors,
        "solution_error": problem.solution_error(state, model.problem.forward.stepper.equation.layout),
        "diverged": any(o.status is Status.DIVERGED for o in outcomes),
        "converged": all(o.status is Status.CONVERGED for o in outcomes),
        "own_error": error / float(problem.truth()[0].max()),
        "covered": {n: covers(estimates[n]["interval"], n) for n in names},
        "identifiable": {n: estimates[n]["identifiable"] for n in names},
        "undetermined": assessment.identifiability.words(),
        "reduced_chi_square": assessment.uncertainty.reduced_chi_square,
        "seconds": time.process_time() - begin,
        "numbers": found,
    }


def covers(interval: Sequence[float], name: str) -> bool:
    """Whether an interval contains the true number; of m0 the equation sees the square alone, so that ±m0 will do."""
    true = problem.TRUE[name]
    return any(interval[0] <= v <= interval[1] for v in ({true, -true} if name == "m0" else {true}))


def run(seeds: range, levels: Sequence[float], nodes: int, starts: int, results: Path | None) -> list[dict[str, Any]]:
    """All draws that are not in the file yet; all lines, old and new."""
    lines = read(results)
    keys = ("seed", "noise", "nodes", "starts")
    done = {tuple(line[k] for k in keys) for line in lines}
    for seed in seeds:
        for noise in levels:
            if (seed, noise, nodes, starts) in done:
                continue
            lines.append(fit(seed, noise, nodes, starts))
            if results:
                results.parent.mkdir(parents=True, exist_ok=True)
                with results.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    return lines


def read(results: Path | None) -> list[dict[str, Any]]:
    """The lines of a file that need not exist."""
    if results is None or not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def tables(lines: list[dict[str, Any]]) -> str:
    """Errors beside the published ones, then intervals and identifiability, as Markdown."""
    groups: dict[tuple[int, float], list[dict[str, Any]]] = {}
    for line in sorted(lines, key=lambda v: (v["nodes"], v["noise"])):
        groups.setdefault((line["nodes"], line["noise"]), []).append(line)
    errors = [
        "| nodes | noise | draws | e_p median | its 95 % interval | worst | published: physics / hybrid / PINN "
        "| e_s median | worst | published: physics / hybrid's physics / its network / PINN | diverged |",
        "|" + "---|" * 11,
    ]
    sure = [
        "| nodes | noise | truths in the 95 % intervals | numbers determined by the data (median) | directions not "
        "determined (median) | model's own error (median, of the largest pressure) | e_p without it | χ²/dof "
        "| CPU s per draw |",
        "|" + "---|" * 9,
    ]
    for (nodes, noise), found in groups.items():
        p, s = ([v[key] for v in found] for key in ("parameter_error", "solution_error"))
        theirs = PUBLISHED.get(noise, ((), ()))
        beside = [" / ".join("diverged" if math.isnan(v) else f"{v:g}" for v in column) for column in theirs]
        errors.append(
            f"| {nodes}×{nodes} | {noise:g} | {len(found)} | {statistics.median(p):.3f} | {of_median(p)} "
            f"| {max(p):.2f} | {beside[0]} | {statistics.median(s):.4f} | {max(s):.4f} "
            f"| {beside[1]} | {sum(v['diverged'] for v in found)} |"
        )
        inside = [v for line in found for v in line["covered"].values()]
        determined = statistics.median(sum(line["identifiable"].values()) for line in found)
        weak = statistics.median(directions(line["undetermined"]) for line in found)
        sure.append(
            f"| {nodes}×{nodes} | {noise:g} | {sum(inside) / len(inside):.1%} | {determined:g} of 10 | {weak:g} of 10 "
            f"| {statistics.median(v['own_error'] for v in found):.2%} "
            f"| {statistics.median(v['parameter_errors'][0] for v in found):.3f} "
            f"| {statistics.median(v['reduced_chi_square'] for v in found):.2f} "
            f"| {statistics.median(v['seconds'] for v in found):.2f} |"
        )
    return "\n".join(errors) + "\n\n" + "\n".join(sure)


def of_median(values: list[float]) -> str:
    """The 95 % interval of a median, from the ranks between which it lies whatever the distribution is."""
    ordered, n = sorted(values), len(values)
    low = max(0, math.floor(n / 2 - 0.98 * math.sqrt(n)))
    return f"{ordered[low]:.2f}-{ordered[n - 1 - low]:.2f}"


def directions(words: list[str]) -> int:
    """How many directions a list of descriptions stands for; its last entry may count the rest."""
    rest = int(words[-1].split()[0]) - 1 if words and words[-1].endswith("more directions") else 0
    return len(words) + rest


def page(lines: list[dict[str, Any]], command: str) -> str:
    """The page for the documentation."""
    return f"""# Darcy flow: ten numbers from 50 noisy pressures

{PARAGRAPH}

{tables(lines)}

Run again with

    {command}
"""


PARAGRAPH = """\
-∇·(κ∇p) = 1 on [-π, π]² with κ = m0² + softplus(Σ c_mp sin(mπx/4) sin(pπy/4)), m, p = 1, 2, 3. The truth is computed
on 101×101 nodes, the physical model has 19×19, both with central differences of second order and a cubic
interpolation of log κ between two nodes. 50 sensors at random places, read by cubic interpolation; Gaussian noise of
the given level times the largest true pressure. Levenberg-Marquardt with the prior N(0, 0.6²) for every number, from
four first guesses; the data are weighed by the noise and the model's own error, which a finer grid tells. e_p is ‖θ -
θ*‖/‖θ*‖, with the sign of m0 (which enters as its square) nearer to the truth, e_s the relative L2 error of the
pressure on the model's nodes. The answer "all numbers are zero" has e_p = 1. The published numbers are of one draw
each."""


def main() -> None:
    """Run draws, or show what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20, help="number of draws")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--noise", type=float, nargs="+", default=list(problem.NOISE_LEVELS), help="levels of noise")
    parser.add_argument("--nodes", type=int, default=problem.NODES, help="nodes of the model per axis")
    parser.add_argument("--starts", type=int, default=STARTS, help="first guesses of each fit")
    parser.add_argument("--results", type=Path, help="file that a line is appended to per draw and level")
    parser.add_argument("--table", action="store_true", help="print the table of the file and stop")
    parser.add_argument("--write", type=Path, help="write the table of the file with a description and stop")
    arguments = parser.parse_args()
    if arguments.table or arguments.write:
        lines = read(arguments.results)
        if arguments.write:
            draws = len({line["seed"] for line in lines if line["nodes"] == problem.NODES})
            arguments.write.write_text(page(lines, f"python benchmarks/darcy.py --draws {draws} --results darcy.jsonl"))
        if arguments.table:
            print(tables(lines))
        return
    torch.set_num_threads(1)
    seeds = range(arguments.seed, arguments.seed + arguments.draws)
    print(tables(run(seeds, arguments.noise, arguments.nodes, arguments.starts, arguments.results)))


if __name__ == "__main__":
    main()
