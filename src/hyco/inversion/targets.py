"""Predictions of the synthetic model that the physical model is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.trained_model import Time


@dataclass
class SyntheticTargets:
    """The synthetic model's predictions.

    Attributes:
        starts: initial states `[W, C, *space]`; those of the training simulations at t = 0 are among them.
        targets: predictions from them, `[W, T, C, *space]`.
        initial: which starts those are, `[S]`, so that one rollout serves real data and predictions.
        entries: where the predictions count, a mask of their shape; None: everywhere.
        time: t of the starts, a number or `[W]`.
    """

    starts: Tensor
    targets: Tensor
    initial: Tensor
    entries: Tensor | None = None
    time: Time = 0.0

    def to(self, device: torch.device) -> SyntheticTargets:
        """The same on a device."""
        entries = None if self.entries is None else self.entries.to(device)
        time = self.time.to(device) if isinstance(self.time, Tensor) else self.time
        return SyntheticTargets(self.starts.to(device), self.targets.to(device), self.initial, entries, time)

    def time_of_copies(self, copies: int) -> Time:
        """The times of so many copies of all starts, one behind the other: a number or `[copies · W]`."""
        return self.time.repeat(copies) if isinstance(self.time, Tensor) and self.time.ndim else self.time
