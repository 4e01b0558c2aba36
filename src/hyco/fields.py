"""PhiFlow Fields as tensors `[*batch, C, *space]` and back, bit for bit, with what is needed to go back.

A `Layout` is that metadata: the grid, and for each field its name, components, boundary and whether it is staggered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np
import torch
from phi import math
from phi.field import CenteredGrid, StaggeredGrid
from phi.geom import Box
from phi.math import batch, channel, dual, spatial
from torch import Tensor

from hyco.grid import Grid
from hyco.walls.boundary import Boundary, PlainBoundary
from hyco.walls.phiflow import from_extrapolation, to_extrapolation

# PhiML meets torch at a first tensor of its own; those of a recording are none.
math.wrap(torch.empty(()))
_ONE_AT_A_TIME = RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """PhiML in this precision, for one thread at a time: it, the device and what is traced are the whole process's."""
    with _ONE_AT_A_TIME, math.precision(bits):
        yield


@dataclass(frozen=True)
class FieldSpec:
    """One field of an equation.

    Args:
        name: e.g. "velocity".
        components: names of the vector's components, one per axis; empty for a scalar.
        staggered: components on the faces of the cells instead of their centres.
        boundary: "periodic", "neumann", a number (Dirichlet value), {wall: arguments}, or a dictionary of these by
            axis, where an axis may again have {"lower": …, "upper": …}.
        vertex: the outermost values stand on the walls, half a cell inside the grid's edge, and have their values.
    """

    name: str
    components: tuple[str, ...] = ()
    staggered: bool = False
    boundary: PlainBoundary = "periodic"
    vertex: bool = False

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its channels in a tensor."""
        return tuple(f"{self.name}_{c}" for c in self.components) or (self.name,)

    @cached_property
    def walls(self) -> Boundary:
        """The boundary as walls: `field.walls["x"].lower`.

        Raises:
            ValueError: it is none.
        """
        return Boundary.of(self.boundary)


@dataclass(frozen=True)
class Layout:
    """How a set of fields sits in a tensor `[*batch, C, *space]`.

    If any field is staggered, the tensor has resolution + 1 entries along every axis: face i of a component stands at
    index i along its own axis, and what is no cell or face of a channel is padding, zero.
    """

    grid: Grid
    fields: tuple[FieldSpec, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, e.g. `("velocity_x", "velocity_y")`."""
        return tuple(c for field in self.fields for c in field.channels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's extent in space."""
        padding = int(any(field.staggered for field in self.fields))
        return tuple(n + padding for n in self.grid.resolution)

    @property
    def boundaries(self) -> tuple[str, ...]:
        """Kind of boundary along each axis, of the first field; see `AxisWalls.kind`."""
        return tuple(self.fields[0].walls[axis].kind for axis in self.grid.axes)

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Which axes are periodic, for the first field."""
        return tuple(self.fields[0].walls[axis].periodic for axis in self.grid.axes)

    @property
    def valid(self) -> Tensor:
        """Which entries are cells or faces, `[C, *space]`; all of them where nothing is staggered."""
        mask = torch.zeros((len(self.channels), *self.shape), dtype=torch.bool)
        for position in range(len(self.channels)):
            mask[self.index(position, 0)] = True
        return mask

    @cached_property
    def _extents(self) -> tuple[tuple[slice, ...], ...]:
        """For each channel the part of the tensor that it fills."""
        extents: list[tuple[slice, ...]] = []
        for field in self.fields:
            for component in field.components or ("",):
                extent = []
                for axis, n in zip(self.grid.axes, self.grid.resolution, strict=True):
                    if field.staggered and axis == component:
                        walls = field.walls[axis]
                        # Faces on a wall that fixes the value are not stored, nor the last one of a periodic axis.
                        first = 1 if walls.lower.fixes_value else 0
                        last = n if walls.upper.fixes_value or walls.periodic else n + 1
                        extent.append(slice(first, last))
                    else:
                        extent.append(slice(0, n))
                extents.append(tuple(extent))
        return tuple(extents)

    def extent(self, channel: int) -> tuple[slice, ...]:
        """The part of the tensor's space that a channel fills."""
        return self._extents[channel]

    def index(self, channel: int, batch_dims: int) -> tuple[slice | int, ...]:
        """The index of a channel without its padding in a tensor with that many batch dimensions."""
        return (*[slice(None)] * batch_dims, channel, *self._extents[channel])

    def padding(self, channel: int) -> list[int]:
        """What a channel lacks before and after, to fill the tensor's space; from the last axis to the first."""
        sides = [(part.start, n - part.stop) for part, n in zip(self._extents[channel], self.shape, strict=True)]
        return [width for side in reversed(sides) for width in side]

    def to_dict(self) -> dict[str, Any]:
        """The layout as plain JSON values."""
        fields = [
            {"name": f.name, "components": list(f.components), "staggered": f.staggered, "boundary": f.boundary}
            | ({"vertex": True} if f.vertex else {})
            for f in self.fields
        ]
        return {"grid": self.grid.to_dict(), "fields": fields}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layout:
        """The inverse of `to_dict`."""
        fields = tuple(FieldSpec(**{**f, "components": tuple(f["components"])}) for f in data["fields"])
        return cls(Grid.from_dict(data["grid"]), fields)


def to_fields(tensor: Tensor, layout: Layout, batch_dims: Sequence[str] = ("batch",)) -> dict[str, Any]:
    """PhiFlow Fields by name from `[*batch, C, *space]`; a centred field shares the tensor's memory.

    Args:
        batch_dims: names of the leading dimensions.

    Raises:
        ValueError: the tensor's shape is not the layout's.
    """
    expected = (len(layout.channels), *layout.shape)
    if tensor.ndim != len(batch_dims) + len(expected) or tuple(tensor.shape[len(batch_dims) :]) != expected:
        raise ValueError(
            f"the layout needs [{', '.join(batch_dims)}] + {list(expected)}, the tensor is {list(tensor.shape)}"
        )
    grid = layout.grid
    box = Box(**{a: (low, low + size) for a, low, size in zip(grid.axes, grid.lower, grid.size, strict=True)})
    dims = [batch(name) for name in batch_dims]
    fields: dict[str, Any] = {}
    first = 0
    # PhiFlow casts the values of a new grid to its current precision.
    with precision(tensor.element_size() * 8):
        for field in layout.fields:
            fields[field.name] = _to_field(tensor, layout, field, first, dims, box)
            first += len(field.channels)
    return fields


def _to_field(tensor: Tensor, layout: Layout, field: FieldSpec, first: int, dims: list[Any], box: Any) -> Any:
    """One field, whose channels begin at `first`."""
    outer, space = to_extrapolation(field.walls), spatial(",".join(layout.grid.axes))
    if field.staggered:
        parts = {c: math.wrap(_part(tensor, layout, first + i), *dims, space) for i, c in enumerate(field.components)}
        return StaggeredGrid(math.stack(parts, dual("vector")), outer, box)
    if field.components:
        channels = slice(first, first + len(field.components))
        values = tensor[(*[slice(None)] * len(dims), channels, *layout.extent(first))]
        return CenteredGrid(math.wrap(values, *dims, channel(vector=",".join(field.components)), space), outer, box)
    return CenteredGrid(math.wrap(_part(tensor, layout, first), *dims, space), outer, box)


def _part(tensor: Tensor, layout: Layout, index: int) -> Tensor:
    """One channel without its padding, `[*batch, *space]`."""
    return tensor[layout.index(index, tensor.ndim - layout.grid.dimensions - 1)]


def to_tensor(fields: Mapping[str, Any], layout: Layout, batch_dims: Sequence[str] = ("batch",)) -> Tensor:
    """`[*batch, C, *space]` from PhiFlow Fields by name; a single centred field is not copied.

    Args:
        fields: those of the layout, with the dimensions `batch_dims` (a dimension that one lacks is repeated).

    Raises:
        KeyError: a field of the layout is missing.
    """
    parts = [part for field in layout.fields for part in _natives(fields[field.name].values, field, layout, batch_dims)]
    if len(parts) == 1 and not layout.fields[0].staggered:
        return parts[0]
    leading = np.broadcast_shapes(*(part.shape[: len(batch_dims)] for part in parts))  # torch's imports SymPy
    parts = [part.expand(*leading, *part.shape[len(batch_dims) :]) for part in parts]
    if not any(field.staggered for field in layout.fields):
        return torch.cat(parts, dim=len(batch_dims))
    channels = [c for part in parts for c in part.unbind(len(batch_dims))]
    # Padded, not written into zeros: a graph of the step has no operation that changes a tensor in place.
    padded = [torch.nn.functional.pad(values, layout.padding(i)) for i, values in enumerate(channels)]
    return torch.stack(padded, dim=len(batch_dims))


def _natives(values: Any, field: FieldSpec, layout: Layout, batch_dims: Sequence[str]) -> list[Tensor]:
    """The values of a field as tensors `[*batch, c, *space]`: one, or one per component where it is staggered."""
    axes, at = list(layout.grid.axes), len(batch_dims)
    with precision(values.dtype.precision):
        if field.staggered:
            parts = [values[{"~vector": c}].native([*batch_dims, *axes], force_expand=True) for c in field.components]
            return [torch.as_tensor(part).unsqueeze(at) for part in parts]
        names = [*batch_dims, *(["vector"] if field.components else []), *axes]
        native = torch.as_tensor(values.native(names, force_expand=True))
    return [native if field.components else native.unsqueeze(at)]


def layout_of(fields: Mapping[str, Any]) -> Layout:
    """The layout of PhiFlow Fields that share one grid.

    Raises:
        ValueError: there is no field, they do not share a grid, or one is not on a uniform grid.
    """
    if not fields:
        raise ValueError("a layout needs at least one field")
    grids, specs = [], []
    for name, field in fields.items():
        if not field.is_grid:
            raise ValueError(f"the field {name!r} is not on a uniform grid")
        axes = tuple(field.resolution.names)
        lower, size = field.bounds.lower, field.bounds.size
        grids.append(
            Grid(
                axes=axes,
                lower=tuple(float(lower.vector[a]) for a in axes),
                size=tuple(float(size.vector[a]) for a in axes),
                resolution=tuple(int(field.resolution.get_size(a)) for a in axes),
            )
        )
        if field.is_staggered:
            components = axes
        else:
            components = tuple(channel(field.values).item_names[0]) if channel(field.values) else ()
        specs.append(FieldSpec(name, components, bool(field.is_staggered), from_extrapolation(field.boundary)))
    if len(set(grids)) != 1:
        raise ValueError(f"the fields {', '.join(fields)} do not share one grid")
    return Layout(grids[0], tuple(specs))


def in_words(layout: Layout, dt: float) -> str:
    """Channels and grid of states, and the time `dt` between them, without errors of rounding."""
    grid = layout.grid
    axes = zip(grid.axes, grid.resolution, grid.lower, grid.size, strict=True)
    cells = ", ".join(
        f"{axis}: {n} cells from {_rounded(lower, size):.9g} to {_rounded(lower + size, size):.9g}"
        for axis, n, lower, size in axes
    )
    return f"{', '.join(layout.channels)} ({cells}; dt {dt:.9g})"


def _rounded(end: float, size: float) -> float:
    """An end of an axis: beside 0 it would be nothing but its error."""
    return size * round(end / size, 12) + 0.0
