"""Tables as text: comma-separated values, also with semicolons or tabs between them."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import xarray as xr

from hyco.measurements.formats.format import Format, Wanted, dataset_of
from hyco.observations.checks import MeasurementError

# A byte-order mark at the beginning is none of the text.
_ENCODING = "utf-8-sig"
# The first line has the names.
_FIRST_ROW = 2


def _header(path: Path) -> tuple[str, list[str]]:
    """What separates columns, and their names.

    Raises:
        MeasurementError: there is no first line with one name for each column.
    """
    try:
        with path.open(encoding=_ENCODING, newline="") as file:
            line = file.readline()
    except UnicodeDecodeError as error:
        raise MeasurementError(f"the file is not text in UTF-8 ({error.reason}): save it as such") from error
    separator = max(",;\t", key=line.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]
    if not any(names):
        raise MeasurementError("the first line has to name the columns, it is empty")
    if all(_is_number(name) for name in names):
        raise MeasurementError(f"the first line has to name the columns, it has numbers: {line.strip()[:60]}")
    return separator, names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(path: Path) -> tuple[str, ...]:
    return tuple(name for name in _header(path)[1] if name)


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    separator, names = _header(path)
    for name in wanted.names:
        if names.count(name) > 1:
            raise MeasurementError(f"{names.count(name)} columns have the name {name!r}: rename all but one")
    # All columns, and those asked for afterwards: pandas counts the fields of a row only where it reads them all.
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            encoding=_ENCODING,
            header=None,
            names=range(len(names)),
            skiprows=1,
            skipinitialspace=True,
            skip_blank_lines=False,  # so that rows keep their numbers
            low_memory=False,
        )
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise MeasurementError(f"it is no table: {' '.join(str(error).split())}") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise MeasurementError(f"row {_FIRST_ROW} has more fields than the first line has names ({len(names)})")
    columns = {names.index(name): name for name in wanted.names}
    return dataset_of(frame[list(columns)].rename(columns=columns), wanted.names, _FIRST_ROW)


CSV = Format(kind="table", names=_names, read=_read)
