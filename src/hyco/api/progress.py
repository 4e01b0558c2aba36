"""What a training prints on the terminal while it runs: a few plain lines."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from hyco.display.words import epoch_words
from hyco.runtime.storage import Bundle
from hyco.runtime.torchrun import launched
from hyco.training.ranks import current
from hyco.training.run import Step

log = logging.getLogger(__name__)

# Lines that a training prints, at most.
_LINES = 20
# One dictionary per epoch: `epoch`, losses, validation errors, estimates.
History = list[dict[str, Any]]


def run(steps: Iterable[Step], *, progress: bool) -> tuple[Bundle, History]:
    """Run a training to its end.

    Args:
        steps: what it yields.
        progress: whether to print lines on stderr.

    Returns:
        Its last checkpoint, and one dictionary per epoch.
    """
    if launched() > 1 and current() is None and os.environ.get("RANK") == "0":
        log.warning(
            "torchrun has started this program %s times, and each trains by itself: processes that train one network "
            "together are those of `torchrun … -m kedro run`.",
            os.environ["WORLD_SIZE"],
        )
    history: History = []
    # Not a list of checkpoints: each is a copy of all weights.
    last = deque(_followed(steps, history, progress=progress), maxlen=1)
    return last.pop(), history


def _followed(steps: Iterable[Step], history: History, *, progress: bool) -> Iterator[Bundle]:
    for checkpoint, record in steps:
        entry = {"epoch": record["epoch"], **record["metrics"]}
        history.append(entry)
        meta = checkpoint.metadata
        every = max(1, meta["epochs"] // _LINES)
        if progress and (meta["finished"] or entry["epoch"] % every == 0):
            sys.stderr.write(_line(meta["training"], meta["epochs"], entry))
            sys.stderr.flush()
        yield checkpoint


def _line(training: str, epochs: int, entry: dict[str, Any]) -> str:
    """One epoch in one line: losses, the estimates with their standard deviations, errors on what is held out."""
    return f"{training} {entry['epoch']}/{epochs}: {epoch_words(entry)}\n"
