"""Permeability of a porous medium from 50 noisy pressures (benchmark B2).

    -∇·(κ∇p) = 1  on [-π, π]²,  p = 0 on the boundary
    κ = m0² + softplus(Σ c_mp sin(mπx/4) sin(pπy/4)),  m, p = 1, 2, 3

with ten unknown numbers; κ lies between 0.04 and 3.3. The truth is computed on 101×101 nodes, those on the boundary
included; the physical model has 19×19. Both use central differences of second order with a cubic interpolation of log κ
between the nodes: with the true numbers the model is 1.6 % off the truth (with the harmonic mean 2.5 %, with the
arithmetic mean 6.2 %). 50 sensors, uniform in the domain, read truth and model by cubic interpolation. The noise is
Gaussian with the standard deviation level × max p (the published code takes the largest of the 50 readings instead,
2 % less on average).

The first guess of every number is from U(-1, 1), the prior N(0, 0.6²). The sign of m0 cannot be told, so that the error
of the numbers, ‖θ - θ*‖/‖θ*‖, takes the one nearer to the truth. The error of the solution is its relative L2 error on
the nodes of the model, where the truth is interpolated. Judge by medians over
at least 20 draws of sensors, noise and first guess.

Source: the Darcy example of arXiv 2602.23859.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.fields import Layout
from hyco.observations.interpolation import stencil
from hyco.stepping.stepper import Stepper

MODES = [(m, p) for m in (1, 2, 3) for p in (1, 2, 3)]
NAMES = ["m0", *(f"c{m}{p}" for m, p in MODES)]
TRUE = dict(
    zip(
        NAMES,
        [-0.0672, 0.8418, 0.4716, -0.8098, 0.8290, 0.3555, -0.9663, -0.8917, -0.5976, -0.1338],
        strict=True,
    )
)
NODES, TRUTH_NODES, SENSORS = 19, 101, 50
NOISE_LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
PRIOR_STD = 0.6

_SERIES = " + ".join(f"c{m}{p} * sin({m} * pi * x / 4) * sin({p} * pi * y / 4)" for m, p in MODES)
PERMEABILITY = f"m0**2 + softplus({_SERIES})"


def permeability(numbers: dict[str, float]) -> str:
    """The formula of κ with numbers in place of their names."""
    formula = PERMEABILITY
    for name, value in numbers.items():
        formula = formula.replace(name, f"({value!r})")
    return formula


def equation(nodes: int = NODES, numbers: dict[str, float] | None = None) -> dict[str, Any]:
    """The `equation` section, with the true permeability or another one."""
    axis = {"lower": -math.pi, "size": 2 * math.pi, "resolution": nodes}
    return {
        "name": "darcy",
        "domain": {"x": axis, "y": axis},
        "boundary": 0.0,
        "nodes": "vertex",
        "face_average": "cubic",
        "parameters": {"permeability": permeability(numbers or TRUE), "source": 1.0},
    }


def solve(problem: Equation) -> Tensor:
    """The pressure on the nodes `[*space]`, float64."""
    zero = torch.zeros(1, 1, *problem.layout.grid.resolution, dtype=torch.float64)
    return Stepper(problem, "plain")(zero, problem.parameter_tensors(torch.float64))[0, 0]


@cache
def truth() -> tuple[Tensor, Layout]:
    """The true pressure on 101×101 nodes `[*space]`, and its layout."""
    problem = build_equation(equation(TRUTH_NODES))
    return solve(problem), problem.layout


def read(states: Tensor, layout: Layout, points: Tensor) -> Tensor:
    """Values `[B, count]` of grid functions `[B, *space]` at points `[count, 2]`, by cubic interpolation."""
    at = stencil(layout, points, "cubic")
    picked = states.flatten(1)[:, at.indices[:, 0]]
    return (picked * at.weights[:, 0]).sum(-1) + at.offset[:, 0]


@dataclass(frozen=True)
class Draw:
    """One draw of everything that is random.

    Attributes:
        points: positions of the sensors, `[count, 2]`.
        values: what they measured, `[count]`.
        noise_std: standard deviation of their noise.
        start: first guess of the numbers.
    """

    points: Tensor
    values: Tensor
    noise_std: float
    start: dict[str, float]


def draw(seed: int, noise: float, count: int = SENSORS) -> Draw:
    """Sensors, noise and first guess; for one seed the same sensors and first guess at every level of noise.

    Args:
        noise: the level, standard deviation over the largest true pressure.
    """
    generator = torch.Generator().manual_seed(seed)
    points = math.pi * (2 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 1)
    unit = torch.randn(count, generator=generator, dtype=torch.float64)
    first = (2 * torch.rand(len(NAMES), generator=generator, dtype=torch.float64) - 1).tolist()
    pressure, layout = truth()
    exact = read(pressure[None], layout, points)[0]
    noise_std = noise * float(pressure.max())
    return Draw(points, exact + noise_std * unit, noise_std, dict(zip(NAMES, first, strict=True)))


def learnable(first_guess: dict[str, float]) -> list[dict[str, Any]]:
    """The list `physical.learnable_parameters`: one formula with ten unknown numbers, each with its prior."""
    prior = {"mean": 0.0, "std": PRIOR_STD}
    keys = {"transform": "none", "prior": prior}
    scalars = [{"name": n, "initial_guess": first_guess[n], "true_value": TRUE[n], **keys} for n in NAMES]
    return [{"name": "permeability", "kind": "expression", "expression": PERMEABILITY, "scalars": scalars}]


def parameter_error(numbers: dict[str, float]) -> float:
    """‖θ - θ*‖/‖θ*‖, with the sign of m0 that is nearer to the truth."""
    found = numbers | {"m0": math.copysign(numbers["m0"], TRUE["m0"])}
    return math.dist([found[n] for n in NAMES], list(TRUE.values())) / math.hypot(*TRUE.values())


def solution_error(state: Tensor, layout: Layout) -> float:
    """The relative L2 error of a pressure `[*space]` on its nodes against the interpolated truth."""
    axes = [torch.from_numpy(layout.grid.centers(a)).clamp(-math.pi, math.pi) for a in layout.grid.axes]
    nodes = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2)
    pressure, fine = truth()
    exact = read(pressure[None], fine, nodes).reshape(state.shape)
    return float((state - exact).norm() / exact.norm())
