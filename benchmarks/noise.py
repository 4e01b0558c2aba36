"""Noise that is not white: whether it is told, and whether the 95 % intervals then contain the truth.

    python benchmarks/noise.py --draws 80 --results noise.jsonl
    python benchmarks/noise.py --results noise.jsonl --write docs/studies/noise.md

Each problem is simulated once, on the model's own grid: 1-D, 48 cells, six measured times. Each draw adds noise anew
and fits the unknown numbers; draw k has the seed k. The noise has the same standard deviation in all kinds:

- `white`: Gaussian, independent;
- `time`: of each cell a first-order autoregression from one measured time to the next, correlation 0.7;
- `space`: at each time correlated in space by exp(-d/l), l = 4 cells;
- `both`: the product of the two;
- `outliers`: white, but 2 % of the measurements are 5 to 10 standard deviations off, with either sign.

`told` counts draws in which a test of the residuals (time, space, outliers) has p < 0.005, by test. `covered` counts
draws whose 95 % interval contains the true number, `in band` says whether coverage 0.95 explains that at the 99 % level
(exact binomial test). `white` is the coverage that the standard deviation of white noise (`std_white` where it is not
`std`) would have had, `spread` the standard deviation of (estimate - truth)/std, 1 if the stated one is right, and
`wider` the mean of std over that of white noise.
"""

from __future__ import annotations

import itertools
import logging
import math
import statistics
import time
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.observations import ObservationConfig, Observations, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig
from study import command_line, compute, described, draws_to_do, in_band, write_page

Sections = dict[str, Any]

KINDS = ("white", "time", "space", "both", "outliers")
# Correlation from one measured time to the next; length in cells; share of outliers.
RHO, LENGTH, SHARE = 0.7, 4.0, 0.02
TIMES = {"mode": "custom", "indices": [0, 2, 4, 6, 8, 10, 12]}


def heat_line() -> Sections:
    """Diffusivity of a rod with a smooth start; initial state exact."""
    return {
        "seed": 0,
        "equation": {
            "name": "heat",
            "order": 2,
            "domain": {"x": {"size": 1.0, "resolution": 48}},
            "dt": 0.01,
            "max_diffusivity": 0.3,
            "parameters": {"diffusivity": 0.1},
        },
        "generation": {
            "simulations": 1,
            "steps": 12,
            "initial_state": {"temperature": "sin(2 * pi * x) + 0.5 * cos(4 * pi * x)"},
        },
        "observation": {"train_sim": [0], "noise": 0.1, "time": TIMES},
        "physical": {
            "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.2, "bounds": [0.005, 0.3]}],
        },
    }


def burgers_line() -> Sections:
    """Viscosity and convection; two simulations, initial states exact."""
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
        "observation": {"train_sim": [0, 1], "noise": 0.05, "initial_state": "exact", "time": TIMES},
        "physical": {
            "learnable_parameters": [
                {"name": "viscosity", "initial_guess": 0.02, "bounds": [0.005, 0.5]},
                {"name": "convection", "initial_guess": 0.5, "bounds": [0.0, 1.2]},
            ]
        },
    }


def burgers_start() -> Sections:
    """`burgers_line` with initial states that were measured like all others: 96 unknowns more."""
    sections = burgers_line()
    sections["observation"]["initial_state"] = "full"
    return sections


PROBLEMS = {"heat_line": heat_line, "burgers_line": burgers_line, "burgers_start": burgers_start}


class Experiment:
    """A problem, simulated once, and its measurements without noise."""

    def __init__(self, problem: str) -> None:
        sections = PROBLEMS[problem]()
        self.equation = build_equation(sections["equation"])
        self.observation = ObservationConfig.model_validate(sections["observation"])
        generation = GenerationConfig.model_validate(sections["generation"])
        self.trajectories = generate(self.equation, generation, sections["seed"])
        # The data are of the same grid: there is no error of it.
        fit = {"method": "Levenberg-Marquardt", "abs_tol": 1e-9, "num_predict_steps": generation.steps}
        self.physical = PhysicalConfig.model_validate(fit | {"discretisation": False} | sections["physical"])
        self.clean = observe(self.trajectories, self.observation.model_copy(update={"noise": 0.0}), 0)


def noise(kind: str, shape: torch.Size, seed: int) -> Tensor:
    """Noise of unit variance `[S, T, C, x]` on a periodic axis."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind in ("space", "both"):
        n = shape[-1]
        lag = torch.arange(n, dtype=torch.float64)
        spectrum = torch.fft.fft((-torch.minimum(lag, n - lag) / LENGTH).exp()).real.clamp_min(0).sqrt()
        white = torch.fft.ifft(torch.fft.fft(white) * spectrum).real
    if kind in ("time", "both"):
        for step in range(1, shape[1]):
            white[:, step] = RHO * white[:, step - 1] + math.sqrt(1 - RHO**2) * white[:, step]
    if kind == "outliers":
        odd = torch.rand(shape, generator=generator) < SHARE
        size = 5 + 5 * torch.rand(shape, generator=generator, dtype=torch.float64)
        white = torch.where(odd, white.sign() * size, white)
    return white


@cache
def experiment(problem: str) -> Experiment:
    """The experiment of this name, made once."""
    return Experiment(problem)


def measured(problem: str, kind: str, seed: int) -> Observations:
    """The measurements of one draw."""
    own = experiment(problem)
    clean = own.clean
    seen = observe(own.trajectories, own.observation, seed)
    when = TIMES["indices"]
    drawn = torch.zeros_like(clean.values)
    drawn[:, when] = noise(kind, clean.values[:, when].shape, seed) * seen.noise_std[:, None]
    seen.values = torch.where(seen.mask, clean.values + drawn, 0.0)
    if not seen.initial_known:
        seen.initial_states = seen.values[:, 0].clone()
    return seen


def draw(problem: str, kind: str, seed: int) -> dict[str, Any]:
    """One draw, as a line of results."""
    begin, own = time.process_time(), experiment(problem)
    steps, device = own.physical.num_predict_steps, torch.device("cpu")
    seen = measured(problem, kind, seed)
    trainer = Calibrator(own.equation, seen, own.physical, num_predict_steps=steps, device=device)
    trainer.update()
    trainer.conclude()
    estimate = trainer.estimate
    structure = estimate.structure or {}
    tests = {name: part and part["p"] for name, part in structure.items() if name != "noise"}
    numbers = {}
    for label, e in estimate.numbers.items():
        true, white = own.equation.parameters[label], e.std_white or e.std
        numbers[label] = {
            **e.to_json(),
            "true": true,
            "covered": e.interval[0] <= true <= e.interval[1],
            "white": abs(e.value - true) <= 1.96 * white,
            "wider": e.std / white,
        }
    return {
        "problem": problem,
        "kind": kind,
        "seed": seed,
        "chi_square": estimate.reduced_chi_square,
        "tests": tests,
        "noise": structure.get("noise"),
        "numbers": numbers,
        "seconds": time.process_time() - begin,
    }


def table(lines: list[dict[str, Any]]) -> str:
    """One row per problem, kind and number."""
    head = (
        "problem | noise | draws | told time / space / outliers | number | covered | in band | white | spread | wider"
    )
    rows = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    for problem, kind in dict.fromkeys((line["problem"], line["kind"]) for line in lines):
        own = [line for line in lines if (line["problem"], line["kind"]) == (problem, kind)]
        n = len(own)
        told = [sum((line["tests"].get(t) or 1.0) < 0.005 for line in own) for t in ("time", "space", "outliers")]
        for label in own[0]["numbers"]:
            found = [line["numbers"][label] for line in own]
            covered, white = sum(e["covered"] for e in found), sum(e["white"] for e in found)
            z = [(e["estimate"] - e["true"]) / e["std"] for e in found]
            row = [problem, kind, n, " / ".join(map(str, told)), label, f"{covered} ({covered / n:.2f})"]
            row += ["yes" if in_band(covered, n) else "**no**", f"{white / n:.2f}", f"{statistics.pstdev(z):.2f}"]
            row += [f"{statistics.mean(e['wider'] for e in found):.2f}"]
            rows.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run draws that the file does not have, and print or write the table."""
    parser = command_line(__doc__, PROBLEMS)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=list(KINDS))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    cases = itertools.product(arguments.problem, arguments.kind, range(arguments.draws))
    lines = draws_to_do(cases, draw, arguments.results, ("problem", "kind", "seed"), compute(arguments))
    lines.sort(key=lambda line: (list(PROBLEMS).index(line["problem"]), KINDS.index(line["kind"]), line["seed"]))
    if arguments.write:
        draws = max(line["seed"] for line in lines) + 1
        command = f"python benchmarks/noise.py --draws {draws} --results noise.jsonl --write docs/studies/noise.md"
        about = "\n".join(f"- `{name}`: {make.__doc__}" for name, make in PROBLEMS.items())
        words = f"{described(__doc__)}\n\nProblems:\n\n{about}"
        write_page(arguments.write, "Noise that is not white", words, [command], table(lines))
    print(table(lines))


if __name__ == "__main__":
    main()
