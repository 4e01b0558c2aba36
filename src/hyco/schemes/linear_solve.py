"""Direct solution of symmetric positive definite systems on a grid, in batches, traceable and differentiable.

Each unknown is coupled to its neighbours along the axes, as in a diffusion problem with central differences. A
Cholesky factorisation in banded storage does it at every size: measured on one core it takes 0.06 ms for 19×19
unknowns, 7 ms for 99×99 and 80 ms for 200×200, where a dense solve takes 1.3 ms for 19×19 and 260 ms for 50×50, and a
sparse LU factorisation is 1.3 to 5 times slower than the banded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor


def solve_on_grid(diagonal: Tensor, couplings: Tensor, right: Tensor, wraps: Sequence[bool]) -> Tensor:
    """Solve A u = b, where A is symmetric and positive definite and couples neighbours only.

    Row i is `diagonal[i] u[i]` plus, for each axis, `couplings[i] u[i + 1] + couplings[i - 1] u[i - 1]`. Work and
    memory for N unknowns are N w² and 8 N w bytes, w the number of unknowns in a cross-section (the longest axis
    left out), twice that if an axis wraps. The arithmetic is float64 on the CPU, whatever the arguments are. One
    operation in a traced graph; the gradient with respect to all three tensors is one more solve.

    Args:
        diagonal, right: `[B, *space]`.
        couplings: `[B, axes, *space]`: of cell i with the next one along each axis.
        wraps: for each axis, whether the last cell is coupled with the first; if not, the last entry of `couplings`
            along that axis is ignored. An axis that wraps needs at least three cells.

    Returns:
        u, `[B, *space]`; NaN in the rows of a batch whose system is not finite, not positive definite, or singular
        to rounding error, so that an optimiser steps back.

    Raises:
        ValueError: the shapes do not fit.
    """
    space = tuple(diagonal.shape[1:])
    expected = (diagonal.shape[0], len(space), *space)
    if right.shape != diagonal.shape or tuple(couplings.shape) != expected or len(wraps) != len(space):
        raise ValueError(
            f"diagonal and right need one shape [B, *space], couplings [B, axes, *space], got {list(diagonal.shape)}, "
            f"{list(right.shape)}, {list(couplings.shape)}"
        )
    solution: Tensor = _solve(diagonal, couplings, right, [bool(w) for w in wraps])
    return solution


@torch.library.custom_op("hyco::solve_on_grid", mutates_args=())
def _solve(diagonal: Tensor, couplings: Tensor, right: Tensor, wraps: Sequence[bool]) -> Tensor:
    band = _band(tuple(diagonal.shape[1:]), tuple(wraps))
    count = diagonal.shape[0]
    d, c, b = (t.detach().to("cpu", torch.float64).reshape(count, -1).numpy() for t in (diagonal, couplings, right))
    solutions = np.stack([_solve_one(band, d[i], c[i], b[i]) for i in range(count)])
    return torch.from_numpy(solutions).reshape(right.shape).to(right)


@_solve.register_fake
def _(diagonal: Tensor, couplings: Tensor, right: Tensor, wraps: Sequence[bool]) -> Tensor:
    return torch.empty_like(right, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    diagonal, couplings, _right, ctx.wraps = inputs
    ctx.save_for_backward(diagonal, couplings, output)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    """A is symmetric: with λ = A⁻¹ g, the gradients are λ for b and -(λ uᵀ) for A, taken at its entries."""
    diagonal, couplings, u = ctx.saved_tensors
    adjoint = _solve(diagonal, couplings, gradient, ctx.wraps)
    parts = []
    for axis, wrap in enumerate(ctx.wraps, start=1):
        part = -(adjoint * u.roll(-1, axis) + u * adjoint.roll(-1, axis))
        if not wrap:
            inner, outer = part.narrow(axis, 0, part.shape[axis] - 1), part.narrow(axis, 0, 1)
            part = torch.cat([inner, torch.zeros_like(outer)], axis)
        parts.append(part)
    return -adjoint * u, torch.stack(parts, dim=1), adjoint, None


_solve.register_autograd(_backward, setup_context=_save)


@dataclass(frozen=True)
class _Band:
    """Where the entries of a system stand in LAPACK's lower band storage, column after column.

    Attributes:
        width: number of diagonals below the main one.
        order: cell of each unknown, in the order of elimination.
        diagonal: place of each cell's diagonal entry.
        used, place: the couplings that exist, by index in the flat tensor, and their places.
    """

    width: int
    order: NDArray[np.int64]
    diagonal: NDArray[np.int64]
    used: NDArray[np.int64]
    place: NDArray[np.int64]


@lru_cache(maxsize=32)
def _band(space: tuple[int, ...], wraps: tuple[bool, ...]) -> _Band:
    """The ordering with the narrowest band.

    Along an axis that wraps the cells are taken from both ends in turn (0, n - 1, 1, n - 2, …): neighbours are then
    at most two places apart, the first and the last one place.
    """
    axes = range(len(space))

    def strides(slowest_first: Sequence[int]) -> dict[int, int]:
        by_axis, stride = {}, 1
        for axis in reversed(slowest_first):
            by_axis[axis], stride = stride, stride * space[axis]
        return by_axis

    def width(slowest_first: Sequence[int]) -> int:
        return max(stride * (2 if wraps[a] else 1) for a, stride in strides(slowest_first).items())

    stride = strides(min(permutations(axes), key=width))
    position = np.zeros(space, dtype=np.int64)
    for axis, n in enumerate(space):
        along = np.arange(n)
        if wraps[axis]:
            along = np.where(along < (n + 1) // 2, 2 * along, 2 * (n - 1 - along) + 1)
        position += stride[axis] * along.reshape([-1 if a == axis else 1 for a in axes])
    pairs, used = [], []
    cells = np.arange(position.size).reshape(space)
    for axis, n in enumerate(space):
        inside = slice(0, n if wraps[axis] else n - 1)
        here = tuple(inside if a == axis else slice(None) for a in axes)
        pairs.append(np.stack([position[here].ravel(), np.roll(position, -1, axis)[here].ravel()]))
        used.append(axis * position.size + cells[here].ravel())
    first, second = np.sort(np.concatenate(pairs, axis=1), axis=0)
    below = int((second - first).max(initial=0))
    return _Band(
        width=below,
        order=np.argsort(position.ravel()),
        diagonal=position.ravel() * (below + 1),
        used=np.concatenate(used),
        place=first * (below + 1) + second - first,
    )


def _solve_one(
    band: _Band, diagonal: NDArray[np.float64], couplings: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One system with flat entries; all NaN if it has no solution."""
    entries = couplings[band.used]
    if not (np.isfinite(diagonal).all() and np.isfinite(entries).all() and np.isfinite(right).all()):
        return np.full_like(right, np.nan)
    storage = np.zeros(diagonal.size * (band.width + 1))
    storage[band.diagonal] = diagonal
    storage[band.place] = entries
    columns = storage.reshape(diagonal.size, band.width + 1).T
    factor, failed = lapack.dpbtrf(columns, lower=1, overwrite_ab=1)
    # A pivot that is what rounding leaves of a diagonal entry: the system is singular.
    if failed or (factor[0] ** 2 <= diagonal.size * np.finfo(float).eps * diagonal[band.order]).any():
        return np.full_like(right, np.nan)
    solution, _ = lapack.dpbtrs(factor, right[band.order], lower=1)
    unpermuted = np.empty_like(right)
    unpermuted[band.order] = np.ravel(solution)
    return unpermuted
