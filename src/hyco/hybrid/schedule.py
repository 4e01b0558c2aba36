"""In which epochs of a hybrid the physical model is updated."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from hyco.inversion.optimisers.result import OptimisationResult
from hyco.runtime.storage import Bundle


class AdaptiveInterleave(BaseModel):
    """Keys of `hybrid.adaptive`: physical updates become rarer while they gain little.

    After a physical update that lowers its loss by less than `min_improvement` (relative), the number of epochs to the
    next one doubles, up to `max_frequency`; after a better one it is `interleave_frequency` again.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

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


@dataclass
class ScheduleState:
    """What changes of a schedule.

    Attributes:
        interval: epochs from the last update to the next.
        next_update: the epoch of that; None: there was no update yet.
    """

    interval: int
    next_update: int | None = None


class UpdateSchedule:
    """Every `frequency` epochs after the warm-up, or as rarely as an adaptive interval says.

    Args:
        warmup: first epochs, without updates.
        frequency: epochs from one update to the next, at least.
        adaptive: how that number grows.
    """

    def __init__(self, warmup: int, frequency: int, adaptive: AdaptiveInterleave) -> None:
        self.warmup, self.frequency, self.adaptive = warmup, frequency, adaptive
        self._state = ScheduleState(frequency)

    def due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, has an update."""
        since = epoch - self.warmup
        if since < 1:
            return False
        if self.adaptive.enabled and self._state.next_update is not None:
            return epoch >= self._state.next_update
        return since % self.frequency == 0

    def plan_next(self, epoch: int, result: OptimisationResult | None) -> None:
        """After the update of an epoch, which is None where it was left out or taken back: that gained nothing."""
        before, after = (1.0, 1.0) if result is None else (result.initial_value, result.value)
        interval = self.adaptive.next_interval(self._state.interval, self.frequency, before, after)
        self._state = ScheduleState(interval, epoch + interval)

    def state(self) -> Bundle:
        """Everything that changes during training."""
        return Bundle({}, asdict(self._state))

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        self._state = ScheduleState(**state.metadata)
