"""The weights that validate best."""

from __future__ import annotations

import copy
import math
from typing import Any

from torch import Tensor, nn


class BestWeights:
    """A copy of a network's weights from the epoch with the lowest score so far.

    Attributes:
        score: that score; infinity before the first.
        epoch: whose weights they are; 0 before the first, and where they are those before training.
        weights: a copy of the network's `state_dict`; empty before the first.
    """

    def __init__(self) -> None:
        self.score, self.epoch = math.inf, 0
        self.weights: dict[str, Tensor] = {}

    def offer(self, epoch: int, score: float, network: nn.Module) -> bool:
        """Keep the network's weights if their score is lower than all before; whether it is."""
        if not score < self.score:
            return False
        self.score, self.epoch = score, epoch
        self.weights = copy.deepcopy(network.state_dict())
        return True

    def describe(self) -> dict[str, Any]:
        """Score and epoch as JSON values, which know no infinity: None is one."""
        return {"best_score": self.score if math.isfinite(self.score) else None, "best_epoch": self.epoch}

    def load(self, description: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Go on from what `describe` and `weights` were."""
        score = description["best_score"]
        self.score = math.inf if score is None else score
        self.epoch, self.weights = description["best_epoch"], weights
