"""What a file holds, as far as the rest of a configuration depends on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from hyco.measurements import columns
from hyco.measurements.columns import Numbers
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.sensor_series import SensorSeries
from hyco.measurements.wall_series import Series
from hyco.observations.checks import MeasurementError


@dataclass(frozen=True)
class Survey:
    """A file at a glance, in the units of the equation.

    Attributes:
        simulations: number of trajectories.
        times: different times after t = 0, rising `[n]`; empty for a static problem.
        time_rounding: by how much times are rounded in the file.
        largest: the largest absolute value of any channel.
        walls: times and values of columns that walls hold, see `wall_series`.
        sensors: of sensors, by channel and position, see `sensor_series`.
    """

    simulations: int
    times: Numbers
    time_rounding: float
    largest: float
    walls: Mapping[str, Series] = field(default_factory=dict)
    sensors: SensorSeries = field(default_factory=dict)


def survey(dataset: xr.Dataset, config: MeasurementsConfig, needed: Sequence[int] | None = None) -> Survey:
    """Look at what a file holds.

    Args:
        dataset: the columns or variables that the section names, from `hyco.measurements.source.load`.
        config: the section.
        needed: the trajectories that count; None: all.

    Raises:
        MeasurementError: an entry is no number or date, or nothing was measured after t = 0.
    """
    simulations, chosen = 1, None
    if config.simulation is not None:
        codes, simulations = columns.labels(dataset[config.simulation])
        if needed is not None:
            chosen = dataset[config.simulation].copy(data=np.isin(codes, list(needed)))
    values = [(c, columns.numbers(dataset, name)) for c in config.fields for name in config.columns_of(c)]
    times, rounding = np.zeros(0), 0.0
    if config.time is not None:
        scale = config.scale.get("time", 1.0)
        rounding = scale * columns.resolution(dataset, config.time)
        every = scale * columns.times(dataset, config.time, config.start)
        times = np.unique(np.concatenate([_measured(every, field, chosen) for _, field in values]))
        times = times[times > rounding]
        if not len(times):
            raise MeasurementError(f"{config.time}: nothing was measured after t = 0 (start)")
    largest = 0.0
    for channel, numbers in values:
        sizes = np.abs(numbers.to_numpy())
        if np.isfinite(sizes).any():
            largest = max(largest, abs(config.scale.get(channel, 1.0)) * float(np.nanmax(sizes)))
    return Survey(simulations, times, rounding, largest)


def _measured(times: xr.DataArray, field: xr.DataArray, chosen: xr.DataArray | None) -> Numbers:
    """The times at which a field has values, of the chosen trajectories, each once."""
    counted: xr.DataArray = field.notnull() if chosen is None else field.notnull() & chosen
    # Along the other dimensions it is enough that there is one value.
    others = [dim for dim in counted.dims if dim not in times.dims]
    together, there = xr.broadcast(times, counted.any(others) if others else counted)
    found = together.to_numpy()[there.to_numpy()]
    return np.unique(found[np.isfinite(found)])
