"""Columns of tables that are read in parts, so that no more than the columns that are needed is ever in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats import texts
from hyco.measurements.formats.format import DISTINCT, ROW, Wanted
from hyco.observations.checks import MeasurementError

# Rows of a part.
PART = 250_000


def collected(parts: Callable[..., Iterable[pd.DataFrame]], wanted: Wanted, first_row: int) -> xr.Dataset:
    """Columns of a table as a dataset.

    Args:
        parts: reads the table, with the columns that are wanted; or, given the name of one, its entries as they are
            written.
        wanted: the names of columns.
        first_row: which number the first row has in the file.

    Raises:
        MeasurementError: a column has numbers, but not everywhere.
    """
    columns = {name: _Column() for name in wanted.names}
    for frame in parts():
        for name, column in columns.items():
            column.append(frame[name])
    variables = {}
    for name in wanted.names:
        column = columns.pop(name)
        if column.is_mixed and name == wanted.simulation:
            column = _Column()
            for frame in parts(name):
                column.append(frame[name].astype(object))
        if column.is_mixed and (wrong := column.settle()):
            entry, text = wrong
            raise MeasurementError(f"{name}, row {first_row + entry}: {texts.refusal(text, 'not a number')}")
        variables[name] = (ROW, column.joined(), column.attributes)
    return xr.Dataset(variables, attrs={"first_row": first_row})


class _Column:
    """Parts of a column: numbers or dates as they are, anything else as indices, since labels and dates repeat."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._is_text: list[bool] = []
        self._number: dict[Any, int] = {}

    def append(self, part: pd.Series[Any]) -> None:
        values = np.asarray(part.to_numpy())
        self._is_text.append(values.dtype.kind == "O")
        self._parts.append(self._numbered(values) if self._is_text[-1] else values)

    def _numbered(self, values: NDArray[Any]) -> NDArray[np.int32]:
        try:
            codes, distinct = pd.factorize(values)
        except TypeError:  # lists and the like
            codes, distinct = pd.factorize(np.array([None if v is None else str(v) for v in values], dtype=object))
        numbers = [self._number.setdefault(entry, len(self._number)) for entry in distinct]
        return np.array([*numbers, -1], dtype=np.int32)[codes]

    @property
    def is_mixed(self) -> bool:
        """Whether some parts are numbers and others are not."""
        pairs = zip(self._parts, self._is_text, strict=True)
        kinds = {"text" if is_text else part.dtype.kind for part, is_text in pairs}
        return len(kinds) > 1 and not kinds <= {*"iuf"}

    def settle(self) -> tuple[int, object] | None:
        """Make all parts texts or all numbers, as nearly all entries are; the first entry that this fails for."""
        numbers = [part for part, is_text in zip(self._parts, self._is_text, strict=True) if not is_text]
        if all(part.dtype.kind == "f" and np.isnan(part).all() for part in numbers):
            pairs = zip(self._parts, self._is_text, strict=True)
            self._parts = [part if is_text else np.full(len(part), -1, dtype=np.int32) for part, is_text in pairs]
            self._is_text = [True] * len(self._parts)
            return None
        distinct = pd.Series(list(self._number), dtype=object).map(texts.blank_to_missing)
        values, wrong = texts.converted(distinct)
        first = 0
        for i, part in enumerate(self._parts):
            if self._is_text[i]:
                bad = np.flatnonzero(np.isin(part, wrong))
                if len(bad):
                    return first + int(bad[0]), distinct.iloc[int(part[bad[0]])]
                self._parts[i], self._is_text[i] = np.append(values, np.nan)[part], False
            elif part.dtype.kind not in "iuf":
                return first, str(part[0])
            first += len(part)
        return None

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the variable: what the indices stand for."""
        distinct = np.empty(len(self._number), dtype=object)
        distinct[:] = list(self._number)
        return {DISTINCT: distinct} if any(self._is_text) else {}

    def joined(self) -> NDArray[Any]:
        """All parts, of which this object then has none any more."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0)])
