"""A state from one noisy measurement of each of its entries: what of it the noise does not explain, scale by scale.

The undecimated wavelets of Starck and Murtagh (1994): smoothed by B-splines of order 3 whose knots are 2^j entries
apart, S_j u, a field is S_J u + Σ (S_j - S_{j+1}) u. Of each detail the part is kept that is signal near there, by the
empirical Wiener filter of Ghael, Sayeed and Baraniuk (1997): p / (p + v), v the variance that noise gives it and p the
mean square of a first estimate of it, itself by the rule of James and Stein. What is smooth of the rest is given back
(Tukey's twicing), so that waves longer than the smoothing, which are what diffusion leaves, lose nothing. A front stays
as it was measured, and a plateau becomes its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, uniform_filter1d
from torch import Tensor

from hyco.fields import Layout
from hyco.walls.boundary import AxisWalls

_Array = NDArray[np.float64]
_Mode = Literal["wrap", "reflect"]
# How a field goes on behind the ends of an axis: periodically, as its mirror image u, or, x being its end value, as
# 2 x - u.
Ends = Literal["wrap", "even", "odd"]

_SPLINE = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
# A detail is signal, in the first estimate, as far as its mean square is more than so many variances of its noise, over
# this many knots to both sides; in the second over half as many.
_ENOUGH, _NEAR = 1.5, 2
# Scales, three of which have all but a hundredth of the variance of white noise.
_LEVELS = 3
# The ends of an axis are not felt so many entries away from them: as far as all scales reach, twice.
_FELT = 32
# Differences of this order are of noise alone where those of entries side by side and of every second one agree to this
# ratio, and it is a part of the states' spread.
_ORDER, _STRIDES, _ALIKE, _LARGEST, _SMALLEST = 4, (1, 2), 1.25, 0.3, 1e-6
# The standard deviation of normal numbers, over the median of their absolute values.
_OF_MEDIAN = 1.4826


@dataclass(frozen=True)
class Denoised:
    """An estimate, and its standard deviation as far as it is noise, `[*space]` both."""

    state: Tensor
    std: Tensor


def denoised(values: Tensor, sigma: Tensor, ends: Sequence[Ends]) -> Denoised:
    """An estimate of a field.

    Args:
        values: measured ones, `[*space]`.
        sigma: standard deviations of their noise, independent of each other, `[*space]` or `[]`.
        ends: how the field goes on at those of each axis, see `ends_of`. Odd suits any slope, and leaves the outermost
            entries as they were measured; even suits none.
    """
    # Variances and squares are never odd.
    modes: list[_Mode] = ["wrap" if end == "wrap" else "reflect" for end in ends]
    coarse = measured = values.double().numpy()
    noise = np.broadcast_to(sigma.double().numpy() ** 2, coarse.shape)
    kernels = _kernels(coarse.shape)
    kept, variance = np.zeros_like(coarse), np.zeros_like(coarse)
    for level, (fine, smooth) in enumerate(pairwise(kernels)):
        coarser, noise = _smoothed(coarse, level, ends), _smoothed(noise, level, modes)
        detail, size = (
            coarse - coarser,
            noise * (_product(fine, fine) - 2 * _product(fine, smooth) + _product(smooth, smooth)),
        )
        near = _NEAR * 2**level
        power = _mean(detail**2, near, modes)
        first = _part(power - _ENOUGH * size, power) * detail
        power = _mean(first**2, near // 2, modes)
        gain = _part(power, power + size)
        kept, variance, coarse = kept + gain * detail, variance + gain * size, coarser
    estimate = kept + coarse
    left = measured - estimate
    for level in range(len(kernels) - 1):
        left = _smoothed(left, level, ends)
    variance += noise * _variance_of_smooth(coarse.shape, len(kernels) - 1, ends)
    return Denoised(torch.from_numpy(estimate + left), torch.from_numpy(np.sqrt(variance)))


def ends_of(layout: Layout, channel: int) -> list[Ends]:
    """How a channel goes on at the ends of each axis: as its mirror image where no wall of the axis has a slope."""
    name = layout.channels[channel]
    field = next(field for field in layout.fields if name in field.channels)
    # On the walls themselves an entry is not mirrored beside itself.
    on_walls = [field.vertex or (field.staggered and name == f"{field.name}_{axis}") for axis in layout.grid.axes]
    return [_ends(field.walls[axis], on_them) for axis, on_them in zip(layout.grid.axes, on_walls, strict=True)]


def _ends(walls: AxisWalls, on_them: bool) -> Ends:
    if walls.periodic:
        return "wrap"
    return "even" if all(wall.without_slope for wall in walls) and not on_them else "odd"


def noise_of_states(states: Tensor) -> float:
    """The standard deviation of the noise of states `[S, *space]`, 0 where they do not tell it from themselves.

    From differences of order 4 along each axis, of entries side by side and of every second one: those of white noise
    agree, those of states do not, be they smooth on the grid or rough (of amplitudes |k|^-p they differ by 2^(p - 1/2)
    in one dimension). By medians, so that a front or a plateau is not noise.
    """
    spread = float(states.std(correction=0))
    long = [axis for axis in range(1, states.ndim) if states.shape[axis] > 2 * _ORDER * max(_STRIDES)]
    found = [[_of_differences(states, axis, stride) for stride in _STRIDES] for axis in long]
    if not found or any(max(sizes) >= _ALIKE * min(sizes) for sizes in found):
        return 0.0
    # Side by side: the others have more of the states in them.
    size = float(np.mean([sizes[0] for sizes in found]))
    return size if _SMALLEST * spread < size < _LARGEST * spread else 0.0


def _of_differences(states: Tensor, axis: int, stride: int) -> float:
    for _ in range(_ORDER):
        kept = states.shape[axis] - stride
        states = states.narrow(axis, stride, kept) - states.narrow(axis, 0, kept)
    return _OF_MEDIAN * float(states.abs().median()) / math.sqrt(math.comb(2 * _ORDER, _ORDER))


def _kernels(shape: Sequence[int]) -> list[list[_Array]]:
    """Of each S_j its kernel along each axis; an axis is smoothed as long as a spline is not wider than it."""
    kernels = [[np.ones(1) for _ in shape]]
    while len(kernels) <= _LEVELS and any(_fits(n, len(kernels) - 1) for n in shape):
        level = len(kernels) - 1
        kernels.append(
            [np.convolve(k, _spread(level)) if _fits(n, level) else k for k, n in zip(kernels[-1], shape, strict=True)]
        )
    return kernels


def _fits(count: int, level: int) -> bool:
    return count > 4 << level


def _spread(level: int) -> _Array:
    kernel = np.zeros(4 * 2**level + 1)
    kernel[:: 2**level] = _SPLINE
    return kernel


def _product(one: Sequence[_Array], other: Sequence[_Array]) -> float:
    """The scalar product of two kernels, each a product of symmetric ones along the axes."""
    pairs = [sorted((a, b), key=len) for a, b in zip(one, other, strict=True)]
    return math.prod(float(np.pad(short, (len(long) - len(short)) // 2) @ long) for short, long in pairs)


def _variance_of_smooth(shape: Sequence[int], levels: int, ends: Sequence[Ends]) -> _Array:
    """What 2 S - S² makes of white noise of variance 1, S being all smoothings, `[*space]`: more at the ends."""
    once, mixed, twice = (np.ones([1] * len(shape)) for _ in range(3))
    for axis, (count, end) in enumerate(zip(shape, ends, strict=True)):
        few = min(count, 2 * _FELT)
        matrix = np.eye(few)
        for level in range(levels):
            matrix = _smoothed(matrix, level, [end])
        square = matrix @ matrix
        rows = np.concatenate([np.arange(few // 2), np.full(count - few, few // 2), np.arange(few // 2, few)])
        along = [-1 if other == axis else 1 for other in range(len(shape))]
        once, mixed, twice = (
            product * (one * other).sum(axis=1)[rows].reshape(along)
            for product, one, other in ((once, matrix, matrix), (mixed, matrix, square), (twice, square, square))
        )
    return 4 * once - 4 * mixed + twice


def _smoothed(field: _Array, level: int, ends: Sequence[Ends | _Mode]) -> _Array:
    kernel = _spread(level)
    for axis, end in enumerate(ends):
        count = field.shape[axis]
        if not _fits(count, level):
            continue
        if end == "odd":
            width = len(kernel) // 2
            sides = [(width, width) if other == axis else (0, 0) for other in range(field.ndim)]
            longer = np.pad(field, sides, mode="reflect", reflect_type="odd")
            field = convolve1d(longer, kernel, axis=axis).take(range(width, width + count), axis=axis)
        else:
            field = convolve1d(field, kernel, axis=axis, mode="wrap" if end == "wrap" else "reflect")
    return field


def _mean(field: _Array, reach: int, modes: Sequence[_Mode]) -> _Array:
    for axis, mode in enumerate(modes):
        field = uniform_filter1d(field, 2 * min(reach, (field.shape[axis] - 1) // 2) + 1, axis=axis, mode=mode)
    return field


def _part(one: _Array, of: _Array) -> _Array:
    return np.maximum(np.divide(one, of, out=np.zeros_like(of), where=of > 0), 0.0)
