"""Eigenvectors of second differences between walls: what is linear and the same everywhere acts on each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from phi import math
from phi.math import spatial

from hyco.equations.formula.ghosts import CELLS
from hyco.equations.formula.linear import Orders
from hyco.grid import Grid
from hyco.walls.boundary import AxisWalls, Boundary
from hyco.walls.wall import PROBES, Wall, is_number

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
        self._space = spatial(",".join(grid.axes))
        self._forward: dict[str, NDArray[np.float64]] = {}
        self._backward: dict[str, NDArray[np.float64]] = {}
        self._values: list[NDArray[np.float64]] = []
        self._eigenvalues: dict[Orders, Any] = {}
        for axis, n, h in zip(grid.axes, grid.resolution, grid.spacing, strict=True):
            values, vectors = _eigen(second_difference(n, h, boundary[axis], order))
            self._values.append(values)
            self._forward[axis] = np.asarray(np.linalg.inv(vectors), dtype=np.float64)
            self._backward[axis] = vectors
        self.kept = 1.0
        sums = [matrix.sum(axis=1) for matrix in self._forward.values()]
        self.mean = math.wrap(reduce(np.multiply.outer, sums), self._space)

    def forward(self, values: Any) -> Any:
        """Coefficients of the eigenvectors."""
        return self._applied(self._forward, values)

    def backward(self, coefficients: Any) -> Any:
        """The values of coefficients."""
        return self._applied(self._backward, coefficients)

    def along(self, axis: str, order: int) -> Any:
        """The eigenvalues of a derivative of even order along one axis, on this axis."""
        return math.wrap(self._values[self._axes.index(axis)] ** (order // 2), spatial(axis))

    def multiplied(self, values: Any, by_axis: Mapping[str, Any]) -> Any:
        """Values of which the coefficients are multiplied by factors of one axis each: a product with one matrix each.

        Args:
            values: in the cells.
            by_axis: factors on their axis, with any batch dimensions of the values; none: 1.
        """
        others, matrices = math.shape(values).without(self._axes), {}
        for axis, factors in by_axis.items():
            batches = any(name in math.shape(factors).names for name in others.names)
            names = others.names if batches else ()
            native = math.expand(factors, others.only(names)).native([*names, axis])
            forward, backward = (
                torch.as_tensor(m[axis], dtype=native.dtype, device=native.device)
                for m in (self._forward, self._backward)
            )
            matrix = backward @ (native[..., None] * forward)
            if batches:  # before the dimensions of space that the product is not along
                matrix = matrix.reshape(*matrix.shape[:-2], *[1] * (len(self._axes) - 2), *matrix.shape[-2:])
            matrices[axis] = matrix
        return self._applied(matrices, values)

    def _applied(self, matrices: Mapping[str, Any], values: Any) -> Any:
        """Products with a matrix along some axes."""
        others = math.shape(values).without(self._axes)
        native = torch.as_tensor(values.native([*others.names, *self._axes]))
        last = native.ndim - 1
        for i, axis in enumerate(self._axes, start=len(others)):
            if axis not in matrices:
                continue
            matrix = torch.as_tensor(matrices[axis], dtype=native.dtype, device=native.device)
            if len(self._axes) == 1:
                alone = last == 0 or matrix.ndim > 2
                native = (matrix @ native[..., None])[..., 0] if alone else native @ matrix.T
            elif i == last:
                native = native @ matrix.mT
            else:
                native = torch.movedim(matrix @ torch.movedim(native, i, -2), -2, i)
        return math.wrap(native, others, self._space)

    def eigenvalues(self, orders: Orders) -> Any:
        """Those of a derivative of even orders: Π λ^(m/2) over the axes."""
        if orders not in self._eigenvalues:
            product: Any = np.ones(self._resolution)
            for i, (values, m) in enumerate(zip(self._values, orders, strict=True)):
                others = [j for j in range(len(orders)) if j != i]
                product = product * np.expand_dims(values ** (m // 2), others)
            self._eigenvalues[orders] = math.wrap(product, self._space)
        return self._eigenvalues[orders]


def is_steady(walls: AxisWalls) -> bool:
    """Whether the homogeneous part a u + b ∂u/∂n of the conditions is known beforehand."""
    return all(wall.periodic or _coefficients(wall) is not None for wall in walls)


def _coefficients(wall: Wall) -> tuple[float, float] | None:
    """The numbers a and b, if no formula changes them."""
    one, other = (wall.at(dict.fromkeys(wall.names, value)).condition[:2] for value in PROBES)
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
    plain = wall.at(dict.fromkeys(wall.names, PROBES[0]))

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
    # A copy: products with every other number of a matrix take ten times as long.
    return np.real(values), np.ascontiguousarray(np.real(vectors))
