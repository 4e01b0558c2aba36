"""Where the entries of a channel lie: names and coordinates of its axes in a dataset.

A channel in the centres of cells has the axes of the grid, `x`, `y`, `z`. A staggered component stands on faces along
its own axis, which there is `x_face`: it has all faces that the model has an unknown on.
"""

from __future__ import annotations

from hyco.fields import Layout
from hyco.observations.interpolation import entry_coordinates

Axis = tuple[str, list[float]]
# Positions may be off by this part of a cell.
SLACK = 1e-3


def axes_of(layout: Layout, channel: int) -> list[Axis]:
    """Name and coordinates of each axis of a channel, without its padding, in the order of the grid."""
    along = entry_coordinates(layout, channel)
    axes = []
    for axis, part in zip(layout.grid.axes, layout.extent(channel), strict=True):
        on_faces = layout.grid.axes.index(axis) == _face_axis(layout, channel)
        axes.append((f"{axis}_face" if on_faces else axis, along[axis][part].tolist()))
    return axes


def _face_axis(layout: Layout, channel: int) -> int | None:
    """The axis along which a staggered component stands on faces."""
    position = 0
    for field in layout.fields:
        for component in field.components or ("",):
            if position == channel:
                return layout.grid.axes.index(component) if field.staggered else None
            position += 1
    raise IndexError(channel)
