"""Datasets of HDF5 by their paths, such as `run/u`; fill values, scale factors and units of times as in CF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats.dimensions import named
from hyco.measurements.formats.format import Format, Wanted
from hyco.observations.checks import MeasurementError

_CONVENTIONS = ("_FillValue", "missing_value", "scale_factor", "add_offset", "units", "calendar")


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file of HDF5, for a `with`.

    Raises:
        MeasurementError: it cannot be opened, or what is read of it in the `with` is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except MeasurementError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, MemoryError) as error:
        raise MeasurementError(f"it cannot be read as HDF5: {' '.join(str(error).split())[:200]}") from error


def names_of_datasets(path: Path) -> tuple[str, ...]:
    """The paths of all datasets."""
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            names.append(name)

    with opened(path) as file:
        file.visititems(visit)
    return tuple(names)


def read_datasets(path: Path, wanted: Wanted, arrange: Callable[[NDArray[Any]], NDArray[Any]]) -> xr.Dataset:
    """Some datasets.

    Args:
        path: of the file.
        wanted: the paths of datasets.
        arrange: brings the axes of an array into the order that its author sees.
    """
    with opened(path) as file:
        arrays = {name: _decoded(name, file[name], arrange) for name in wanted.names if name in file}
        units = {name: _plain(file[name].attrs["units"]) for name in arrays if "units" in file[name].attrs}
    dataset = named(arrays, wanted)
    for name, unit in units.items():
        dataset[name].attrs["units"] = str(unit)
    return dataset


def _decoded(name: str, dataset: h5py.Dataset, arrange: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return arrange(np.asarray(dataset.asstr()[()], dtype=str))
    attributes = {key: _plain(dataset.attrs[key]) for key in _CONVENTIONS if key in dataset.attrs}
    values = arrange(np.asarray(dataset[()]))
    if values.dtype.kind not in "iufb":
        raise MeasurementError(f"{name} holds no numbers ({values.dtype})")
    variable = xr.Variable([f"axis {i}" for i in range(values.ndim)], values, attributes)
    return xr.decode_cf(xr.Dataset({name: variable}), decode_timedelta=False)[name].to_numpy()


def _plain(value: Any) -> Any:
    """An attribute without the array of one that it may be wrapped in."""
    value = value.decode() if isinstance(value, bytes) else value
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value


def _read(path: Path, wanted: Wanted) -> xr.Dataset:
    return read_datasets(path, wanted, lambda values: values)


HDF5 = Format(kind="array", names=names_of_datasets, read=_read, free_simulation=True)
