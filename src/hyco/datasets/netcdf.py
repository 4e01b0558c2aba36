"""Datasets of xarray in NetCDF 4 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from hyco.datasets.previews import table
from hyco.runtime.storage import write_atomically


class NetCDFDataset(AbstractDataset[xr.Dataset, xr.Dataset]):
    """An `xarray.Dataset` in a NetCDF 4 file, written so that a reader sees the old file or the new one.

    Args:
        filepath: of the file.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> xr.Dataset:
        """All of the file, in memory."""
        with xr.open_dataset(self._filepath, engine="h5netcdf", decode_timedelta=False) as dataset:
            return dataset.load()

    def save(self, data: xr.Dataset) -> None:
        """Write the file: by way of memory, as on a full disk the HDF5 library ends the whole process."""
        write_atomically(self._filepath, data.to_netcdf(None, engine="h5netcdf"))

    def preview(self) -> TablePreview:
        """One row per variable: its axes and its range."""
        columns = ["variable", "axes", "min", "max"]
        if not self._exists():
            return table(columns, [])
        with xr.open_dataset(self._filepath, engine="h5netcdf", decode_timedelta=False) as dataset:
            rows: list[list[Any]] = [
                [str(name), " × ".join(f"{dim} {n}" for dim, n in v.sizes.items()), float(v.min()), float(v.max())]
                for name, v in dataset.data_vars.items()
            ]
        return table(columns, rows)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
