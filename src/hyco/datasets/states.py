"""Files of states to predict from, which a user brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import xarray as xr
from kedro.io import AbstractDataset, DatasetError

from hyco.predictions.files import PredictionError, read_states_file


class StatesFileError(DatasetError):
    """The file cannot be read; the message says why, and what is allowed."""


class StatesDataset(AbstractDataset[NoReturn, xr.Dataset | None]):
    """The arrays of a file of states, or the columns of a table; None where no file was named.

    Args:
        filepath: of the file; None: there is none.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = None if filepath is None else Path(filepath)
        self.metadata = metadata

    def move_to(self, filepath: Path) -> None:
        """Read another file; only before the first use."""
        self._filepath = filepath

    def load(self) -> xr.Dataset | None:
        """The arrays by name.

        Raises:
            StatesFileError: there is no such file, or it is not readable.
        """
        if self._filepath is None:
            return None
        try:
            return read_states_file(self._filepath)
        except PredictionError as error:
            raise StatesFileError(str(error)) from error

    def save(self, data: NoReturn) -> None:
        """Nothing is written here.

        Raises:
            DatasetError: always.
        """
        raise DatasetError("a file of initial states is only read")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": None if self._filepath is None else str(self._filepath)}
