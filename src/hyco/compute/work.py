"""Pieces through an engine: each is done once, begun again where its worker dies, and told where that is in vain."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hyco.compute.engines import Engine
from hyco.compute.errors import ComputeError, LostWorkerError
from hyco.compute.pieces import MachineError, Piece, as_text, perform, value_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lost:
    """What became of a piece that was begun in vain as often as allowed.

    Attributes:
        reason: of the last time.
    """

    reason: str


def outcomes(engine: Engine, pieces: Sequence[Piece], *, folder: Path | None = None) -> Iterator[tuple[int, Any]]:
    """Do all pieces; yields the position of each and what it has returned, or `Lost`, as they come.

    Args:
        engine: an open one.
        pieces: what is to be done, begun in this order.
        folder: where each result is kept as soon as it is there, by whom has it, and taken from by a later call; None:
            nowhere.

    Raises:
        ComputeError: the engine is gone.
        ValueError, FloatingPointError, hyco.compute.pieces.PieceError: a piece has raised that, and would again; what
            is being done beside it is ended.
    """
    # By number of the piece; each future is put there when it is done, in whatever thread.
    done: SimpleQueue[tuple[int, Future[str]]] = SimpleQueue()
    waiting, failures = deque(range(len(pieces))), Counter[int]()
    going = 0
    while waiting or going:
        while waiting and going < engine.ahead:
            i = waiting.popleft()
            text = as_text(pieces[i], engine.threads, folder, elsewhere=engine.elsewhere)
            future = engine.executor.submit(perform, text)
            future.add_done_callback(lambda future, i=i: done.put((i, future)))  # type: ignore[misc]
            going += 1
        i, future = done.get()
        going -= 1
        label = pieces[i].label
        try:
            yield i, value_of(future.result(), label)
        except CancelledError as error:
            raise ComputeError(engine.gone) from error
        except (LostWorkerError, MachineError) as error:
            failures[i] += 1
            if failures[i] < engine.tries and not getattr(error, "final", False):
                log.warning("%s: %s. It is begun again.", label, error)
                waiting.appendleft(i)
                continue
            log.warning("%s: %s. It was begun %s in vain; the rest goes on.", label, error, _times(failures[i], error))
            yield i, Lost(str(error))


def _times(count: int, error: Exception) -> str:
    if getattr(error, "final", False):
        return "several times"
    return "once" if count == 1 else f"{count} times"
