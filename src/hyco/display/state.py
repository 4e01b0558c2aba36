"""How far a run is: what it does, its epoch, the latest numbers, and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hyco.display.words import duration, epoch_words
from hyco.runtime.activity import NOW

# Epochs of which the speed tells how long the rest will take, and how many there must be.
_RECENT, _TELLING = 20, 5
# Seconds from which on a line says what the training is at.
_LONG = 2.0
# Names of phases for readers.
_PHASES = {
    "synthetic": "network",
    "physical": "physics",
    "conversion": "conversion",
    "validation": "validation",
}


@dataclass
class State:
    """How far a run is.

    Attributes:
        stage: what goes on, in words.
        unit: what is counted.
        done, total: how many of how many; 0 of 0 where nothing is counted.
        metrics: by name the latest that there is of each.
        clock: of the time [s].
    """

    stage: str = ""
    unit: str = "epoch"
    done: int = 0
    total: int = 0
    metrics: dict[str, float | None] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _begun: float = 0.0
    _marks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def begin(self, stage: str) -> None:
        """Something else begins; parts of one stage go on with it."""
        if stage == self.stage and not self.total:
            return
        self.stage, self.done, self.total, self.metrics = stage, 0, 0, {}
        self._begun = self.clock()
        self._marks.clear()

    def advance(self, done: int, total: int, metrics: Mapping[str, float | None] | None = None) -> None:
        """So many of so many are done."""
        if not self._marks:
            # The first mark of a training that was resumed is not zero.
            self._marks.append((self._begun, done - 1))
        self._marks.append((self.clock(), done))
        self.done, self.total = done, total
        self.metrics.update({key: value for key, value in (metrics or {}).items() if value is not None})

    @property
    def finished(self) -> bool:
        """Whether all that is counted is done."""
        return self.total > 0 and self.done >= self.total

    @property
    def elapsed(self) -> float:
        """Seconds since the stage began."""
        return self.clock() - self._begun

    @property
    def left(self) -> float | None:
        """Seconds that are left, by the speed of the last epochs; None where nothing tells."""
        # The first epochs may include what is done only once.
        if len(self._marks) < _TELLING or self.finished:
            return None
        (begun, first), (_, last) = self._marks[2], self._marks[-1]
        if last <= first:
            return None
        now = self.clock()
        return max(0.0, (now - begun) / (last - first) * (self.total - last))

    def phase(self) -> str:
        """What the training does at the moment, with the updates so far where they take long."""
        if not NOW.phase:
            return ""
        words = _PHASES.get(NOW.phase, NOW.phase)
        seconds = self.clock() - NOW.since
        if seconds < _LONG:
            return words
        updates = f", {NOW.updates} updates" if NOW.updates > 1 else ""
        return f"{words}{updates}, for {duration(seconds)}"

    def line(self) -> str:
        """All of it in one line."""
        parts = [self.stage]
        if self.total:
            parts.append(f"{self.unit} {self.done} of {self.total}")
        elif self.elapsed >= 1:
            parts.append(duration(self.elapsed))
        if not self.finished and self.clock() - NOW.since >= _LONG and (phase := self.phase()):
            parts.append(f"now {phase}")
        words = ", ".join(parts)
        if numbers := epoch_words(self.metrics):
            words += f": {numbers}"
        if (left := self.left) is not None:
            words += f"; about {duration(left)} left"
        return words
