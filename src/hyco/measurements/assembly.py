"""Measurements as entries of states: on the grid where all are centres of cells at times of states, else at points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyco.fields import Layout
from hyco.measurements.columns import Numbers
from hyco.measurements.places import cells_of
from hyco.measurements.rows import Rows
from hyco.observations.checks import MeasurementError

# Entries of all states together, 8 bytes each.
_MOST_ENTRIES = 500_000_000


@dataclass(frozen=True)
class Entries:
    """Entries of the states of S trajectories, as `Observations` has them.

    Attributes:
        values, mask: `[S, T+1, C, K…]`.
        positions: of points, `[S, T+1, P, d]`; None on the grid.
        offsets: from the states to the points in time, `[S, T+1, P]` steps; None on the grid.
    """

    values: Tensor
    mask: Tensor
    positions: Tensor | None = None
    offsets: Tensor | None = None


@dataclass(frozen=True)
class Placed:
    """Measurements of S trajectories, with the state and the cell that each is of.

    Attributes:
        rows: n measurements, with `simulation` from 0 to S - 1.
        count: S.
        step: of each, `[n]`.
        offset: steps from that state to each, in (-1, 0], `[n]`.
        last: the last state, T.
        cell: of each, `[n]`; None if one is between centres.
        layout: of the states.
    """

    rows: Rows
    count: int
    step: NDArray[np.int64]
    offset: Numbers
    last: int
    cell: NDArray[np.int64] | None
    layout: Layout

    def at_start(self) -> NDArray[np.bool_]:
        """Which measurements are of t = 0, `[n]`."""
        return np.equal(self.step, 0)

    def whole_start(self) -> Tensor | None:
        """The states at t = 0, `[S, C, *space]`, where each cell of each was measured once in all channels."""
        start = self.rows.of(self.at_start())
        channels, cells = len(self.layout.channels), self.layout.grid.cells
        cell = cells_of(start, self.layout) if len(start.time) == self.count * cells else None
        if cell is None:
            return None
        states = np.full((self.count, cells, channels), np.nan)
        states[start.simulation, cell] = start.values
        if not np.isfinite(states).all():
            return None
        return torch.from_numpy(states.transpose(0, 2, 1).reshape(self.count, channels, *self.layout.shape).copy())

    def mean_start(self) -> Tensor:
        """The means of what was measured in each cell at t = 0, `[S, C, *space]`.

        Raises:
            MeasurementError: nothing was measured in some cell, or some measurements are between centres of cells.
        """
        start = self.rows.of(self.at_start())
        channels, cells = len(self.layout.channels), self.layout.grid.cells
        cell = cells_of(start, self.layout)
        if cell is None:
            raise MeasurementError(
                "initial: measured needs measurements in centres of cells at t = 0: choose equation.domain so that "
                "these are there, or leave initial out"
            )
        size = self.count * cells
        key = start.simulation * cells + cell
        totals, counts = np.zeros((2, channels, size))
        for c in range(channels):
            there = np.isfinite(start.values[:, c])
            totals[c] = np.bincount(key[there], start.values[there, c], size)
            counts[c] = np.bincount(key[there], minlength=size)
        if lacking := int((counts == 0).sum()):
            raise MeasurementError(
                f"initial: measured needs a value of each channel in every cell at t = 0, {lacking} of {counts.size} "
                "have none: leave initial out, and the state is estimated"
            )
        means = (totals / counts).reshape(channels, self.count, *self.layout.shape)
        return torch.from_numpy(means.swapaxes(0, 1).copy())

    def entries(self, whole: Tensor | None) -> Entries:
        """All measurements.

        Args:
            whole: states at t = 0 that were measured in every cell, which then are those entries.

        Raises:
            MeasurementError: they are too many for the memory.
        """
        if self.cell is None or self.offset.any() or self._twice(self.cell):
            return self._at_points(whole)
        shape = self._checked(self.count, self.last + 1, len(self.layout.channels), self.layout.grid.cells)
        values = torch.full(shape, torch.nan, dtype=torch.float64)
        entries = values.numpy()
        for c in range(shape[2]):
            measured = np.isfinite(self.rows.values[:, c])
            where = [part[measured] for part in (self.rows.simulation, self.step, self.cell)]
            entries[where[0], where[1], c, where[2]] = self.rows.values[measured, c]
        mask = values.isfinite()
        by_cells = (*shape[:3], *self.layout.shape)
        return Entries(values.nan_to_num_().reshape(by_cells), mask.reshape(by_cells))

    def _twice(self, cell: NDArray[np.int64]) -> bool:
        """Whether a channel was measured twice in one cell of one state."""
        self._checked(self.count, self.last + 1, self.layout.grid.cells)
        key = (self.rows.simulation * (self.last + 1) + self.step) * self.layout.grid.cells + cell
        for c in range(self.rows.values.shape[1]):
            measured = np.isfinite(self.rows.values[:, c])
            seen = np.zeros(self.count * (self.last + 1) * self.layout.grid.cells, dtype=bool)
            seen[key[measured]] = True
            if np.count_nonzero(seen) < np.count_nonzero(measured):
                return True
        return False

    def _at_points(self, whole: Tensor | None) -> Entries:
        used = np.ones(len(self.step), dtype=bool) if whole is None else ~self.at_start()
        rows, step, offset = self.rows.of(used), self.step[used], self.offset[used]
        state = rows.simulation * (self.last + 1) + step
        # In one order, whatever that of the file: by time, then by position.
        order = np.lexsort((*rows.position.T[::-1], offset, state))
        state = state[order]
        begins = np.flatnonzero(np.diff(state, prepend=-1))
        each = np.diff(begins, append=len(state))
        slot = np.arange(len(state)) - np.repeat(begins, each)
        points = int(each.max())
        channels, cells = len(self.layout.channels), 0 if whole is None else self.layout.grid.cells
        shape = self._checked(self.count, self.last + 1, channels, max(points, cells))
        grid = self.layout.grid
        middle = torch.tensor([low + size / 2 for low, size in zip(grid.lower, grid.size, strict=True)])
        positions = middle.double().repeat(shape[0] * shape[1], points, 1)
        values = torch.full((shape[0] * shape[1], *shape[2:]), torch.nan, dtype=torch.float64)
        offsets = torch.zeros(positions.shape[:2], dtype=torch.float64) if offset.any() else None
        positions.numpy()[state, slot] = self._within_walls(rows.position[order])
        if offsets is not None:
            offsets.numpy()[state, slot] = offset[order]
            offsets = offsets.reshape(*shape[:2], points)
        for c in range(channels):
            values.numpy()[state, c, slot] = rows.values[order, c]
        values, positions = values.reshape(shape), positions.reshape(*shape[:2], points, -1)
        if whole is not None:
            values[:, 0, :, :cells] = whole.flatten(2)
        mask = values.isfinite()
        return Entries(values.nan_to_num_(), mask, positions, offsets)

    def _within_walls(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions `[n, d]`, changed where rounding has put one beyond a wall: it is on the wall."""
        for i, (low, size) in enumerate(zip(self.layout.grid.lower, self.layout.grid.size, strict=True)):
            if not self.layout.periodic[i]:
                place[:, i] = place[:, i].clip(low, low + size)
        return place

    def _checked(self, *shape: int) -> tuple[int, ...]:
        if np.prod([float(n) for n in shape]) > _MOST_ENTRIES:
            raise MeasurementError(
                f"the measurements span {self.last} steps of equation.dt, too many to hold all states in memory: is "
                "scale.time right?"
            )
        return shape


def of_simulations(rows: Rows, chosen: Sequence[int]) -> Rows:
    """The measurements of some trajectories, renumbered in their order."""
    if list(chosen) == list(range(rows.simulations)):
        return rows
    number = np.full(rows.simulations, -1)
    number[list(chosen)] = np.arange(len(chosen))
    new = number[rows.simulation]
    kept = rows.of(new >= 0)
    return Rows(**{**vars(kept), "simulation": new[new >= 0], "simulations": len(chosen)})
