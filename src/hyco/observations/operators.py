"""The observation operator H: from states to what the measurements of them would be without noise.

An operator stands for some simulations at some states. It maps states `[S, T, C, *space]` to entries `[S, T, C, K…]`:
for measurements on the grid K… is the space itself, and nothing is done; for measurements at points it is a number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from hyco.observations.interpolation import Stencil


class Operator(Protocol):
    """H for some simulations and states."""

    def __call__(self, states: Tensor, before: Tensor | None = None) -> Tensor:
        """Entries of states, differentiable, in the states' dtype and on their device.

        `[S, T, C, *space]` to `[S, T, C, K…]`; or `[N*S, T, …]`, N copies of all simulations one after the other.

        Args:
            before: the state one step before the first, `[N*S, C, *space]`; None if the first is that at t = 0. Read
                where measurements are between states, see `hyco.observations.time_interpolation`.
        """

    def select(self, simulation: Tensor, time: Tensor) -> Operator:
        """The operator of windows: positions in S and T, which broadcast to `[W, T']`."""

    def normalised(self, mean: Tensor, std: Tensor) -> Operator:
        """The same for states (u - mean) / std and entries (y - mean) / std, with statistics `[C]`."""

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> Operator:
        """The same on another device, ready for another dtype."""


class GridOperator:
    """Measurements are entries of the states: H is the identity."""

    def __call__(self, states: Tensor, before: Tensor | None = None) -> Tensor:
        """The states themselves, not a copy."""
        return states

    def select(self, simulation: Tensor, time: Tensor) -> GridOperator:
        """The same."""
        return self

    def normalised(self, mean: Tensor, std: Tensor) -> GridOperator:
        """The same."""
        return self

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> GridOperator:
        """The same."""
        return self


@dataclass(frozen=True)
class PointOperator:
    """Measurements at points: H interpolates. A state may also be measured whole; its entries are then its own.

    Attributes:
        indices, weights, offset: of the points, `[S, T, c, P, …]`; see `hyco.observations.interpolation`.
        entries: K, to which both points and whole states are padded with zeros.
        whole: which states are measured whole, `[S, T]`; None if there are none.
    """

    indices: Tensor
    weights: Tensor
    offset: Tensor
    entries: int
    whole: Tensor | None = None

    @classmethod
    def of(cls, stencil: Stencil, entries: int | None = None, *, whole_start: bool = False) -> PointOperator:
        """From the stencil of places `[S, T, P]`; channels then come before points.

        Args:
            entries: K; None: P.
            whole_start: whether the first state is measured whole.
        """
        whole = None
        if whole_start:
            whole = torch.zeros(stencil.offset.shape[:2], dtype=torch.bool)
            whole[:, 0] = True
        return cls(
            stencil.indices.transpose(2, 3).contiguous(),
            stencil.weights.transpose(2, 3).contiguous(),
            stencil.offset.transpose(2, 3).contiguous(),
            stencil.offset.shape[2] if entries is None else entries,
            whole,
        )

    def __call__(self, states: Tensor, before: Tensor | None = None) -> Tensor:
        """Entries `[…, T, C, K]` of states `[…, T, C, *space]`; see `Operator`.

        Raises:
            ValueError: these are not (copies of) the operator's simulations and states.
        """
        simulations, steps, _, points, corners = self.indices.shape
        if states.shape[0] % simulations or states.shape[1] != steps:
            raise ValueError(
                f"the operator is for {simulations} simulations (or copies of them) and {steps} states, "
                f"not for {list(states.shape[:2])}"
            )
        flat = states.reshape(-1, simulations, *states.shape[1:3], states[0, 0, 0].numel())
        index = self.indices.to(states.device).flatten(3).expand(*flat.shape[:4], -1)
        picked = flat.gather(-1, index).reshape(*flat.shape[:4], points, corners)
        values: Tensor = (picked * self.weights.to(states)).sum(dim=-1) + self.offset.to(states)
        values = functional.pad(values, (0, self.entries - points))
        if self.whole is not None:
            own = functional.pad(flat, (0, self.entries - flat.shape[-1]))
            values = torch.where(self.whole.to(states.device)[:, :, None, None], own, values)
        return values.flatten(0, 1)

    def select(self, simulation: Tensor, time: Tensor) -> PointOperator:
        """The operator of windows."""
        at = (simulation.to(self.indices.device), time.to(self.indices.device))
        return replace(
            self,
            indices=self.indices[at],
            weights=self.weights[at],
            offset=self.offset[at],
            whole=None if self.whole is None else self.whole[at],
        )

    def normalised(self, mean: Tensor, std: Tensor) -> PointOperator:
        """For normalised states and entries: only what the walls add changes."""
        mean, std = (v.to(self.weights).reshape(-1, 1) for v in (mean, std))
        wall = 1 - self.weights.sum(dim=-1)
        return replace(self, offset=(self.offset - wall * mean) / std)

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> PointOperator:
        """The same on another device, ready for another dtype."""
        return replace(
            self,
            indices=self.indices.to(device),
            weights=self.weights.to(device, dtype),
            offset=self.offset.to(device, dtype),
            whole=None if self.whole is None else self.whole.to(device),
        )
