"""Eigenvectors of second differences between walls: what is linear and the same everywhere acts on each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from phi import math
from phi.math import spatial

from hyco.equations.formula.ghosts import CELLS
from hyco.equations.formula.linear import Orders
from hyco.grid import Grid
from hyco.walls.boundary import AxisWalls, Boundary
from hyco.walls.wall import Wall, is_number

# Of a matrix of eigenvectors: beyond it, transforms lose digits.
_WORST_CONDITION = 1e6


class Modes:
    """Transforms of a field to the eigenvectors of its second differences along each axis, and the eigenvalues.

    Args:
        grid: any axes.
        boundary: the field's, whose homogeneous part is known.
        order: of the differences, 2 or 4.
    """

    def __init__(self, grid: Grid, boundary: Boundary, order: int) -> None:
        self._axes, self._resolution = grid.axes, grid.resolution
        self._forward: dict[str, Any] = {}
        self._backward: dict[str, Any] = {}
        self._values: list[NDArray[np.float64]] = []
        self._eigenvalues: dict[Orders, Any] = {}
        for axis, n, h in zip(grid.axes, grid.resolution, grid.spacing, strict=True):
            values, vectors = _eigen(second_difference(n, h, boundary[axis], order))
            self._values.append(values)
            # "dot" sums over the first of both dimensions.
            self._forward[axis] = math.wrap(np.ascontiguousarray(np.linalg.inv(vectors).T), spatial("cell,mode"))
            self._backward[axis] = math.wrap(np.ascontiguousarray(vectors.T), spatial("cell,mode"))

    def forward(self, values: Any) -> Any:
        """Coefficients of the eigenvectors."""
        return _applied(self._forward, values)

    def backward(self, coefficients: Any) -> Any:
        """The values of coefficients."""
        return _applied(self._backward, coefficients)

    def eigenvalues(self, orders: Orders) -> Any:
        """Those of a derivative of even orders: Π λ^(m/2) over the axes."""
        if orders not in self._eigenvalues:
            product: Any = np.ones(self._resolution)
            for i, (values, m) in enumerate(zip(self._values, orders, strict=True)):
                others = [j for j in range(len(orders)) if j != i]
                product = product * np.expand_dims(values ** (m // 2), others)
            self._eigenvalues[orders] = math.wrap(product, spatial(",".join(self._axes)))
        return self._eigenvalues[orders]


def _applied(matrices: dict[str, Any], values: Any) -> Any:
    for axis, matrix in matrices.items():
        values = math.rename_dims(math.dot(values, axis, matrix, "cell"), "mode", axis)
    return values


def is_steady(walls: AxisWalls) -> bool:
    """Whether the homogeneous part a u + b ∂u/∂n of the conditions is known beforehand."""
    return all(wall.periodic or _coefficients(wall) is not None for wall in walls)


def _coefficients(wall: Wall) -> tuple[float, float] | None:
    """The numbers a and b, if no formula changes them."""
    one, other = (wall.at(dict.fromkeys(wall.names, value)).condition[:2] for value in (1.0, 1.7))
    return one if one == other and all(map(is_number, one)) else None


def second_difference(n: int, spacing: float, walls: AxisWalls, order: int) -> NDArray[np.float64]:
    """The matrix `[n, n]` of the second difference along an axis, without what the walls' right-hand sides add."""
    weights = {2: (1.0, -2.0, 1.0), 4: (-1 / 12, 16 / 12, -30 / 12, 16 / 12, -1 / 12)}[order]
    width = len(weights) // 2
    cells = np.eye(n)
    if walls.lower.periodic:
        padded = np.concatenate([cells[-width:], cells, cells[:width]])
    else:
        near = _behind(walls.lower, cells, spacing, order, width)
        far = _behind(walls.upper, cells[::-1], spacing, order, width)
        padded = np.stack([*reversed(near), *cells, *far])
    return np.asarray(sum(w * padded[i : i + n] for i, w in enumerate(weights))) / spacing**2


def _behind(wall: Wall, cells: NDArray[np.float64], spacing: float, order: int, width: int) -> list[Any]:
    """Rows of what is behind a wall, the nearest first, for its homogeneous condition."""
    plain = wall.at(dict.fromkeys(wall.names, 1.0))

    def ghosts(rows: NDArray[np.float64]) -> list[Any]:
        if order == 2:
            return [plain.ghost(rows[i], (2 * i + 1) * spacing) for i in range(width)]
        return plain.beyond(list(rows[:CELLS]), [i + 0.5 for i in range(width)], spacing)

    return [with_c - without for with_c, without in zip(ghosts(cells), ghosts(0 * cells), strict=True)]


def _eigen(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors in columns.

    Raises:
        ArithmeticError: they are not real, or nearly dependent.
    """
    if np.allclose(matrix, matrix.T, rtol=0, atol=1e-12 * np.abs(matrix).max()):
        symmetric: tuple[NDArray[np.float64], NDArray[np.float64]] = np.linalg.eigh(matrix)
        return symmetric
    values, vectors = np.linalg.eig(matrix)
    if np.abs(np.imag(values)).max() > 1e-9 * np.abs(values).max() or np.linalg.cond(vectors) > _WORST_CONDITION:
        raise ArithmeticError("the eigenvectors of the differences are not real and independent")
    return np.real(values), np.real(vectors)
