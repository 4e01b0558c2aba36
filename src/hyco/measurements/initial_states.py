"""States at t = 0: known by a formula, measured whole, or guessed from what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hyco.expressions import Expression, ExpressionError
from hyco.fields import Layout
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError
from hyco.observations.filling import fill, positions_of_entries


def from_formulas(formulas: Mapping[str, str | float], layout: Layout) -> Tensor:
    """A state `[C, *space]`, each channel a formula of the position of its entries.

    Raises:
        MeasurementError: a channel has no formula, or one has other names than the axes or is not finite.
    """
    lacking = [channel for channel in layout.channels if channel not in formulas]
    if lacking:
        raise MeasurementError(f"initial: formulas of {', '.join(lacking)} are missing: give all channels, or none")
    state = torch.zeros((len(layout.channels), *layout.shape), dtype=torch.float64)
    for c, channel in enumerate(layout.channels):
        places = positions_of_entries(layout, c)
        values = {axis: places[..., i] for i, axis in enumerate(layout.grid.axes)}
        try:
            state[c] = Expression(str(formulas[channel]))(values)
        except ExpressionError as error:
            raise MeasurementError(f"initial.{channel}: {error}") from error
    state = torch.where(layout.valid, state, 0.0)
    if not bool(state.isfinite().all()):
        raise MeasurementError("initial: the formulas are not finite everywhere in the domain")
    return state


def guessed(rows: Rows, count: int, mean: Tensor, layout: Layout) -> Tensor:
    """States `[S, C, *space]` from measurements of t = 0, filled where there are none.

    Args:
        rows: those measurements.
        count: of trajectories, S.
        mean: `[C]`, where nothing of a channel was measured.
        layout: of the states.
    """
    states = torch.zeros((count, len(layout.channels), *layout.shape), dtype=torch.float64)
    for s in range(count):
        for c in range(len(layout.channels)):
            here = (rows.simulation == s) & np.isfinite(rows.values[:, c])
            places, values = torch.from_numpy(rows.position[here]), torch.from_numpy(rows.values[here, c])
            states[s, c] = fill(layout, c, places, values, float(mean[c]))
    return states
