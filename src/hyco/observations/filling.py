"""Whole states from scattered measurements of them: a simple guess of all entries, and a picture of what is there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from hyco.fields import Layout
from hyco.observations.interpolation import entry_coordinates


def positions_of_entries(layout: Layout, channel: int) -> Tensor:
    """Where the entries of a channel lie, padding included, `[*space, d]`."""
    lines = list(entry_coordinates(layout, channel).values())
    return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1)


def fill(layout: Layout, channel: int, positions: Tensor, values: Tensor, fallback: float) -> Tensor:
    """A channel `[*space]` from values `[n]` at positions `[n, d]`: weights 1/distance² of the nearest 2^d + 1.

    An entry that was itself measured keeps its value; where nothing was measured at all, all are `fallback`. Padding
    is zero.
    """
    valid = layout.valid[channel]
    state = torch.zeros(layout.shape, dtype=torch.float64)
    if not len(values):
        state[valid] = fallback
        return state
    count = min(len(values), 2**layout.grid.dimensions + 1)
    distance, nearest = _nearest(layout, positions, positions_of_entries(layout, channel)[valid], count)
    state[valid] = torch.from_numpy(_by_distance(layout, distance, values.numpy()[nearest]))
    return state


def left_out(layout: Layout, positions: Tensor, values: Tensor) -> Tensor:
    """What `fill` would say of each of some values `[n]`, n > 1, from the others."""
    count = min(len(values), 2**layout.grid.dimensions + 2)
    distance, nearest = _nearest(layout, positions, positions, count)
    # The nearest is the place itself, or one of several there.
    return torch.from_numpy(_by_distance(layout, distance[:, 1:], values.numpy()[nearest[:, 1:]]))


def _nearest(
    layout: Layout, positions: Tensor, places: Tensor, count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances of the nearest positions `[n, d]` to some places `[m, d]`, and which they are, `[m, count]`."""
    lower = np.array(layout.grid.lower)
    # No size: that axis is not periodic.
    period = np.array([size if wraps else 0.0 for wraps, size in zip(layout.periodic, layout.grid.size, strict=True)])

    def wrapped(places: Tensor) -> NDArray[np.float64]:
        inside = places.numpy() - lower
        folded = np.mod(inside, np.where(period > 0, period, 1.0))
        # A tiny negative number is folded to the period itself, by rounding.
        return np.where(period > 0, np.where(folded < period, folded, 0.0), inside)

    found = cKDTree(wrapped(positions), boxsize=period).query(wrapped(places), k=[*range(1, count + 1)])
    return np.asarray(found[0]), np.asarray(found[1])


def _by_distance(layout: Layout, distance: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of values `[m, n]` with weights 1/distance², `[m]`; the first alone where it is no distance away."""
    here = distance[:, :1] < 1e-9 * min(layout.grid.spacing)
    with np.errstate(divide="ignore"):
        weights = np.where(here, np.arange(distance.shape[1]) == 0, 1 / distance**2)
    weights /= weights.sum(axis=1, keepdims=True)
    means: NDArray[np.float64] = (weights * values).sum(axis=1)
    return means


def in_cells(layout: Layout, positions: Tensor, values: Tensor, mask: Tensor, *, whole_start: bool) -> Tensor:
    """Measurements in the cells that they lie in, NaN in the others, for pictures: `[T, C, *space]`.

    Args:
        positions: `[T, P, d]`.
        values, mask: `[T, C, K]`, of which the points are the first.
        whole_start: the first state was measured whole.
    """
    grid = layout.grid
    flat = torch.zeros(positions.shape[:-1], dtype=torch.long)
    for i, (lower, h, n) in enumerate(zip(grid.lower, grid.spacing, grid.resolution, strict=True)):
        cell = ((positions[..., i] - lower) / h).floor().long().clamp(0, n - 1)
        flat = flat * layout.shape[i] + cell
    states = torch.full((*values.shape[:2], *layout.shape), torch.nan, dtype=values.dtype)
    points = mask.clone()
    points[0] &= not whole_start
    time, channel, point = points.nonzero(as_tuple=True)
    states.flatten(2)[time, channel, flat[time, point]] = values[points]
    if whole_start:
        states[0].flatten(1)[mask[0, :, : states[0, 0].numel()]] = values[0][mask[0]]
    return states
