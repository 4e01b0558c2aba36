"""Datasets of xarray in NetCDF 4 files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import xarray as xr
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from hyco.datasets.previews import table


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
        """Write the file."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._filepath.with_name(f".{self._filepath.name}.{os.getpid()}.part")
        try:
            data.to_netcdf(temporary, engine="h5netcdf")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self._filepath)
        finally:
            temporary.unlink(missing_ok=True)

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
