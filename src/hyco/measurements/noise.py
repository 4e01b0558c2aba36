"""Standard deviations of the noise, one for each channel."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.measurements.config import ESTIMATE, MeasurementsConfig
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError

# Numbers that differ by less than this part are equal.
_ROUNDING = 1e-6


def noise_std(rows: Rows, config: MeasurementsConfig, layout: Layout) -> Tensor:
    """σ of each channel `[C]`; 0 where the residuals have to tell it, and of a channel that was not measured.

    Raises:
        MeasurementError: σ is not positive, missing, not the same for all measurements of a channel, or given for some
            channels only.
    """
    unknown = [channel for channel in config.fields if config.stds.get(channel, ESTIMATE) == ESTIMATE]
    if unknown and len(unknown) < len(config.fields):
        raise MeasurementError(
            f"std: it is given for some channels but not for {', '.join(unknown)}: give it for all, or estimate all"
        )
    stds = [_of_channel(rows, c, channel, config) for c, channel in enumerate(layout.channels)]
    return torch.tensor(stds, dtype=torch.float64)


def _of_channel(rows: Rows, c: int, channel: str, config: MeasurementsConfig) -> float:
    std = config.stds.get(channel, ESTIMATE)
    if channel not in config.fields or std == ESTIMATE:
        return 0.0
    if not isinstance(std, str):
        return std
    measured = np.flatnonzero(np.isfinite(rows.values[:, c]))
    sigma = rows.sigma[measured, c]
    wrong = np.flatnonzero(~(sigma > 0))
    if len(wrong):
        value = sigma[wrong[0]]
        what = f"is {value:g}, it must be positive" if np.isfinite(value) else "is missing where there is a value"
        raise MeasurementError(f"{std}, {rows.place(measured[wrong[0]])}: the standard deviation {what}")
    if not len(sigma):
        return 0.0
    if np.ptp(sigma) > _ROUNDING * sigma.max():
        raise MeasurementError(
            f"{std}: the standard deviation differs from measurement to measurement ({sigma.min():g} to "
            f"{sigma.max():g}), which cannot be used yet: give one number for {channel}, or std: estimate"
        )
    return float(sigma[0])
