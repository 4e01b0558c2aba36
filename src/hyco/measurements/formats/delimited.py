"""Tables as text: comma-separated values, also with semicolons or tabs between them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import xarray as xr

from hyco.measurements.formats.format import Format, Wanted
from hyco.measurements.formats.tables import PART, collected
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
    columns = {names.index(name): name for name in wanted.names}

    def parts(*written: str) -> Iterator[pd.DataFrame]:
        types: dict[int, type] = {names.index(name): object for name in written}
        for frame in _parts(path, separator, len(names), types):
            yield frame[list(columns)].rename(columns=columns)

    return collected(parts, wanted, _FIRST_ROW)


def _parts(path: Path, separator: str, width: int, types: dict[int, type]) -> Iterator[pd.DataFrame]:
    """The table in parts, with its columns numbered.

    All of them, though some are not needed: pandas counts the fields of a row only where it reads them all.

    Raises:
        MeasurementError: a row has more fields than there are columns, or the text cannot be read.
    """
    try:
        with pd.read_csv(
            path,
            sep=separator,
            encoding=_ENCODING,
            header=None,
            names=range(width),
            skiprows=1,
            skipinitialspace=True,
            skip_blank_lines=False,  # so that rows keep their numbers
            low_memory=False,
            chunksize=PART,
            dtype=types,
        ) as reader:
            for frame in reader:
                if not isinstance(frame.index, pd.RangeIndex):
                    raise MeasurementError(f"row {_FIRST_ROW} has more fields than the first line has names ({width})")
                yield frame
    except pd.errors.EmptyDataError:
        return
    except MeasurementError:
        raise
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise MeasurementError(f"it is no table: {' '.join(str(error).split())}") from error


CSV = Format(kind="table", names=_names, read=_read)
