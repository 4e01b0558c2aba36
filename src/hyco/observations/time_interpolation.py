"""Measurements between the states of a trajectory: an interpolation of fourth order in time, beside that in space."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from hyco.fields import Layout
from hyco.observations.operators import PointOperator

# States around a measurement that it is read from: a cubic in time, of fourth order as the best of the solvers.
NODES = 4


def lagrange(t: Tensor, count: int) -> Tensor:
    """Weights `[…, count]` of values at 0, 1, …, count - 1 in the polynomial through them, at places t `[…]`.

    At one of these places they are exactly 1 for that value and 0 for the others.
    """
    weights = [torch.ones_like(t) for _ in range(count)]
    for j in range(count):
        for i in range(count):
            if i != j:
                weights[j] = weights[j] * ((t - i) / (j - i))
    return torch.stack(weights, dim=-1)


@dataclass(frozen=True)
class BetweenOperator:
    """Measurements at points, at or between states: the cubic in time through the four states around each.

    The four are two on either side; near the ends of the states that there are, the nearest four: the error is
    O(dt⁴ ∂⁴u/∂t⁴). Where there are less states it is the polynomial through all: a line from one state to the next.
    Measurements at a state are read from it alone.

    Attributes:
        points: reads the points of T states, `[S, T, c, P, …]`.
        behind: steps from each of these states to its measurements, in (-1, 0], `[S, T, P]`.
        slot: which of all states each of the T is, `[T]`; 0 is the first: the one `before`, where there is one.
        states: how many states there are in all.
        cells: entries of a channel.
        has_before: whether the first of all states comes as `before`.
        numbers: of the states that the operator is called with, ascending; None: all.
        nodes: most states that one measurement is read from.
    """

    points: PointOperator
    behind: Tensor
    slot: Tensor
    states: int
    cells: int
    has_before: bool = True
    numbers: Tensor | None = None
    nodes: int = NODES

    @classmethod
    def of(cls, points: PointOperator, behind: Tensor, first: int, layout: Layout) -> BetweenOperator:
        """For the T states from number `first` on, and the one before them unless `first` is 0."""
        begun, cells = int(first > 0), math.prod(layout.shape)
        slot = begun + torch.arange(behind.shape[1])
        return cls(points, behind, slot, begun + len(slot), cells, has_before=bool(begun))

    def __call__(self, states: Tensor, before: Tensor | None = None) -> Tensor:
        """Entries `[N*S, T, C, K]` of states `[N*S, …, C, *space]`; see `Operator`.

        Raises:
            ValueError: these are not (copies of) the operator's simulations and states, or the state before them is
                missing.
        """
        if self.has_before != (before is not None):
            raise ValueError(f"the state before the first one is {'missing' if before is None else 'not needed'}")
        if before is not None:
            states = torch.cat([before.to(states)[:, None], states], dim=1)
        simulations, _, _, points, _ = self.points.indices.shape
        count = self.states if self.numbers is None else len(self.numbers)
        if states.shape[0] % simulations or states.shape[1] != count:
            raise ValueError(
                f"the operator is for {simulations} simulations (or copies of them) and {count} states, that before "
                f"the first among them, not for {list(states.shape[:2])}"
            )
        each = states.reshape(-1, simulations, *states.shape[1:3], self.cells)
        copies, channels = each.shape[0], each.shape[3]
        flat = each.transpose(2, 3).flatten(3)
        index, weights = self._stencil
        index = index.to(states.device).expand(copies, simulations, channels, -1)
        picked = flat.gather(-1, index).reshape(copies, simulations, channels, *weights.shape[2:])
        values = (picked * weights.to(states)).sum(dim=-1).transpose(2, 3) + self.points.offset.to(states)
        values = functional.pad(values, (0, self.points.entries - points))
        if self.points.whole is not None:  # of these states, if any, only the first
            own = functional.pad(each[:, :, :1].flatten(4), (0, self.points.entries - self.cells))
            values = torch.where(self.points.whole.to(states.device)[:, :, None, None], own, values)
        return values.flatten(0, 1)

    def select(self, simulation: Tensor, time: Tensor) -> BetweenOperator:
        """The operator of windows, `time` `[W, T']` with one state after the other: no other states are read."""
        at = (simulation.to(self.behind.device), time.to(self.behind.device))
        steps = time.shape[-1]
        slot = torch.arange(1, steps + 1, device=self.slot.device)
        chosen = self.points.select(simulation, time)
        return replace(self, points=chosen, behind=self.behind[at], slot=slot, states=steps + 1, has_before=True)

    def needed(self, kept: Tensor) -> tuple[BetweenOperator, list[int]]:
        """The operator of some of the T states, `[R]`, to be called with those states alone that it reads.

        Returns:
            The operator, which takes no `before`, and the numbers of the states for it, counted from the first of all.
        """
        whole = torch.arange(len(self.behind))[:, None]
        some = replace(self, points=self.points.select(whole, kept), behind=self.behind[:, kept], slot=self.slot[kept])
        nodes, weights = some._in_time()
        numbers = torch.unique(nodes[weights != 0])
        return replace(some, numbers=numbers, has_before=False), numbers.tolist()

    def normalised(self, mean: Tensor, std: Tensor) -> BetweenOperator:
        """For normalised states and entries: the weights in time sum to 1, so that nothing else changes."""
        return replace(self, points=self.points.normalised(mean, std))

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> BetweenOperator:
        """The same on another device, ready for another dtype."""
        numbers = None if self.numbers is None else self.numbers.to(device)
        points, behind = self.points.to(device, dtype), self.behind.to(device, dtype)
        return replace(self, points=points, behind=behind, slot=self.slot.to(device), numbers=numbers)

    def _in_time(self) -> tuple[Tensor, Tensor]:
        """Numbers of the states that each measurement is read from, and their weights, `[S, T, P, n]`."""
        count, slot = min(self.nodes, self.states), self.slot[:, None]
        first = slot + (self.behind - (count - 2) / 2).floor().long()
        first = first.clamp(0, self.states - count)
        after = lagrange((slot - first) + self.behind, count)
        return first[..., None] + torch.arange(count, device=first.device), after

    @cached_property
    def _stencil(self) -> tuple[Tensor, Tensor]:
        """Indices of the entries in the states of a channel, `[S, c, T*P*n]`, and their weights `[S, c, T, P, n]`."""
        nodes, after = (part[:, :, None, :, :, None] for part in self._in_time())
        if self.numbers is not None:  # a state that is not there has no weight
            nodes = torch.searchsorted(self.numbers, nodes.contiguous()).clamp_max(len(self.numbers) - 1)
        index = (nodes * self.cells + self.points.indices[..., None, :]).flatten(4).transpose(1, 2)
        weights = (after * self.points.weights[..., None, :]).flatten(4).transpose(1, 2)
        return index.flatten(2), weights


def steps_between(offsets: Tensor, k: int, pairs: Tensor) -> float:
    """Root mean square of the steps from a state to what was measured by the k-th after it.

    Args:
        offsets: of these measurements, `[S, 1, P]`.
        pairs: which of them were measured, `[S, 1, C, K]`.
    """
    steps = k + functional.pad(offsets, (0, pairs.shape[-1] - offsets.shape[-1]))[:, :, None]
    return float(((steps.square() * pairs).sum() / pairs.sum()).sqrt())
