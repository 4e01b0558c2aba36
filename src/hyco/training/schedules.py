"""Learning-rate schedules as pure functions of the epoch, so that a resumed run needs no state for them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class SchedulerConfig(BaseModel):
    """Keys of `scheduler`; a name alone takes the defaults."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

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
