"""Fields, coefficients and coordinates with cells behind the walls, so that expressions have values there too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from phi import math
from phi.math import spatial

from hyco.grid import Grid
from hyco.schemes.stencils import pad, pad_coefficient
from hyco.walls.boundary import Boundary

# Cells added at both ends of each axis.
Extent = tuple[int, ...]
# Cells at a wall that the values behind it follow from, where differences are of fourth order.
CELLS = 4


class Coordinates:
    """The coordinates of the cells by axis, as PhiML tensors.

    Args:
        grid: the axes.
        periodic: which of them are, and begin again behind their end.
    """

    def __init__(self, grid: Grid, periodic: Mapping[str, bool]) -> None:
        self._grid, self._periodic = grid, periodic
        self._known: dict[tuple[str, int], Any] = {}

    def __call__(self, axis: str, added: int) -> Any:
        """Of one axis with cells added at both ends."""
        if (axis, added) not in self._known:
            i = self._grid.axes.index(axis)
            n, h, lower = self._grid.resolution[i], self._grid.spacing[i], self._grid.lower[i]
            numbers = np.arange(-added, n + added)
            numbers = numbers % n if self._periodic[axis] else numbers
            self._known[axis, added] = math.wrap(lower + (numbers + 0.5) * h, spatial(axis))
        return self._known[axis, added]


def extended(values: Any, extent: Extent, boundary: Boundary, spacing: Mapping[str, float], order: int) -> Any:
    """A field with cells added behind its walls, where its condition holds there.

    Args:
        extent: how many, at both ends of each axis.
        boundary: its walls, with the values of their formulas.
        order: 2: mirrored at the wall; 4: on the polynomial through the condition and four cells.
    """
    for (axis, h), added in zip(spacing.items(), extent, strict=True):
        if not added:
            continue
        walls = boundary[axis]
        if order == 2 or walls.periodic:
            values = pad(values, axis, added, boundary, h)
            continue
        n = values.shape.get_size(axis)
        at = [i + 0.5 for i in range(added)]
        near = walls.lower.beyond([values[{axis: slice(i, i + 1)}] for i in range(CELLS)], at, h)
        far = walls.upper.beyond([values[{axis: slice(n - 1 - i, n - i)}] for i in range(CELLS)], at, h)
        values = math.concat([*reversed(near), values, *far], axis)
    return values


def extended_coefficient(values: Any, extent: Extent, boundary: Boundary, axes: tuple[str, ...]) -> Any:
    """A coefficient, which has no condition at walls: on a parabola there; a number stays as it is."""
    for axis, added in zip(axes, extent, strict=True):
        if not added or axis not in math.shape(values).spatial.names:
            continue
        if boundary[axis].periodic:
            values = pad_coefficient(values, axis, added, boundary)
            continue
        n = values.shape.get_size(axis)
        near, far = ([values[{axis: slice(i, i + 1)}] for i in cells] for cells in (range(3), range(n - 1, n - 4, -1)))
        before = [_continued(near, i) for i in range(added, 0, -1)]
        after = [_continued(far, i) for i in range(1, added + 1)]
        values = math.concat([*before, values, *after], axis)
    return values


def _continued(cells: list[Any], i: int) -> Any:
    """On the parabola through three cells, so many behind the first."""
    return (i + 1) * (i + 2) / 2 * cells[0] - i * (i + 2) * cells[1] + i * (i + 1) / 2 * cells[2]


def limited_at_walls(values: Any, axis: str, boundary: Boundary) -> Any:
    """A coefficient with one cell added behind each wall, which there keeps its sign and about its size."""
    if boundary[axis].periodic:
        return values
    n = values.shape.get_size(axis)
    near, first, last, far = (values[{axis: slice(i, i + 1)}] for i in (0, 1, n - 2, n - 1))
    return math.concat([_near(near, first), values[{axis: slice(1, n - 1)}], _near(far, last)], axis)


def _near(ghost: Any, cell: Any) -> Any:
    """The ghost, or what is nearest to it between a third and five thirds of the cell."""
    most = math.abs(cell) * (2 / 3)
    return cell + math.maximum(math.minimum(ghost - cell, most), -most)
