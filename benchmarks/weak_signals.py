"""Whether a number is called determined where the data hardly say anything of it.

    python benchmarks/weak_signals.py --seeds 3 --results weak.jsonl
    python benchmarks/weak_signals.py --table weak.jsonl --write docs/studies/weak_signals.md

Twenty set-ups of a weak signal: short times, few sensors, much noise, or hardly anything left of the state. Data are
made with the model's own equation and grid, so that nothing but the noise stands between them and the truth. Each draw
is fitted twice, with the linearised (Laplace) interval alone and with `physical.profile: auto`. Beside them the profile
is worked out anew, on a grid over the bounds of each number (the others, where there are any, on a grid too).

A number is called wrongly where it is said to be determined although χ² on that grid, at one of its bounds, is not 3.84
above the smallest. `covered` counts 95 % intervals with the truth in them; where a bound cuts them off, they hold it
more often than that.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from hyco.compute import ComputeConfig
from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.profile_curve import LIMIT
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig
from study import add_workers, compute, draws_to_do, read_lines, write_page

Sections = dict[str, Any]
# Points of the grid: of one number, and of each of two.
_POINTS, _POINTS_OF_TWO = 201, 41


def _setup(
    equation: Sections, initial: Sections | None, times: list[int], noise: float, sensors: int, learnt: list[Sections]
) -> Sections:
    """Sections of a configuration: absolute noise, and evenly spread sensors (0: every cell)."""
    generation: Sections = {"simulations": 1, "steps": max(times), "length_scale": 0.6, "amplitude": 0.8}
    if initial is not None:
        generation["initial_state"] = initial
    observation: Sections = {
        "train_sim": [0],
        "noise": noise,
        "noise_reference": "absolute",
        "time": {"mode": "custom", "indices": times},
    }
    if sensors:
        observation["space"] = {"mode": "points", "count": sensors}
    return {
        "equation": equation,
        "generation": generation,
        "observation": observation,
        "physical": {"learnable_parameters": learnt},
    }


def _number(name: str, guess: float, low: float, high: float) -> Sections:
    return {"name": name, "initial_guess": guess, "bounds": [low, high]}


def faded(times: list[int], noise: float, cells: int = 48) -> Sections:
    """Heat between cold walls on a length of 5, measured late, when hardly anything is left."""
    equation = {
        "name": "heat",
        "order": 2,
        "domain": {"x": {"size": 5.0, "resolution": cells}},
        "boundary": {"x": 0.0},
        "dt": 1.0,
        "max_diffusivity": 2.0,
        "parameters": {"diffusivity": 1.0},
    }
    start = {"temperature": "3*sin(pi*x/5) + 1.5*sin(2*pi*x/5)"}
    return _setup(equation, start, times, noise, 0, [_number("diffusivity", 0.6, 0.3, 2.0)])


def heat_early(steps: int, noise: float, sensors: int) -> Sections:
    """Heat in a ring, measured so early that it has hardly spread."""
    equation = {
        "name": "heat",
        "order": 2,
        "domain": {"x": {"size": 1.0, "resolution": 32}},
        "dt": 0.002,
        "max_diffusivity": 1.0,
        "parameters": {"diffusivity": 0.05},
    }
    learnt = [_number("diffusivity", 0.1, 0.005, 1.0)]
    return _setup(equation, {"temperature": "sin(2*pi*x)"}, [steps], noise, sensors, learnt)


def burgers(noise: float, sensors: int, steps: int, both: bool = False) -> Sections:
    """Burgers in a ring, of whose small viscosity little is seen."""
    equation = {
        "name": "burgers",
        "scheme": "upwind",
        "domain": {"x": {"size": 4.0, "resolution": 48}},
        "dt": 0.05,
        "max_speed": 2.5,
        "max_convection": 2.0,
        "parameters": {"viscosity": 0.02, "convection": 1.0},
    }
    learnt = [_number("viscosity", 0.05, 0.001, 0.5)] + ([_number("convection", 0.7, 0.0, 2.0)] if both else [])
    return _setup(equation, None, [steps // 2, steps], noise, sensors, learnt)


def carried(noise: float, sensors: int, steps: int) -> Sections:
    """A wave that is carried along and spreads, with a speed and a diffusivity to be found."""
    equation = {
        "name": "advection_diffusion",
        "order": 2,
        "domain": {"x": {"size": 1.0, "resolution": 32}},
        "dt": 0.01,
        "max_speed": 2.0,
        "max_diffusivity": 0.3,
        "parameters": {"velocity_x": 0.5, "diffusivity": 0.01},
    }
    start = {"concentration": "1 + sin(2*pi*x)"}
    learnt = [_number("velocity_x", 0.2, -1.0, 2.0), _number("diffusivity", 0.05, 0.001, 0.3)]
    return _setup(equation, start, [steps], noise, sensors, learnt)


def fisher(noise: float, steps: int, two: bool) -> Sections:
    """Fisher's equation by formula, before the population has grown or spread much."""
    equation = {
        "name": "formula",
        "domain": {"x": {"size": 6.0, "resolution": 32}},
        "dt": 0.05,
        "fields": {"u": {"lower": 0.0, "upper": 1.5}},
        "rates": {"u": "D*laplace(u) + r*u*(1 - u)"},
        "parameters": {"D": 0.1, "r": 1.0},
    }
    learnt = [_number("D", 0.2, 0.01, 1.0)] + ([_number("r", 0.5, 0.1, 4.0)] if two else [])
    return _setup(equation, {"u": "0.1 + 0.4*exp(-(x - 3)**2)"}, [steps], noise, 8, learnt)


SETUPS: dict[str, Callable[[], Sections]] = {
    "heat, faded, t 18 and 20, σ .05": lambda: faded([18, 20], 0.05),
    "heat, faded, t 16 and 18, σ .05": lambda: faded([16, 18], 0.05),
    "heat, faded, t 14, σ .05": lambda: faded([14], 0.05),
    "heat, faded, t 12, σ .05": lambda: faded([12], 0.05),
    "heat, faded, t 12, σ .2": lambda: faded([12], 0.2),
    "heat, faded, t 6, σ .5": lambda: faded([6], 0.5),
    "heat, t .002, σ .05, 32 cells": lambda: heat_early(1, 0.05, 0),
    "heat, t .01, σ .05, 4 sensors": lambda: heat_early(5, 0.05, 4),
    "heat, t .04, σ .2, 8 sensors": lambda: heat_early(20, 0.2, 8),
    "heat, t .1, σ .3, 3 sensors": lambda: heat_early(50, 0.3, 3),
    "Burgers, t .2, σ .1, 6 sensors": lambda: burgers(0.1, 6, 4),
    "Burgers, t .5, σ .2, 12 sensors": lambda: burgers(0.2, 12, 10),
    "Burgers, ν and convection, t .5, σ .3, 6 sensors": lambda: burgers(0.3, 6, 10, both=True),
    "Burgers, ν and convection, t .2, σ .1, 12 sensors": lambda: burgers(0.1, 12, 4, both=True),
    "advection-diffusion, t .1, σ .2, 4 sensors": lambda: carried(0.2, 4, 10),
    "advection-diffusion, t .3, σ .3, 8 sensors": lambda: carried(0.3, 8, 30),
    "advection-diffusion, t .05, σ .1, 16 sensors": lambda: carried(0.1, 16, 5),
    "Fisher, D, t .5, σ .05": lambda: fisher(0.05, 10, two=False),
    "Fisher, D and r, t .5, σ .05": lambda: fisher(0.05, 10, two=True),
    "Fisher, D and r, t 1.5, σ .1": lambda: fisher(0.1, 30, two=True),
}


class Case:
    """A set-up, simulated once."""

    def __init__(self, name: str) -> None:
        sections = SETUPS[name]()
        self.equation = build_equation(sections["equation"])
        self.observation = ObservationConfig.model_validate(sections["observation"])
        generation = GenerationConfig.model_validate(sections["generation"])
        self.trajectories = generate(self.equation, generation, 3)
        fit = {"method": "Levenberg-Marquardt", "num_predict_steps": generation.steps, "discretisation": False}
        self.section = fit | {"execution": "traced", "suppress_convergence_errors": True} | sections["physical"]

    def fitted(self, seed: int, profile: bool | str) -> tuple[Calibrator, float]:
        """The fit to one draw of the noise, and the seconds that its error bars took."""
        config = PhysicalConfig.model_validate(self.section | {"profile": profile})
        seen = observe(self.trajectories, self.observation, seed)
        physics = Calibrator(
            self.equation, seen, config, num_predict_steps=config.num_predict_steps, device=torch.device("cpu")
        )
        physics.update()
        begin = time.process_time()
        physics.conclude()
        return physics, time.process_time() - begin


@cache
def case(name: str) -> Case:
    """The set-up of this name, built once."""
    return Case(name)


@torch.no_grad()
def reaches(physics: Calibrator) -> dict[str, bool]:
    """Whether χ² at a bound of each number, the others free, is less than 3.84 above its minimum, on a grid."""
    space = physics.problem.forward.space
    count = len(space)
    line = torch.linspace(0, 1, _POINTS if count == 1 else _POINTS_OF_TWO, dtype=torch.float64)
    points = torch.tensor(list(itertools.product(line.tolist(), repeat=count)), dtype=torch.float64)
    squares = torch.cat([physics.problem.fit(part).square().sum(dim=1) for part in points.split(50)])
    at_best = physics.problem.fit(physics.model.coordinates[None]).square().sum()
    rise = (squares - torch.minimum(squares.min(), at_best)).reshape([len(line)] * count)
    found = {}
    for i, label in enumerate(space.labels):
        least = rise.transpose(0, i).flatten(1).amin(dim=1) if count > 1 else rise
        found[label] = bool(torch.minimum(least[0], least[-1]) < LIMIT)
    return found


def draw(name: str, seed: int) -> dict[str, Any]:
    """One draw of the noise, as a line of results."""
    true = {key: value for key, value in case(name).equation.parameters.items() if isinstance(value, float)}
    linear, seconds = case(name).fitted(seed, profile=False)
    physics, longer = case(name).fitted(seed, profile="auto")
    reach = reaches(physics)
    numbers = {}
    for label, number in physics.estimate.numbers.items():
        plain = linear.estimate.numbers[label]
        entry = {"reaches": reach[label], "profiled": number.profile is not None}
        for key, one in (("linear", plain), ("profile", number)):
            assert one.interval is not None
            covered = one.interval[0] <= true[label] <= one.interval[1]
            entry[key] = {"interval": one.interval, "identifiable": one.identifiable, "covered": covered}
        numbers[label] = entry
    work = physics.problem.simulations
    return {"setup": name, "seed": seed, "numbers": numbers, "seconds": [seconds, longer], "simulations": work}


def run(
    names: Iterable[str], seeds: Iterable[int], results: Path | None, workers: ComputeConfig | None = None
) -> list[dict[str, Any]]:
    """The draws of these seeds; those that the file has are not run again."""
    return draws_to_do(itertools.product(names, seeds), draw, results, ("setup", "seed"), workers)


def table(lines: list[dict[str, Any]]) -> str:
    """One row per set-up and number."""
    head = "set-up | number | draws | profile reaches a bound | determined: Laplace | wrongly | determined: profile "
    head += "| wrongly | covered: Laplace | covered: profile"
    rows = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    total = [0] * 8
    for name in dict.fromkeys(line["setup"] for line in lines):
        own = [line for line in lines if line["setup"] == name]
        for label in own[0]["numbers"]:
            found = [line["numbers"][label] for line in own]
            counts = [len(found), sum(e["reaches"] for e in found)]
            for key in ("linear", "profile"):
                counts.append(sum(e[key]["identifiable"] for e in found))
                counts.append(sum(e[key]["identifiable"] and e["reaches"] for e in found))
            counts += [sum(e[key]["covered"] for e in found) for key in ("linear", "profile")]
            total = [a + b for a, b in zip(total, counts, strict=True)]
            rows.append("| " + " | ".join([name, label, *map(str, counts)]) + " |")
    rows.append("| **all** | | " + " | ".join(f"**{n}**" for n in total) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run draws, or make the table of what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="draws of each set-up, with seeds from 700 on")
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
            draws = max(line["seed"] for line in lines) - 699
            words = (__doc__ or "").split("\n\n", 2)[2].strip()
            commands = [f"python benchmarks/weak_signals.py --seeds {draws} --results weak.jsonl"]
            write_page(arguments.write, "Weak signals", words, commands, table(lines))
    else:
        lines = run(SETUPS, range(700, 700 + arguments.seeds), arguments.results, compute(arguments))
    print(table(lines))


if __name__ == "__main__":
    main()
