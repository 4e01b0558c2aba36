"""The layout of The Well: HDF5 with scalars, vectors and tensors in groups, on a grid that all trajectories share.

`t0_fields/NAME` has the axes trajectory, time and those of space, `t1_fields/NAME` one more for the components of a
vector, `t2_fields/NAME` two more. The attributes `sample_varying`, `time_varying` and `dim_varying` say which axes an
array lacks since it is constant along them: it is repeated there. `dimensions` has `time` and the positions.

Source: Ohana et al., The Well (NeurIPS 2024), https://github.com/PolymathicAI/the_well: `docs/data_format.md` specifies
these files, `the_well/data/datasets.py` and `the_well/utils/export.py` read them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import h5py
import numpy as np
from xarray import Dataset

from hyco.measurements.formats.format import SIMULATION, Format, Wanted
from hyco.measurements.formats.hdf5 import opened
from hyco.measurements.formats.trajectories import Variable, assembled, chosen, is_numeric, selection
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)

# Groups of fields, and how many axes of components theirs have.
_ORDERS = {"t0_fields": 0, "t1_fields": 1, "t2_fields": 2}


def _recognised(path: Path) -> bool:
    with opened(path) as file:
        return is_numeric(file.get("dimensions/time")) and any(group in file for group in _ORDERS)


def _space(file: h5py.File) -> list[str]:
    """Names of the axes, in order."""
    dimensions = file["dimensions"]
    if "spatial_dims" not in dimensions.attrs:
        raise MeasurementError("dimensions has no attribute spatial_dims, which names the axes in order")
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in dimensions.attrs["spatial_dims"]]
    for name in names:
        if not is_numeric(dimensions.get(name)):
            raise MeasurementError(f"there are no numbers dimensions/{name}, which spatial_dims names")
    return names


def _varies(item: h5py.Dataset, attribute: str) -> bool:
    return bool(item.attrs.get(attribute, True))


def _components(file: h5py.File, path: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What follows a field's name for each of its components, by number and by axis, and their indices."""
    order, space = _ORDERS[path.partition("/")[0]], _space(file)
    lengths = file[path].shape[len(file[path].shape) - order :]
    for index in product(*map(range, lengths)):
        yield "".join(f":{i}" for i in index), index
        if order and all(n == len(space) for n in lengths):
            yield " " + "".join(space[i] for i in index), index


def _fields(file: h5py.File) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Paths and indices of components of fields, by their names: with the group, and without where that is clear."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    names = [(group, name) for group in _ORDERS for name in file.get(group, ()) if is_numeric(file[group][name])]
    for with_group in (False, True):
        for group, name in names:
            if with_group or [other for _, other in names].count(name) == 1:
                path = f"{group}/{name}"
                for ending, index in _components(file, path):
                    found[(path if with_group else name) + ending] = (path, index)
    return found


def _coordinates(file: h5py.File) -> dict[str, str]:
    """Axes by their names, with the group and without."""
    axes = ("time", *_space(file))
    return {name: axis for axis in axes for name in (axis, f"dimensions/{axis}")}


def _names(path: Path) -> tuple[str, ...]:
    with opened(path) as file:
        return (*_fields(file), *_coordinates(file))


def _read(path: Path, wanted: Wanted) -> Dataset:
    with opened(path) as file:
        if (grid := file.attrs.get("grid_type", "cartesian")) != "cartesian":
            log.warning("%s: its grid is %s: positions are taken as they are, as if it were cartesian", path, grid)
        fields, coordinates = _fields(file), _coordinates(file)
        count = _count(file, [fields[name][0] for name in wanted.quantities])
        which = chosen(count, wanted)
        sizes = {SIMULATION: count, "time": file["dimensions/time"].shape[-1]}
        sizes |= {axis: file["dimensions"][axis].shape[-1] for axis in _space(file)}
        variables: dict[str, Variable] = {}
        for name in wanted.quantities:
            variables[name] = _field(file, *fields[name], sizes, which)
        for name in wanted.coordinates:
            item = file["dimensions"][coordinates[name]]
            if item.ndim == 2 and _varies(item, "sample_varying"):
                variables[name] = ((SIMULATION, coordinates[name]), np.asarray(item[selection(which)]))
            elif item.ndim == 1:
                variables[name] = ((coordinates[name],), np.asarray(item[()]))
            else:
                raise MeasurementError(f"dimensions/{name} has the shape {list(item.shape)}: it must be a vector")
        dataset = assembled(variables, wanted, count)
        dataset.attrs["boundary"] = _boundary(file)
        return dataset


def _count(file: h5py.File, paths: list[str]) -> int:
    """How many trajectories there are.

    Raises:
        MeasurementError: arrays do not agree on that.
    """
    counts = {path: int(file[path].shape[0]) for path in paths if _varies(file[path], "sample_varying")}
    if "n_trajectories" in file.attrs:
        counts["n_trajectories"] = int(file.attrs["n_trajectories"])
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise MeasurementError(f"there are different numbers of trajectories: {text}")
    return next(iter(counts.values()), 1)


def _field(file: h5py.File, path: str, index: tuple[int, ...], sizes: dict[str, int], which: list[int]) -> Variable:
    """One component of a field on all axes.

    Raises:
        MeasurementError: its shape is not what its attributes say.
    """
    item, space = file[path], _space(file)
    along = [bool(varies) for varies in item.attrs.get("dim_varying", [True] * len(space))]
    varying = {SIMULATION: _varies(item, "sample_varying"), "time": _varies(item, "time_varying")}
    varying |= dict(zip(space, along, strict=len(along) == len(space)))
    axes = [axis for axis, varies in varying.items() if varies]
    shape = item.shape[: len(item.shape) - len(index)]
    if shape != tuple(sizes[axis] for axis in axes):
        expected = ", ".join(f"{axis} ({sizes[axis]})" for axis in axes)
        raise MeasurementError(
            f"{path} has the shape {list(item.shape)}, the layout has the axes {expected} in this order"
        )
    first = (selection(which),) if varying[SIMULATION] else ()
    values = np.asarray(item[(*first, *[slice(None)] * (len(axes) - len(first)), *index)])
    kept = tuple(slice(None) if varies else None for varies in varying.values())
    whole = {**sizes, SIMULATION: len(which)}
    return tuple(varying), np.broadcast_to(values[kept], [whole[axis] for axis in varying])


def _boundary(file: h5py.File) -> dict[str, str]:
    """The kind of boundary of each axis that has one kind: periodic, wall or open."""
    kinds: dict[str, set[str]] = {}
    for item in file.get("boundary_conditions", {}).values():
        for axis in item.attrs.get("associated_dims", []):
            name = axis.decode() if isinstance(axis, bytes) else str(axis)
            kinds.setdefault(name, set()).add(str(item.attrs.get("bc_type", "")).lower())
    return {axis: kind.pop() for axis, kind in kinds.items() if len(kind) == 1}


THE_WELL = Format(kind="array", names=_names, read=_read, any_simulation=True, recognised=_recognised)
