"""States near the bounds of what their fields may be, and noise that is not told from these."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from hyco.equations.equation import Equation

# A value, or the mean of what was measured in an area, is told from a bound by so many standard deviations.
_TOLD = 3.0
# An estimate is near to what was measured where its standard deviation is at most so many times that of the noise.
_FAR = 3.0


def at_bounds(state: Tensor, std: Tensor, measured: Tensor, sigma: Tensor, equation: Equation) -> Tensor:
    """A state that is at the bounds of its fields in areas that nothing tells from them.

    In an area, cells side by side, each estimate is within three standard deviations of the bound, and so is the mean
    of what was measured there: a low plateau is none.

    Args:
        state, std: an estimate and its standard deviation, `[C, *space]`.
        measured, sigma: what was measured in cells and the standard deviation of its noise; NaN where nothing was.
        equation: which knows the bounds (`Equation.admissible`).
    """
    result = state.clone()
    for side in (-1.0, 1.0):
        far = state + side * _TOLD * std
        bound = equation.admissible(far)
        # Far from all that was measured nothing is told.
        near = (side * (far - bound) > 0) & (std <= _FAR * sigma)
        above = (side * (bound - measured)).nan_to_num(0.0)
        variance = torch.where(measured.isnan(), 0.0, sigma.square())
        for c in range(len(state)):
            areas, count = ndimage.label(near[c].numpy())
            sums, variances = (ndimage.sum_labels(of[c].numpy(), areas, range(count + 1)) for of in (above, variance))
            untold = (variances > 0) & (sums < _TOLD * np.sqrt(variances))
            untold[0] = False  # what is in no area
            result[c] = torch.where(torch.from_numpy(untold[areas]), bound[c], result[c])
    return result
