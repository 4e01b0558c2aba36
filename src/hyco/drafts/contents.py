"""Everything that a file of measurements holds, by the names that it has there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements import columns
from hyco.measurements.formats import FORMATS, Wanted
from hyco.observations.checks import MeasurementError

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Contents:
    """A file.

    Attributes:
        kind: table, or arrays.
        variables: columns or arrays that can be read, each as a dataset of its own, by name.
        dimensions: names of dimensions without coordinates, with their lengths.
    """

    kind: Literal["table", "array"]
    variables: dict[str, xr.Dataset]
    dimensions: dict[str, int]

    def size(self, name: str) -> int:
        """Entries of a variable."""
        return int(self.variables[name][name].size)

    def dims(self, name: str) -> tuple[str, ...]:
        """Dimensions of a variable; where the file has none, they are no names of it."""
        return tuple(str(dim).strip() for dim in self.variables[name][name].dims)

    def numbers(self, name: str) -> Numbers | None:
        """All entries in one row, `[n]`, NaN where missing; None where they are no numbers."""
        try:
            return np.asarray(columns.numbers(self.variables[name], name).to_numpy().ravel(), dtype=np.float64)
        except MeasurementError:
            return None

    def times(self, name: str) -> Numbers | None:
        """The same since the earliest, in seconds where they are dates; None where they are neither."""
        try:
            return np.asarray(columns.times(self.variables[name], name, None).to_numpy().ravel(), dtype=np.float64)
        except MeasurementError:
            return None

    def no_times(self, name: str) -> str | None:
        """Why a variable holds no times; None where it does."""
        try:
            columns.times(self.variables[name], name, None)
        except MeasurementError as error:
            return str(error)
        return None

    def labels(self, name: str) -> int:
        """How many different entries there are."""
        return columns.labels(self.variables[name][name])[1]

    def codes(self, name: str) -> NDArray[np.int64]:
        """Which of the different entries each one is, in one row, `[n]`, -1 where it is missing."""
        return columns.labels(self.variables[name][name])[0].ravel()


def contents_of(path: Path) -> Contents:
    """Look at all of a file.

    Raises:
        MeasurementError: there is no such file, it cannot be read, or holds nothing that can.
    """
    if not path.exists():
        raise MeasurementError("there is no such file")
    if path.suffix.lower() not in FORMATS:
        ending = path.suffix or "nothing"
        raise MeasurementError(f"files that end in {ending!r} cannot be read; allowed: {', '.join(FORMATS)}")
    format_ = FORMATS[path.suffix.lower()]
    if path.is_dir() != format_.is_folder:
        raise MeasurementError("is no file" if path.is_dir() else "is no folder, which a store of Zarr has to be")
    names = format_.names(path)
    if format_.kind == "table":
        whole = format_.read(path, Wanted(None, names, ()))
        return Contents("table", {name: whole[[name]] for name in names}, {})
    variables: dict[str, xr.Dataset] = {}
    refusals: dict[str, str] = {}
    for name in names:
        try:
            variables[name] = format_.read(path, Wanted(None, (), (name,)))
        except MeasurementError as error:  # text, or a dimension: what is needed of it is asked for later
            refusals[name] = str(error)
    if not variables:
        raise MeasurementError("; ".join(f"{name}: {text}" for name, text in refusals.items()) or "it holds nothing")
    sizes = {str(d).strip(): n for dataset in variables.values() for d, n in dataset.sizes.items()}
    return Contents("array", variables, {name: sizes[name] for name in refusals if name in sizes})
