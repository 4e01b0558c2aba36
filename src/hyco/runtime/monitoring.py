"""Where time and memory go: seconds per phase, and, when asked, peaks of memory and tensor operators."""

from __future__ import annotations

import copy
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyco.runtime.activity import count_update, working_on

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
# Events of the profiler that are part of others: the host's calls of CUDA, and annotations copied to the device.
_PARTS_OF_OTHERS = ("cuda_runtime", "cuda_driver", "gpu_user_annotation", "overhead")

# The peak before the kernel's mark was last reset, which `getrusage` knows no more.
_peak_before_reset = 0

# By part of a training: the `seconds` that were recorded, and by device and name `[calls, self seconds]`.
Operators = dict[str, dict[str, Any]]


def peak_rss_bytes() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(_peak_before_reset, peak if sys.platform == "darwin" else peak * 1024)


def unwatched() -> None:
    """What a training calls before each update where nobody wants to know."""


class PhaseClock:
    """Adds up the wall seconds of named phases, and their peak memory and tensor operators if asked.

    Args:
        memory: also record the peak resident memory of each phase. On Linux the kernel's high-water mark is reset
            at the beginning of a phase; elsewhere the peak is that of the process so far.
        operators: also record tensor operators: those of a phase before its first update under the name of the phase,
            the others as "PHASE updates". What recording itself takes is a phase of its own, "profiling".
    """

    def __init__(self, *, memory: bool = False, operators: bool = False) -> None:
        self.memory = memory
        self.seconds: dict[str, float] = {}
        self.peak: dict[str, int] = {}
        self.operators: Operators = {}
        self._recorder = OperatorRecorder(self.operators) if operators else None
        self._phase: str | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block under a name; blocks of one name add up."""
        if self.memory:
            _reset_high_water_mark()
        if self._recorder is not None:
            self._phase = name
            self._recorder.start(name)
            self.add("profiling", self._recorder.taken())
        start = time.perf_counter()
        try:
            with working_on(name):
                yield
        finally:
            seconds = time.perf_counter() - start
            if self._recorder is not None:
                self._phase = None
                within = self._recorder.taken()
                self._recorder.stop()
                seconds -= within
                self.add("profiling", within + self._recorder.taken())
            self.add(name, seconds)
            if self.memory:
                self.peak[name] = max(self.peak.get(name, 0), _high_water_mark())

    def begin_update(self) -> None:
        """Tell that an update, or an evaluation within one, begins: here recording may change its name, or end."""
        count_update()
        if self._recorder is not None and self._phase is not None:
            self._recorder.go_on(f"{self._phase} updates")

    def go_on_from(self, seconds: Mapping[str, float], peak: Mapping[str, int], operators: Operators) -> None:
        """Add to what an interrupted training had recorded."""
        self.seconds, self.peak = dict(seconds), dict(peak)
        self.operators.update(copy.deepcopy(operators))

    def add(self, name: str, seconds: float) -> None:
        """Add seconds to those of a name."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class OperatorRecorder:
    """Records with torch.profiler in which tensor operators each part of a training spends its time.

    Only the first seconds of each part: an event takes about half a kB of memory until the recording is stopped.

    Args:
        operators: where to add what is recorded.
        limit: how much of each part is recorded, in seconds.
    """

    def __init__(self, operators: Operators, limit: float = 3.0) -> None:
        self.operators, self.limit = operators, limit
        self._part = ""
        self._since = self._taken = 0.0
        self._profiler: Any = None

    def start(self, part: str) -> None:
        """Record what follows under this name, unless there is enough of it."""
        self.stop()
        self._part = part
        if self._recorded >= self.limit:
            return
        begun = time.perf_counter()
        # Without it the profiler prints a line at each start and stop.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        import torch
        from torch.profiler import ProfilerActivity, profile

        devices = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available()
        self._profiler = profile(activities=devices)
        self._profiler.start()
        self._since = time.perf_counter()
        self._taken += self._since - begun

    def go_on(self, part: str) -> None:
        """Record what follows under this name, or stop if there is enough of it."""
        if part != self._part:
            self.start(part)
        elif self._profiler is not None and self._recorded + time.perf_counter() - self._since >= self.limit:
            self.stop()

    def stop(self) -> None:
        """End the recording, and add it to what was recorded."""
        if self._profiler is None:
            return
        now = time.perf_counter()
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        part = self.operators.setdefault(self._part, {"seconds": 0.0, "operators": {}})
        part["seconds"] += now - self._since
        # Not `key_averages`, which takes many times as long as the work that was recorded.
        for device, name, seconds in _self_seconds(profiler.profiler.kineto_results.events()):
            entry = part["operators"].setdefault(device, {}).setdefault(name, [0, 0.0])
            entry[0] += 1
            entry[1] += seconds
        self._taken += time.perf_counter() - now

    def taken(self) -> float:
        """Seconds that recording itself has taken since the last call, beside the recorded work."""
        taken, self._taken = self._taken, 0.0
        return taken

    @property
    def _recorded(self) -> float:
        return float(self.operators[self._part]["seconds"]) if self._part in self.operators else 0.0


def top_operators(recorded: Operators, most: int = 12) -> dict[str, dict[str, Any]]:
    """The operators with the largest self time in each part.

    Returns:
        By part the `seconds` that were recorded, and `top`, a list of {name, device, calls, seconds, share}: self
        seconds, and their share of the recorded ones. Two further entries without calls hold what remains on the CPU:
        "other operators", and "outside operators", which is Python.
    """
    tops = {}
    for part, entry in recorded.items():
        total = entry["seconds"]
        rows = [
            {"name": name, "device": device, "calls": calls, "seconds": seconds}
            for device, operators in entry["operators"].items()
            for name, (calls, seconds) in operators.items()
        ]
        rows.sort(key=lambda row: -row["seconds"])
        top = rows[:most]
        shown, on_cpu = (sum(row["seconds"] for row in some if row["device"] == "cpu") for some in (top, rows))
        for name, seconds in (("other operators", on_cpu - shown), ("outside operators", max(0.0, total - on_cpu))):
            top.append({"name": name, "device": "cpu", "calls": None, "seconds": seconds})
        tops[part] = {"seconds": total, "top": [row | {"share": row["seconds"] / total} for row in top]}
    return tops


def _self_seconds(events: Iterable[Any]) -> Iterator[tuple[str, str, float]]:
    """Device, name and seconds of each event of the profiler, less those of the events within it."""
    kept = [event for event in events if event.activity_type() not in _PARTS_OF_OTHERS]
    # On the host events are nested by thread, on a device they follow each other.
    kept.sort(key=lambda event: (event.start_thread_id(), event.start_ns(), -event.duration_ns()))
    own = [event.duration_ns() for event in kept]
    around: list[int] = []
    for i, event in enumerate(kept):
        if event.device_type().name != "CPU":
            continue
        while around and not _within(event, kept[around[-1]]):
            around.pop()
        if around:
            own[around[-1]] -= event.duration_ns()
        around.append(i)
    for event, nanoseconds in zip(kept, own, strict=True):
        yield event.device_type().name.lower(), event.name(), nanoseconds * 1e-9


def _within(event: Any, other: Any) -> bool:
    """Whether an event runs in the same thread as an earlier one, before that ends."""
    same = event.start_thread_id() == other.start_thread_id()
    return bool(same and event.start_ns() < other.start_ns() + other.duration_ns())


def _reset_high_water_mark() -> None:
    global _peak_before_reset
    _peak_before_reset = peak_rss_bytes()
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
