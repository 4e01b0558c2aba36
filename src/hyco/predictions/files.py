"""Files of states: arrays by name, with the names of their axes where the format has any, or columns of a table."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from hyco.measurements.formats import FORMATS, Wanted


class PredictionError(ValueError):
    """Predictions that cannot be made of what is given; the message says in a line what to do."""


def read_states_file(path: Path) -> xr.Dataset:
    """The arrays of a file. Axes without a name have names that no other axis has.

    Args:
        path: of NetCDF (.nc), NumPy (.npz, no pickled objects), safetensors, or a table (.csv and the like).

    Raises:
        PredictionError: there is no such file, it is of another kind, or cannot be read.
    """
    if not path.is_file():
        raise PredictionError(f"predict.initial_states: there is no file {path}")
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise PredictionError(
            f"predict.initial_states: {path.name} has an unknown ending; allowed: {', '.join(_READERS)}"
        )
    try:
        return read(path)
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise PredictionError(f"{path}: it cannot be read: {str(error).splitlines()[0]}") from error


def _netcdf(path: Path) -> xr.Dataset:
    with path.open("rb") as file:
        # The classic format begins with its name, NetCDF 4 is HDF5.
        engine: Literal["scipy", "h5netcdf"] = "scipy" if file.read(3) == b"CDF" else "h5netcdf"
    with xr.open_dataset(path, engine=engine, decode_timedelta=False) as dataset:
        return dataset.load()


def _npz(path: Path) -> xr.Dataset:
    with np.load(path, allow_pickle=False) as archive:
        return _unnamed({name: np.asarray(archive[name]) for name in archive.files})


def _safetensors(path: Path) -> xr.Dataset:
    with safe_open(path, framework="np") as file:
        # No mapping: the names have to be asked for.
        return _unnamed({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def _unnamed(arrays: Mapping[str, NDArray[Any]]) -> xr.Dataset:
    named = {name: ([f"{name}, axis {i}" for i in range(a.ndim)], a) for name, a in arrays.items()}
    return xr.Dataset(named, attrs={"unnamed axes": 1})


def _table(path: Path) -> xr.Dataset:
    form = FORMATS[path.suffix.lower()]
    return form.read(path, Wanted(None, (), form.names(path)))


_READERS: dict[str, Callable[[Path], xr.Dataset]] = {
    ".nc": _netcdf,
    ".npz": _npz,
    ".safetensors": _safetensors,
    **dict.fromkeys((".csv", ".tsv", ".txt", ".dat", ".parquet"), _table),
}
