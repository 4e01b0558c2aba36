"""What layouts of many trajectories have in common: an axis of them, and components of vectors behind the axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.measurements.formats.format import SIMULATION, Wanted
from hyco.observations.checks import MeasurementError

# Dimensions and entries of a variable.
Variable = tuple[tuple[str, ...], NDArray[Any]]


def is_numeric(item: Any) -> bool:
    """Whether something in a file is an array of numbers."""
    return isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf"


def component(name: str) -> tuple[str, tuple[int, ...]]:
    """`data:1` as `data` and (1,), which is the index on the axis after those of space."""
    base, *parts = name.split(":")
    return base, tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def chosen(count: int, wanted: Wanted) -> list[int]:
    """The trajectories that are read, of those that there are.

    Raises:
        MeasurementError: one that is needed is not there.
    """
    if wanted.trajectories is None:
        return list(range(count))
    if beyond := [i for i in wanted.trajectories if i >= count]:
        raise MeasurementError(
            f"observation asks for simulation {max(beyond)}, but the file has {count}, counted from 0"
        )
    return sorted(set(wanted.trajectories))


def selection(which: list[int]) -> slice | list[int]:
    """The trajectories as an index of their axis; a slice is read faster."""
    whole = range(which[0], which[-1] + 1)
    return slice(whole.start, whole.stop) if which == list(whole) else which


def assembled(variables: Mapping[str, Variable], wanted: Wanted, count: int) -> xr.Dataset:
    """Variables as a dataset, in which a space follows the names of dimensions so that none is an index.

    Args:
        variables: by their names; trajectories are the dimension `SIMULATION`, of which those of `chosen` are there.
        wanted: what is asked for; `simulation` is any word for that dimension.
        count: of trajectories in the file.
    """
    word = wanted.simulation or SIMULATION
    named = {name: ([f"{word if d == SIMULATION else d} " for d in dims], a) for name, (dims, a) in variables.items()}
    dataset = xr.Dataset(named)
    if wanted.simulation is not None:
        dataset[word] = ((f"{word} ",), np.array(chosen(count, wanted)), {"count": count})
    return dataset
