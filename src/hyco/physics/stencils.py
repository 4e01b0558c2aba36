"""Ghost cells by concatenation, for finite differences on PhiML tensors with cell-centred values.

Padding by slices and `concat` traces to few operations, and needs no Python that looks at values.
"""

from __future__ import annotations

from typing import Any

from phi import math

from hyco.fields import Boundary

Side = str | float


def sides(boundary: Boundary, axis: str) -> tuple[Side, Side]:
    """What holds at the lower and at the upper end of an axis: "periodic", "neumann", or a Dirichlet value."""
    spec = boundary[axis] if isinstance(boundary, dict) else boundary
    if isinstance(spec, dict):
        return spec["lower"], spec["upper"]
    return spec, spec


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
    n = values.shape.get_size(axis)
    padded = pad(values, axis, width, boundary)
    return [padded[{axis: slice(i, i + n)}] for i in range(2 * width + 1)]
