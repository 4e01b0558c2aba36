"""Measurements that are left out because a column or variable is beyond a range."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from hyco.measurements import columns
from hyco.measurements.config import End, MeasurementsConfig
from hyco.measurements.formats.format import DISTINCT
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)


def kept(dataset: xr.Dataset, config: MeasurementsConfig) -> xr.Dataset:
    """What a file holds, with values and times missing where `keep` leaves them out.

    Args:
        dataset: the columns or variables that the section names.
        config: the section.

    Raises:
        MeasurementError: nothing is left, or an end of a range is not of the kind of what the file has.
    """
    if not config.keep:
        return dataset
    inside = xr.DataArray(True)
    for name, ends in config.keep.items():
        inside = inside & _within(dataset, name, ends)
        if not bool(inside.any()):
            raise MeasurementError(f"keep.{name}: nothing lies within {_text(ends)}, or within all ranges together")
    log.info("%s: keep leaves %d of %d entries", config.file, int(inside.sum()), inside.size)
    changed = {}
    for channel in config.fields:
        for name in config.columns_of(channel):
            changed[name] = _without(dataset[name], inside)
    if config.time is not None:  # so that t = 0 is the earliest of what is kept
        others = [dim for dim in inside.dims if dim not in dataset[config.time].dims]
        changed[config.time] = _without(dataset[config.time], inside.any(others))
    return dataset.assign(changed)


def _within(dataset: xr.Dataset, name: str, ends: tuple[End, End]) -> xr.DataArray:
    """Where a column or variable is within a range, its ends included; a missing entry is not."""
    low, high = ends
    result = xr.DataArray(True)
    for end, sign in ((low, 1), (high, -1)):
        if end is None:
            continue
        try:
            distance = (
                columns.times(dataset, name, end) if isinstance(end, str) else columns.numbers(dataset, name) - end
            )
        except MeasurementError as error:
            raise MeasurementError(f"keep.{name}: {str(error).removeprefix('start: ')}") from error
        result = result & (sign * distance >= 0)
    return result


def _without(variable: xr.DataArray, inside: xr.DataArray) -> xr.DataArray:
    """A variable, missing where it is not inside."""
    if DISTINCT in variable.attrs:
        return variable.copy(data=np.where(inside.broadcast_like(variable), variable, -1))
    return variable.where(inside)


def _text(ends: tuple[End, End]) -> str:
    return f"[{', '.join('null' if end is None else str(end) for end in ends)}]"
