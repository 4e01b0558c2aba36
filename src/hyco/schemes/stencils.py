"""Ghost cells by concatenation, for finite differences on PhiML tensors with cell-centred values.

Padding by slices and `concat` traces to few operations, and needs no Python that looks at values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from phi import math

from hyco.fields import Boundary, Side, sides


def checked_boundary(boundary: Boundary, axes: Sequence[str]) -> Boundary:
    """The boundary as it is, if it is one for these axes.

    Raises:
        ValueError: it is none; the message says what is allowed.
    """
    if isinstance(boundary, dict) and set(boundary) != set(axes):
        raise ValueError(f"boundary needs one entry per axis ({', '.join(axes)}), got {', '.join(map(str, boundary))}")
    for axis in axes:
        spec = boundary[axis] if isinstance(boundary, dict) else boundary
        if isinstance(spec, dict) and set(spec) != {"lower", "upper"}:
            raise ValueError(f"boundary.{axis} needs lower and upper, got {', '.join(map(str, spec)) or 'nothing'}")
        ends = sides(boundary, axis)
        for side in ends:
            number = isinstance(side, int | float) and not isinstance(side, bool) and isfinite(side)
            if not number and side not in ("periodic", "neumann"):
                raise ValueError(f"boundary {side!r} is not allowed; allowed: periodic, neumann, a number, or per axis")
        if ends.count("periodic") == 1:
            raise ValueError(f"boundary.{axis}: both ends of an axis must be periodic, or none")
    return boundary


def pad(values: Any, axis: str, width: int, boundary: Boundary) -> Any:
    """Add `width` ghost cells at both ends of an axis.

    The walls are the faces of the outermost cells. Neumann mirrors the cells at the wall, so that the slope there is
    zero; Dirichlet with the value g mirrors 2g - u, so that the mean of both sides of the wall is g. Both are second
    order.
    """
    n = values.shape.get_size(axis)
    lower, upper = sides(boundary, axis)
    if lower == "periodic":
        return math.concat([values[{axis: slice(n - width, n)}], values, values[{axis: slice(0, width)}]], axis)
    cells = {i: values[{axis: slice(i, i + 1)}] for i in [*range(width), *range(n - width, n)]}
    before = [_ghost(cells[i], lower) for i in reversed(range(width))]
    after = [_ghost(cells[i], upper) for i in reversed(range(n - width, n))]
    return math.concat([*before, values, *after], axis)


def _ghost(mirrored: Any, side: Side) -> Any:
    return mirrored if side == "neumann" else 2 * float(side) - mirrored


def neighbours(values: Any, axis: str, boundary: Boundary, width: int = 1) -> list[Any]:
    """The values at the distances -width, …, -1, 0, 1, …, width along an axis, each as large as `values`."""
    return shifted(pad(values, axis, width, boundary), axis, width)


def around(values: Any, boundary: Boundary, spacing: Mapping[str, float]) -> tuple[Any, float]:
    """Σ (left + right)/h² over the axes, and Σ 2/h²: with the values u, the Laplacian is the first less the second × u.

    As few operations as there can be: where the cells are as wide along all axes nothing is multiplied for each.
    """
    first, *_ = (1 / h**2 for h in spacing.values())
    total: Any = None
    for axis, h in spacing.items():
        left, _, right = neighbours(values, axis, boundary)
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


def pad_coefficient(values: Any, axis: str, width: int, boundary: Boundary) -> Any:
    """Ghost cells of a coefficient, which has no boundary condition: periodic, or mirrored and so never negative."""
    return pad(values, axis, width, "periodic" if sides(boundary, axis)[0] == "periodic" else "neumann")


def pad_flow(values: Any, axis: str, boundary: Boundary, velocity: Any, *, at_rest: bool = False) -> Any:
    """Two ghost cells at both ends of an axis, for what a velocity carries along; third order but for Neumann walls.

    Where the velocity points into the domain the boundary holds: Dirichlet continues the parabola through the value
    on the wall and two cells, Neumann mirrors the cells. Where it points out nothing is imposed: the ghosts continue
    the parabola through three cells.

    Args:
        velocity: its component along the axis, varying in space or a number.
        at_rest: at a Neumann wall that the flow enters by, continue the cells so that third-order upwind differences
            are zero in the first cell: second order. With mirrored cells they look downwind there, and where the flow
            stagnates within a few cells of the wall, values grow without end.
    """
    lower, upper = sides(boundary, axis)
    if lower == "periodic":
        return pad(values, axis, 2, "periodic")
    n = values.shape.get_size(axis)
    first, last = range(3), range(n - 1, n - 4, -1)
    near2, near = _flow_ghosts(values, axis, first, lower, cell(velocity, axis, 0) > 0, at_rest)
    far2, far = _flow_ghosts(values, axis, last, upper, cell(velocity, axis, n - 1) < 0, at_rest)
    return math.concat([near2, near, values, far, far2], axis)


def pad_open(values: Any, axis: str, boundary: Boundary) -> Any:
    """Two ghost cells at both ends of an axis: periodic, or on the parabola through the last three cells."""
    if sides(boundary, axis)[0] == "periodic":
        return pad(values, axis, 2, "periodic")
    n = values.shape.get_size(axis)
    (near2, near), (far2, far) = (_continued(values, axis, i) for i in (range(3), range(n - 1, n - 4, -1)))
    return math.concat([near2, near, values, far, far2], axis)


def varies(values: Any) -> bool:
    """Whether a coefficient has a value in every cell; it may be a plain number."""
    return bool(math.shape(values).spatial)


def cell(values: Any, axis: str, index: int) -> Any:
    """A slice of one cell along an axis; of a coefficient that does not vary, all of it."""
    return values[{axis: slice(index, index + 1)}] if varies(values) else values


def _flow_ghosts(values: Any, axis: str, cells: range, side: Side, inward: Any, at_rest: bool) -> tuple[Any, Any]:
    """The outer and the inner ghost at one end, from its cells outside in."""
    a, b, _ = (cell(values, axis, i) for i in cells)
    if side == "neumann":
        inner, outer = a, 3 * a - 2 * b if at_rest else b
    else:
        g = float(side)
        inner, outer = 8 / 3 * g - 2 * a + b / 3, 8 * g - 9 * a + 2 * b
    free_outer, free_inner = _continued(values, axis, cells)
    return math.where(inward, outer, free_outer), math.where(inward, inner, free_inner)


def _continued(values: Any, axis: str, cells: range) -> tuple[Any, Any]:
    """The outer and the inner ghost on the parabola through three cells, from outside in."""
    a, b, c = (cell(values, axis, i) for i in cells)
    return 6 * a - 8 * b + 3 * c, 3 * a - 3 * b + c
