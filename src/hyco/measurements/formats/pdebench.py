"""The layout of PDEBench: HDF5 with all trajectories in one array, or with a group for each.

One array, `tensor`, or one for each field (`density`, `Vx`, …), has the axes trajectory, time, x, y, z and perhaps one
of several fields; `x-coordinate`, `y-coordinate`, `z-coordinate` and `t-coordinate` are the positions and times. Where
`t-coordinate` has one entry more than there are states, it holds edges, and the first ones are the times. Else each
trajectory is a group, `0000`, `0001`, …, with `data` (time, x, y, fields) and `grid/t`, `grid/x`, `grid/y`.

Source: Takamoto et al., PDEBench (NeurIPS 2022), https://github.com/pdebench/PDEBench, where these files are written by
`data_gen/data_gen_NLE/Data_Merge.py` and `data_gen/gen_diff_react.py`, and read by `models/fno/utils.py` and
`models/pinn/utils.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from xarray import Dataset

from hyco.measurements.formats.format import SIMULATION, Format, Wanted
from hyco.measurements.formats.hdf5 import opened
from hyco.measurements.formats.trajectories import Variable, assembled, chosen, component, is_numeric, selection
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)

_SPACE = ("x", "y", "z")
_TIMES = ("t", "time")


def _groups(file: h5py.File) -> list[str]:
    """The groups of trajectories, in order; none if all are in one array."""
    found = [name for name, item in file.items() if isinstance(item, h5py.Group) and "grid" in item]
    return sorted(found, key=lambda name: (int(name) if name.isdigit() else -1, name))


@dataclass(frozen=True)
class _Contents:
    """What there is in a file, by the paths in `parts`: the groups of trajectories, or the file itself."""

    parts: Sequence[h5py.Group]
    grouped: bool

    @classmethod
    def of(cls, file: h5py.File) -> _Contents:
        groups = _groups(file)
        return cls([file[name] for name in groups] if groups else [file], bool(groups))

    @cached_property
    def coordinates(self) -> dict[str, str]:
        """Paths of times and positions, by `t`, `x`, `y`, `z`."""
        pattern = "grid/{}" if self.grouped else "{}-coordinate"
        return {
            axis: pattern.format(axis) for axis in ("t", *_SPACE) if is_numeric(self.parts[0].get(pattern.format(axis)))
        }

    @property
    def fields(self) -> list[str]:
        """Arrays of fields."""
        first = self.parts[0]
        names = ["data"] if self.grouped else [name for name in first if name not in self.coordinates.values()]
        return [name for name in names if is_numeric(first[name])]

    def axis(self, name: str) -> str:
        """`t`, `x`, `y` or `z`, whichever of its names it is."""
        return "t" if name in _TIMES else next((axis for axis, path in self.coordinates.items() if path == name), name)

    def item(self, part: h5py.Group, name: str) -> h5py.Dataset:
        """An array of a trajectory, or of all.

        Raises:
            MeasurementError: it is not there.
        """
        if not is_numeric(part.get(name)):
            raise MeasurementError(f"there are no numbers {part.name.lstrip('/')}/{name}")
        return part[name]

    def dims(self, part: h5py.Group, name: str) -> tuple[str, ...]:
        """The axes of an array, but for that of several fields.

        Raises:
            MeasurementError: it has others than the layout.
        """
        shape = self.item(part, name).shape
        space = [axis for axis in _SPACE if axis in self.coordinates]
        lengths = {
            axis: self.item(part, self.coordinates[axis]).size for axis in ("t", *space) if axis in self.coordinates
        }
        leading = () if self.grouped else (SIMULATION,)
        for dims in ((*leading, "t", *space), (*leading, "t", *reversed(space)), (*leading, *space)):
            if _fit(dims, shape, lengths):
                return dims
        whole = ", ".join(f"{axis} ({lengths.get(axis, 'any')})" for axis in (*leading, "t", *space))
        label = f"{part.name}/{name}".lstrip("/")
        raise MeasurementError(
            f"{label} has the shape {list(shape)}, the layout has the axes {whole}, and perhaps one of fields, in this "
            "order"
        )


def _fit(dims: tuple[str, ...], shape: tuple[int, ...], lengths: dict[str, int]) -> bool:
    """Whether an array may have these axes, and perhaps one more behind them."""
    if len(shape) not in (len(dims), len(dims) + 1):
        return False
    # Times may be the edges between states.
    allowed = {axis: (n, n - 1) if axis == "t" else (n,) for axis, n in lengths.items()}
    return all(n in allowed.get(axis, (n,)) for axis, n in zip(dims, shape, strict=False))


def _recognised(path: Path) -> bool:
    with opened(path) as file:
        contents = _Contents.of(file)
        return "x" in contents.coordinates and (not contents.grouped or is_numeric(contents.parts[0].get("data")))


def _names(path: Path) -> tuple[str, ...]:
    with opened(path) as file:
        contents = _Contents.of(file)
        names = [name for field in contents.fields for name in _components(contents, field)]
        plain = [name for axis in contents.coordinates for name in (_TIMES if axis == "t" else (axis,))]
        return (*names, *contents.coordinates.values(), *plain)


def _components(contents: _Contents, field: str) -> Iterator[str]:
    """The names of the fields in an array: its own, or with an index where it has an axis of several."""
    shape = contents.parts[0][field].shape
    try:
        behind = len(shape) - len(contents.dims(contents.parts[0], field))
    except MeasurementError:  # said when it is asked for
        behind = None
    if behind in (0, None) or shape[-1] == 1:
        yield field
    if behind != 0:
        yield from (f"{field}:{i}" for i in range(shape[-1]))


def _read(path: Path, wanted: Wanted) -> Dataset:
    with opened(path) as file:
        contents = _Contents.of(file)
        count = _count(contents, wanted)
        which = chosen(count, wanted)
        variables = {name: _field(contents, name, which) for name in wanted.quantities}
        states = max(a.shape[dims.index("t")] if "t" in dims else 0 for dims, a in variables.values())
        for name in wanted.coordinates:
            dims, values = _coordinate(contents, contents.axis(name), which)
            variables[name] = (dims, values[..., : states or None] if "t" in dims else values)
        return assembled(variables, wanted, count)


def _count(contents: _Contents, wanted: Wanted) -> int:
    """How many trajectories there are.

    Raises:
        MeasurementError: arrays do not agree on that.
    """
    if contents.grouped:
        return len(contents.parts)
    counts = {name: int(contents.parts[0][component(name)[0]].shape[0]) for name in wanted.quantities}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise MeasurementError(f"the arrays have different numbers of trajectories: {text}")
    return next(iter(counts.values()))


def _field(contents: _Contents, name: str, which: list[int]) -> Variable:
    base, behind = component(name)
    dims: tuple[str, ...] = ()
    values = []
    for part in [contents.parts[i] for i in which] if contents.grouped else contents.parts:
        item, dims = contents.item(part, base), contents.dims(part, base)
        index = behind or (0,) * (item.ndim - len(dims))
        first = () if contents.grouped else (selection(which),)
        values.append(np.asarray(item[(*first, *[slice(None)] * (len(dims) - len(first)), *index)]))
    if dims[-1:] == ("x",) and "y" in dims:
        log.info("%s: its axes are taken for (%s), which their lengths say", name, ", ".join(dims))
    return ((SIMULATION, *dims), _stacked(name, values)) if contents.grouped else (dims, values[0])


def _coordinate(contents: _Contents, axis: str, which: list[int]) -> Variable:
    path = contents.coordinates[axis]
    parts = [contents.parts[i] for i in which] if contents.grouped else contents.parts
    values = _stacked(path, [np.asarray(contents.item(part, path)[()]).ravel() for part in parts])
    same = bool((values == values[:1]).all())
    return ((axis,), values[0]) if same else ((SIMULATION, axis), values)


def _stacked(name: str, parts: list[np.ndarray]) -> np.ndarray:
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        told = " and ".join(map(str, sorted(map(list, shapes))))
        raise MeasurementError(
            f"{name} has the shapes {told} in different trajectories: choose those of one shape by train_sim, val_sim "
            "and test_sim"
        )
    return np.stack(parts)


PDEBENCH = Format(kind="array", names=_names, read=_read, any_simulation=True, recognised=_recognised)
