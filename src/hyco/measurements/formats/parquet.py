"""Tables of Apache Parquet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import xarray as xr

from hyco.measurements.formats.format import Format, Wanted, dataset_of
from hyco.observations.checks import MeasurementError


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(pyarrow.parquet.read_schema(path).names)
    except pyarrow.ArrowInvalid as error:
        raise MeasurementError(f"it cannot be read as Parquet: {error}") from error


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    return dataset_of(pd.read_parquet(path, columns=list(wanted.names)), wanted.names, first_row=1)


PARQUET = Format(kind="table", names=_names, read=_read)
