"""Processes of this machine."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import Any, ParamSpec, TypeVar

from hyco.compute.errors import LostWorkerError
from hyco.runtime import forerunner
from hyco.runtime.open_work import OPEN

P = ParamSpec("P")
T = TypeVar("T")


class Processes(Executor):
    """So many processes, each begun anew where it dies: that costs the piece which it had, and no other.

    Python's own pool of processes is lost as a whole with one of them, and does not say which piece had it. So each of
    these is a pool of one, and has a thread of this process that hands it one piece after the other.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self._context = multiprocessing.get_context(forerunner.begin())
        self._closed, self._close = self._context.Pipe(duplex=False)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="compute")
        self._own = threading.local()
        self._pools: set[ProcessPoolExecutor] = set()
        OPEN.add(self)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `concurrent.futures.Executor.submit`; a future whose process dies has a `LostWorkerError`."""
        return self._threads.submit(self._hand_over, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `concurrent.futures.Executor.shutdown`; with `cancel_futures` what is being done ends, too, at once."""
        if cancel_futures:
            self._close.close()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait)
        self._pools.clear()
        OPEN.discard(self)

    def _hand_over(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In a thread: give its process a piece, and wait."""
        pool = getattr(self._own, "pool", None)
        if pool is None:
            try:
                pool = ProcessPoolExecutor(1, self._context, _begin, (self._closed, dict(os.environ)))
            except OSError as error:  # no room for its locks, no file that may still be opened
                raise LostWorkerError(f"no process can be begun ({error.strerror})") from error
            self._own.pool = pool
            self._pools.add(pool)
        try:
            piece = pool.submit(fn, *args, **kwargs)  # the first one begins the process
        except (OSError, EOFError) as error:  # EOFError: the process that it was to be a copy of has just died
            self._leave(pool)
            raise LostWorkerError(f"no process can be begun ({getattr(error, 'strerror', error)})") from error
        except BrokenProcessPool as error:
            self._leave(pool)
            raise LostWorkerError("its process was ended, for want of memory perhaps") from error
        try:
            return piece.result()
        except BrokenProcessPool as error:
            self._leave(pool)
            raise LostWorkerError("its process was ended, for want of memory perhaps") from error

    def _leave(self, pool: ProcessPoolExecutor) -> None:
        """Of a thread: its process is of no use any more."""
        self._own.pool = None
        self._pools.discard(pool)
        pool.shutdown()


def _begin(closed: Connection, environment: Mapping[str, str]) -> None:
    """In a process: the variables of the one that has begun it, as they are now, and no life after that one's."""
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: who has begun this one ends it
    gc.freeze()  # see `hyco.runtime.garbage`: what is there now is modules
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel, closed])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
