"""A process that gets ready early, and is copied for each batch of jobs: on Linux, where that is safe."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler, recv_handle, send_handle
from typing import NoReturn

from hyco.runtime.beginning import begin

Work = Callable[[Connection], None]

# What is told of work that no process could be begun for.
NO_PROCESS = b"\0"

# What ends the program, which has its own way.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class UnsentError(ValueError):
    """Work cannot be pickled."""


class Copied:
    """Copies of it do not import anew what is needed, and take nothing of this process's memory.

    It ends when it is closed, or with this process; copies end when their work is done.

    Args:
        get_ready: what it does first. What fails there fails again in the copies.

    Raises:
        OSError: no process can be begun.
    """

    def __init__(self, get_ready: Callable[[], None]) -> None:
        self._context = multiprocessing.get_context("fork")
        self._requests, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, self._requests, get_ready), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until it has its own way
        try:
            begin(self._process)
        except OSError:
            self._requests.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._one_at_a_time = threading.Lock()

    def start(self, work: Work) -> Connection:
        """Let a copy begin with work, which is sent there; it is given the other end of what is returned.

        Where no copy could be made, `NO_PROCESS` is told there.

        Raises:
            UnsentError: see there.
            OSError: the process has ended.
        """
        try:
            content = ForkingPickler.dumps(work)
        except Exception as error:  # every kind of object refuses in its own way
            raise UnsentError(str(error)) from error
        here, there = self._context.Pipe()
        try:
            try:
                with self._one_at_a_time:
                    send_handle(self._requests, there.fileno(), self._process.pid)
            finally:
                there.close()  # the copy has its own: where that ends, so does what it tells
            here.send_bytes(content)
        except BaseException:  # an interrupt, too: else who has been asked would wait for the work
            here.close()
            raise
        return here

    def close(self) -> None:
        """Let it end, when it is ready."""
        self._requests.close()
        self._process.join()


def _serve(requests: Connection, others: Connection, get_ready: Callable[[], None]) -> NoReturn:
    """Copy this process whenever it is asked for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends the program, which waits for what is being done
    for number in _SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    others.close()  # else this process would not hear that the other has ended
    gc.disable()  # what is there stays; that of copies goes with them
    with suppress(Exception):
        get_ready()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how copies have ended
    while True:
        try:
            asked = Connection(recv_handle(requests))
        except (EOFError, OSError):
            os._exit(0)
        try:
            copy = os.fork()
        except OSError:  # too many processes, or no memory: who asks does it
            with suppress(EOFError, OSError):
                asked.recv_bytes()  # else who sends it would be told that this process has ended
                asked.send_bytes(NO_PROCESS)
            asked.close()
            continue
        if copy == 0:
            requests.close()  # else what is asked for after this process has ended would wait for its copies
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(asked)
        asked.close()


def _work(asked: Connection) -> NoReturn:
    code = 1
    try:
        work: Work = asked.recv()
        work(asked)
        code = 0
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
