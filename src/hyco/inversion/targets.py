"""Predictions of the synthetic model that the physical model is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class SyntheticTargets:
    """The synthetic model's predictions.

    Attributes:
        starts: initial states `[W, C, *space]`; those of the training simulations at t = 0 are among them.
        targets: predictions from them, `[W, T, C, *space]`.
        initial: which starts those are, `[S]`, so that one rollout serves real data and predictions.
        entries: where the predictions count, a mask of their shape; None: everywhere.
    """

    starts: Tensor
    targets: Tensor
    initial: Tensor
    entries: Tensor | None = None

    def to(self, device: torch.device) -> SyntheticTargets:
        """The same on a device."""
        entries = None if self.entries is None else self.entries.to(device)
        return SyntheticTargets(self.starts.to(device), self.targets.to(device), self.initial, entries)
