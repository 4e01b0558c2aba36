"""Where time and memory go: seconds per phase, and the peak of each phase when asked."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class PhaseClock:
    """Adds up the wall seconds of named phases, and their peak memory if asked.

    Args:
        memory: also record the peak resident memory of each phase. On Linux the kernel's high-water mark is reset
            at the beginning of a phase; elsewhere the peak is that of the process so far.
    """

    def __init__(self, *, memory: bool = False) -> None:
        self.memory = memory
        self.seconds: dict[str, float] = {}
        self.peak: dict[str, int] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block under a name; blocks of one name add up."""
        if self.memory:
            _reset_high_water_mark()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            if self.memory:
                self.peak[name] = max(self.peak.get(name, 0), _high_water_mark())


def _reset_high_water_mark() -> None:
    try:
        _CLEAR.write_text("5")
    except OSError:  # not Linux, or not allowed: the peak of the process has to do
        return


def _high_water_mark() -> int:
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return peak_rss_bytes()
