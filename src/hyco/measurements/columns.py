"""What stands in a column or variable: numbers, times, and labels of simulations, each entry with its place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats import texts
from hyco.measurements.formats.dates import AmbiguousDateError, dates_of
from hyco.measurements.formats.format import DISTINCT, ROW
from hyco.observations.checks import MeasurementError

Numbers = NDArray[np.float64]
# The dimension of several columns or variables of one channel.
REPLICATE = "replicate of hyco"
# Significant digits of numbers that are exact, at most, and of those that a program has rounded to write them.
_EXACT, _ROUNDED = 4, range(5, 10)
# So many different numbers are looked at for that.
_LOOKED_AT = 1000
# Neighbours among rounded numbers differ by so many units of the last digit, at least; else all are exact.
_UNITS = 4


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
    if (coded := _texts(variable)) is not None:
        codes, distinct = coded
        converted, wrong = texts.converted(distinct)
        _refuse(dataset, name, codes, distinct, wrong, "not a number")
        values = np.append(converted, np.nan)[codes]
    elif values.dtype.kind in "mMcb":
        raise MeasurementError(f"{name} must hold real numbers, it has {values.dtype}")
    result = values.astype(np.float64, copy=False)
    infinite = np.flatnonzero(np.isinf(result))
    if len(infinite):
        raise MeasurementError(f"{name}, {_at(dataset, name, infinite[0])}: the value is infinite; leave it empty")
    return variable.copy(data=result)


def entries(variable: xr.DataArray) -> NDArray[Any]:
    """What stands in a variable, texts and dates as objects; NaN, NaT or None where nothing does."""
    if (coded := _texts(variable)) is None:
        return variable.to_numpy()
    codes, distinct = coded
    return np.array([*distinct, None], dtype=object)[codes]


def _texts(variable: xr.DataArray) -> tuple[NDArray[np.int64], pd.Series[Any]] | None:
    """For each entry of a variable of text or dates an index, -1 where it is missing, and what these stand for.

    None where it holds numbers.
    """
    codes = variable.to_numpy()
    if DISTINCT in variable.attrs:
        distinct = variable.attrs[DISTINCT]
    elif codes.dtype.kind in "OUS":
        flat, distinct = pd.factorize(codes.astype(object, copy=False).ravel())
        codes = flat.reshape(codes.shape)
    else:
        return None
    return codes, pd.Series(distinct, dtype=object).map(texts.blank_to_missing)


def _refuse(
    dataset: xr.Dataset,
    name: str,
    codes: NDArray[np.int64],
    distinct: pd.Series[Any],
    wrong: NDArray[np.int64],
    wanted: str,
) -> None:
    """Refuse the first entry that could not be converted, of those that were not left out.

    Raises:
        MeasurementError: there is one.
    """
    wrong = wrong[np.isin(wrong, codes)]
    if len(wrong):
        entry = int(np.flatnonzero(np.isin(codes, wrong))[0])
        text = texts.refusal(distinct.iloc[int(codes.flat[entry])], wanted)
        raise MeasurementError(f"{name}, {_at(dataset, name, entry)}: {text}")


def resolution(dataset: xr.Dataset, name: str) -> float:
    """How finely the numbers of a variable are written: the rounding of the largest.

    That of their precision, or, where the largest have from 5 to 9 significant digits (2.08333), half of the last one;
    with fewer (0.25) they are taken to be exact. So are those that follow each other by the same distance (15.0125,
    15.025, …), and those of which some differ by hardly more than the last digit (20001, 20002).
    """
    values = dataset[name].to_numpy()
    if values.dtype.kind != "f" or not values.size or not np.isfinite(values).any():
        return 0.0
    largest = float(np.nanmax(np.abs(values)))
    rounding = float(np.finfo(values.dtype).eps * largest)
    if values.dtype != np.float64 or not largest:
        return rounding
    power = math.floor(math.log10(largest))
    known = np.unique(values[np.isfinite(values)])
    some = np.unique(np.abs(known[np.abs(known) >= 10.0**power]))[:_LOOKED_AT]
    fewest = (d for d in (_EXACT, *_ROUNDED) if np.array_equal(some, np.round(some, d - 1 - power)))
    digits = next(fewest, None)
    if digits is None or digits == _EXACT:
        return rounding
    unit = 10.0 ** (power + 1 - digits)
    steps = np.diff(known)
    steps = steps[steps > 4 * rounding]
    exact = len(steps) > 1 and (np.ptp(steps) <= 4 * rounding or steps.min() < (_UNITS - 0.5) * unit)
    return rounding if exact else 0.5 * unit


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
        return variable.copy(data=values - origin if origin else values)
    if isinstance(start, float):
        raise MeasurementError(f"start is {start:g}, but {name} holds dates: write a date")
    if start is not None:
        first = _start(start, variable)
        if pd.isna(first):
            raise MeasurementError(f"start: {start!r} is no date such as 2024-05-31 13:00")
    else:
        first = dates.min()
    seconds = (dates - first) / pd.Timedelta(1, "s")
    return variable.copy(data=seconds.to_numpy(dtype=np.float64).reshape(variable.shape))


def positions_of_columns(positions: list[float]) -> xr.DataArray:
    """A position for each column."""
    return xr.DataArray(positions if len(positions) > 1 else positions[0], dims=(REPLICATE,) * (len(positions) > 1))


def joined(replicates: list[xr.DataArray], count: int) -> xr.DataArray:
    """Replicates along a dimension of their own; where there are fewer than `count`, NaN. One of one stays as it is."""
    if count == 1:
        return replicates[0]
    missing = [xr.full_like(replicates[0], np.nan)] * (count - len(replicates))
    return xr.concat([*replicates, *missing], REPLICATE, coords="minimal", compat="override")


def labels(variable: xr.DataArray) -> tuple[NDArray[np.int64], int]:
    """Which simulation each entry belongs to, by the order of the labels, -1 where there is none; and how many.

    Where the attribute `count` says how many the file has, the labels are their numbers, and some may not be there.
    """
    if "count" in variable.attrs:
        return variable.to_numpy().astype(np.int64), int(variable.attrs["count"])
    if (coded := _texts(variable)) is not None:
        codes, distinct = coded
        order, known = pd.factorize(distinct, sort=True)
        return np.append(order, -1).astype(np.int64)[codes], len(known)
    flat, numbers = pd.factorize(variable.to_numpy().ravel(), sort=True)
    return flat.astype(np.int64, copy=False).reshape(variable.shape), len(numbers)


def holds_dates(variable: xr.DataArray) -> bool:
    """Whether the entries of a variable are dates, or texts that are no numbers."""
    if (coded := _texts(variable)) is None:
        return variable.dtype.kind == "M"
    codes, distinct = coded
    given = distinct[np.unique(codes[codes >= 0])].dropna()
    return len(given) > 0 and not _is_number(given.iloc[0])


def _dates(dataset: xr.Dataset, name: str) -> pd.Series[Any] | None:
    """The entries as dates without a time zone; None where they are numbers."""
    values = dataset[name].to_numpy()
    if (coded := _texts(dataset[name])) is None:
        if values.dtype.kind == "m":
            raise MeasurementError(f"{name} holds durations: write them as numbers")
        return pd.Series(values.ravel()) if values.dtype.kind == "M" else None
    if not holds_dates(dataset[name]):
        return None
    codes, distinct = coded
    try:
        dates = dates_of(distinct)
    except AmbiguousDateError as error:
        if len(there := np.flatnonzero(np.isin(codes, error.entries))):
            written = distinct.iloc[int(codes.flat[there[0]])]
            raise MeasurementError(f"{name}, {_at(dataset, name, there[0])}: {_unclear(written)}") from error
        dates = dates_of(distinct.where(~distinct.index.isin(error.entries), None))  # these were left out
    wrong = np.flatnonzero((dates.isna() & distinct.notna()).to_numpy())
    _refuse(dataset, name, codes, distinct, wrong, "neither a number nor a date such as 2024-05-31 13:00")
    each = pd.concat([dates.dt.tz_convert(None), pd.Series([pd.NaT])]).to_numpy()
    return pd.Series(each[codes.ravel()])


def _start(start: str, variable: xr.DataArray) -> Any:
    """The date at which time is 0, its day and month in the order of the entries, NaT where it is none.

    Raises:
        MeasurementError: neither it nor they tell the order.
    """
    coded = _texts(variable)
    written = pd.Series([start, *([] if coded is None else coded[1])], dtype=object)
    try:
        dates = dates_of(written)
    except AmbiguousDateError as error:
        if 0 in error.entries:
            raise MeasurementError(f"start: {_unclear(start)}") from error
        dates = dates_of(written[:1])
    return dates.dt.tz_convert(None).iloc[0]


def _unclear(date: object) -> str:
    return f"{date!r} does not tell day from month, nor does any other entry: write dates such as 2024-05-31 13:00"


def _number(start: float | str | None) -> float:
    try:
        return 0.0 if start is None else float(start)
    except ValueError as error:
        raise MeasurementError(f"start: {start!r} is no number, but the times of the file are") from error


def _is_number(entry: object) -> bool:
    """Whether an entry is a number, or was meant to be one."""
    return bool(pd.notna(pd.to_numeric(entry, errors="coerce"))) or texts.with_comma(str(entry))  # type: ignore[call-overload]


def _at(dataset: xr.Dataset, name: str, entry: int) -> str:
    variable = dataset[name]
    return place(dataset, tuple(map(str, variable.dims)), variable.shape, int(entry))
