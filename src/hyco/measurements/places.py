"""Positions as cells of the grid, where they are the centres of cells."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hyco.fields import Layout
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError, beyond_walls, other_unit
from hyco.walls.table import Table

log = logging.getLogger(__name__)

# Part of a cell's width that a position may be off its centre.
_TOLERANCE = 1e-6
# Part of the domain that may lie beyond a wall by rounding.
_SLACK = 1e-9
# Measurements that fill less than this part of an axis are probably in another unit.
_NARROW = 0.01


def check_inside(rows: Rows, config: MeasurementsConfig, layout: Layout) -> None:
    """Whether the domain holds the measurements: beyond walls they are refused, along periodic axes they are wrapped.

    Raises:
        MeasurementError: a position is beyond a wall, or another unit explains why periods are exceeded.
    """
    for i, (axis, low, size) in enumerate(zip(layout.grid.axes, layout.grid.lower, layout.grid.size, strict=True)):
        along, name = rows.position[:, i], config.name_of(axis)
        slack = _SLACK * size + rows.position_rounding[i]
        beyond = np.flatnonzero((along < low - slack) | (along > low + size + slack))
        if len(beyond) and not layout.periodic[i]:
            text = beyond_walls(torch.tensor(along), layout.grid, i)
            raise MeasurementError(f"{name}, {rows.place(beyond[0])}: positions: {text}")
        largest = int(np.abs(along).argmax())
        if np.spacing(abs(along[largest])) > _TOLERANCE * size:
            raise MeasurementError(f"{name}, {rows.place(largest)}: {along[largest]:g} is no position in {axis}")
        extent = float(np.ptp(along))
        if extent > size + 2 * slack:
            guess = other_unit(torch.tensor(along), layout.grid, i)
            text = f"{name}: positions reach over {extent:g}, the period of {axis} is {size:g}"
            if guess is not None:
                raise MeasurementError(f"{text}; {guess} (scale.{axis}, or equation.domain.{axis})")
            log.warning("%s: %s; they are wrapped", config.file, text)
        elif 0 < extent < _NARROW * size:
            text = "%s: %s: positions reach over %g only, the domain over %g: is scale.%s right?"
            log.warning(text, config.file, name, extent, size, axis)


def without_walls(rows: Rows, file: str, layout: Layout) -> Rows:
    """The measurements but for those on walls that hold a series of values: they are that series, or say nothing."""
    grid = layout.grid
    series = [
        (i, low + end * size, [layout.channels.index(name) for name in field.channels])
        for field in layout.fields
        for i, (axis, low, size) in enumerate(zip(grid.axes, grid.lower, grid.size, strict=True))
        for end, wall in enumerate(field.walls[axis])
        if isinstance(wall, Table)
    ]
    if not series:  # there may be many measurements
        return rows
    values = np.array(rows.values)
    for i, place, channels in series:
        on = np.abs(rows.position[:, i] - place) <= _TOLERANCE * grid.size[i] + rows.position_rounding[i]
        values[on[:, None] & np.isin(np.arange(values.shape[1]), channels)] = np.nan
    left_out = int((np.isfinite(rows.values) & np.isnan(values)).sum())
    if not left_out:
        return rows
    log.info("%s: %d values are those of walls, and not fitted to", file, left_out)
    return replace(rows, values=values).of(np.asarray(np.isfinite(values).any(axis=1)))


def cells_of(rows: Rows, layout: Layout) -> NDArray[np.int64] | None:
    """The cell that each measurement is of `[n]`, counted in the order of a tensor; None if one is between centres.

    Staggered fields have no values in the centres of cells.
    """
    grid = layout.grid
    if layout.shape != grid.resolution:
        return None
    flat = np.zeros(len(rows.time), dtype=np.int64)
    for i, (lower, h, n) in enumerate(zip(grid.lower, grid.spacing, grid.resolution, strict=True)):
        place = (rows.position[:, i] - lower) / h - 0.5
        cell = np.rint(place)
        if (np.abs(place - cell) > _TOLERANCE + rows.position_rounding[i] / h).any():
            return None
        cell = np.mod(cell, n) if layout.periodic[i] else cell
        if (cell < 0).any() or (cell >= n).any():
            return None
        flat = flat * n + cell.astype(np.int64)
    return flat
