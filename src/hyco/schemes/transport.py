"""Diffusion and advection of a scalar on PhiML tensors, as rates of change, for every boundary.

Each function works out once what does not change during a step and returns the rate of change as a function of the
cell-centred values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from phi import math

from hyco.schemes.integrators import RK3_IMAGINARY, RK3_REAL
from hyco.schemes.stencils import (
    around,
    between,
    face_diffusivity,
    neighbours,
    pad,
    pad_coefficient,
    pad_flow,
    pad_open,
    shifted,
    varies,
)
from hyco.walls.boundary import AnyBoundary, Boundary

# A rate of change as a function of the values; a second argument replaces the walls by others of the same kinds.
Rate = Callable[..., Any]
Faces = Literal["harmonic", "arithmetic"]
Spacing = Mapping[str, float]

# Largest eigenvalues, times the cell width, of the fourth-order first derivative and of its upwind dissipation.
_DERIVATIVE, _DISSIPATION = 1.372, 16 / 12
# Steps of `ssp_rk3` that `upwind` needs while the flow crosses one cell.
UPWIND_STEPS = _DERIVATIVE / RK3_IMAGINARY + _DISSIPATION / RK3_REAL
# With this weight the fastest growth of any wave is 0.001 |v|/h, over random velocities of every smoothness.
_ROUGH = 8.0


def diffusion_stiffness(max_diffusivity: float, spacing: Sequence[float], order: int = 2) -> float:
    """The largest |eigenvalue| of `diffusion` [1/time]."""
    return sum((4 if order == 2 else 16 / 3) * max_diffusivity / h**2 for h in spacing)


def stable_rate(spacing: Sequence[float], max_speed: float, max_diffusivity: float = 0.0, order: int = 2) -> float:
    """Steps per time that `ssp_rk3` needs for `advection` and `diffusion`, of this order, together [1/time]."""
    convection = sum(max_speed / h * UPWIND_STEPS for h in spacing)
    return convection + diffusion_stiffness(max_diffusivity, spacing, order) / RK3_REAL


def diffusion(
    diffusivity: Any,
    boundary: AnyBoundary,
    spacing: Spacing,
    form: Literal["divergence", "nondivergence"] = "divergence",
    order: int = 2,
    mean: Faces = "harmonic",
) -> Rate:
    """∇·(a∇u) or a Δu by central differences, in flux form where a varies.

    The diffusivity on a face is the mean of its two cells, on a wall see `face_diffusivity`: never negative if a is
    not, and second order.

    Args:
        order: 2 or 4; 4 in the form a Δu only.
        mean: harmonic lets the right flux through a face that a jump of a lies on; where a is smooth both are second
            order.
    """
    boundary = Boundary.of(boundary)
    if form == "nondivergence" or not varies(diffusivity):
        laplacian = _laplacian if order == 2 else _laplacian_4
        return lambda u, walls=boundary: diffusivity * laplacian(u, walls, spacing)
    faces = {axis: face_diffusivity(diffusivity, axis, boundary, h, mean) / h**2 for axis, h in spacing.items()}

    def rate(u: Any, walls: Boundary = boundary) -> Any:
        total = 0.0
        for axis, face in faces.items():
            left, right = between(pad(u, axis, 1, walls, spacing[axis]), axis)
            total = total + difference(face * (right - left), axis)
        return total

    return rate


def _laplacian(u: Any, boundary: Boundary, spacing: Spacing) -> Any:
    sides, center = around(u, boundary, spacing)
    return sides - center * u


def _laplacian_4(u: Any, boundary: Boundary, spacing: Spacing) -> Any:
    """Fourth order; mirrored at walls this is as symmetric as the other: real eigenvalues, none above zero."""
    total: Any = 0.0
    for axis, h in spacing.items():
        left2, left, _, right, right2 = neighbours(u, axis, boundary, h, 2)
        total = total + (16 * (left + right) - (left2 + right2) - 30 * u) / (12 * h**2)
    return total


def difference(faces: Any, axis: str) -> Any:
    """The difference over each cell of values on its faces."""
    left, right = between(faces, axis)
    return right - left


def advection(
    velocity: Mapping[str, Any],
    boundary: AnyBoundary,
    spacing: Spacing,
    max_speed: float,
    form: Literal["advective", "conservative"] = "advective",
) -> Rate:
    """-v·∇u or -∇·(vu) by third-order upwind-biased differences; where v is the same everywhere both are equal.

    A boundary value holds where the velocity points into the domain; where it points out nothing is imposed.

    In the advective form a velocity that jumps about from cell to cell has first-order upwind differences, which do
    not let extremes grow whatever the velocity is; third-order differences would.

    Args:
        velocity: its component along each axis, each varying in space or a number.
        max_speed: the largest |component|.
    """
    boundary = Boundary.of(boundary)
    if form == "conservative":
        terms = [_conservative(v, axis, boundary, spacing[axis]) for axis, v in velocity.items()]
    else:
        rough = roughness(velocity, boundary, max_speed) if any(varies(v) for v in velocity.values()) else 0.0
        terms = [_advective(v, axis, spacing[axis], rough) for axis, v in velocity.items()]
    return lambda u, walls=boundary: -sum(term(u, walls) for term in terms)


def roughness(velocity: Mapping[str, Any], boundary: AnyBoundary, max_speed: float) -> Any:
    """How far a velocity is from smooth, cell by cell: from 0, with waves longer than 20 cells, to 1, below 8 cells.

    Second differences are compared with the velocity itself, over a cell and its neighbours. With cells of width h
    the result is of the order h⁸, or h⁴ where the velocity vanishes: too small to change the order of a scheme.
    """
    boundary = Boundary.of(boundary)
    differences, size = 0.0, (1e-6 * max_speed) ** 2
    for v in velocity.values():
        size = size + v * v
        for axis in velocity if varies(v) else ():
            left, right = _both_sides(v, axis, boundary)
            differences = differences + (left + right - 2 * v) ** 2
    for axis in velocity:
        differences = differences + sum(_both_sides(differences, axis, boundary))
        size = size + sum(_both_sides(size, axis, boundary)) if varies(size) else size
    ratio = (_ROUGH * differences / size) ** 2
    return ratio / (1 + ratio)


def _both_sides(coefficient: Any, axis: str, boundary: Boundary) -> tuple[Any, Any]:
    left, _, right = shifted(pad_coefficient(coefficient, axis, 1, boundary), axis, 1)
    return left, right


def _advective(velocity: Any, axis: str, spacing: float, rough: Any) -> Rate:
    at_rest = varies(velocity)  # a flow that is the same everywhere stagnates nowhere
    return lambda u, walls: upwind(
        shifted(pad_flow(u, axis, walls, spacing, velocity, at_rest=at_rest), axis, 2), velocity, spacing, rough
    )


def upwind(cells: Sequence[Any], speed: Any, spacing: float, rough: Any = 0.0) -> Any:
    """The speed times ∂u/∂x, from the values at the distances -2, …, 2.

    Third order: fourth-order central differences, plus the dissipation |speed| h³/12 ∂⁴u/∂x⁴.

    Args:
        rough: weight of first-order upwind differences instead, 0 to 1.
    """
    left2, left, u, right, right2 = cells
    if not varies(speed) and not varies(rough):
        size = math.abs(speed)
        near = (8 * speed - 4 * size) * right - (8 * speed + 4 * size) * left
        return (6 * size * u + near + (speed + size) * left2 + (size - speed) * right2) / (12 * spacing)
    near, far = left + right, left2 + right2
    derivative = 8 * (right - left) - (right2 - left2)
    dissipation = far - 4 * near + 6 * u
    if varies(rough):
        derivative = derivative + rough * (6 * (right - left) - derivative)
        dissipation = dissipation + rough * (6 * (2 * u - near) - dissipation)
    return (speed * derivative + math.abs(speed) * dissipation) / (12 * spacing)


def _conservative(velocity: Any, axis: str, boundary: Boundary, spacing: float) -> Rate:
    """∂(vu)/∂x as a difference of fluxes: with a constant velocity it is `upwind`, term by term."""
    if not varies(velocity):
        return _advective(velocity, axis, spacing, 0.0)
    wide = pad_open(velocity, axis, boundary)
    n = velocity.shape.get_size(axis)
    left, right = (wide[{axis: slice(i, i + n + 1)}] for i in (1, 2))
    speed = math.abs(left + right) / 2

    def rate(u: Any, walls: Boundary) -> Any:
        padded = pad_flow(u, axis, walls, spacing, velocity)
        flux = wide * padded
        f, g = ([values[{axis: slice(i, i + n + 1)}] for i in range(4)] for values in (flux, padded))
        face = 7 * (f[1] + f[2]) - (f[0] + f[3]) + speed * (g[3] - g[0] - 3 * (g[2] - g[1]))
        return difference(face, axis) / (12 * spacing)

    return rate
