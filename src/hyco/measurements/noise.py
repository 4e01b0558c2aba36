"""Standard deviations of the noise, one for each channel or one for each measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.measurements.assembly import Placed
from hyco.measurements.columns import Numbers
from hyco.measurements.config import ESTIMATE, REPLICATES, MeasurementsConfig, names_of
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError

# Numbers that differ by less than this part are equal.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Noise:
    """What the section says of the noise.

    Attributes:
        std: σ of each channel `[C]`; 0 where the residuals have to tell it, and of a channel that was not measured.
        of_rows: σ of each measurement `[n, C]`, NaN where nothing was measured; None where that of the channels is all.
    """

    std: Tensor
    of_rows: Numbers | None = None

    def entries(self, placed: Placed, whole: Tensor | None) -> Tensor | None:
        """σ of each entry, as `Placed.entries` has the values; None where that of the channels is all.

        Args:
            placed: the measurements.
            whole: states at t = 0 that were measured in every cell; see `Placed.entries`.
        """
        if self.of_rows is None:
            return None
        # σ stands where the values stand: in their place it goes the same way.
        own = replace(placed, rows=replace(placed.rows, values=self.of_rows))
        return own.entries(None if whole is None else own.whole_start()).values


def noise_of(rows: Rows, config: MeasurementsConfig, layout: Layout) -> Noise:
    """The noise of some measurements.

    Raises:
        MeasurementError: σ is not positive, missing, or given for some channels only.
    """
    unknown = [channel for channel in config.fields if config.stds.get(channel, ESTIMATE) == ESTIMATE]
    if unknown and len(unknown) < len(config.fields):
        raise MeasurementError(
            f"std: it is given for some channels but not for {', '.join(unknown)}: give it for all, or estimate all"
        )
    if unknown:
        return Noise(torch.zeros(len(layout.channels), dtype=torch.float64))
    measured = np.isfinite(rows.values)
    sigma = np.where(measured, rows.sigma, np.nan)
    std = torch.zeros(len(layout.channels), dtype=torch.float64)
    differ = False
    for c, channel in enumerate(layout.channels):
        given = config.stds.get(channel, ESTIMATE)
        if channel not in config.fields or not measured[:, c].any():
            continue
        if given == REPLICATES:
            given = _of_replicates(rows, c, ", ".join(config.columns_of(channel)))
        if isinstance(given, int | float):
            sigma[measured[:, c], c] = given
        own = sigma[measured[:, c], c]
        wrong = np.flatnonzero(~(np.isfinite(own) & (own > 0)))
        if len(wrong):
            where = rows.place(int(np.flatnonzero(measured[:, c])[wrong[0]]))
            what = "is missing where there is a value" if np.isnan(own[wrong[0]]) else f"is {own[wrong[0]]:g}"
            allowed = "" if np.isnan(own[wrong[0]]) else ", it must be positive"
            raise MeasurementError(f"{', '.join(names_of(given))}, {where}: the standard deviation {what}{allowed}")
        differ |= bool(np.ptp(own) > _ROUNDING * own.max())
        std[c] = float(own[0]) if np.ptp(own) <= _ROUNDING * own.max() else float(np.sqrt(np.mean(own**2)))
    return Noise(std, sigma if differ else None)


def _of_replicates(rows: Rows, c: int, name: str) -> float:
    """The standard deviation of measurements of a channel at one place and time about their mean, over all of these.

    Raises:
        MeasurementError: nothing was measured twice at one place and time, or all that was is equal.
    """
    there = np.isfinite(rows.values[:, c])
    values = rows.values[there, c]
    keys = np.column_stack([rows.simulation[there], rows.time[there], rows.position[there]])
    _, group = np.unique(keys, axis=0, return_inverse=True)
    counts = np.bincount(group.ravel())
    means = np.bincount(group.ravel(), values) / counts
    freedom, squares = len(values) - len(counts), float(np.square(values - means[group.ravel()]).sum())
    if not freedom or not squares:
        what = "nothing was measured twice at one place and time" if not freedom else "all repeated values are equal"
        raise MeasurementError(f"std: replicates: {name}: {what}: give a number, or estimate")
    return float(np.sqrt(squares / freedom))
