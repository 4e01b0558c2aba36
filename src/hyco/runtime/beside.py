"""Small jobs in processes of their own, while the program goes on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess

log = logging.getLogger(__name__)


class BesideError(OSError):
    """A job has failed; why stands in the log."""


class Beside:
    """Runs jobs beside the program, on Linux; elsewhere at once, as only there a process can be copied safely.

    A job gets a copy of all that the program has in memory, and must neither use torch nor wait for another thread.

    Args:
        most: so many at a time; a further one waits for the oldest.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._running: list[tuple[str, BaseProcess]] = []
        self._failed: list[str] = []

    def start(self, what: str, job: Callable[[], None]) -> None:
        """Begin a job.

        Args:
            what: it makes, for the message if it fails.
            job: what to do.
        """
        if sys.platform != "linux":
            job()
            return
        if len(self._running) >= self._most:
            self._end(*self._running.pop(0))
        process = multiprocessing.get_context("fork").Process(target=_undisturbed, args=(job,))
        process.start()
        self._running.append((what, process))

    def wait_for(self, what: str) -> None:
        """Wait until a job is done, if it is going on: what it makes is made anew, or removed."""
        for job in [job for job in self._running if job[0] == what]:
            self._running.remove(job)
            self._end(*job)

    def finish(self) -> None:
        """Wait until all is done.

        Raises:
            BesideError: a job has failed.
        """
        while self._running:
            self._end(*self._running.pop(0))
        failed, self._failed = self._failed, []
        if failed:
            raise BesideError(f"{', '.join(failed)} could not be written: see the lines before this one")

    def _end(self, what: str, process: BaseProcess) -> None:
        process.join()
        if process.exitcode:
            self._failed.append(what)


def _undisturbed(job: Callable[[], None]) -> None:
    """An interrupt ends the program, which waits for this; its way to end in order is not this process's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        job()
    except OSError as error:
        log.error("%s", error)
        os._exit(1)


# Fonts are cut for each PDF file of a figure, which takes as long as all else of it: that is done beside the run.
PDFS = Beside()
