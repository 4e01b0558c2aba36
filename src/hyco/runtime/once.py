"""Work that a thread does, or whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Once:
    """Work that is done once, by whichever thread comes first; all others may wait for it.

    An interrupt may come while a thread is being started: then nobody knows whether it will ever run. With this nobody
    has to: who wants the result does the work, unless it is being done.

    Args:
        work: what is done.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._claim, self._ended = threading.Lock(), threading.Event()
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.is_set()

    def do(self) -> None:
        """Do it, unless somebody does or has done; errors are for who asks for the `result`."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._work()
        except BaseException as error:  # an interrupt of who does it, too: it is raised there
            self._error = error
        finally:
            self._ended.set()

    def result(self) -> None:
        """Return when it is done.

        Raises:
            BaseException: what the work has raised.
        """
        self.do()
        self._ended.wait()
        if self._error is not None:
            raise self._error
