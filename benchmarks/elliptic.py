"""The elliptic problem with two unknown bumps (benchmark B1), by the physical model alone, from several first guesses.

    python benchmarks/elliptic.py --draws 10 --results data/elliptic.jsonl
    python benchmarks/elliptic.py --results data/elliptic.jsonl --table
    python benchmarks/elliptic.py --results data/elliptic.jsonl --write docs/studies/elliptic.md

Each draw has other sensors and another first guess. The sensors are without noise, but the model on its grid has an
error of its own: after a first fit, model and sensors are refined to twice the resolution with the numbers found, 4/3
of the root mean square change at the sensors is that error, and the estimates and their intervals take it for the
noise. A line of JSON per draw is appended at once; what is in the file already is not run again. The problem itself is
`benchmarks/problems/elliptic.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
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
from hyco.inversion.optimisers.result import OptimisationResult, Status
from hyco.observations import Observations
from hyco.parameters import LearnableParameter
from hyco.stepping.stepper import Stepper
from hyco.training.physical import PhysicalConfig
from problems import elliptic as problem
from study import assessed

CPU = torch.device("cpu")
STARTS, SUCCESS = 64, 0.1
# 95 % quantiles of χ² with 6 degrees of freedom, and of χ²/19 with 19 (25 sensors, 6 numbers).
AS_GOOD, TOO_LARGE = 12.6, 1.59
PLACES = {"whole": (-math.pi, math.pi), "quarter": (0.0, math.pi)}
# What is known beforehand: where the bumps may be, and how high.
BOUNDS = {n: (0.0, 10.0) if n in "AB" else (-math.pi, math.pi) for n in problem.TRUE}


def model_equation(nodes: int, numbers: dict[str, float] | None = None) -> Equation:
    """The equation on a grid, with the diffusivity between nodes by the cubic."""
    return build_equation(problem.equation(nodes, numbers) | {"face_average": "cubic"})


@cache
def shared_equation(nodes: int) -> Equation:
    """The equation on a grid with the true numbers; all fits share it, and with it the traced step."""
    return model_equation(nodes)


def observations(points: Tensor, layout: Layout, sigma: float) -> Observations:
    """The measurements as hyco has them: a static problem is one step from a state of zeros."""
    values = torch.zeros(1, 2, 1, len(points), dtype=torch.float64)
    mask = torch.zeros_like(values, dtype=torch.bool)
    values[0, 1, 0], mask[0, 1] = problem.measurements(points), True
    return Observations(
        values=values,
        mask=mask,
        initial_states=torch.zeros(1, 1, *layout.shape, dtype=torch.float64),
        noise_std=torch.tensor([sigma], dtype=torch.float64),
        train=[0],
        val=[],
        layout=layout,
        dt=1.0,
        positions=points.expand(1, 2, -1, -1).clone(),
        interpolation="cubic",
    )


def trainer(points: Tensor, sigma: float, guess: dict[str, float], nodes: int, starts: int) -> Calibrator:
    """The physical model on its grid, all numbers within their bounds."""
    equation = shared_equation(nodes)
    learnable = problem.learnable(guess)
    for parameter in learnable:
        parameter["scalars"] = [s | {"bounds": BOUNDS[s["name"]]} for s in parameter["scalars"]]
    config = PhysicalConfig(
        learnable_parameters=TypeAdapter(list[LearnableParameter]).validate_python(learnable),
        method="Levenberg-Marquardt",
        abs_tol=1e-6,
        max_iterations=100,
        num_predict_steps=1,
        starts=starts,
        suppress_convergence_errors=True,
    )
    return Calibrator(equation, observations(points, equation.layout, sigma), config, num_predict_steps=1, device=CPU)


def numbers(model: Calibrator) -> dict[str, float]:
    """The numbers found, by their own names."""
    return {name.split(".")[1]: value for name, value in model.model.values.items()}


def solve(equation: Equation) -> Tensor:
    """The solution on the nodes, `[*space]`."""
    zero = torch.zeros(1, 1, *equation.layout.shape, dtype=torch.float64)
    return Stepper(equation, "plain")(zero, equation.parameter_tensors(torch.float64))[0, 0]


def own_error(found: dict[str, float], nodes: int, points: Tensor) -> float:
    """The root mean square error of the model at the sensors, from a grid of half the spacing."""
    both = []
    for n in (nodes, 2 * nodes - 1):
        equation = model_equation(n, found)
        both.append(problem.read(solve(equation)[None], equation.layout, points)[0])
    return float((both[0] - both[1]).square().mean().sqrt()) * 4 / 3


def fit(seed: int, place: str, nodes: int = problem.NODES, starts: int = STARTS) -> dict[str, Any]:
    """One draw: what was found, and how far it is from the truth."""
    points, guess = problem.sensors(seed, problem.SENSORS, *PLACES[place]), problem.start(seed)
    begin = time.process_time()
    first = trainer(points, 0.0, guess, nodes, starts)
    result = first.update()
    error = own_error(numbers(first), nodes, points)
    model = trainer(points, error, numbers(first), nodes, 1)
    outcomes = [result, model.update()]
    assessment = assessed(model)
    found = numbers(model)
    estimates = {name.split(".")[1]: e.to_json() for name, e in model.model.numbers().items()}
    state = solve(model_equation(nodes, found))
    return {
        "seed": seed,
        "place": place,
        "nodes": nodes,
        "starts": starts,
        "parameter_error": problem.parameter_error(found),
        "solution_error": problem.solution_error(state, model.problem.forward.stepper.equation.layout),
        "diverged": any(o.status is Status.DIVERGED for o in outcomes),
        "own_error": error,
        "covered": {n: e["interval"][0] <= problem.TRUE[n] <= e["interval"][1] for n, e in estimates.items()},
        "identifiable": {n: e["identifiable"] for n, e in estimates.items()},
        "alternative_minima": alternative_minima(first, result, error, estimates),
        "undetermined": assessment.identifiability.words(),
        "reduced_chi_square": assessment.uncertainty.reduced_chi_square,
        "seconds": time.process_time() - begin,
        "numbers": found,
    }


def alternative_minima(
    first: Calibrator, result: OptimisationResult, error: float, estimates: dict[str, dict[str, Any]]
) -> int:
    """How many first guesses end outside the intervals with a fit that the data cannot tell from the best."""
    ends = result.ends
    best = min(end["value"] for end in ends)
    squares = first.problem.data.count(1) * float(first.problem.data.sigma.max() / error) ** 2
    found = 0
    for end in ends:
        place = first.model.space.numbers(torch.tensor(end["x"], dtype=torch.float64))
        intervals = {name: estimates[name.split(".")[1]]["interval"] for name in place}
        outside = any(not intervals[n][0] <= float(v) <= intervals[n][1] for n, v in place.items())
        found += outside and (end["value"] - best) * squares < AS_GOOD
    return found


def read(results: Path | None) -> list[dict[str, Any]]:
    """The lines of a file that need not exist."""
    if results is None or not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def run(seeds: range, nodes: list[int], starts: int, results: Path | None) -> list[dict[str, Any]]:
    """All draws that are not in the file yet; all lines, old and new."""
    lines = read(results)
    done = {(line["seed"], line["place"], line["nodes"], line["starts"]) for line in lines}
    for n in nodes:
        for seed in seeds:
            for place in PLACES:
                if (seed, place, n, starts) in done:
                    continue
                lines.append(fit(seed, place, n, starts))
                if results:
                    results.parent.mkdir(parents=True, exist_ok=True)
                    with results.open("a") as file:
                        file.write(json.dumps(lines[-1]) + "\n")
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Success, errors and what the sensors determine, as Markdown."""
    rows = [
        "| sensors | nodes | draws | e_p < 0.1 | e_p median | worst | e_s median | worst | model's own error (median) "
        "| truths in the 95 % intervals | determined near the best fit, draws: A, ax, ay / B, bx, by "
        "| another minimum fits as well, draws | χ² too large for its own error, draws | diverged |",
        "|" + "---|" * 14,
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["place"], line["nodes"]), []).append(line)
    for (place, nodes), found in sorted(groups.items(), key=lambda g: (g[0][0] != "whole", g[0][1])):
        p, s = ([v[key] for v in found] for key in ("parameter_error", "solution_error"))
        inside = [v for line in found for v in line["covered"].values()]
        sure = {n: sum(line["identifiable"][n] for line in found) for n in problem.TRUE}
        rows.append(
            f"| {place} | {nodes}×{nodes} | {len(found)} | {sum(v < SUCCESS for v in p)} of {len(p)} "
            f"| {statistics.median(p):.3f} | {max(p):.2f} | {statistics.median(s):.4f} | {max(s):.4f} "
            f"| {statistics.median(v['own_error'] for v in found):.4f} | {sum(inside) / len(inside):.0%} "
            f"| {sure['A']}, {sure['ax']}, {sure['ay']} / {sure['B']}, {sure['bx']}, {sure['by']} "
            f"| {sum(v['alternative_minima'] > 0 for v in found)} "
            f"| {sum(v['reduced_chi_square'] > TOO_LARGE for v in found)} | {sum(v['diverged'] for v in found)} |"
        )
    return "\n".join(rows)


PARAGRAPH = """\
-∇·(κ∇u) + ηu = f on [-π, π]² with κ = 1 + A exp(-|x - a|²), η = (1 + B exp(-|x - b|²))² and f such that u = sin x sin
y for A = 4, a = (-1, -1), B = 1, b = (2, 1). 25 sensors without noise, in the whole domain or in [0, π]², read by
cubic interpolation. Levenberg-Marquardt from 64 first guesses, A and B within [0, 10], the centres in the domain.
The model's own error (its scheme, and the interpolation to the sensors) is what twice the resolution changes, and
takes the place of the noise. e_p is ‖θ - θ*‖/‖θ*‖, e_s the relative L2 error on the model's nodes. Published, one
draw each: from the quarter e_p 1.00 for physics alone, 0.030 for the hybrid (1.30 for another draw), 0.67 for a PINN,
and e_s 0.37, 0.027, 0.36; from the whole domain e_p 0.0118."""


def page(lines: list[dict[str, Any]]) -> str:
    """The page for the documentation."""
    draws = len({line["seed"] for line in lines})
    return f"""# An elliptic problem: two bumps from 25 sensors

{PARAGRAPH}

{table(lines)}

Run again with

    python benchmarks/elliptic.py --draws {draws} --results elliptic.jsonl
"""


def main() -> None:
    """Run draws, or show what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10, help="number of draws")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--nodes", type=int, nargs="+", default=[problem.NODES, 37], help="nodes per axis")
    parser.add_argument("--starts", type=int, default=STARTS, help="first guesses of each fit")
    parser.add_argument("--results", type=Path, help="file that a line is appended to per draw")
    parser.add_argument("--table", action="store_true", help="print the table of the file and stop")
    parser.add_argument("--write", type=Path, help="write the table of the file with a description and stop")
    arguments = parser.parse_args()
    if arguments.table or arguments.write:
        lines = read(arguments.results)
        if arguments.write:
            arguments.write.write_text(page(lines))
        if arguments.table:
            print(table(lines))
        return
    torch.set_num_threads(1)
    seeds = range(arguments.seed, arguments.seed + arguments.draws)
    print(table(run(seeds, arguments.nodes, arguments.starts, arguments.results)))


if __name__ == "__main__":
    main()
