"""Arrays without names of their axes: which axis is which, told by the lengths of times and positions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats.format import ROW, Wanted
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]


def named(arrays: Arrays, wanted: Wanted) -> xr.Dataset:
    """Arrays with names for their axes.

    Arrays of one shape are a list, one measurement for each entry. Else times and positions are vectors, and the other
    arrays have an axis for each of them, and one for the simulations where there are several: in the order simulation,
    time, x, y, z; or in another order where the lengths of the axes leave no doubt. Axes of length one do not matter.

    Args:
        arrays: by their names in the file; only that of the simulation may be missing.
        wanted: what they are.

    Raises:
        MeasurementError: an array that this does not explain.
    """
    squeezed = {name: np.squeeze(array) for name, array in arrays.items()}
    if len({array.shape for array in squeezed.values() if array.ndim}) <= 1:
        return _list(squeezed, wanted)
    lengths: dict[str, int | None] = {}
    if wanted.simulation is not None:
        lengths[wanted.simulation] = None if wanted.simulation not in squeezed else squeezed[wanted.simulation].size
    for name in wanted.coordinates:
        if squeezed[name].ndim > 1:
            raise MeasurementError(
                f"{name} has the shape {list(arrays[name].shape)}: it must be a vector, or all arrays of one shape"
            )
        lengths[name] = squeezed[name].size
    dims: dict[str, tuple[str, ...]] = {
        name: (f"{name} ",) if squeezed[name].ndim else () for name in lengths if name in squeezed
    }
    for name in wanted.quantities:
        if name in lengths:
            raise MeasurementError(f"{name} cannot be both a coordinate and a value")
        if squeezed[name].ndim or name == wanted.quantities[0]:
            dims[name] = tuple(f"{axis} " for axis in _order(name, squeezed[name].shape, lengths))
        else:
            dims[name] = ()
    dataset = xr.Dataset({name: (dims[name], squeezed[name]) for name in dims})
    missing = wanted.simulation
    if missing is not None and missing not in dataset:
        dataset[missing] = ((f"{missing} ",), np.arange(dataset.sizes.get(f"{missing} ", 1)))
    return dataset


def _list(arrays: Arrays, wanted: Wanted) -> xr.Dataset:
    """Arrays of one shape, or single numbers: an entry of each is one measurement."""
    if wanted.simulation is not None and wanted.simulation not in arrays:
        raise MeasurementError(
            f"simulation: there is no {wanted.simulation} in the file, and all arrays have one shape"
        )
    alike = np.broadcast_arrays(*arrays.values())
    columns = {name: (ROW, array.ravel()) for name, array in zip(arrays, alike, strict=True)}
    return xr.Dataset(columns, attrs={"first_row": 1})


def _order(name: str, shape: tuple[int, ...], lengths: Mapping[str, int | None]) -> tuple[str, ...]:
    """The coordinates that the axes of an array belong to.

    Raises:
        MeasurementError: no order fits, or several do.
    """
    longer = tuple(axis for axis, length in lengths.items() if length != 1)
    fitting = [order for order in permutations(longer) if _fits(order, shape, lengths)]
    if fitting and (fitting[0] == longer or len(fitting) == 1):
        if len(fitting) > 1:
            log.info("%s: its axes are taken for (%s), in this order", name, ", ".join(longer))
        return fitting[0]
    expected = ", ".join(f"{axis} ({'any' if length is None else length})" for axis, length in lengths.items())
    problem = "several orders of the axes fit" if fitting else "no order of the axes fits"
    raise MeasurementError(
        f"{name} has the shape {list(shape)}, expected are the axes {expected} in this order: {problem}"
    )


def _fits(order: tuple[str, ...], shape: tuple[int, ...], lengths: Mapping[str, int | None]) -> bool:
    if len(order) != len(shape):
        return False
    return all(lengths[axis] in (None, length) for axis, length in zip(order, shape, strict=True))
