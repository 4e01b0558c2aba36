"""Where and when something was measured, each place and time once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hyco.observations.observations import Observations
from hyco.runtime.mapped import in_any_row, rows_of

Array = NDArray[np.float64]


def measured_places(observations: Observations, mask: Tensor) -> tuple[Array, Array]:
    """Time of each measurement of the training simulations, `[n]`, and its place, `[n, d]`; each of them once.

    Args:
        observations: what was measured.
        mask: which entries, of the shape of the observations' own.
    """
    mask, grid, dt = rows_of(mask, observations.train), observations.layout.grid, observations.dt
    if observations.positions is not None:
        positions = observations.positions[observations.train]
        first = 1 if observations.initial_state == "full" else 0  # entries at t = 0 are whole states then
        there = mask.any(2)[:, first:, : positions.shape[2]]
        steps = there.nonzero()[:, 1] + first
        places = positions[:, first:][there].double().numpy()
        times = dt * steps.double().numpy()
        if observations.offsets is not None:
            times = times + dt * observations.offsets[observations.train][:, first:][there].double().numpy()
    else:
        cells = tuple(slice(0, n) for n in grid.resolution)
        index = in_any_row(mask).any(1)[(slice(None), *cells)].nonzero().numpy()
        times = dt * index[:, 0].astype(np.float64)
        places = np.stack([grid.centers(axis)[index[:, i + 1]] for i, axis in enumerate(grid.axes)], axis=-1)
    unique = np.unique(np.column_stack([times, places]), axis=0)
    return unique[:, 0], unique[:, 1:]
