"""Files of MATLAB: version 5 to 7, and 7.3, which is HDF5 with the axes in opposite order."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import xarray as xr

from hyco.measurements.formats.dimensions import named
from hyco.measurements.formats.format import Format, Wanted
from hyco.measurements.formats.hdf5 import names_of_datasets, read_datasets
from hyco.measurements.formats.matlab_check import check
from hyco.observations.checks import MeasurementError

# What SciPy raises where a file is cut short, empty, of another kind or of a version that it does not read.
_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    OSError,
    NotImplementedError,
    MemoryError,
    zlib.error,
    scipy.io.matlab.MatReadError,
)


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise MeasurementError(
            f"it cannot be read as a file of MATLAB: {' '.join(str(error).split())[:200]}"
        ) from error


def _names(path: Path) -> tuple[str, ...]:
    if h5py.is_hdf5(path):
        return names_of_datasets(path)
    with _refused():
        return tuple(name for name, _, _ in scipy.io.whosmat(path, appendmat=False))


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    if h5py.is_hdf5(path):
        return read_datasets(path, wanted, np.transpose)
    check(path, wanted.names)
    with _refused():
        arrays = scipy.io.loadmat(path, variable_names=list(wanted.names), appendmat=False)
    return named({name: np.asarray(arrays[name]) for name in wanted.names if name in arrays}, wanted)


MATLAB = Format(kind="array", names=_names, read=_read, free_simulation=True)
