"""Initial states from arrays of a file, checked against the grid of the experiment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from hyco.fields import Layout
from hyco.observations.checks import other_unit
from hyco.predictions.files import PredictionError
from hyco.predictions.places import SLACK, Axis, axes_of
from hyco.predictions.tables import is_table, on_grid

# One array of all channels may have this name beside others.
_ALL = "initial_states"


def states_of(arrays: xr.Dataset, layout: Layout, source: str) -> Tensor:
    """States `[B, C, *space]`, float64, with zeros for padding.

    The arrays have the names of the channels, and the shape `[B, *space]` or `[*space]`, where a staggered component
    has its own faces; or one array, named `initial_states` if there are others, is `[B, C, *space]`. Axes with names
    may be in any order; an axis that is none of the grid counts the states. Positions, where the file has them under
    the names of the axes, have to be those of the grid. Of a table see `hyco.predictions.tables`.

    Args:
        arrays: from `read_states_file`.
        layout: of the states.
        source: the file, for messages.

    Raises:
        PredictionError: one line that names the file, the variable and what is expected.
    """
    channels = layout.channels
    if is_table(arrays):
        arrays = on_grid(arrays, layout, source)
    if any(name in arrays.variables for name in channels):
        if missing := [name for name in channels if name not in arrays.variables]:
            raise PredictionError(f"{source}: there is no variable {', '.join(missing)}; {_there(arrays)}")
        parts = [_channel(arrays, layout, c, source) for c in range(len(channels))]
        counts = {len(part) for part in parts}
        if len(counts) > 1:
            each = ", ".join(f"{name} {len(part)}" for name, part in zip(channels, parts, strict=True))
            raise PredictionError(f"{source}: the channels have different numbers of states: {each}")
        states = torch.zeros((counts.pop(), len(channels), *layout.shape), dtype=torch.float64)
        for c, part in enumerate(parts):
            states[layout.index(c, 1)] = torch.from_numpy(part)
    else:
        states = _all_channels(arrays, layout, source)
    for c, name in enumerate(channels):
        _check_finite(states[layout.index(c, 1)].numpy(), f"{source}: {name}")
    return torch.where(layout.valid, states, 0.0)


def _channel(arrays: xr.Dataset, layout: Layout, channel: int, source: str) -> NDArray[np.float64]:
    """One channel, `[B, *space]` without padding."""
    name, axes = layout.channels[channel], axes_of(layout, channel)
    where, array = f"{source}: {name}", arrays[name]
    if array.dtype.kind not in "fiu":
        raise PredictionError(f"{where} holds no real numbers ({array.dtype})")
    space = [axis for axis, _ in axes]
    if set(space) <= set(array.dims):
        array = _ordered(array, space, where)
    for axis, expected in axes:
        if axis in arrays.variables:
            array = _on_positions(array, arrays[axis], (axis, expected), layout, where)
    values = np.array(array.values, dtype=np.float64, order="C")
    shape = tuple(len(expected) for _, expected in axes)
    if values.shape == shape:
        values = values[None]
    if values.shape[1:] != shape or not len(values):
        raise PredictionError(f"{where} has the shape {list(array.shape)}, {_expected(shape, space, values.shape)}")
    return values


def _ordered(array: xr.DataArray, space: list[str], where: str) -> xr.DataArray:
    """An array with names of its axes in the order of the grid, at most one axis before them."""
    others = [dim for dim in array.dims if dim not in space]
    for dim in [dim for dim in others if array.sizes[dim] == 1][: max(len(others) - 1, 0)]:
        array, others = array.isel({dim: 0}), [other for other in others if other != dim]
    if len(others) > 1 or (others == ["time"] and array.sizes["time"] > 1):
        raise PredictionError(
            f"{where} has the axes {', '.join(map(str, array.dims))}: a state has one time, choose it, "
            "for instance with states.isel(time=-1) of xarray"
        )
    return array.transpose(*others, *space)


def _on_positions(array: xr.DataArray, positions: xr.DataArray, axis: Axis, layout: Layout, where: str) -> xr.DataArray:
    """The array along an axis as the grid has it; positions that fall are turned round."""
    name, expected = axis
    given = np.array(positions.values, dtype=np.float64)  # a copy: an index of xarray is not writable
    if given.shape != (len(expected),):
        raise PredictionError(
            f"{where}: {name} has {given.size} positions, the grid has {len(expected)}, from {expected[0]:g} to "
            f"{expected[-1]:g}: interpolate the states to them"
        )
    plain = name.removesuffix("_face")
    at = layout.grid.axes.index(plain)
    slack = SLACK * layout.grid.spacing[at]
    if np.abs(given[::-1] - expected).max() <= slack and name in array.dims and len(given) > 1:
        return array.isel({name: slice(None, None, -1)})
    if not np.abs(given - expected).max() <= slack:
        guess = other_unit(torch.from_numpy(given), layout.grid, at)
        advice = guess or f"interpolate them, for instance with states.interp({name}=…) of xarray"
        raise PredictionError(
            f"{where}: {name} goes from {given[0]:g} to {given[-1]:g}, the entries of the grid lie from "
            f"{expected[0]:g} to {expected[-1]:g}: {advice}"
        )
    return array


def _all_channels(arrays: xr.Dataset, layout: Layout, source: str) -> Tensor:
    """One array of all channels, `[B, C, *space]`."""
    axes = {axis for c in range(len(layout.channels)) for axis, _ in axes_of(layout, c)}
    names = [str(name) for name in arrays.variables if name not in axes and name not in arrays.coords]
    if _ALL in names:
        names = [_ALL]
    shape = (len(layout.channels), *layout.shape)
    nothing = (
        f"{source}: there is no variable {', '.join(layout.channels)}, nor a single array "
        f"[states, {', '.join(map(str, shape))}] (it may be called {_ALL}); {_there(arrays)}"
    )
    if len(names) != 1:
        raise PredictionError(nothing)
    name, array = names[0], arrays[names[0]]
    if array.dtype.kind not in "fiu":
        raise PredictionError(f"{source}: {name} holds no real numbers ({array.dtype})")
    values = np.array(array.values, dtype=np.float64)
    if values.shape == shape:
        values = values[None]
    if values.shape[1:] != shape or not len(values):
        if name != _ALL and sorted(values.shape[1:]) != sorted(shape):  # one channel, under another name
            raise PredictionError(nothing)
        space = [f"channels ({', '.join(layout.channels)})", *layout.grid.axes]
        raise PredictionError(
            f"{source}: {name} has the shape {list(array.shape)}, {_expected(shape, space, values.shape)}"
        )
    for c in range(len(layout.channels)):
        for axis in axes_of(layout, c):
            if axis[0] in arrays.variables:
                _on_positions(array, arrays[axis[0]], axis, layout, f"{source}: {name}")
    return torch.from_numpy(values)


def _expected(shape: tuple[int, ...], axes: list[str], given: tuple[int, ...]) -> str:
    text = f"expected is [states, {', '.join(map(str, shape))}], the axes {', '.join(axes)} last"
    own = given[1:] if len(given) > len(shape) else given
    if own != shape and own in set(permutations(shape)):
        text += ": they are in another order"
    return text


def _check_finite(values: NDArray[np.float64], where: str) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        first = [int(i) for i in np.argwhere(wrong)[0]]
        raise PredictionError(
            f"{where} is not finite in {int(wrong.sum())} entries, first at {first} (state, then space): a rollout "
            "begins with whole states"
        )


def _there(arrays: xr.Dataset) -> str:
    return f"there are {', '.join(_names(arrays)) or 'none'}"


def _names(arrays: xr.Dataset) -> Iterator[str]:
    for name in arrays.variables:
        yield f"{name} {list(arrays[name].shape)}"
