"""Where, on the grid: the modes of `observation.space` that measure the entries of a state themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor

from hyco.fields import Layout
from hyco.grid import Grid
from hyco.observations.interpolation import entry_coordinates
from hyco.runtime.random_streams import stream

Interval = tuple[float, float]
AxisName = Literal["x", "y", "z"]
# Coordinates that differ by less than this part of a cell's width are equal.
_ROUNDING = 1e-9


class Mode(BaseModel):
    """A mode of `observation.space`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    def check(self, grid: Grid, states: int) -> None:
        """Refuse what the grid, or that many observed states, cannot give.

        Raises:
            ValueError: an axis, a place or a number that does not exist.
        """


class CellsMode(Mode):
    """The same entries of every simulation, at every observed time."""

    @abstractmethod
    def cells(self, layout: Layout, generator: torch.Generator) -> Tensor:
        """Observed entries, `[C, *space]`."""

    def mask(self, layout: Layout, times: Tensor, seed: int, simulation: int) -> Tensor:
        """Observed entries of one simulation, `[T+1, C, *space]`, of which `times` `[T+1]` may be observed."""
        return times.reshape(-1, *[1] * (layout.grid.dimensions + 1)) & self.cells(layout, stream(seed, "sensors"))


class FullSpace(CellsMode):
    """Every cell."""

    mode: Literal["full"] = "full"

    def cells(self, layout: Layout, generator: torch.Generator) -> Tensor:
        """Observed entries, `[C, *space]`."""
        return layout.valid


class RangeSpace(CellsMode):
    """The cells whose centres lie in an interval along each axis; an axis left out is observed in full."""

    mode: Literal["range"]
    x: Interval | None = Field(default=None, description="first and last coordinate observed [length]")
    y: Interval | None = Field(default=None, description="first and last coordinate observed [length]")
    z: Interval | None = Field(default=None, description="first and last coordinate observed [length]")

    @property
    def _intervals(self) -> dict[str, Interval]:
        given = {"x": self.x, "y": self.y, "z": self.z}
        return {axis: interval for axis, interval in given.items() if interval is not None}

    def check(self, grid: Grid, states: int) -> None:
        """Refuse an axis that the domain does not have."""
        check_axes("observation.space", self._intervals, grid)

    def cells(self, layout: Layout, generator: torch.Generator) -> Tensor:
        """Observed entries, `[C, *space]`."""
        return box(layout, self._intervals)


class CenterSpace(CellsMode):
    """A box about the centre of the domain."""

    mode: Literal["center"]
    fraction: Annotated[float, Field(gt=0, le=1, description="observed part of the extent along each axis")]

    def cells(self, layout: Layout, generator: torch.Generator) -> Tensor:
        """Observed entries, `[C, *space]`."""
        intervals = {}
        for axis, lower, size in zip(layout.grid.axes, layout.grid.lower, layout.grid.size, strict=True):
            middle, half = lower + size / 2, self.fraction * size / 2
            intervals[axis] = (middle - half, middle + half)
        return box(layout, intervals)


class PointsSpace(CellsMode):
    """Sensors at cells drawn at random without replacement, the same for all simulations and times."""

    mode: Literal["points"]
    count: PositiveInt = Field(description="number of sensors")

    def check(self, grid: Grid, states: int) -> None:
        """Refuse more sensors than cells."""
        if self.count > grid.cells:
            raise ValueError(f"observation.space.count is {self.count}, but the grid has {grid.cells} cells")

    def cells(self, layout: Layout, generator: torch.Generator) -> Tensor:
        """Observed entries, `[C, *space]`."""
        grid = layout.grid
        self.check(grid, 1)
        mask = torch.zeros(grid.cells, dtype=torch.bool)
        mask[torch.randperm(grid.cells, generator=generator)[: self.count]] = True
        return entries_of_cells(mask.reshape(grid.resolution), layout)


def check_axes(where: str, intervals: Mapping[str, Interval], grid: Grid) -> None:
    """Refuse an axis that the domain does not have.

    Raises:
        ValueError: there is one.
    """
    for axis in intervals:
        if axis not in grid.axes:
            raise ValueError(f"{where} names the axis {axis!r}; the domain has {', '.join(grid.axes)}")


def box(layout: Layout, intervals: Mapping[str, Interval]) -> Tensor:
    """The entries, `[C, *space]`, that lie in an interval along each axis, faces by their own positions.

    What lies on an end of an interval is in it, whichever way its coordinate was rounded.
    """
    check_axes("observation.space", intervals, layout.grid)
    mask = layout.valid
    for channel in range(len(layout.channels)):
        for i, (axis, coordinates) in enumerate(entry_coordinates(layout, channel).items()):
            first, last = intervals.get(axis, (-float("inf"), float("inf")))
            rounding = _ROUNDING * layout.grid.spacing[i]
            shape = [1] * layout.grid.dimensions
            shape[i] = -1
            mask[channel] &= ((coordinates >= first - rounding) & (coordinates <= last + rounding)).reshape(shape)
    return mask


def entries_of_cells(cells: Tensor, layout: Layout) -> Tensor:
    """The entries `[*batch, C, *space]` of cells `[*batch, *resolution]`; of a staggered component the lower face."""
    missing = [padded - n for padded, n in zip(layout.shape, layout.grid.resolution, strict=True)]
    padding = [amount for extra in reversed(missing) for amount in (0, extra)]
    padded = torch.nn.functional.pad(cells, padding) if any(missing) else cells
    return padded.unsqueeze(-layout.grid.dimensions - 1) & layout.valid
