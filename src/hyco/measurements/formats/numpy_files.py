"""Files of NumPy: `.npz` with an array for each name, `.npy` with one array that has named columns. No pickles."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hyco.measurements.formats.dimensions import named
from hyco.measurements.formats.format import ROW, Format, Wanted
from hyco.observations.checks import MeasurementError

# What NumPy raises where a file is cut short, damaged or of another kind: it reads headers as Python's literals.
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def _load(path: Path) -> Any:
    """What `numpy.load` gives.

    Raises:
        MeasurementError: it cannot be read, or holds pickled objects.
    """
    try:
        return np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise MeasurementError(f"it cannot be read as arrays of NumPy: {' '.join(str(error).split())[:200]}") from error


def _archive(path: Path) -> Mapping[str, Any]:
    loaded = _load(path)
    if isinstance(loaded, np.ndarray):
        raise MeasurementError("it holds one array without a name: write it with numpy.savez(file, time=…, x=…, u=…)")
    return loaded  # type: ignore[no-any-return]


def _names_of_archive(path: Path) -> tuple[str, ...]:
    return tuple(_archive(path))


def _read_archive(path: Path, wanted: Wanted) -> xr.Dataset:
    archive = _archive(path)
    arrays = {}
    for name in (name for name in wanted.names if name in archive):
        try:
            arrays[name] = np.asarray(archive[name])
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())[:200]
            pickled = "Python objects, which are not read: " if "allow_pickle" in reason else ""
            raise MeasurementError(f"{name} cannot be read: {pickled}{reason}") from error
    return named(arrays, wanted)


def _columns(path: Path) -> np.ndarray[Any, Any]:
    array = np.asarray(_load(path))
    if array.dtype.names is None:
        shape = " x ".join(map(str, array.shape))
        raise MeasurementError(
            f"one array of {shape} numbers says neither when nor where they were measured: write it with "
            "numpy.savez(file.npz, time=…, x=…, u=…)"
        )
    return array.ravel()


def _names_of_columns(path: Path) -> tuple[str, ...]:
    return tuple(_columns(path).dtype.names or ())


def _read_columns(path: Path, wanted: Wanted) -> xr.Dataset:
    array = _columns(path)
    return xr.Dataset({name: (ROW, array[name]) for name in wanted.names}, attrs={"first_row": 1})


NPZ = Format(kind="array", names=_names_of_archive, read=_read_archive, free_simulation=True)
NPY = Format(kind="array", names=_names_of_columns, read=_read_columns)
