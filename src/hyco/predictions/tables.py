"""States as tables: a row for each cell, with columns of positions and of channels, read as measurements are."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.fields import Layout
from hyco.measurements import MeasurementsConfig
from hyco.measurements.columns import labels, numbers
from hyco.measurements.formats.format import ROW
from hyco.observations.checks import MeasurementError
from hyco.predictions.files import PredictionError

# Columns that tell states apart, and that say when they are.
_STATE, _TIME = "simulation", "time"


def is_table(arrays: xr.Dataset) -> bool:
    """Whether the arrays of a file are columns."""
    return "first_row" in arrays.attrs


def with_names_of(config: MeasurementsConfig, states: xr.Dataset) -> xr.Dataset:
    """A table whose columns are called as in the file of measurements, with the names and units of the equation."""
    if not is_table(states):
        return states
    theirs: dict[str, list[str | None]] = {axis: [name] for axis, name in config.named_axes.items()}
    theirs |= {channel: [*config.columns_of(channel)] for channel in config.fields}
    theirs |= {_STATE: [config.simulation], _TIME: [config.time]}
    found = {names[0]: ours for ours, names in theirs.items() if len(names) == 1 and names[0] in states}
    if set(found.values()) & (set(map(str, states)) - set(found)):  # some have the equation's own names
        return states
    renamed = states.rename(found)
    for ours in set(found.values()) & config.scale.keys():
        renamed[ours] = numbers(renamed, ours) * config.scale[ours]
    return renamed


def on_grid(table: xr.Dataset, layout: Layout, source: str) -> xr.Dataset:
    """The channels of a table as arrays `[states, *space]` with positions.

    Rows may have any order. A column `simulation` tells several states apart.

    Args:
        table: from `hyco.predictions.files.read_states_file`.
        layout: of the states.
        source: the file, for messages.

    Raises:
        PredictionError: a column is not there, a state is of several times, a cell has two rows or none.
    """
    columns, axes = [str(name) for name in table], list(layout.grid.axes)
    if any(field.staggered for field in layout.fields):
        raise PredictionError(f"{source}: components on faces have positions of their own: take .nc or .npz")
    if missing := [name for name in (*axes, *layout.channels) if name not in columns]:
        raise PredictionError(f"{source}: there is no column {', '.join(missing)}; there are {', '.join(columns)}")
    if _TIME in columns and len(np.unique(table[_TIME].to_numpy())) > 1:
        raise PredictionError(f"{source}: {_TIME} has several values, and a state has one: keep the rows of one time")
    places, positions = [], {}
    for axis in axes:
        distinct, place = np.unique(_numbers(table, axis, source), return_inverse=True)
        places.append(place)
        positions[axis] = distinct
    which, count = labels(table[_STATE]) if _STATE in columns else (np.zeros(table.sizes[ROW], dtype=np.int64), 1)
    shape = (count, *(len(values) for values in positions.values()))
    cells = np.ravel_multi_index((which, *places), shape)
    _, rows = np.unique(cells, return_counts=True)
    if rows.max(initial=0) > 1 or len(rows) < np.prod(shape):
        wrong = "two rows of one place" if rows.max(initial=0) > 1 else "places without a row"
        sizes = " × ".join(f"{len(positions[axis])} of {axis}" for axis in axes)
        more = f", for {count} states" if count > 1 else ""
        raise PredictionError(f"{source}: there are {wrong}: a row is needed for each cell, {sizes}{more}")
    arrays = {}
    for channel in layout.channels:
        values = np.empty(shape)
        values.flat[cells] = _numbers(table, channel, source)
        arrays[channel] = (("states", *axes), values)
    return xr.Dataset(arrays, positions)


def _numbers(table: xr.Dataset, name: str, source: str) -> NDArray[np.float64]:
    try:
        return numbers(table, name).to_numpy()
    except MeasurementError as error:
        raise PredictionError(f"{source}: {error}") from error
