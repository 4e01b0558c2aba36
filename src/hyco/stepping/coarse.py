"""States on a coarser grid and back: for a physical model whose own grid is coarser than that of the data.

A coarse value is the mean over its cell. The way back is the interpolation whose means over the coarse cells are the
coarse values again, so that nothing is lost by going to the data's grid and returning. Along a periodic axis it is
trigonometric: every state that the coarse grid resolves comes back exactly. Along an axis with walls it is cubic, with
the walls' values or slopes: fourth order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations.interpolation import stencil


class Transfer:
    """Between states `[*batch, C, *space]` on two grids of one domain, where a coarse cell is made of whole fine ones.

    Args:
        fine, coarse: layouts of centred fields; the walls are those of the coarse one.
    """

    def __init__(self, fine: Layout, coarse: Layout) -> None:
        self._shape = coarse.grid.resolution
        self._axes = []
        channel = 0
        kinds: list[tuple[slice, FieldSpec]] = []
        for field in coarse.fields:
            kinds.append((slice(channel, channel + len(field.channels)), field))
            channel += len(field.channels)
        if all(field.boundary == kinds[0][1].boundary for _, field in kinds):
            kinds = [(slice(0, channel), kinds[0][1])]
        for channels, field in kinds:
            lines = [_way_back(fine.grid, coarse.grid, field, i) for i in range(coarse.grid.dimensions)]
            self._axes.append((channels, lines))

    def restrict(self, states: Tensor) -> Tensor:
        """Means over the coarse cells."""
        return cell_means(states, self._shape)

    def prolong(self, states: Tensor) -> Tensor:
        """The interpolation of coarse states on the fine grid."""
        d = len(self._shape)
        parts = []
        for channels, lines in self._axes:
            part = states.narrow(-1 - d, channels.start, channels.stop - channels.start)
            for i, (matrix, offset) in enumerate(lines):
                along = part.movedim(i - d, -1) @ matrix.T.to(part) + offset.to(part)
                part = along.movedim(-1, i - d)
            parts.append(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1 - d)


def cell_means(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Means of `[…, *space]` over the cells of a coarser grid: `[…, *shape]`, each entry of which divides space."""
    d = len(shape)
    if tuple(values.shape[values.ndim - d :]) == shape:
        return values
    split = [n for m, size in zip(shape, values.shape[values.ndim - d :], strict=True) for n in (m, size // m)]
    return values.reshape(*values.shape[: values.ndim - d], *split).mean([-1 - 2 * i for i in range(d)])


def repeated(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The inverse for values that are the same all over a cell: `[*coarse]` to `[*shape]`."""
    for i, n in enumerate(shape):
        values = values.repeat_interleave(n // values.shape[i], dim=i)
    return values


def _way_back(fine: Grid, coarse: Grid, field: FieldSpec, i: int) -> tuple[Tensor, Tensor]:
    """Matrix `[n_fine, n_coarse]` and offset `[n_fine]` along axis i, from means to values.

    With the interpolation A c + b of values c and the means R over cells, c must fulfil R (A c + b) = v for given means
    v: c = (R A)⁻¹ (v - R b).
    """
    axis, n, m = coarse.axes[i], coarse.resolution[i], fine.resolution[i]
    places = torch.from_numpy(fine.centers(axis))
    walls = field.walls[axis]
    if walls.periodic:
        matrix, offset = _trigonometric(places, torch.from_numpy(coarse.centers(axis)), coarse.size[i]), None
    else:
        line = Grid((axis,), coarse.lower[i : i + 1], coarse.size[i : i + 1], (n,))
        layout = Layout(line, (FieldSpec("line", boundary={axis: walls.plain}),))
        interpolation = stencil(layout, places[:, None], "cubic")
        indices, weights = interpolation.indices[:, 0], interpolation.weights[:, 0]
        matrix = torch.zeros((m, n), dtype=torch.float64).scatter_add_(1, indices, weights)
        offset = interpolation.offset[:, 0]
    means = torch.zeros((n, m), dtype=torch.float64)
    for cell in range(n):
        means[cell, cell * (m // n) : (cell + 1) * (m // n)] = n / m
    matrix = matrix @ torch.linalg.inv(means @ matrix)
    if offset is None:
        offset = torch.zeros(m, dtype=torch.float64)
    return matrix, offset - matrix @ (means @ offset)


def _trigonometric(places: Tensor, nodes: Tensor, size: float) -> Tensor:
    """Values at places `[m]` of the trigonometric polynomial through values at equidistant nodes `[n]`, `[m, n]`."""
    n = len(nodes)
    angle = 2 * torch.pi * (places[:, None] - nodes) / size
    waves = torch.arange(1, (n - 1) // 2 + 1, dtype=torch.float64)
    total = 1 + 2 * torch.cos(angle[..., None] * waves).sum(dim=-1)
    if n % 2 == 0:
        total = total + torch.cos(angle * (n // 2))
    return total / n
