"""An elliptic problem with two unknown bumps, from sensors in a quarter of the domain (benchmark B1).

    -∇·(κ∇u) + ηu = f  on [-π, π]²,  u = 0 on the boundary
    κ = 1 + A exp(-|x - a|²),  η = (1 + B exp(-|x - b|²))²

with A = 4, a = (-1, -1), B = 1, b = (2, 1). The source f is such that u = sin x sin y solves the problem with these
numbers exactly. 25 sensors in [0, π]² measure u without noise. The physical model has 19×19 nodes, those on the
boundary included, and central differences of second order, with the arithmetic mean of κ between two nodes.

The first guess is A, B from U(1, 3) and the centres from U(0, 1)². The error of the numbers is ‖θ - θ*‖/‖θ*‖ over all
six, that of the solution its relative L2 error on the nodes; success is an error of the numbers below 0.1.

Beware: at 19×19 nodes the scheme's own error of u with the true numbers, 0.76 % (1.05 % with the harmonic mean), is
larger than what the sensors tell about A; bilinear interpolation to the sensors would add up to 0.016, the cubic one
adds 0.001.

Source: the example of the elliptic problem in arXiv 2509.14123.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.observations.interpolation import stencil

TRUE = {"A": 4.0, "ax": -1.0, "ay": -1.0, "B": 1.0, "bx": 2.0, "by": 1.0}
NODES, SENSORS = 19, 25

DIFFUSIVITY = "1 + A * exp(-(x - ax)**2 - (y - ay)**2)"
REACTION = "(1 + B * exp(-(x - bx)**2 - (y - by)**2))**2"
# -∇·(κ∇u) + ηu for u = sin x sin y: Δu = -2u, and ∇κ = -2 (x - a) (κ - 1).
SOURCE = (
    f"(2 * ({DIFFUSIVITY}) + {REACTION}) * sin(x) * sin(y)"
    " + 2 * A * exp(-(x - ax)**2 - (y - ay)**2)"
    " * ((x - ax) * cos(x) * sin(y) + (y - ay) * sin(x) * cos(y))"
)


def with_numbers(formula: str, numbers: dict[str, float]) -> str:
    """The formula with numbers in place of their names."""
    for name, value in numbers.items():
        formula = re.sub(rf"\b{name}\b", f"({value!r})", formula)
    return formula


def equation(nodes: int = NODES, numbers: dict[str, float] | None = None) -> dict[str, Any]:
    """The `equation` section, with true coefficients or others; f always belongs to the true ones."""
    numbers = numbers or TRUE
    axis = {"lower": -math.pi, "size": 2 * math.pi, "resolution": nodes}
    return {
        "name": "elliptic",
        "domain": {"x": axis, "y": axis},
        "boundary": 0.0,
        "nodes": "vertex",
        "face_average": "arithmetic",
        "parameters": {
            "diffusivity": with_numbers(DIFFUSIVITY, numbers),
            "reaction": with_numbers(REACTION, numbers),
            "source": with_numbers(SOURCE, TRUE),
        },
    }


def solution(points: Tensor) -> Tensor:
    """The exact u at points `[..., 2]`."""
    return torch.sin(points[..., 0]) * torch.sin(points[..., 1])


def sensors(seed: int, count: int = SENSORS, lower: float = 0.0, upper: float = math.pi) -> Tensor:
    """Positions `[count, 2]`, uniform in a square: the quarter [0, π]², or another one (-π to π: the whole domain)."""
    generator = torch.Generator().manual_seed(seed)
    return lower + (upper - lower) * torch.rand(count, 2, generator=generator, dtype=torch.float64)


def measurements(points: Tensor) -> Tensor:
    """What the sensors say, `[count]`: the exact solution, without noise."""
    return solution(points)


def read(states: Tensor, layout: Layout, points: Tensor) -> Tensor:
    """Values `[B, count]` of grid functions `[B, *space]` at points, by cubic interpolation."""
    at = stencil(layout, points, "cubic")
    picked = states.flatten(1)[:, at.indices[:, 0]]
    return (picked * at.weights[:, 0]).sum(-1) + at.offset[:, 0]


def start(seed: int) -> dict[str, float]:
    """A first guess, of a stream of its own."""
    generator = torch.Generator().manual_seed(1_000_003 + seed)
    u = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    names = ("A", "B", "ax", "ay", "bx", "by")
    return {name: 1 + 2 * v if name in "AB" else v for name, v in zip(names, u, strict=True)}


def learnable(first_guess: dict[str, float]) -> list[dict[str, Any]]:
    """The list `physical.learnable_parameters`: two formulas with three unknown numbers each, without bounds."""

    def scalars(names: str) -> list[dict[str, Any]]:
        return [
            {"name": n, "initial_guess": first_guess[n], "true_value": TRUE[n], "transform": "none"}
            for n in names.split()
        ]

    return [
        {"name": "diffusivity", "kind": "expression", "expression": DIFFUSIVITY, "scalars": scalars("A ax ay")},
        {"name": "reaction", "kind": "expression", "expression": REACTION, "scalars": scalars("B bx by")},
    ]


def parameter_error(numbers: dict[str, float]) -> float:
    """‖θ - θ*‖/‖θ*‖."""
    return math.dist(numbers.values(), [TRUE[n] for n in numbers]) / math.hypot(*TRUE.values())


def solution_error(state: Tensor, layout: Layout) -> float:
    """The relative L2 error of a grid function `[*space]` against the exact solution."""
    axes = [torch.from_numpy(layout.grid.centers(a)) for a in layout.grid.axes]
    exact = solution(torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1))
    return float((state - exact).norm() / exact.norm())
