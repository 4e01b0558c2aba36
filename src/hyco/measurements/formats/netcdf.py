"""NetCDF 3 and 4 with the conventions of CF: `_FillValue`, `missing_value`, `scale_factor`, `units` of times."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from hyco.measurements.formats.format import Format, Wanted
from hyco.observations.checks import MeasurementError


def _open(path: Path) -> xr.Dataset:
    """The file as it is on disk, for a `with`.

    Raises:
        MeasurementError: it is no NetCDF file, or has dates that cannot be read.
    """
    with path.open("rb") as file:
        # The classic format begins with its name, NetCDF 4 is HDF5.
        engine: Literal["scipy", "h5netcdf"] = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    try:
        return xr.open_dataset(path, engine=engine, decode_timedelta=False)
    except (OSError, ValueError, TypeError) as error:
        raise MeasurementError(f"it cannot be read as NetCDF: {str(error).splitlines()[0]}") from error


def _names(path: Path) -> tuple[str, ...]:
    with _open(path) as dataset:
        return tuple(dict.fromkeys([*map(str, dataset.variables), *map(str, dataset.dims)]))


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    with _open(path) as dataset:
        variables = {}
        for name in wanted.names:
            if name in dataset.variables:
                variable = dataset[name].variable.load()
                variables[name] = (variable.dims, variable.values)
            elif name == wanted.simulation:
                variables[name] = ((name,), np.arange(dataset.sizes[name]))
            else:
                raise MeasurementError(f"{name} is a dimension without coordinates: the file needs a variable of them")
        # A variable with the name of its dimension would be an index, which has to be one-dimensional: rename all.
        dims = {dim: f"{dim} " for shape, _ in variables.values() for dim in shape}
        return xr.Dataset({name: ([dims[d] for d in shape], values) for name, (shape, values) in variables.items()})


NETCDF = Format(kind="array", names=_names, read=_read)
