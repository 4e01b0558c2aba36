"""Set-ups that do not determine their parameters are flagged, and those that do are not (physics alone).

    python benchmarks/identifiability.py --seeds 0-2 --write docs/studies/identifiability.md

A set-up is flagged if a number is reported as not identifiable, or if a direction is named that the data do not
determine. The inversion stops at any point it likes: flags, not errors, are what is judged.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig
from study import assessed, described, write_page

STEPS = 8


def _axis(size: float, resolution: int) -> dict[str, Any]:
    return {"size": size, "resolution": resolution}


BURGERS = {
    "name": "burgers",
    "scheme": "upwind",
    "domain": {"x": _axis(4.0, 32)},
    "dt": 0.05,
    "max_speed": 6.0,
    "parameters": {"viscosity": 0.1},
}
HEAT = {
    "name": "heat",
    "order": 2,
    "domain": {"x": _axis(3.0, 16), "y": _axis(2.0, 10)},
    "boundary": "neumann",
    "dt": 0.05,
    "max_diffusivity": 1.0,
    "parameters": {"diffusivity": 0.2},
}
ADVECTION = {
    "name": "advection",
    "domain": {"x": _axis(3.0, 24), "y": _axis(2.0, 16)},
    "dt": 0.05,
    "max_speed": 1.5,
    "parameters": {"velocity_x": 0.8, "velocity_y": -0.5},
}
MIXED = {
    "name": "advection_diffusion",
    "order": 2,
    "domain": {"x": _axis(3.0, 32)},
    "dt": 0.05,
    "max_speed": 1.5,
    "max_diffusivity": 0.5,
    "parameters": {"velocity_x": 0.8, "diffusivity": 0.05},
}
GRAY_SCOTT = {
    "name": "gray_scott",
    "scheme": "euler",
    "domain": {"x": _axis(40.0, 25), "y": _axis(32.0, 20)},
    "dt": 10.0,
    "substeps": 20,
    "parameters": {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
}
VORTICITY = {
    "name": "navier_stokes",
    "domain": {"x": _axis(6.283185307179586, 24), "y": _axis(6.283185307179586, 20)},
    "dt": 0.1,
    "max_speed": 3.0,
    "parameters": {"viscosity": 0.05, "drag": 0.1},
}
POTENTIAL = {
    "name": "inviscid_burgers",
    "domain": {"x": _axis(100.0, 64)},
    "dt": 0.4,
    "max_speed": 5.0,
    "parameters": {"potential": "sin(2*pi*x/100)"},
}


def _number(name: str, guess: float, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "initial_guess": guess, "bounds": [low, high]}


def _formula(name: str, expression: str, *scalars: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "kind": "expression", "expression": expression, "scalars": list(scalars)}


VISCOSITY = _number("viscosity", 0.3, 0.005, 1.0)
PAIR = (_number("a", 0.3, 0.05, 1.0), _number("b", 0.3, 0.05, 1.0))
SMOOTH = {"length_scale": 0.8}
BUMP = {"amplitude": 0.3, "center": [2.8, 1.8], "width": 0.1}

# Name: equation, learnable parameters, further settings.
OPEN: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = {
    "viscosity from a constant state": (BURGERS, [VISCOSITY], {"generation": {"initial_state": {"velocity_x": 0.7}}}),
    "two numbers that enter as a product": (BURGERS, [_formula("viscosity", "a * b", *PAIR)], {}),
    "two numbers that enter as a sum": (BURGERS, [_formula("viscosity", "(a + b) / 4", *PAIR)], {}),
    "viscosity from one step under heavy noise": (
        BURGERS,
        [_number("viscosity", 0.1, 0.08, 0.12)],
        {"observation": {"noise": 1.0}, "steps": 1},
    ),
    "diffusivity from a uniform temperature": (
        HEAT,
        [_number("diffusivity", 0.1, 0.01, 1.0)],
        {"generation": {"initial_state": {"temperature": 1.0}}},
    ),
    "a bump of the diffusivity far from all sensors": (
        HEAT | {"parameters": {"diffusivity": "0.2 + 0.3*exp(-((x-2.8)**2+(y-1.8)**2)/0.02)"}},
        [{"name": "diffusivity", "kind": "gaussians", "offset": 0.2, "terms": [BUMP], "amplitude_bounds": [0.0, 0.7]}],
        {"observation": {"space": {"mode": "range", "x": [0.0, 0.7], "y": [0.0, 0.7]}}, "steps": 3},
    ),
    "the velocity along stripes": (
        ADVECTION,
        [_number("velocity_x", 0.5, 0.1, 1.4), _number("velocity_y", 0.1, -1.4, 1.4)],
        {"generation": {"initial_state": {"concentration": "sin(2*pi*x/3)"}}},
    ),
    "diffusivities of Gray-Scott without the second substance": (
        GRAY_SCOTT,
        [_number("diffusivity_u", 0.1, 0.02, 0.5), _number("diffusivity_v", 0.05, 0.02, 0.5)],
        {"generation": {"initial_state": {"u": "1 - 0.3*sin(2*pi*x/40)", "v": 0.0}}},
    ),
    "feed and kill of Gray-Scott at rest": (
        GRAY_SCOTT,
        [_number("feed", 0.03, 0.005, 0.06), _number("kill", 0.04, 0.01, 0.08)],
        {"generation": {"initial_state": {"u": 1.0, "v": 0.0}}},
    ),
    "drag and viscosity from one wave": (
        VORTICITY,
        [_number("viscosity", 0.1, 0.001, 0.5), _number("drag", 0.05, 0.001, 0.5)],
        {"generation": {"initial_state": {"vorticity": "sin(x + 2*y)"}}},
    ),
    "the mean of a potential": (
        POTENTIAL,
        [{"name": "potential", "kind": "fourier", "modes": 2, "mean": True}],
        {"generation": {"length_scale": 25.0}},
    ),
    "sixteen modes of a potential from half the domain": (
        POTENTIAL,
        [{"name": "potential", "kind": "fourier", "modes": 16, "mean": False}],
        {"generation": {"length_scale": 25.0}, "observation": {"space": {"mode": "range", "x": [0.0, 50.0]}}},
    ),
}

DETERMINED: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = {
    "viscosity": (BURGERS, [VISCOSITY], {}),
    "viscosity and convection": (
        BURGERS | {"max_convection": 1.5},
        [VISCOSITY, _number("convection", 0.5, 0.1, 1.5)],
        {},
    ),
    "viscosity from ten sensors": (
        BURGERS,
        [VISCOSITY],
        {"observation": {"space": {"mode": "points", "count": 10}}},
    ),
    "viscosity with noisy initial states": (BURGERS, [VISCOSITY], {"observation": {"initial_state": "full"}}),
    "diffusivity": (HEAT, [_number("diffusivity", 0.1, 0.01, 1.0)], {}),
    "diffusivity that grows along x": (
        HEAT | {"parameters": {"diffusivity": "0.1 + 0.1*x"}},
        [_formula("diffusivity", "a/4 + b*x/4", *PAIR)],
        {},
    ),
    "both velocities": (
        ADVECTION,
        [_number("velocity_x", 0.5, 0.1, 1.4), _number("velocity_y", 0.1, -1.4, 1.4)],
        {},
    ),
    "velocity and diffusivity": (
        MIXED,
        [_number("velocity_x", 0.5, 0.1, 1.4), _number("diffusivity", 0.1, 0.005, 0.5)],
        {},
    ),
    "both diffusivities of Gray-Scott": (
        GRAY_SCOTT,
        [_number("diffusivity_u", 0.1, 0.02, 0.5), _number("diffusivity_v", 0.05, 0.02, 0.5)],
        {"generation": {"length_scale": 8.0}},
    ),
    "viscosity and drag from many waves": (
        VORTICITY,
        [_number("viscosity", 0.1, 0.001, 0.5), _number("drag", 0.05, 0.001, 0.5)],
        {},
    ),
    "four modes of a potential from the whole domain": (
        POTENTIAL,
        [{"name": "potential", "kind": "fourier", "modes": 4, "mean": False}],
        {"generation": {"length_scale": 25.0}},
    ),
}


def flags(
    equation: dict[str, Any], parameters: list[dict[str, Any]], settings: dict[str, Any], seed: int
) -> tuple[bool, list[str]]:
    """Whether a set-up is flagged, and what is said of it."""
    steps = settings.get("steps", STEPS)
    generation = GenerationConfig.model_validate(
        {"simulations": 2, "steps": steps} | SMOOTH | settings.get("generation", {})
    )
    observation = ObservationConfig.model_validate(
        {"train_sim": [0, 1], "noise": 0.01, "noise_reference": "absolute"} | settings.get("observation", {})
    )
    physical = PhysicalConfig.model_validate(
        {"learnable_parameters": parameters, "method": "Levenberg-Marquardt", "num_predict_steps": steps}
    )
    built = build_equation(equation)
    observations = observe(generate(built, generation, seed), observation, seed)
    trainer = Calibrator(built, observations, physical, num_predict_steps=steps, device=torch.device("cpu"))
    trainer.update()
    words = assessed(trainer).identifiability.words(most=3)
    numbers = [name for name, entry in trainer.model.numbers().items() if not entry.identifiable]
    return bool(words or numbers), [*words, *(f"{name} not identifiable" for name in numbers)]


def main() -> None:
    """Judge all set-ups and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-2", help="first-last")
    parser.add_argument("--write", type=Path, help="write the table to this file too")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    first, last = map(int, arguments.seeds.split("-"))
    seeds = range(first, last + 1)
    rows = ["| set-up | determined | flagged | what is said (first seed) |", "|---|---|---|---|"]
    counts = {}
    for kind, setups in (("no", OPEN), ("yes", DETERMINED)):
        total = 0
        for name, setup in setups.items():
            found = [flags(*setup, seed) for seed in seeds]
            flagged = sum(flag for flag, _ in found)
            total += flagged
            words = [w for w in found[0][1] if not w.endswith("identifiable")]
            rows.append(f"| {name} | {kind} | {flagged} of {len(found)} | {'; '.join(words) or '–'} |")
            print(rows[-1], flush=True)
        counts[kind] = (total, len(setups) * len(seeds))
    summary = (
        f"Flagged: {counts['no'][0]} of {counts['no'][1]} that are not determined,"
        f" {counts['yes'][0]} of {counts['yes'][1]} that are."
    )
    print(summary)
    if arguments.write:
        command = f"python benchmarks/identifiability.py --seeds {arguments.seeds} --write {arguments.write}"
        text = f"{summary}\n\n" + "\n".join(rows)
        write_page(arguments.write, "What data do not determine", described(__doc__), [command], text)


if __name__ == "__main__":
    main()
