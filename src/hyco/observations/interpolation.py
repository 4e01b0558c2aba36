"""A state between the positions of its entries: multilinear or cubic, second or fourth order up to the walls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hyco.fields import FieldSpec, Layout, sides

Method = Literal["linear", "cubic"]

# A value one half cell beyond a wall, on a cubic through what holds there and three cells: weights of these cells, and
# of the wall's value. It takes the value (Dirichlet), or has no slope there (Neumann).
_BEYOND_VALUE, _OF_VALUE = (-3.0, 1.0, -0.2), 3.2
_BEYOND_SLOPE = (21 / 23, 3 / 23, -1 / 23)


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
    found = {}
    for axis, extent, lower, h in zip(
        layout.grid.axes, layout.shape, layout.grid.lower, layout.grid.spacing, strict=True
    ):
        shift = 0.0 if axis == component else 0.5
        found[axis] = lower + (torch.arange(extent, dtype=torch.float64) + shift) * h
    return found


def stencil(layout: Layout, positions: Tensor, method: Method = "linear") -> Stencil:
    """The stencil of places in the domain.

    Between a wall and the nearest entry the wall's value takes part (Dirichlet) or the field is constant (Neumann),
    for cubic without slope at the wall; along a periodic axis the first entry follows the last. Each staggered
    component is read from its own faces.

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
    first = place.floor().clamp(0 if on_faces else -1, n - 1).long()
    after = (place - first).clamp(0, 1)
    index = torch.stack([first, first + 1], dim=-1)
    weight = torch.stack([1 - after, after], dim=-1)
    lower, upper = sides(field.boundary, axis)
    if lower == "periodic":
        return index % n, weight, torch.zeros_like(x)
    stored = layout.extent(channel)[i]
    wall = torch.zeros_like(x)
    for side, outside in ((lower, index < stored.start), (upper, index >= stored.stop)):
        if side == "neumann":
            continue
        # A face on the wall has the wall's value g. A cell beyond it mirrors the nearest one: 2 g - u.
        value = float(side) if on_faces else 2 * float(side)
        wall = wall + torch.where(outside, weight * value, 0.0).sum(dim=-1)
        weight = torch.where(outside, torch.zeros_like(weight) if on_faces else -weight, weight)
    return index.clamp(stored.start, stored.stop - 1), weight, wall


def _cubic(layout: Layout, channel: int, i: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same with four entries: the cubic through them, or through three and what holds at a wall."""
    grid, (field, component) = layout.grid, _components(layout)[channel]
    axis, n = grid.axes[i], grid.resolution[i]
    on_faces = axis == component
    place = (x - grid.lower[i]) / grid.spacing[i] - (0.0 if on_faces else 0.5)
    lower, upper = sides(field.boundary, axis)
    first = place.floor().long() - 1
    if lower != "periodic":
        # Where nodes stand on the walls, four of them serve up to there.
        first = first.clamp(0, n - 4) if field.vertex else first.clamp(0 if on_faces else -1, n - 3)
    index = first[..., None] + torch.arange(4)
    t = (place - first)[..., None] - torch.arange(4)
    a, b, c, d = t.unbind(-1)
    weight = torch.stack([-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6], dim=-1)
    if lower == "periodic":
        return index % n, weight, torch.zeros_like(x)
    stored = layout.extent(channel)[i]
    wall = torch.zeros_like(x)
    for side, end, order in ((lower, 0, (1, 2, 3)), (upper, 3, (2, 1, 0))):
        outside = index[..., end] < stored.start if end == 0 else index[..., end] >= stored.stop
        if on_faces and side == "neumann":
            continue
        share = torch.where(outside, weight[..., end], 0.0)
        spread = torch.zeros(4, dtype=torch.float64)
        if not on_faces:
            beyond = _BEYOND_SLOPE if side == "neumann" else _BEYOND_VALUE
            spread[list(order)] = torch.tensor(beyond, dtype=torch.float64)
        if side != "neumann":
            wall = wall + share * float(side) * (1.0 if on_faces else _OF_VALUE)
        spread[end] = -1.0
        weight = weight + share[..., None] * spread
    return index.clamp(stored.start, stored.stop - 1), weight, wall
