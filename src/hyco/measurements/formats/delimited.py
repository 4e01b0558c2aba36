"""Tables as text: values with commas, semicolons, tabs or spaces between them.

Lines before the table that start with # are left out; where the names of the columns stand in the last of these, as
`numpy.savetxt` writes them, they are taken from there. Where commas separate no columns, all numbers may be written
with decimal commas.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import xarray as xr
from pandas.api.types import is_numeric_dtype

from hyco.measurements.formats.format import Format, Wanted
from hyco.measurements.formats.tables import PART, collected
from hyco.observations.checks import MeasurementError

# A byte-order mark at the beginning is none of the text.
_ENCODING = "utf-8-sig"
_COMMENT = "#"
_SEPARATORS = ",;\t"
_SPACES = r"\s+"
# Rows that tell how numbers are written.
_LOOKED_AT = 200
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?$")
_COMMA = re.compile(r"([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)$")


@dataclass(frozen=True)
class _Layout:
    """How a table is written.

    Attributes:
        separator: what stands between columns, a regular expression where it is spaces.
        decimal: a point or a comma.
        names: of the columns.
        above: lines before the first row of values.
    """

    separator: str
    decimal: str
    names: list[str]
    above: int


def _layout(path: Path) -> _Layout:
    """Look at the beginning of a file.

    Raises:
        MeasurementError: there is no line with one name for each column.
    """
    try:
        with path.open(encoding=_ENCODING, newline="") as file:
            comments = 0
            line, last = file.readline(), ""
            while line.startswith(_COMMENT):
                comments, last, line = comments + 1, line, file.readline()
            rows = [line, *islice(file, _LOOKED_AT)]
    except UnicodeDecodeError as error:
        raise MeasurementError(f"the file is not text in UTF-8 ({error.reason}): save it as such") from error
    separator = _separator(line)
    names, above = _split(line, separator), comments + 1
    if last and any(names) and all(_is_number(name) for name in names):
        above, names = comments, _split(last.lstrip(_COMMENT), separator)
        if len(names) != len(_split(line, separator)):
            wanted = len(_split(line, separator))
            raise MeasurementError(f"the line above the numbers has to name {wanted} columns: {last.strip()[:60]}")
    else:
        rows = rows[1:]
    if not any(names):
        raise MeasurementError("the first line has to name the columns, it is empty")
    if all(_is_number(name) for name in names):
        raise MeasurementError(f"the first line has to name the columns, it has numbers: {line.strip()[:60]}")
    entries = [_split(row, separator) for row in rows if row.strip()]
    if separator == _SPACES and entries and len(entries[0]) != len(names):
        raise MeasurementError(
            f"row {above + 1} has {len(entries[0])} values, but there are {len(names)} names: names have no spaces "
            f"where spaces stand between columns"
        )
    return _Layout(separator, _decimal(entries, separator), names, above)


def _separator(line: str) -> str:
    found = max(_SEPARATORS, key=line.count)
    return found if line.count(found) or len(line.split()) < 2 else _SPACES


def _split(line: str, separator: str) -> list[str]:
    if separator == _SPACES:
        return line.split()
    return [name.strip() for name in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _decimal(rows: list[list[str]], separator: str) -> str:
    """A comma where numbers are written with it, and none with a point."""
    entries = [entry for row in rows for entry in row]
    with_comma = separator != "," and any(map(_COMMA.match, entries)) and not any(map(_POINT.match, entries))
    return "," if with_comma else "."


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _names(path: Path) -> tuple[str, ...]:
    return tuple(name for name in _layout(path).names if name)


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    layout = _layout(path)
    names = layout.names
    for name in wanted.names:
        if names.count(name) > 1:
            raise MeasurementError(f"{names.count(name)} columns have the name {name!r}: rename all but one")
    columns = {names.index(name): name for name in wanted.names}

    def parts(*written: str) -> Iterator[pd.DataFrame]:
        types: dict[int, type] = {names.index(name): object for name in written}
        for frame in _parts(path, layout, types):
            part = frame[list(columns)].rename(columns=columns)
            # Where text stands among numbers, pandas leaves all of the column as it is written.
            for name in columns.values() if layout.decimal == "," else ():
                if not is_numeric_dtype(part[name]):
                    part[name] = part[name].replace(_COMMA, r"\1.\2", regex=True)
            yield part

    return collected(parts, wanted, layout.above + 1)


def _parts(path: Path, layout: _Layout, types: dict[int, type]) -> Iterator[pd.DataFrame]:
    """The table in parts, with its columns numbered.

    All of them, though some are not needed: pandas counts the fields of a row only where it reads them all.

    Raises:
        MeasurementError: a row has more fields than there are columns, or the text cannot be read.
    """
    width = len(layout.names)
    try:
        with pd.read_csv(
            path,
            sep=layout.separator,
            decimal=layout.decimal,
            encoding=_ENCODING,
            header=None,
            names=range(width),
            skiprows=layout.above,
            skipinitialspace=True,
            skip_blank_lines=False,  # so that rows keep their numbers
            low_memory=False,
            chunksize=PART,
            dtype=types,
        ) as reader:
            for frame in reader:
                if not isinstance(frame.index, pd.RangeIndex):
                    raise MeasurementError(
                        f"row {layout.above + 1} has more fields than the first line has names ({width})"
                    )
                yield frame
    except pd.errors.EmptyDataError:
        return
    except MeasurementError:
        raise
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise MeasurementError(f"it is no table: {' '.join(str(error).split())}") from error


CSV = Format(kind="table", names=_names, read=_read)
