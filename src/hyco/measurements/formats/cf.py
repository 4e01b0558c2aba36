"""Conventions of CF in what xarray opens: fill values, packed numbers, dates, and names by what a variable means.

Source: NetCDF Climate and Forecast (CF) Metadata Conventions, https://cfconventions.org (`standard_name`: 3.3,
`_FillValue` and `missing_value`: 2.5.1, `scale_factor` and `add_offset`: 8.1, times: 4.4).
"""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from hyco.measurements.formats.format import Wanted
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)

# Attributes that say what a variable is, where its name does not.
_MEANINGS = ("standard_name", "long_name")
# What xarray raises where entries cannot be read or decoded.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, RuntimeError, OverflowError)


def names(dataset: xr.Dataset) -> tuple[str, ...]:
    """Names of variables and dimensions, then what variables are called in `standard_name` and `long_name`."""
    meanings = [str(v.attrs[key]) for key in _MEANINGS for v in dataset.variables.values() if key in v.attrs]
    return tuple(dict.fromkeys([*map(str, dataset.variables), *map(str, dataset.dims), *meanings]))


def read(dataset: xr.Dataset, wanted: Wanted) -> xr.Dataset:
    """What is wanted of a dataset, decoded.

    Args:
        dataset: opened with `decode_cf=False`.
        wanted: names of variables, or what they are called in `standard_name` or `long_name`.

    Raises:
        MeasurementError: a variable cannot be decoded, or two have the meaning that is asked for.
    """
    variables = {name: _variable(dataset, name, wanted) for name in wanted.names}
    # A variable with the name of its dimension would be an index, which has to be one-dimensional: rename all.
    dims = {dim: f"{dim} " for variable in variables.values() for dim in variable.dims}
    renamed = {name: ([dims[d] for d in v.dims], v.values, v.attrs) for name, v in variables.items()}
    return xr.Dataset(renamed)


def _variable(dataset: xr.Dataset, name: str, wanted: Wanted) -> xr.Variable:
    found = _found(dataset, name)
    if found is not None:
        return _decoded(dataset, found)
    if name == wanted.simulation:
        return xr.Variable((name,), np.arange(dataset.sizes[name]))
    raise MeasurementError(f"{name} is a dimension without coordinates: the file needs a variable of them")


def _found(dataset: xr.Dataset, name: str) -> str | None:
    """The variable of a name; None where that is of a dimension alone.

    Raises:
        MeasurementError: several variables have this meaning.
    """
    if name in dataset.variables:
        return name
    if name in dataset.dims:
        return None
    for key in _MEANINGS:
        meant = sorted(str(other) for other, v in dataset.variables.items() if str(v.attrs.get(key)) == name)
        if len(meant) > 1:
            raise MeasurementError(f"{name} is the {key} of {', '.join(meant)}: name the variable")
        if meant:
            log.info("%s is the %s of the variable %s, which is read", name, key, meant[0])
            return meant[0]
    return None


def _decoded(dataset: xr.Dataset, name: str) -> xr.Variable:
    """A variable with its entries in memory, dates as dates; `units` stay among its attributes.

    Raises:
        MeasurementError: an entry cannot be read, or the units of times are none that dates can be told from.
    """
    raw = dataset.variables[name]
    try:
        decoded = xr.decode_cf(xr.Dataset({name: raw}), decode_timedelta=False, decode_coords=False)[name]
        variable = decoded.variable.load()
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        units = raw.attrs.get("units")
        said = "" if units is None else f" (units {units!r}, calendar {raw.attrs.get('calendar', 'standard')!r})"
        raise MeasurementError(f"{name}{said} cannot be read: {reason}") from error
    variable.attrs = {"units": str(raw.attrs["units"])} if "units" in raw.attrs else {}
    return variable
