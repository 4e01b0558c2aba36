"""Learning-rate schedules as pure functions of the epoch, so that a resumed run needs no state for them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class SchedulerConfig(BaseModel):
    """Keys of `scheduler`; a name alone takes the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["constant", "cosine", "exponential", "step"] = Field(default="cosine", description="shape")
    final: float = Field(default=0.01, ge=0, le=1, description="cosine: last rate over the first")
    decay: float = Field(default=0.97, gt=0, le=1, description="exponential: factor per epoch; step: factor per step")
    every: PositiveInt = Field(default=10, description="step: epochs between two steps")

    def factor(self, epoch: int, epochs: int) -> float:
        """Learning rate over its first value in an epoch, 1 to `epochs`."""
        done = epoch - 1
        if self.name == "cosine":
            return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done / max(epochs - 1, 1)))
        if self.name == "exponential":
            return float(self.decay**done)
        if self.name == "step":
            return float(self.decay ** (done // self.every))
        return 1.0


class AdaptiveInterleave(BaseModel):
    """Keys of `hybrid.adaptive`: physical updates become rarer while they gain little.

    After a physical update that lowers its loss by less than `min_improvement` (relative), the number of epochs to the
    next one doubles, up to `max_frequency`; after a better one it is `interleave_frequency` again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=False, description="whether the interval adapts")
    min_improvement: float = Field(default=1e-3, ge=0, description="relative decrease of the loss worth an update")
    max_frequency: PositiveInt = Field(default=16, description="most epochs between two physical updates")

    def next_interval(self, interval: int, shortest: int, before: float, after: float) -> int:
        """Epochs to the next physical update, given the last one's loss before and after."""
        if not self.enabled:
            return shortest
        improvement = (before - after) / before if before > 0 else 0.0
        if improvement >= self.min_improvement:
            return shortest
        return max(shortest, min(2 * interval, self.max_frequency))
