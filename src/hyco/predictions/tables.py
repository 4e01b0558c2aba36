"""States as tables: a row for each cell, with columns of positions and of channels, read as measurements are."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray

from hyco.fields import Layout
from hyco.measurements.columns import entries, numbers
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.formats.format import ROW
from hyco.observations.checks import MeasurementError, other_unit
from hyco.predictions.files import PredictionError
from hyco.predictions.places import SLACK

log = logging.getLogger(__name__)

# Columns that tell states apart, and that say when they are.
_STATE, _TIME = "simulation", "time"


def is_table(arrays: xr.Dataset) -> bool:
    """Whether the arrays of a file are columns."""
    return "first_row" in arrays.attrs


def with_names_of(config: MeasurementsConfig, states: xr.Dataset, source: str) -> xr.Dataset:
    """A table whose columns are called as in the file of measurements, with the names and units of the equation.

    Raises:
        PredictionError: a column with a factor is not of numbers.
    """
    if not is_table(states):
        return states
    theirs: dict[str, list[str | None]] = {axis: [name] for axis, name in config.named_axes.items()}
    theirs |= {channel: [*config.columns_of(channel)] for channel in config.fields}
    theirs |= {_STATE: [config.simulation], _TIME: [config.time]}
    single = {ours: names[0] for ours, names in theirs.items() if len(names) == 1}
    found = {name: ours for ours, name in single.items() if name in states}
    # A quantity that only the equation calls so: the table is in its names and units.
    own = single.keys() & set(map(str, states)) - found.keys()
    if own & set(found.values()) or own - {_STATE, _TIME}:
        return states
    renamed = states.rename(found)
    factors = {ours: config.scale[ours] for ours in sorted(set(found.values()) & config.scale.keys())}
    for ours, factor in factors.items():
        renamed[ours] = ROW, _numbers(renamed, ours, source) * factor
    if factors:
        each = ", ".join(f"{ours} × {factor:g}" for ours, factor in factors.items())
        log.info("%s has the columns of the file of measurements: it is taken in their units, %s.", source, each)
    return renamed


def on_grid(table: xr.Dataset, layout: Layout, source: str) -> xr.Dataset:
    """The channels of a table as arrays `[states, *space]` with positions.

    Rows may have any order, and empty ones are none. A column `simulation` tells several states apart: numbers by size,
    texts in the order in which they appear.

    Args:
        table: from `hyco.predictions.files.read_states_file`.
        layout: of the states.
        source: the file, for messages.

    Raises:
        PredictionError: a column is not there, a state is of several times, a row is of no cell or state, a cell has
            two rows or none.
    """
    columns, axes = [str(name) for name in table], list(layout.grid.axes)
    if any(field.staggered for field in layout.fields):
        raise PredictionError(f"{source}: components on faces have positions of their own: take .nc or .npz")
    if missing := [name for name in (*axes, *layout.channels) if name not in columns]:
        raise PredictionError(f"{source}: there is no column {', '.join(missing)}; there are {', '.join(columns)}")
    rows = np.flatnonzero(~np.all([pd.isna(entries(table[name])) for name in columns], axis=0))
    if not rows.size:
        raise PredictionError(f"{source}: it has no rows of numbers")
    if _TIME in columns and len(pd.unique(entries(table[_TIME])[rows])) > 1:
        raise PredictionError(f"{source}: {_TIME} has several values, and a state has one: keep the rows of one time")
    places = [_places(table, rows, layout, axis, source) for axis in axes]
    which, names = np.zeros(len(rows), dtype=np.int64), [""]
    if _STATE in columns:
        labels = entries(table[_STATE])[rows]
        _require_whole(table, rows, pd.isna(labels), _STATE, "say which state the row is of", source)
        which, distinct = pd.factorize(labels, sort=labels.dtype.kind != "O")
        names = [f", {_STATE} = {label}" for label in distinct]
    shape = (len(names), *layout.shape)
    cells = np.ravel_multi_index((which, *places), shape)
    _require_each_once(cells, shape, names, layout, source)
    arrays = {}
    for channel in layout.channels:
        values = np.empty(shape)
        values.flat[cells] = _numbers(table, channel, source)[rows]
        arrays[channel] = (("states", *axes), values)
    return xr.Dataset(arrays, {axis: layout.grid.centers(axis) for axis in axes})


def _places(table: xr.Dataset, rows: NDArray[np.int64], layout: Layout, axis: str, source: str) -> NDArray[np.int64]:
    """The cells along an axis that rows are of.

    Raises:
        PredictionError: a position is empty, or not the centre of a cell.
    """
    given, centers = _numbers(table, axis, source)[rows], layout.grid.centers(axis)
    _require_whole(table, rows, np.isnan(given), axis, "each row needs its position", source)
    at = layout.grid.axes.index(axis)
    spacing = layout.grid.spacing[at]
    nearest: NDArray[np.int64] = np.rint((given - centers[0]) / spacing).clip(0, len(centers) - 1).astype(np.int64)
    off = np.flatnonzero(np.abs(given - centers[nearest]) > SLACK * spacing)
    if len(off):
        guess = other_unit(torch.from_numpy(given), layout.grid, at)
        raise PredictionError(
            f"{source}: {axis}, {_row(table, rows[off[0]])}: {given[off[0]]:.10g} is not the centre of a cell; {axis} "
            f"goes from {given.min():g} to {given.max():g}, the centres from {centers[0]:g} to {centers[-1]:g}, "
            f"{spacing:g} apart: {guess or 'interpolate to them (scipy.interpolate.griddata, say) and write these'}"
        )
    return nearest


def _require_whole(
    table: xr.Dataset, rows: NDArray[np.int64], missing: NDArray[np.bool_], name: str, advice: str, source: str
) -> None:
    """Refuse the first of the rows without an entry in a column.

    Raises:
        PredictionError: there is one.
    """
    if missing.any():
        raise PredictionError(f"{source}: {name}, {_row(table, rows[missing.argmax()])}: it is empty; {advice}")


def _require_each_once(
    cells: NDArray[np.int64], shape: tuple[int, ...], names: list[str], layout: Layout, source: str
) -> None:
    """Refuse states of which a cell has two rows, or none.

    Args:
        cells: of the rows, as indices of flattened arrays of the shape `[states, *space]`.
        names: what tells each state, for the message.

    Raises:
        PredictionError: says which cell is the first.
    """
    taken, count = np.unique(cells, return_counts=True)
    if count.max() > 1:
        text, cell = "two rows of one place", taken[(count > 1).argmax()]
    elif len(taken) < np.prod(shape):
        text, cell = "places without a row", np.append(taken != np.arange(len(taken)), True).argmax()
    else:
        return
    state, *place = np.unravel_index(int(cell), shape)
    axes = layout.grid.axes
    first = ", ".join(f"{axis} = {layout.grid.centers(axis)[i]:g}" for axis, i in zip(axes, place, strict=True))
    sizes = " × ".join(f"{size} of {axis}" for axis, size in zip(axes, layout.shape, strict=True))
    more = f", for {len(names)} states" if len(names) > 1 else ""
    raise PredictionError(
        f"{source}: there are {text}: a row is needed for each cell, {sizes}{more}; the first is {first}{names[state]}"
    )


def _row(table: xr.Dataset, entry: int) -> str:
    return f"row {entry + int(table.attrs['first_row'])}"


def _numbers(table: xr.Dataset, name: str, source: str) -> NDArray[np.float64]:
    try:
        return numbers(table, name).to_numpy()
    except MeasurementError as error:
        raise PredictionError(f"{source}: {error}") from error
