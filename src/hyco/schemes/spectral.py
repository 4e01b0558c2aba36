"""Direct solvers for Poisson's equation on cell centres, by the eigenvectors of the second-order Laplacian."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from phi import math
from phi.math import spatial

from hyco.grid import Grid
from hyco.walls.boundary import AnyBoundary, AxisWalls, Boundary

Array = NDArray[np.float64]

# Eigenvalues below this fraction of the largest are zero: the constant, where no side fixes the value.
ZERO_EIGENVALUE = 1e-10


def laplacian_matrix(n: int, spacing: float, walls: AxisWalls) -> Array:
    """The second difference `[n, n]` along one axis, with the ghost cells of `stencils.pad`; symmetric."""
    matrix = np.diag(np.full(n, -2.0)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    for at, other, wall in ((0, n - 1, walls.lower), (n - 1, 0, walls.upper)):
        if wall.periodic:
            matrix[at, other] += 1
        else:
            # Of the ghost value A u + B; B is for the right-hand side.
            matrix[at, at] += wall.affine(spacing)[0]
    return matrix / spacing**2


class Poisson:
    """Solves Δp = f, with Δ the second-order Laplacian that has the ghost cells of `stencils.pad`.

    The solution is exact for the discrete Laplacian, up to rounding, so that a projection with it leaves no
    divergence. A fully periodic box takes the fast Fourier transform. Other axes take their discrete cosine or sine
    transform as a product with a matrix of eigenvectors: n multiplications per cell, which for axes of up to a few
    hundred cells is faster than a Fourier transform of the mirrored field, and serves mixed sides too. Where no side
    fixes p, the mean of f does not count and the mean of p is zero.

    Args:
        grid: any number of axes, any cell widths.
        boundary: any walls, of which only the homogeneous part counts: a p + b ∂p/∂n = 0.
    """

    def __init__(self, grid: Grid, boundary: AnyBoundary) -> None:
        self._axes = grid.axes
        walls = Boundary.of(boundary)
        self.periodic = all(walls[axis].periodic for axis in grid.axes)
        self._forward: dict[str, Any] = {}
        self._backward: dict[str, Any] = {}
        eigenvalues = []
        for axis, n, h in zip(grid.axes, grid.resolution, grid.spacing, strict=True):
            if self.periodic:
                eigenvalues.append((2 * np.cos(2 * np.pi * np.fft.fftfreq(n)) - 2) / h**2)
                continue
            values, vectors = np.linalg.eigh(laplacian_matrix(n, h, walls[axis]))
            eigenvalues.append(values)
            self._forward[axis] = math.wrap(vectors, spatial("cell,mode"))
            self._backward[axis] = math.wrap(vectors.T.copy(), spatial("cell,mode"))
        total = np.asarray(sum(np.meshgrid(*eigenvalues, indexing="ij")))
        zero = np.abs(total) < ZERO_EIGENVALUE * np.abs(total).max()
        inverse = np.where(zero, 0.0, 1 / np.where(zero, 1.0, total))
        self._inverse = math.wrap(inverse, spatial(",".join(grid.axes)))

    def solve(self, right: Any) -> Any:
        """The solution p for the right-hand side f, values at cell centres."""
        if self.periodic:
            return math.real(math.ifft(math.fft(right, self._axes) * self._inverse, self._axes))
        for axis in self._axes:
            right = _apply(self._forward[axis], right, axis)
        solution = right * self._inverse
        for axis in self._axes:
            solution = _apply(self._backward[axis], solution, axis)
        return solution


def _apply(matrix: Any, values: Any, axis: str) -> Any:
    """Sum over the cells of an axis: Σ matrix[cell, mode] values[cell]."""
    return math.rename_dims(math.dot(values, axis, matrix, "cell"), "mode", axis)
