"""Tables of Apache Parquet, read by groups of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import xarray as xr

from hyco.measurements.formats.format import Format, Wanted
from hyco.measurements.formats.tables import PART, collected
from hyco.observations.checks import MeasurementError


def _names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise MeasurementError(f"it cannot be read as Parquet: {' '.join(str(error).split())}") from error


def _parts(path: Path, names: list[str]) -> Iterator[pd.DataFrame]:
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=PART, columns=names):
                yield batch.to_pandas(ignore_metadata=True)  # what pandas calls an index is a column, too
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise MeasurementError(f"it cannot be read as Parquet: {' '.join(str(error).split())}") from error


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    names = list(wanted.names)
    return collected(lambda *name: _parts(path, list(name) or names), wanted, first_row=1)


PARQUET = Format(kind="table", names=_names, read=_read)
