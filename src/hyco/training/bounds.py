"""States near the bounds of what their fields may be, and noise that is not told from these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from hyco.equations.equation import Equation

# A value, or the mean of what was measured in an area, is told from a bound by so many standard deviations.
_TOLD = 3.0
# An estimate is near to what was measured where its standard deviation is at most so many times that of the noise.
_FAR = 3.0


def at_bounds(state: Tensor, std: Tensor, measured: Tensor, sigma: Tensor, equation: Equation) -> Tensor:
    """A state that is at the bounds of its fields in areas that nothing tells from them.

    In an area, cells side by side (also across the ends of a periodic axis), each estimate is within three standard
    deviations of the bound, and so is the mean of what was measured there: a low plateau is none.

    Args:
        state, std: an estimate and its standard deviation, `[C, *space]`.
        measured, sigma: what was measured in cells and the standard deviation of its noise; NaN where nothing was.
        equation: which knows the bounds (`Equation.admissible`).
    """
    result, layout = state.clone(), equation.layout
    for side in (-1.0, 1.0):
        far = state + side * _TOLD * std
        bound = equation.admissible(far)
        # Far from all that was measured nothing is told.
        near = (side * (far - bound) > 0) & (std <= _FAR * sigma)
        above = (side * (bound - measured)).nan_to_num(0.0)
        variance = torch.where(measured.isnan(), 0.0, sigma.square())
        for c in range(len(state)):
            at = layout.index(c, 0)
            areas, count = _areas(near[at].numpy(), layout.periodic)
            sums, variances = (ndimage.sum_labels(of[at].numpy(), areas, range(count)) for of in (above, variance))
            untold = torch.from_numpy((variances > 0) & (sums < _TOLD * np.sqrt(variances)))[areas]
            result[at] = torch.where(near[at] & untold, bound[at], result[at])
    return result


def _areas(near: NDArray[np.bool_], periodic: Sequence[bool]) -> tuple[NDArray[np.signedinteger], int]:
    """A number for each cell, the same for those of one area, and how many there are; all that is not near has one."""
    areas, count = ndimage.label(near)
    ends = [np.stack([areas.take(0, axis), areas.take(-1, axis)]) for axis, wraps in enumerate(periodic) if wraps]
    one, other = np.concatenate([np.zeros((2, 1), dtype=int), *(pair.reshape(2, -1) for pair in ends)], axis=1)
    both = (one > 0) & (other > 0)
    links = coo_array((np.ones(both.sum()), (one[both], other[both])), shape=(count + 1, count + 1))
    joined, number = connected_components(links, directed=False)
    return number[areas], joined
