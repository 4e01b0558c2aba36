"""Ghost cells by concatenation, for finite differences on PhiML tensors with cell-centred values.

Padding by slices and `concat` traces to few operations, and needs no Python that looks at values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from phi import math

from hyco.walls.boundary import AnyBoundary, AxisWalls, Boundary
from hyco.walls.neumann import Neumann
from hyco.walls.wall import Wall

_TINY = 1e-30
_MIRRORS = AxisWalls(Neumann(), Neumann())


def pad(values: Any, axis: str, width: int, boundary: AnyBoundary, spacing: float) -> Any:
    """Add `width` ghost cells at both ends of an axis.

    The walls are the faces of the outermost cells. Neumann mirrors the cells at the wall, so that the slope there is
    zero; Dirichlet with the value g mirrors 2g - u, so that the mean of both sides of the wall is g; any wall gives
    its `ghost`. All are second order.

    Args:
        spacing: width of a cell [length].
    """
    return _pad(values, axis, width, Boundary.of(boundary)[axis], spacing)


def _pad(values: Any, axis: str, width: int, walls: AxisWalls, spacing: float) -> Any:
    n = values.shape.get_size(axis)
    if walls.periodic:
        return math.concat([values[{axis: slice(n - width, n)}], values, values[{axis: slice(0, width)}]], axis)
    cells = {i: values[{axis: slice(i, i + 1)}] for i in [*range(width), *range(n - width, n)]}
    before = [walls.lower.ghost(cells[i], (2 * i + 1) * spacing) for i in reversed(range(width))]
    after = [walls.upper.ghost(cells[n - 1 - i], (2 * i + 1) * spacing) for i in range(width)]
    return math.concat([*before, values, *after], axis)


def neighbours(values: Any, axis: str, boundary: AnyBoundary, spacing: float, width: int = 1) -> list[Any]:
    """The values at the distances -width, …, -1, 0, 1, …, width along an axis, each as large as `values`.

    Args:
        spacing: width of a cell [length].
    """
    return shifted(pad(values, axis, width, boundary, spacing), axis, width)


def around(values: Any, boundary: AnyBoundary, spacing: Mapping[str, float]) -> tuple[Any, float]:
    """Σ (left + right)/h² over the axes, and Σ 2/h²: with the values u, the Laplacian is the first less the second × u.

    As few operations as there can be: where the cells are as wide along all axes nothing is multiplied for each.
    """
    first, *_ = (1 / h**2 for h in spacing.values())
    total: Any = None
    for axis, h in spacing.items():
        left, _, right = neighbours(values, axis, boundary, h)
        both = left + right if 1 / h**2 == first else (left + right) * (1 / h**2 / first)
        total = both if total is None else total + both
    return total * first, sum(2 / h**2 for h in spacing.values())


def shifted(padded: Any, axis: str, width: int) -> list[Any]:
    """`neighbours` of the cells inside `width` ghost cells."""
    n = padded.shape.get_size(axis) - 2 * width
    return [padded[{axis: slice(i, i + n)}] for i in range(2 * width + 1)]


def between(padded: Any, axis: str) -> tuple[Any, Any]:
    """The cells to the left and to the right of each face: of n cells, n - 1 faces."""
    n = padded.shape.get_size(axis)
    return padded[{axis: slice(0, n - 1)}], padded[{axis: slice(1, n)}]


def pad_coefficient(values: Any, axis: str, width: int, boundary: AnyBoundary) -> Any:
    """Ghost cells of a coefficient, which has no boundary condition: periodic, or mirrored and so never negative."""
    walls = Boundary.of(boundary)[axis]
    # A mirror image is the same at every distance.
    return _pad(values, axis, width, walls if walls.periodic else _MIRRORS, 1.0)


def face_diffusivity(
    values: Any, axis: str, boundary: AnyBoundary, spacing: float, mean: Literal["harmonic", "arithmetic"]
) -> Any:
    """A diffusivity on all faces along an axis: the mean of the two cells, on walls as `at_wall` has it.

    Args:
        spacing: width of a cell [length].
    """
    average = _harmonic if mean == "harmonic" else _arithmetic
    walls = Boundary.of(boundary)[axis]
    if walls.periodic or all(wall.passes_flux(spacing) is False for wall in walls):
        return average(*between(pad_coefficient(values, axis, 1, boundary), axis))
    n = values.shape.get_size(axis)
    ends = [
        at_wall(cell(values, axis, at), cell(values, axis, next_to), wall, spacing)
        for wall, at, next_to in ((walls.lower, 0, 1), (walls.upper, n - 1, n - 2))
    ]
    return math.concat([ends[0], average(*between(values, axis)), ends[1]], axis)


def _arithmetic(left: Any, right: Any) -> Any:
    return (left + right) / 2


def _harmonic(left: Any, right: Any) -> Any:
    # Where both are zero, so is the mean.
    return 2 * left * right / math.maximum(left + right, _TINY)


def at_wall(first: Any, second: Any, wall: Wall, spacing: float) -> Any:
    """A diffusivity on a wall from those of the two cells there: that of the cell, or where a flux passes second order.

    Args:
        spacing: width of a cell [length].
    """
    passes = wall.passes_flux(spacing)
    if passes is False:
        return first
    extrapolated = wall_diffusivity(first, second)
    return extrapolated if passes is True else math.where(passes, extrapolated, first)


def wall_diffusivity(first: Any, second: Any) -> Any:
    """A diffusivity on a wall from those of the two cells there: extrapolated, never negative."""
    return math.maximum(1.5 * first - 0.5 * second, 0.0)


def pad_flow(
    values: Any, axis: str, boundary: AnyBoundary, spacing: float, velocity: Any, *, at_rest: bool = False
) -> Any:
    """Two ghost cells at both ends of an axis, for what a velocity carries along; third order but for Neumann walls.

    Where the velocity points into the domain the boundary holds: Dirichlet continues the parabola through the value
    on the wall and two cells, Neumann mirrors the cells, any wall gives its `flow_ghosts`. Where it points out nothing
    is imposed: the ghosts continue the parabola through three cells.

    Args:
        spacing: width of a cell [length].
        velocity: its component along the axis, varying in space or a number.
        at_rest: at a Neumann wall that the flow enters by, continue the cells so that third-order upwind differences
            are zero in the first cell: second order. With mirrored cells they look downwind there, and where the flow
            stagnates within a few cells of the wall, values grow without end.
    """
    walls = Boundary.of(boundary)[axis]
    if walls.periodic:
        return _pad(values, axis, 2, walls, spacing)
    n = values.shape.get_size(axis)
    first, last = range(3), range(n - 1, n - 4, -1)
    near2, near = _flow_ghosts(values, axis, first, walls.lower, spacing, cell(velocity, axis, 0) > 0, at_rest)
    far2, far = _flow_ghosts(values, axis, last, walls.upper, spacing, cell(velocity, axis, n - 1) < 0, at_rest)
    return math.concat([near2, near, values, far, far2], axis)


def pad_open(values: Any, axis: str, boundary: AnyBoundary) -> Any:
    """Two ghost cells at both ends of an axis: periodic, or on the parabola through the last three cells."""
    walls = Boundary.of(boundary)[axis]
    if walls.periodic:
        return _pad(values, axis, 2, walls, 1.0)
    n = values.shape.get_size(axis)
    (near2, near), (far2, far) = (_continued(values, axis, i) for i in (range(3), range(n - 1, n - 4, -1)))
    return math.concat([near2, near, values, far, far2], axis)


def varies(values: Any) -> bool:
    """Whether a coefficient has a value in every cell; it may be a plain number."""
    return bool(math.shape(values).spatial)


def cell(values: Any, axis: str, index: int) -> Any:
    """A slice of one cell along an axis; of a coefficient that does not vary, all of it."""
    return values[{axis: slice(index, index + 1)}] if varies(values) else values


def _flow_ghosts(
    values: Any, axis: str, cells: range, wall: Wall, spacing: float, inward: Any, at_rest: bool
) -> tuple[Any, Any]:
    """The outer and the inner ghost at one end, from its cells outside in."""
    a, b, _ = (cell(values, axis, i) for i in cells)
    inner, outer = wall.flow_ghosts(a, b, spacing, at_rest=at_rest)
    free_outer, free_inner = _continued(values, axis, cells)
    return math.where(inward, outer, free_outer), math.where(inward, inner, free_inner)


def _continued(values: Any, axis: str, cells: range) -> tuple[Any, Any]:
    """The outer and the inner ghost on the parabola through three cells, from outside in."""
    a, b, c = (cell(values, axis, i) for i in cells)
    return 6 * a - 8 * b + 3 * c, 3 * a - 3 * b + c
