"""States as sums of waves that keep the boundary conditions: of these the Laplacian is a product, exact in space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phi import math as phi
from phi.math import spatial

from hyco.grid import Grid
from hyco.walls.boundary import AnyBoundary, AxisWalls, Boundary

Array = NDArray[np.float64]

# Cells along an axis up to which products with a matrix of waves are cheap.
MOST_CELLS = 512
# Largest prime factor of a number of cells up to which fast transforms take less time.
_PRIME = 13


def wave_matrix(walls: AxisWalls, size: float, n: int) -> tuple[Array, Array]:
    """Wavenumbers `[n]` [1/length], rising, and the waves at the centres of n cells `[n, n]`: orthonormal rows.

    Between x = 0 and L: periodic 1, cos and sin 2πkx/L; a value at both ends sin πkx/L; no slope cos πkx/L; a value
    and no slope sin π(k + ½)x/L, or cos.

    Args:
        walls: each has a value, or no slope, or both are periodic.
        size: L.
    """
    x = (np.arange(n) + 0.5) / n
    if walls.periodic:
        numbers = np.array([2 * math.pi * ((k + 1) // 2) for k in range(n)])
        # Of an even number of cells the last wave is the one that changes its sign from cell to cell.
        odd = [i % 2 == 1 or (i == n - 1 and n % 2 == 0) for i in range(n)]
        waves = [np.sin(k * x) if odd[i] else np.cos(k * x) for i, k in enumerate(numbers)]
    else:
        slopes = (not walls.lower.fixes_value, not walls.upper.fixes_value)
        first = {(True, True): 0.0, (False, False): 1.0}.get(slopes, 0.5)
        numbers = math.pi * (np.arange(n) + first)
        waves = [np.cos(k * x) if slopes[0] else np.sin(k * x) for k in numbers]
    rows = np.array(waves)
    return numbers / size, rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mirrored(grid: Grid, boundary: AnyBoundary) -> bool:
    """Whether states are continued by mirror images: each wall is periodic, has a constant value, or no slope."""
    walls = Boundary.of(boundary)
    for wall in (wall for axis in grid.axes for wall in walls[axis] if not wall.periodic):
        if not wall.constant:
            return False
        a, b, c = wall.condition
        if b != 0 and (a, c) != (0, 0):
            return False
    return True


def in_waves(grid: Grid, boundary: AnyBoundary) -> bool:
    """Whether all states between these walls are such waves beside one that no diffusion changes.

    They are `mirrored`, no axis has more than `MOST_CELLS`, and values of walls that differ are those of one axis:
    elsewhere they would meet in a corner with a jump.
    """
    if not mirrored(grid, boundary):
        return False
    walls = Boundary.of(boundary)
    values = [{wall.fixed_value for wall in walls[axis] if wall.fixes_value} for axis in grid.axes]
    alike = len(set().union(*values)) <= 1 or sum(bool(v) for v in values) == 1
    return alike and max(grid.resolution) <= MOST_CELLS


class Waves:
    """The transform to coefficients of waves, as a product with an orthogonal matrix along each axis.

    Args:
        grid: any number of axes.
        boundary: walls of which `in_waves` is true.

    Attributes:
        squared: k² of each wave, summed over the axes, a PhiML tensor on the axes [1/length²].
    """

    def __init__(self, grid: Grid, boundary: AnyBoundary) -> None:
        self._axes = grid.axes
        walls = Boundary.of(boundary)
        self._forward: dict[str, Any] = {}
        self._backward: dict[str, Any] = {}
        squares = []
        for axis, n, size in zip(grid.axes, grid.resolution, grid.size, strict=True):
            numbers, waves = wave_matrix(walls[axis], size, n)
            squares.append(numbers**2)
            self._forward[axis] = phi.wrap(waves.T.copy(), spatial("cell,mode"))
            self._backward[axis] = phi.wrap(waves, spatial("cell,mode"))
        space = spatial(",".join(grid.axes))
        self.squared = phi.wrap(np.asarray(sum(np.meshgrid(*squares, indexing="ij"))), space)

    def forward(self, values: Any) -> Any:
        """Coefficients of values at the cell centres."""
        return self._applied(self._forward, values)

    def backward(self, coefficients: Any) -> Any:
        """Values at the cell centres."""
        return self._applied(self._backward, coefficients)

    def pair(self, first: Any, second: Any) -> tuple[Any, Any]:
        """Values of two sets of coefficients."""
        return self.backward(first), self.backward(second)

    def _applied(self, matrices: dict[str, Any], values: Any) -> Any:
        for axis in self._axes:
            values = phi.rename_dims(phi.dot(values, axis, matrices[axis], "cell"), "mode", axis)
        return values


class FourierModes:
    """The same on a periodic box, by fast Fourier transforms: complex coefficients.

    Attributes:
        squared: as of `Waves`.
    """

    def __init__(self, grid: Grid) -> None:
        numbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        squared = np.asarray(sum(k**2 for k in np.meshgrid(*numbers, indexing="ij")))
        self.squared = phi.wrap(squared, spatial(",".join(grid.axes)))

    def forward(self, values: Any) -> Any:
        """Coefficients of real values at the cell centres."""
        return phi.fft(values)

    def backward(self, coefficients: Any) -> Any:
        """Values at the cell centres."""
        return phi.real(phi.ifft(coefficients))

    def pair(self, first: Any, second: Any) -> tuple[Any, Any]:
        """Values of two sets of coefficients, by one transform: real and imaginary part of their sum."""
        both = phi.ifft(first + 1j * second)
        return phi.real(both), phi.imag(both)


def waves_of(grid: Grid, boundary: AnyBoundary) -> Waves | FourierModes:
    """The transform for walls of which `in_waves` is true.

    The fast one where all are periodic and numbers of cells have small prime factors.
    """
    walls = Boundary.of(boundary)
    fast = all(
        walls[axis].periodic and _largest_prime(n) <= _PRIME for axis, n in zip(grid.axes, grid.resolution, strict=True)
    )
    return FourierModes(grid) if fast else Waves(grid, boundary)


def _largest_prime(number: int) -> int:
    """The largest prime factor; 1 of 1."""
    factor, largest = 2, 1
    while number > 1:
        if number % factor:
            factor += 1
        else:
            number, largest = number // factor, factor
    return largest


def resting_state(grid: Grid, boundary: AnyBoundary) -> Any:
    """The state with the walls' values that no diffusion changes: constant, or linear between two of an axis."""
    walls = Boundary.of(boundary)
    state: Any = 0.0
    for axis, size, lower in zip(grid.axes, grid.size, grid.lower, strict=True):
        ends = [float(wall.fixed_value) for wall in walls[axis] if wall.fixes_value]
        if len(set(ends)) == 2:
            share = (grid.centers(axis) - lower) / size
            return phi.wrap(ends[0] + (ends[1] - ends[0]) * share, spatial(axis))
        state = ends[0] if ends else state
    return state
