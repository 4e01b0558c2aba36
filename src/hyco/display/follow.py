"""Follows a run on a terminal: a live panel, or plain lines where nobody can see one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal

from hyco.display.state import State
from hyco.runtime.beginning import begun

Look = Literal["live", "lines", "none"]
# Seconds between two plain lines: short enough that a run is never silent for longer than 15.
EVERY = 10.0


class Follower:
    """Shows how far a run is, in a thread of its own.

    Args:
        say: takes a plain line.
        title: of the live panel.
        look: `live`: a panel (rich); `lines`: a line every few seconds; `none`: nothing.
        every: seconds between two lines.
    """

    def __init__(self, say: Callable[[str], None], title: str, look: Look, every: float = EVERY) -> None:
        self.state = State()
        self._say, self._every = say, every
        self._stop = threading.Event()
        self._lines = look == "lines"
        self._said = time.monotonic()
        self._thread: threading.Thread | None = None
        self._live = None
        if look == "live":
            from hyco.display.live import LiveDisplay  # rich is of no use elsewhere

            self._live = LiveDisplay(title, self.state)

    def start(self) -> None:
        """Show it from now on."""
        self._said = time.monotonic()
        if self._live is not None:
            self._live.start()
        elif self._lines:
            thread = threading.Thread(target=self._repeat, name="progress", daemon=True)
            self._thread = thread if begun(thread) else None

    def begin(self, stage: str) -> None:
        """Something else begins."""
        self.state.begin(stage)

    def advance(
        self, done: int, total: int, metrics: Mapping[str, float | None] | None = None, unit: str = "epoch"
    ) -> None:
        """So many of so many are done; of the last a line is left on the terminal."""
        self.state.unit = unit
        self.state.advance(done, total, metrics)
        if self.state.finished and (self._lines or self._live is not None):
            self._speak()

    def close(self) -> None:
        """Show nothing any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        if self._live is not None:
            self._live.stop()
        self._thread = self._live = None

    def _repeat(self) -> None:
        # Not the whole time at once: a line that was said meanwhile puts the next one off.
        while not self._stop.wait(min(0.25, self._every / 4)):
            if time.monotonic() - self._said >= self._every and self.state.stage:
                self._speak()

    def _speak(self) -> None:
        self._said = time.monotonic()
        self._say(self.state.line())


def look_of(terminal: str, *, interactive: bool | None = None) -> Look:
    """How a run is shown, by the key `terminal`: auto | lines | verbose | quiet."""
    if terminal == "quiet":
        return "none"
    if terminal != "auto":
        return "lines"
    seen = sys.stderr.isatty() if interactive is None else interactive
    return "live" if seen else "lines"
