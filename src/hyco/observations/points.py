"""Where, between the cells: the modes of `observation.space` that measure at points, which may differ in time."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Literal

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor

from hyco.expressions import Expression
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations.cells import AxisName, Interval, Mode, box, check_axes, entries_of_cells
from hyco.runtime.random_streams import stream

# Initial coordinates, as the formulas of a path name them beside the time t.
_ORIGINS = {"x": "x0", "y": "y0", "z": "z0"}


class _RegionMode(Mode):
    region: dict[AxisName, Interval] = Field(
        default={}, description="first and last coordinate by axis; an axis left out in full [length]"
    )

    @property
    def _intervals(self) -> dict[str, Interval]:
        return {str(axis): interval for axis, interval in self.region.items()}

    def check(self, grid: Grid, states: int) -> None:
        """Refuse a region that is not in the domain."""
        check_axes("observation.space.region", self._intervals, grid)
        for axis, lower, size in zip(grid.axes, grid.lower, grid.size, strict=True):
            first, last = self._intervals.get(axis, (lower, lower + size))
            if not lower <= first < last <= lower + size:
                raise ValueError(
                    f"observation.space.region.{axis} is [{first:g}, {last:g}]; "
                    f"allowed: two growing numbers from {lower:g} to {lower + size:g}"
                )

    def _corners(self, grid: Grid) -> tuple[Tensor, Tensor]:
        """Lower corner and extent `[d]` of the region."""
        bounds = [
            self._intervals.get(axis, (lower, lower + size))
            for axis, lower, size in zip(grid.axes, grid.lower, grid.size, strict=True)
        ]
        lower, upper = torch.tensor(bounds, dtype=torch.float64).unbind(dim=1)
        return lower, upper - lower

    def _draw(self, grid: Grid, count: int, generator: torch.Generator) -> Tensor:
        """Places drawn uniformly from the region, `[count, d]`."""
        lower, extent = self._corners(grid)
        return lower + extent * torch.rand(count, grid.dimensions, generator=generator, dtype=torch.float64)


class SamplesSpace(_RegionMode):
    """Single measurements at random times and places together, other ones in every simulation."""

    mode: Literal["samples"]
    count: PositiveInt = Field(description="measurements of each simulation, each of all channels")
    at: Literal["cells", "anywhere"] = Field(
        default="cells", description="cells, none twice at one time; or anywhere, by interpolation"
    )

    def check(self, grid: Grid, states: int) -> None:
        """Refuse a region that is not in the domain, and more measurements of cells than there are."""
        super().check(grid, states)
        if self.at == "cells":
            cells = int(self._inside(grid).sum())
            if self.count > states * cells:
                raise ValueError(
                    f"observation.space.count is {self.count}, but there are {cells} cells in {states} observed states"
                )

    def _inside(self, grid: Grid) -> Tensor:
        """The cells whose centres are in the region, `[*space]`."""
        return box(Layout(grid, (FieldSpec("cell"),)), self._intervals)[0]

    def mask(self, layout: Layout, times: Tensor, seed: int, simulation: int) -> Tensor:
        """Observed entries of one simulation, `[T+1, C, *space]`, of which `times` `[T+1]` may be observed."""
        grid = layout.grid
        states, inside = times.nonzero().flatten(), self._inside(grid).flatten().nonzero().flatten()
        self.check(grid, len(states))
        order = torch.randperm(len(states) * len(inside), generator=stream(seed, "sensors", simulation))[: self.count]
        cells = torch.zeros(len(times), grid.cells, dtype=torch.bool)
        cells[states[order // len(inside)], inside[order % len(inside)]] = True
        return entries_of_cells(cells.reshape(-1, *grid.resolution), layout)

    def places(self, grid: Grid, times: Tensor, dt: float, seed: int, simulation: int) -> tuple[Tensor, Tensor]:
        """Positions `[T+1, P, d]` in one simulation, and which of them are measured, `[T+1, P]`."""
        generator = stream(seed, "sensors", simulation)
        states = times.nonzero().flatten()
        drawn = states[torch.randint(len(states), (self.count,), generator=generator)].sort().values
        positions = self._draw(grid, self.count, generator)
        each = torch.bincount(drawn, minlength=len(times))
        slot = torch.arange(self.count) - (each.cumsum(0) - each)[drawn]
        shape = (len(times), int(each.max()))
        places = torch.zeros(*shape, grid.dimensions, dtype=torch.float64)
        present = torch.zeros(shape, dtype=torch.bool)
        places[drawn, slot], present[drawn, slot] = positions, True
        return places, present


class MovingSpace(_RegionMode):
    """Sensors that move along given paths, the same in all simulations; not observed where they leave the domain."""

    mode: Literal["moving"]
    count: PositiveInt = Field(description="number of sensors")
    start: Literal["random", "grid"] = Field(default="random", description="where in the region they start")
    path: dict[AxisName, str | float] = Field(
        default={},
        description="coordinate at time t, by axis: a formula of t and the start x0, y0, z0; an axis left out rests",
    )

    @field_validator("path")
    @classmethod
    def _formulas(cls, path: dict[AxisName, str | float]) -> dict[AxisName, str | float]:
        for formula in path.values():
            Expression(str(formula)).require(("t", *_ORIGINS.values()))
        return path

    def check(self, grid: Grid, states: int) -> None:
        """Refuse a region that is not in the domain, and a path along an axis that it does not have."""
        super().check(grid, states)
        for axis, formula in self.path.items():
            if axis not in grid.axes:
                raise ValueError(
                    f"observation.space.path names the axis {axis!r}; the domain has {', '.join(grid.axes)}"
                )
            Expression(str(formula)).require(("t", *(_ORIGINS[a] for a in grid.axes)))

    def places(self, grid: Grid, times: Tensor, dt: float, seed: int, simulation: int) -> tuple[Tensor, Tensor]:
        """Positions `[T+1, P, d]` in one simulation, and which of them are measured, `[T+1, P]`."""
        origins = self._grid(grid) if self.start == "grid" else self._draw(grid, self.count, stream(seed, "sensors"))
        t = dt * torch.arange(len(times), dtype=torch.float64)[:, None]
        names = {"t": t, **{_ORIGINS[axis]: origins[:, i] for i, axis in enumerate(grid.axes)}}
        paths = {**_ORIGINS, **{str(axis): str(formula) for axis, formula in self.path.items()}}
        along = [Expression(paths[axis])(names) for axis in grid.axes]
        positions = torch.stack([p.expand(len(times), self.count) for p in along], dim=-1)
        lower = torch.tensor(grid.lower, dtype=torch.float64)
        upper = lower + torch.tensor(grid.size, dtype=torch.float64)
        return positions, ((positions >= lower) & (positions <= upper)).all(dim=-1) & times[:, None]

    def _grid(self, grid: Grid) -> Tensor:
        """The middles of equal boxes that the region is cut into, as near to cubes as `count` allows, `[count, d]`."""
        lower, extent = self._corners(grid)
        divisors = [n for n in range(1, self.count + 1) if self.count % n == 0]
        cuts = [c for c in product(divisors, repeat=grid.dimensions) if prod(c) == self.count]
        edges = [extent / torch.tensor(c, dtype=torch.float64) for c in cuts]
        best = cuts[min(range(len(cuts)), key=lambda i: float(edges[i].max() / edges[i].min()))]
        lines = [
            low + size * (torch.arange(n, dtype=torch.float64) + 0.5) / n
            for low, size, n in zip(lower, extent, best, strict=True)
        ]
        return torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, grid.dimensions)
