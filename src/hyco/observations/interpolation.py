"""A state between the positions of its entries: multilinear or cubic, second or fourth order up to the walls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hyco.fields import FieldSpec, Layout

Method = Literal["linear", "cubic"]


@dataclass(frozen=True)
class Stencil:
    """How the values at some places `[*places]` follow from a state: value = Σ weight · entry + offset.

    The dimension c is 1 where all channels are read alike, else C; n entries along each axis take part, 2 or 4.

    Attributes:
        indices: of the entries of a channel, in its flattened space, `[*places, c, n**d]`.
        weights: of these entries.
        offset: what the walls' values add, `[*places, c]`.
    """

    indices: Tensor
    weights: Tensor
    offset: Tensor


def entry_coordinates(layout: Layout, channel: int) -> dict[str, Tensor]:
    """Where the entries of a channel lie along each axis, `[n]` by axis, padding included [length]."""
    component = _components(layout)[channel][1]
    coordinates = {}
    for axis, extent, lower, h in zip(
        layout.grid.axes, layout.shape, layout.grid.lower, layout.grid.spacing, strict=True
    ):
        shift = 0.0 if axis == component else 0.5
        coordinates[axis] = lower + (torch.arange(extent, dtype=torch.float64) + shift) * h
    return coordinates


def stencil(layout: Layout, positions: Tensor, method: Method = "linear") -> Stencil:
    """The stencil of places in the domain.

    Between a wall and the nearest entry the wall takes part: its value (Dirichlet), no slope (Neumann; for linear the
    field is constant there), or what follows from its condition (`Wall.affine`, `Wall.cubic_ghost`); along a periodic
    axis the first entry follows the last. Each staggered component is read from its own faces. A wall whose condition
    is not known beforehand (`Wall.constant`) takes no part: the entries inside are continued up to it.

    Args:
        positions: coordinates in the domain, `[*places, d]` float64.
        method: linear has no new extremes, cubic is far more accurate where the state is smooth.
    """
    kinds = _components(layout)
    alike = all(kind[1] == "" and kind[0].boundary == kinds[0][0].boundary for kind in kinds)
    parts = [_stencil(layout, channel, positions, method) for channel in range(1 if alike else len(kinds))]
    indices, weights, offsets = zip(*parts, strict=True)
    return Stencil(torch.stack(indices, dim=-2), torch.stack(weights, dim=-2), torch.stack(offsets, dim=-1))


def _components(layout: Layout) -> list[tuple[FieldSpec, str]]:
    """For each channel its field, and the axis whose faces it stands on ("" for cell centres)."""
    return [(f, c if f.staggered else "") for f in layout.fields for c in f.components or ("",)]


def _stencil(layout: Layout, channel: int, positions: Tensor, method: Method) -> tuple[Tensor, Tensor, Tensor]:
    """Indices, weights and offset of one channel: the product of what holds along each axis."""
    indices = torch.zeros((*positions.shape[:-1], 1), dtype=torch.long)
    weights = torch.ones((*positions.shape[:-1], 1), dtype=torch.float64)
    offset = torch.zeros(positions.shape[:-1], dtype=torch.float64)
    along = _cubic if method == "cubic" else _linear
    for i, extent in enumerate(layout.shape):
        index, weight, wall = along(layout, channel, i, positions[..., i])
        indices = (indices[..., :, None] * extent + index[..., None, :]).flatten(-2)
        weights = (weights[..., :, None] * weight[..., None, :]).flatten(-2)
        offset = offset * weight.sum(dim=-1) + wall
    return indices, weights, offset


def _linear(layout: Layout, channel: int, i: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Along axis `i`: two entries `[…, 2]`, their weights, and what a wall adds `[…]`, for coordinates `x`."""
    grid, (field, component) = layout.grid, _components(layout)[channel]
    axis, n = grid.axes[i], grid.resolution[i]
    on_faces = axis == component
    place = (x - grid.lower[i]) / grid.spacing[i] - (0.0 if on_faces else 0.5)
    walls = field.walls[axis]
    # Beyond an open wall the last two cells are continued, else its ghost is the next cell.
    low, high = (wall.constant or on_faces for wall in walls)
    first = place.floor().clamp(0 if on_faces or not low else -1, n - 1 if high else n - 2).long()
    after = place - first
    after = after.clamp(0 if low else None, 1 if high else None) if low or high else after
    index = torch.stack([first, first + 1], dim=-1)
    weight = torch.stack([1 - after, after], dim=-1)
    if walls.periodic:
        return index % n, weight, torch.zeros_like(x)
    stored = layout.extent(channel)[i]
    offset = torch.zeros_like(x)
    for wall, outside in ((walls.lower, index < stored.start), (walls.upper, index >= stored.stop)):
        if not (wall.constant or on_faces):
            continue
        # A face beyond the stored ones has the wall's value. A cell beyond a wall is its ghost cell.
        factor, value = (0.0, wall.fixed_value or 0.0) if on_faces else wall.affine(grid.spacing[i])
        offset = offset + torch.where(outside, weight * value, 0.0).sum(dim=-1)
        weight = torch.where(outside, factor * weight, weight)
    return index.clamp(stored.start, stored.stop - 1), weight, offset


def _cubic(layout: Layout, channel: int, i: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same with four entries: the cubic through them, or through three and what holds at a wall."""
    grid, (field, component) = layout.grid, _components(layout)[channel]
    axis, n = grid.axes[i], grid.resolution[i]
    on_faces = axis == component
    place = (x - grid.lower[i]) / grid.spacing[i] - (0.0 if on_faces else 0.5)
    walls = field.walls[axis]
    first = place.floor().long() - 1
    if not walls.periodic:
        # Where nodes stand on the walls, or these are open, four of them serve up to there.
        low, high = ((field.vertex or not wall.constant) and not on_faces for wall in walls)
        first = first.clamp(0 if low or on_faces else -1, n - 4 if high else n - 3)
    index = first[..., None] + torch.arange(4)
    t = (place - first)[..., None] - torch.arange(4)
    a, b, c, d = t.unbind(-1)
    weight = torch.stack([-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6], dim=-1)
    if walls.periodic:
        return index % n, weight, torch.zeros_like(x)
    stored = layout.extent(channel)[i]
    offset = torch.zeros_like(x)
    for wall, end, order in ((walls.lower, 0, (1, 2, 3)), (walls.upper, 3, (2, 1, 0))):
        if not (wall.constant or on_faces):
            continue
        outside = index[..., end] < stored.start if end == 0 else index[..., end] >= stored.stop
        share = torch.where(outside, weight[..., end], 0.0)
        spread = torch.zeros(4, dtype=torch.float64)
        if on_faces:
            offset = offset + share * (wall.fixed_value or 0.0)
        else:
            beyond, factor = wall.cubic_ghost(grid.spacing[i])
            spread[list(order)] = torch.tensor(beyond, dtype=torch.float64)
            offset = offset + share * wall.condition[2] * factor
        spread[end] = -1.0
        weight = weight + share[..., None] * spread
    return index.clamp(stored.start, stored.stop - 1), weight, offset
