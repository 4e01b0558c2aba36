"""NetCDF 3 and 4 with the conventions of CF: `_FillValue`, `missing_value`, `scale_factor`, `units` of times."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import xarray as xr

from hyco.measurements.formats import cf
from hyco.measurements.formats.format import Format, Wanted
from hyco.observations.checks import MeasurementError


def _open(path: Path) -> xr.Dataset:
    """The file as it is on disk, for a `with`.

    Raises:
        MeasurementError: it is no NetCDF file.
    """
    with path.open("rb") as file:
        # The classic format begins with its name, NetCDF 4 is HDF5.
        engine: Literal["scipy", "h5netcdf"] = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    try:
        return xr.open_dataset(path, engine=engine, decode_cf=False, create_default_indexes=False)
    except cf.UNREADABLE as error:
        raise MeasurementError(f"it cannot be read as NetCDF: {' '.join(str(error).split())[:200]}") from error


def _names(path: Path) -> tuple[str, ...]:
    with _open(path) as dataset:
        return cf.names(dataset)


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    with _open(path) as dataset:
        return cf.read(dataset, wanted)


NETCDF = Format(kind="array", names=_names, read=_read)
