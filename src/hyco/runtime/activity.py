"""What this process is working on just now: a training says it, another thread may show it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Activity:
    """The part of the work that goes on.

    Attributes:
        phase: its name, empty between two phases.
        updates: updates or evaluations since it began.
        since: when it began, as of `time.monotonic` [s].
    """

    phase: str = ""
    updates: int = 0
    since: float = field(default_factory=time.monotonic)


# Read by a thread that shows it: no lock, as a number that is one too small does no harm.
NOW = Activity()


@contextmanager
def working_on(phase: str) -> Iterator[None]:
    """Say what the work within the block is."""
    before = (NOW.phase, NOW.updates, NOW.since)
    NOW.phase, NOW.updates, NOW.since = phase, 0, time.monotonic()
    try:
        yield
    finally:
        NOW.phase, NOW.updates, NOW.since = before


def count_update() -> None:
    """Say that an update, or an evaluation within one, begins."""
    NOW.updates += 1
