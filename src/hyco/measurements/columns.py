"""What stands in a column or variable: numbers, times, and labels of simulations, each entry with its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats.format import ROW
from hyco.observations.checks import MeasurementError

Numbers = NDArray[np.float64]


def place(variable: xr.DataArray | xr.Dataset, dims: tuple[str, ...], shape: tuple[int, ...], entry: int) -> str:
    """Where an entry stands in the file: the row of a table, counted as there; of arrays the indices, from 0."""
    if dims == (ROW,):
        return f"row {entry + int(variable.attrs['first_row'])}"
    indices = np.unravel_index(entry, shape)
    return ", ".join(f"{dim.strip()} index {i}" for dim, i in zip(dims, indices, strict=True)) or "its only entry"


def numbers(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable as float64, NaN where it is missing.

    Raises:
        MeasurementError: an entry is no real number, or infinite.
    """
    variable = dataset[name]
    values = variable.to_numpy()
    if values.dtype.kind in "mMcb":
        raise MeasurementError(f"{name} must hold real numbers, it has {values.dtype}")
    if values.dtype.kind in "OUS":
        flat = pd.Series(values.ravel()).astype(object).map(_blank_to_missing)
        converted = pd.to_numeric(flat, errors="coerce")
        wrong = np.flatnonzero((converted.isna() & flat.notna()).to_numpy())
        if len(wrong):
            text = str(flat.iloc[wrong[0]])
            hint = "; decimals need a point" if _with_comma(text) else ""
            raise MeasurementError(f"{name}, {_at(dataset, name, wrong[0])}: {text!r} is not a number{hint}")
        values = converted.to_numpy(dtype=np.float64).reshape(values.shape)
    result = values.astype(np.float64)
    infinite = np.flatnonzero(np.isinf(result))
    if len(infinite):
        raise MeasurementError(f"{name}, {_at(dataset, name, infinite[0])}: the value is infinite; leave it empty")
    return variable.copy(data=result)


def resolution(dataset: xr.Dataset, name: str) -> float:
    """How finely the numbers of a variable are written: rounding of the largest, where they are of single precision."""
    values = dataset[name].to_numpy()
    if values.dtype.kind != "f" or not values.size or not np.isfinite(values).any():
        return 0.0
    return float(np.finfo(values.dtype).eps * np.nanmax(np.abs(values)))


def times(dataset: xr.Dataset, name: str, start: float | str | None) -> xr.DataArray:
    """Times since the start: as the file has them, or in seconds where they are dates; NaN where they are missing.

    Raises:
        MeasurementError: an entry is neither a number nor a date, or there is none.
    """
    variable = dataset[name]
    dates = _dates(dataset, name)
    if dates is None:
        values = numbers(dataset, name).to_numpy()
        origin = np.nanmin(values) if start is None and np.isfinite(values).any() else _number(start)
        return variable.copy(data=values - origin)
    if isinstance(start, float):
        raise MeasurementError(f"start is {start:g}, but {name} holds dates: write a date")
    if start is not None:
        try:
            first = pd.Timestamp(start)
        except ValueError as error:
            raise MeasurementError(f"start: {start!r} is no date") from error
        first = first.tz_convert(None) if first.tzinfo else first
    else:
        first = dates.min()
    seconds = (dates - first) / pd.Timedelta(1, "s")
    return variable.copy(data=seconds.to_numpy(dtype=np.float64).reshape(variable.shape))


def labels(variable: xr.DataArray) -> tuple[NDArray[np.int64], int]:
    """Which simulation each entry belongs to, by the order of the labels, -1 where there is none; and how many.

    Where the attribute `count` says how many the file has, the labels are their numbers, and some may not be there.
    """
    if "count" in variable.attrs:
        return variable.to_numpy().astype(np.int64), int(variable.attrs["count"])
    codes, known = pd.factorize(variable.to_numpy().ravel(), sort=True)
    return codes.astype(np.int64).reshape(variable.shape), len(known)


def _dates(dataset: xr.Dataset, name: str) -> pd.Series[Any] | None:
    """The entries as dates without a time zone; None where they are numbers."""
    values = dataset[name].to_numpy()
    if values.dtype.kind == "m":
        raise MeasurementError(f"{name} holds durations: write them as numbers")
    if values.dtype.kind == "M":
        return pd.Series(values.ravel())
    if values.dtype.kind not in "OUS":
        return None
    flat = pd.Series(values.ravel()).astype(object).map(_blank_to_missing)
    given = flat.dropna()
    if not len(given) or _is_number(given.iloc[0]):
        return None
    dates = pd.to_datetime(flat, errors="coerce", utc=True, format=None if _are_dates(given) else "ISO8601")
    wrong = np.flatnonzero((dates.isna() & flat.notna()).to_numpy())
    if len(wrong):
        text = str(flat.iloc[wrong[0]])
        raise MeasurementError(
            f"{name}, {_at(dataset, name, wrong[0])}: {text!r} is neither a number nor a date such as 2024-05-31 13:00"
        )
    return dates.dt.tz_convert(None)


def _are_dates(given: pd.Series[Any]) -> bool:
    return not isinstance(given.iloc[0], str)


def _number(start: float | str | None) -> float:
    try:
        return 0.0 if start is None else float(start)
    except ValueError as error:
        raise MeasurementError(f"start: {start!r} is no number, but the times of the file are") from error


def _is_number(entry: object) -> bool:
    """Whether an entry is a number, or was meant to be one."""
    return bool(pd.notna(pd.to_numeric(entry, errors="coerce"))) or _with_comma(str(entry))  # type: ignore[call-overload]


def _blank_to_missing(value: object) -> object:
    value = value.decode() if isinstance(value, bytes) else value
    return None if isinstance(value, str) and not value.strip() else value


def _with_comma(text: str) -> bool:
    head, comma, tail = text.strip().partition(",")
    return bool(comma) and head.lstrip("+-").isdigit() and tail.isdigit()


def _at(dataset: xr.Dataset, name: str, entry: int) -> str:
    variable = dataset[name]
    return place(dataset, tuple(map(str, variable.dims)), variable.shape, int(entry))
