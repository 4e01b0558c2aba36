"""Processes and threads that can be begun, or not: of both a system has only so many."""

from __future__ import annotations

import threading
from multiprocessing.process import BaseProcess


def begin(process: BaseProcess) -> None:
    """Begin a process.

    Raises:
        OSError: it cannot be begun: there are too many, there is no memory, or this one is a worker of a
            `multiprocessing.Pool` or another daemonic process, which may have none.
    """
    try:
        process.start()
    except AssertionError as error:  # so Python says the last
        raise OSError(str(error)) from error


def begun(thread: threading.Thread) -> bool:
    """Begin a thread; whether that was possible."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
