"""Random smooth initial states, which respect the boundary of the domain."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hyco.grid import Grid
from hyco.schemes.spectral import ZERO_EIGENVALUE, laplacian_matrix
from hyco.walls.boundary import AnyBoundary, AxisWalls, Boundary
from hyco.walls.neumann import Neumann


def random_smooth_states(
    grid: Grid,
    channels: int,
    count: int,
    length_scale: float,
    amplitude: float,
    generator: torch.Generator,
    boundary: AnyBoundary = "periodic",
) -> Tensor:
    """Gaussian random fields `[count, channels, *space]`, float64, about zero.

    On a periodic box the covariance is Gaussian, ⟨u(x) u(x + r)⟩ = a² exp(-r²/2l²), so each Fourier mode k has a
    variance proportional to exp(-k²l²/2); the mean mode is left out and the variance of the sum is exactly a². Along
    an axis between two walls of one kind a periodic field on the doubled axis is made odd (a value: zero on the wall)
    or even (Neumann: no slope at the wall). Between walls of two kinds the modes are those of `waves`, with these
    variances.

    Args:
        length_scale: l, in units of length.
        amplitude: a, in units of the field.
        boundary: walls of any kind, by axis and side. The fields vanish at a wall with a value, whatever it is, and
            have no slope at others: what is beyond the wall then enters.
    """
    read = Boundary.of(boundary)
    walls = [read[axis] for axis in grid.axes]
    periodic = [pair.periodic for pair in walls]
    mixed = [pair.lower.fixes_value != pair.upper.fixes_value for pair in walls]
    shape = [n if wraps or halves else 2 * n for n, wraps, halves in zip(grid.resolution, periodic, mixed, strict=True)]
    halfway = {i: waves(walls[i], grid.size[i], grid.resolution[i]) for i in range(grid.dimensions) if mixed[i]}
    wavenumbers = [
        halfway[i][0].numpy() if i in halfway else 2 * np.pi * np.fft.fftfreq(n, h)
        for i, (n, h) in enumerate(zip(shape, grid.spacing, strict=True))
    ]
    squared = sum(k**2 for k in np.meshgrid(*wavenumbers, indexing="ij"))
    variance = torch.from_numpy(np.exp(-0.5 * np.asarray(squared) * length_scale**2))
    if not halfway:
        variance[(0,) * grid.dimensions] = 0.0
    variance = variance / variance.sum()
    noise = torch.randn((count, channels, *shape), generator=generator, dtype=torch.float64)
    axes = tuple(2 + i for i in range(grid.dimensions) if i not in halfway)
    # White noise is as white in the modes of an axis as in its cells.
    filtered = (
        torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * variance.sqrt(), dim=axes).real
        if axes
        else (noise * variance.sqrt())
    )
    states: Tensor = amplitude * filtered * float(np.sqrt(np.prod(shape)))
    for i, (pair, n) in enumerate(zip(walls, grid.resolution, strict=True)):
        axis = 2 + i
        if i in halfway:
            states = (states.movedim(axis, -1) @ (halfway[i][1] / math.sqrt(n))).movedim(-1, axis)
        elif not periodic[i]:
            mirrored = states.flip(axis)
            states = (states - mirrored if pair.lower.fixes_value else states + mirrored) / np.sqrt(2)
            states = states.narrow(axis, 0, n)
    return states


def waves(walls: AxisWalls, size: float, n: int) -> tuple[Tensor, Tensor]:
    """Waves on an axis that keep its boundary conditions: zero where a wall has a value, no slope at others.

    Between x = 0 and L, with k = 0, 1, …: periodic 1, cos and sin 2πkx/L; two values sin π(k + 1)x/L; two Neumann
    walls cos πkx/L; a value and Neumann sin π(k + ½)x/L; Neumann and a value cos π(k + ½)x/L. The highest, which on n
    cells are the same as a lower one or zero, are left out.

    Returns:
        The wavenumbers `[m]` [1/length], rising, and the waves at the centres of the cells `[m, n]`: orthogonal, with
        a mean square of one.
    """
    x = (torch.arange(n, dtype=torch.float64) + 0.5) * (size / n)
    if walls.periodic:
        numbers = [0.0] + [2 * math.pi * k / size for k in range(1, (n + 1) // 2) for _ in range(2)]
        functions = [torch.cos] + [torch.cos, torch.sin] * (len(numbers) // 2)
    else:
        slopes = (not walls.lower.fixes_value, not walls.upper.fixes_value)
        first = {(True, True): 0.0, (False, False): 1.0}.get(slopes, 0.5)
        numbers = [math.pi * (k + first) / size for k in range(n - int(first))]
        functions = [torch.cos if slopes[0] else torch.sin] * len(numbers)
    shapes = [f(k * x) * (math.sqrt(2) if k else 1.0) for k, f in zip(numbers, functions, strict=True)]
    return torch.tensor(numbers, dtype=torch.float64), torch.stack(shapes)


def wall_field(grid: Grid, boundary: AnyBoundary) -> Tensor:
    """The field `[*space]` with the walls' conditions and Δu = 0 between: what is left of a state keeps zero walls.

    Between two walls it is linear; where all values are equal it is that value. Values that differ from one axis to
    another meet in corners with a jump, which is then in this field and not in the rest. No slope at Neumann walls, nor
    at walls whose condition is not known beforehand (`Wall.constant`); zero where all conditions are homogeneous.
    """
    return _between_walls(grid, boundary, 0.0, 0.0)


def relaxed_wall_field(grid: Grid, boundary: AnyBoundary, value: float, length: float) -> Tensor:
    """The field `[*space]` that is `value` away from the walls and goes over into their conditions within `length`.

    It solves w - length² Δw = value; without walls that hold anything it is the value everywhere.
    """
    return _between_walls(grid, boundary, value, 1 / length**2)


def _known(walls: Boundary, grid: Grid) -> dict[str, AxisWalls]:
    """The walls of each axis, those without a slope whose condition is not known beforehand."""
    return {axis: AxisWalls(*(w if w.constant else Neumann() for w in walls[axis])) for axis in grid.axes}


def _between_walls(grid: Grid, boundary: AnyBoundary, value: float, stiffness: float) -> Tensor:
    """The solution of Δw = stiffness · (w - value) with the walls' conditions, `[*space]`."""
    walls = _known(Boundary.of(boundary), grid)
    right = np.zeros(grid.resolution)
    parts = []
    for i, (axis, n, h) in enumerate(zip(grid.axes, grid.resolution, grid.spacing, strict=True)):
        pair = walls[axis]
        parts.append(np.linalg.eigh(laplacian_matrix(n, h, pair)))
        for at, wall in zip((0, n - 1), pair, strict=True):
            if not wall.periodic:
                # The ghost value behind a wall is A u + B; the matrix has its A u.
                np.moveaxis(right, i, 0)[at] -= wall.affine(h)[1] / h**2
    if not right.any() and not stiffness:
        return torch.zeros(grid.resolution, dtype=torch.float64)
    right = right - stiffness * value
    for i, (_, vectors) in enumerate(parts):
        right = np.moveaxis(np.tensordot(vectors.T, right, (1, i)), 0, i)
    total = np.asarray(sum(np.meshgrid(*[values for values, _ in parts], indexing="ij"))) - stiffness
    # Where no wall fixes the value, the constant is left at zero: then slopes that contradict each other give Δu ≠ 0.
    singular = np.abs(total) < ZERO_EIGENVALUE * np.abs(total).max()
    right = np.where(singular, 0.0, right / np.where(singular, 1.0, total))
    for i, (_, vectors) in enumerate(parts):
        right = np.moveaxis(np.tensordot(vectors, right, (1, i)), 0, i)
    return torch.from_numpy(np.ascontiguousarray(right))
