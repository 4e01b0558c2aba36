"""What a file holds, as far as the rest of a configuration depends on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from hyco.measurements import columns
from hyco.measurements.columns import Numbers
from hyco.measurements.config import MeasurementsConfig
from hyco.observations.checks import MeasurementError


@dataclass(frozen=True)
class Survey:
    """A file at a glance, in the units of the equation.

    Attributes:
        simulations: number of trajectories.
        times: different times after t = 0, rising `[n]`; empty for a static problem.
        time_rounding: by how much times are rounded in the file.
        largest: the largest absolute value of any channel.
    """

    simulations: int
    times: Numbers
    time_rounding: float
    largest: float


def survey(dataset: xr.Dataset, config: MeasurementsConfig) -> Survey:
    """Look at what a file holds.

    Args:
        dataset: the columns or variables that the section names, from `hyco.measurements.source.load`.
        config: the section.

    Raises:
        MeasurementError: an entry is no number or date, or there is no time after t = 0.
    """
    simulations = 1 if config.simulation is None else columns.labels(dataset[config.simulation])[1]
    times, rounding = np.zeros(0), 0.0
    if config.time is not None:
        scale = config.scale.get("time", 1.0)
        rounding = scale * columns.resolution(dataset, config.time)
        every = scale * columns.times(dataset, config.time, config.start).to_numpy()
        times = np.unique(every[np.isfinite(every)])
        times = times[times > rounding]
        if not len(times):
            raise MeasurementError(f"{config.time}: there is no time after t = 0 (start)")
    largest = 0.0
    for channel, name in config.fields.items():
        values = np.abs(columns.numbers(dataset, name).to_numpy())
        if np.isfinite(values).any():
            largest = max(largest, abs(config.scale.get(channel, 1.0)) * float(np.nanmax(values)))
    return Survey(simulations, times, rounding, largest)
