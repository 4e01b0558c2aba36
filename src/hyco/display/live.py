"""One display on a terminal that shows a run as it goes on, in place."""

from __future__ import annotations

import logging
import sys
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hyco.display.state import State
from hyco.display.words import ERRORS, LOSSES, duration, estimate_words, group_words, memory_words
from hyco.runtime.terminal import leave_closed_terminal

_PER_SECOND = 4


class LiveDisplay:
    """A panel below the lines of the log, drawn anew four times a second.

    Args:
        title: of the panel.
        state: what it shows.
        console: where it is; default: the error output, as the log's.
    """

    def __init__(self, title: str, state: State, console: Console | None = None) -> None:
        self._title, self._state = title, state
        self._live = Live(
            console=console or Console(stderr=True),
            get_renderable=self.render,
            refresh_per_second=_PER_SECOND,
            transient=True,
        )
        self._streams: list[tuple[logging.StreamHandler[Any], Any]] = []

    def start(self) -> None:
        """Draw from now on; lines of the log go above the panel."""
        before = sys.stderr
        try:
            self._live.start()
        except RuntimeError:  # no thread can be begun: the panel is drawn with each line of the log alone
            self._live.auto_refresh = False
        for handler in logging.root.handlers:
            # A handler holds the stream that there was before the display took it over.
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                self._streams.append((handler, handler.setStream(sys.stderr)))

    def stop(self) -> None:
        """Take the panel away."""
        leave_closed_terminal()
        for handler, stream in self._streams:
            handler.setStream(stream)
        self._streams = []
        self._live.stop()

    def render(self) -> Panel:
        """The panel as it is now."""
        state = self._state
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(ratio=1)
        head.add_column(justify="right")
        counted = f"{state.unit} {state.done} of {state.total}" if state.total else duration(state.elapsed)
        head.add_row(Text(state.stage, style="bold"), Text(counted))
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column()
        for name, words in self._rows():
            rows.add_row(name, Text(words))
        parts: list[Any] = [head]
        if state.total:
            # By itself a bar ends no line.
            bar = Table.grid(expand=True)
            bar.add_row(ProgressBar(total=state.total, completed=state.done))
            parts.append(bar)
        return Panel(Group(*parts, rows), title=self._title, title_align="left")

    def _rows(self) -> list[tuple[str, str]]:
        state = self._state
        left = state.left
        rows = {
            "now": state.phase(),
            "loss": group_words(state.metrics, LOSSES),
            "estimate": "\n".join(estimate_words(state.metrics)),
            "held-out error": group_words(state.metrics, ERRORS),
            "peak memory": memory_words(state.metrics),
            "time": f"{duration(state.elapsed)}" + ("" if left is None else f", about {duration(left)} left"),
        }
        # Rows that come and go would make the panel jump: the first stays.
        return [(name, words) for name, words in rows.items() if words or (name == "now" and state.total)]
