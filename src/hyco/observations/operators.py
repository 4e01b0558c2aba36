"""The observation operator H: from states to what the measurements of them would be without noise.

An operator stands for some simulations at some states. It maps states `[S, T, C, *space]` to entries `[S, T, C, K…]`:
for measurements on the grid K… is the space itself, and nothing is done; for measurements at points it is `[P]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from hyco.observations.interpolation import Stencil


class Operator(Protocol):
    """H for some simulations and states."""

    def __call__(self, states: Tensor) -> Tensor:
        """Entries of states, differentiable, in the states' dtype and on their device.

        `[S, T, C, *space]` to `[S, T, C, K…]`; or `[N*S, T, …]`, N copies of all simulations one after the other.
        """

    def select(self, simulation: Tensor, time: Tensor) -> Operator:
        """The operator of windows: positions in S and T, which broadcast to `[W, T']`."""

    def normalised(self, mean: Tensor, std: Tensor) -> Operator:
        """The same for states (u - mean) / std and entries (y - mean) / std, with statistics `[C]`."""

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> Operator:
        """The same on another device, ready for another dtype."""


class GridOperator:
    """Measurements are entries of the states: H is the identity."""

    def __call__(self, states: Tensor) -> Tensor:
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
    """Measurements at points: H interpolates.

    Args:
        stencil: of the points, places `[S, T, P]` (see `hyco.observations.interpolation`).
    """

    indices: Tensor
    weights: Tensor
    offset: Tensor

    @classmethod
    def of(cls, stencil: Stencil) -> PointOperator:
        """From the stencil of places `[S, T, P]`; channels then come before points."""
        return cls(
            stencil.indices.transpose(2, 3).contiguous(),
            stencil.weights.transpose(2, 3).contiguous(),
            stencil.offset.transpose(2, 3).contiguous(),
        )

    def __call__(self, states: Tensor) -> Tensor:
        """Entries `[…, T, C, P]` of states `[…, T, C, *space]`; see `Operator`.

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
        return values.flatten(0, 1)

    def select(self, simulation: Tensor, time: Tensor) -> PointOperator:
        """The operator of windows."""
        simulation, time = simulation.to(self.indices.device), time.to(self.indices.device)
        return PointOperator(
            self.indices[simulation, time], self.weights[simulation, time], self.offset[simulation, time]
        )

    def normalised(self, mean: Tensor, std: Tensor) -> PointOperator:
        """For normalised states and entries: only what the walls add changes."""
        mean, std = (v.to(self.weights).reshape(-1, 1) for v in (mean, std))
        wall = 1 - self.weights.sum(dim=-1)
        return replace(self, offset=(self.offset - wall * mean) / std)

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> PointOperator:
        """The same on another device, ready for another dtype."""
        return PointOperator(self.indices.to(device), self.weights.to(device, dtype), self.offset.to(device, dtype))
