"""What each update of a network trains on: random windows, or random points. Each has a random stream of its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from hyco.runtime.random_streams import stream
from hyco.training.windows import Windows


class Batches(ABC):
    """Random draws whose state belongs into a checkpoint."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Where the random streams are, by name."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`; other tensors are ignored."""


class WindowBatches(Batches):
    """Random windows of the data, and of the physical model's fresh trajectories.

    Args:
        windows: those of the data.
        batch_size: windows of the data in each update.
        fresh_batch: windows of fresh trajectories in each update.
        fresh_updates: most updates in an epoch that these make; None: as many as `updates` says.
        seed: of the run.
    """

    def __init__(
        self, windows: Windows, batch_size: int, fresh_batch: int, fresh_updates: int | None, seed: int
    ) -> None:
        self.windows, self.batch_size, self.fresh_batch = windows, batch_size, fresh_batch
        self.fresh_updates = fresh_updates
        self._generator = stream(seed, "batches")

    def updates(self, fresh: Tensor | None, length: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """For each update of an epoch the windows of the data `[w]`, and the fresh ones `[f, length + 1, C, *space]`.

        With fresh trajectories each update has windows of both kinds, and the epoch is one pass over the larger kind:
        all windows of the data, or as many random windows of the trajectories as they are long (or as few as
        `fresh_updates` takes).

        Args:
            fresh: trajectories, `[F, M+1, C, *space]`; None: there are none.
            length: states to predict in this epoch.
        """
        real = self._all_windows()
        if fresh is None:
            yield from ((which, None) for which in real)
            return
        count, states = fresh.shape[:2]
        each = max(1, (states - 1) // self.windows.length)
        trajectory = torch.arange(count).repeat(each)[torch.randperm(count * each, generator=self._generator)]
        first = torch.randint(0, states - length, (count * each,), generator=self._generator)
        times = first[:, None] + torch.arange(length + 1)
        others = torch.split(torch.arange(count * each), self.fresh_batch)[: self.fresh_updates]
        while len(real) < len(others):
            real = (*real, *self._all_windows())
        for i in range(max(len(others), math.ceil(len(self.windows) / self.batch_size))):
            which = others[i % len(others)]
            yield real[i], fresh[trajectory[which, None], times[which]]

    def _all_windows(self) -> tuple[Tensor, ...]:
        return torch.split(torch.randperm(len(self.windows), generator=self._generator), self.batch_size)

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal numbers in the shape of a tensor, on its device."""
        return torch.randn(like.shape, generator=self._generator).to(like)

    def state(self) -> dict[str, Tensor]:
        """Where the random stream is."""
        return {"batches": self._generator.get_state()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`; other tensors are ignored."""
        self._generator.set_state(tensors["batches"])


class PointBatches(Batches):
    """Random measured points, and ghost points: random entries of predicted trajectories.

    Args:
        measured: how many measured points there are.
        batch_size: most of them in each update.
        entries: sizes of the windows, their states and the cells that ghost points are drawn from.
        ghost_points: how many of these are drawn at a time.
        seed: of the run; both kinds have streams of their own.
    """

    def __init__(
        self, measured: int, batch_size: int, entries: tuple[int, int, int], ghost_points: int, seed: int
    ) -> None:
        self.batch_size, self.ghost_points = min(batch_size, measured), ghost_points
        self._count, self._entries = measured, entries
        self._measured, self._ghosts = stream(seed, "batches"), stream(seed, "ghost points")

    def measured(self) -> Tensor:
        """The measured points of an update, `[n]`; all, in order, where no more than `batch_size` were measured."""
        if self.batch_size == self._count:
            return torch.arange(self._count)
        return torch.randperm(self._count, generator=self._measured)[: self.batch_size]

    def ghosts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Window, step before the state, and cell of ghost points, `[n]` each."""
        drawn = torch.randint(math.prod(self._entries), (self.ghost_points,), generator=self._ghosts)
        window, time, cell = torch.unravel_index(drawn, self._entries)
        return window, time, cell

    def state(self) -> dict[str, Tensor]:
        """Where the random streams are."""
        return {"batches": self._measured.get_state(), "ghosts": self._ghosts.get_state()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state`; other tensors are ignored."""
        self._measured.set_state(tensors["batches"])
        self._ghosts.set_state(tensors["ghosts"])
