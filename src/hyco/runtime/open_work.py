"""Work that goes on beside this process until its executor is shut down."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from weakref import WeakSet

# A generator that is not consumed to its end, because of an error of who consumes it, lets nobody shut its own down.
OPEN: WeakSet[Executor] = WeakSet()


def end_open_work() -> None:
    """End what is being done, at once, and wait until it has ended."""
    for executor in list(OPEN):
        executor.shutdown(cancel_futures=True)


# At the end of the program, before Python waits for all that is being done in executors.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(end_open_work)
