"""Columns of tables that are read in parts, so that no more than the columns that are needed is ever in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats.format import DISTINCT, ROW

# Rows of a part.
PART = 250_000


def collected(
    parts: Iterable[pd.DataFrame],
    names: tuple[str, ...],
    first_row: int,
    as_text: Callable[[str], Iterable[pd.DataFrame]],
) -> xr.Dataset:
    """Columns of a table as a dataset.

    Args:
        parts: of the table, with these columns.
        names: of the columns.
        first_row: which number the first row has in the file.
        as_text: reads one column again, its entries as they are written, where some parts of it are numbers and others
            are not.
    """
    columns = {name: _Column() for name in names}
    for frame in parts:
        for name, column in columns.items():
            column.append(frame[name])
    variables = {}
    for name in names:
        column = columns.pop(name)
        if column.is_mixed:
            column = _Column()
            for frame in as_text(name):
                column.append(frame[name].astype(object))
        variables[name] = (ROW, column.joined(), column.attributes)
    return xr.Dataset(variables, attrs={"first_row": first_row})


class _Column:
    """Parts of a column: numbers or dates as they are, anything else as indices, since labels and dates repeat."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._kinds: set[str] = set()
        self._number: dict[Any, int] = {}

    def append(self, part: pd.Series[Any]) -> None:
        values = np.asarray(part.to_numpy())
        self._kinds.add(values.dtype.kind)
        self._parts.append(values if values.dtype.kind != "O" else self._numbered(values))

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
        return len(self._kinds) > 1 and not self._kinds <= {*"iuf"}

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the variable: what the indices stand for."""
        distinct = np.empty(len(self._number), dtype=object)
        distinct[:] = list(self._number)
        return {DISTINCT: distinct} if "O" in self._kinds else {}

    def joined(self) -> NDArray[Any]:
        """All parts, of which this object then has none any more."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0)])
