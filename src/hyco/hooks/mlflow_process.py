"""MLflow in a process of its own, which imports it and waits for it while the run goes on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from hyco.hooks import mlflow_calls
from hyco.runtime.beginning import begin
from hyco.runtime.garbage import first_import

log = logging.getLogger(__name__)

# Seconds that a process which nothing is asked of any more may take to end.
_PATIENCE = 2.0
# What tells a run to end goes to all of its processes; this one ends with the run.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class MlflowError(RuntimeError):
    """What MLflow has raised in its process."""


class EndedError(MlflowError):
    """This process has ended."""


class Caller(Protocol):
    """Calls the functions of `hyco.hooks.mlflow_calls` by name, one at a time."""

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function returns.

        Raises:
            Exception: what it raises.
        """

    def close(self) -> None:
        """Call nothing any more."""


class Here:
    """Calls in this process."""

    def call(self, name: str, *arguments: Any) -> Any:
        """See `Caller`."""
        return getattr(mlflow_calls, name)(*arguments)

    def close(self) -> None:
        """Nothing is to be done."""


class Elsewhere:
    """Calls in a process that was copied from this one: it ends when it is closed, or with this one.

    Raises:
        OSError: no process can be begun.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(theirs, self._connection), name="mlflow")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until it ignores them
        self._busy = True  # it gets ready
        try:
            try:
                begin(self._process)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)  # here an interrupt comes that has waited
        except BaseException:
            self._connection.close()
            if self._process.pid is not None:  # else the end of the program would wait for it for ever
                self._process.kill()
                self._process.join()
            raise
        finally:
            theirs.close()

    def call(self, name: str, *arguments: Any) -> Any:
        """See `Caller`; arguments that the function changes are changed here, too.

        Raises:
            MlflowError: with the text of what it raises; an `EndedError` if the process has ended.
        """
        self._busy = True
        try:
            self._connection.send((name, arguments, dict(os.environ)))
            while isinstance(said := self._connection.recv(), logging.LogRecord):
                logger = logging.getLogger(said.name)
                if logger.isEnabledFor(said.levelno):
                    logger.handle(said)
        except (EOFError, OSError) as error:
            raise EndedError("its process has ended") from error
        self._busy = False
        result, changed, mistake = said
        for argument, other in zip(arguments, changed, strict=True):
            if isinstance(argument, dict):
                argument |= other
        if mistake is not None:
            raise MlflowError(mistake)
        return result

    def close(self) -> None:
        """Let the process end; one that gets ready, or is in a call that hangs, is ended."""
        if not self._busy:  # else a thread of this process may be reading
            self._connection.close()
            self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


_begun: Elsewhere | None = None


def begin_early() -> None:
    """Let MLflow be imported beside this process, where this can be copied safely: on Linux, without other threads.

    A process that has imported PyTorch or MLflow calls it itself.
    """
    global _begun
    discard()
    if sys.platform == "linux" and threading.active_count() == 1 and not {"torch", "mlflow"} & sys.modules.keys():
        try:
            _begun = Elsewhere()
        except OSError as error:
            log.warning("No process can be begun for MLflow (%s): the run waits for it.", error.strerror or error)


def take() -> Caller:
    """The process that was begun, for one run; without one, or where MLflow was imported here meanwhile, this one."""
    global _begun
    if _begun is None or "mlflow" in sys.modules:
        discard()
        return Here()
    taken, _begun = _begun, None
    return taken


def discard() -> None:
    """End a process that no run has taken."""
    global _begun
    begun, _begun = _begun, None
    if begun is not None:
        begun.close()


def _serve(connection: Connection, others: Connection) -> None:
    """Call what is asked for, until nobody asks any more."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    others.close()  # else this process would not hear that the other has ended
    teller = _Teller(connection)
    logging.root.handlers = [teller]
    with suppress(EOFError, OSError):
        # What fails now fails again when something is asked for, and is told then.
        with suppress(Exception), first_import("mlflow"):
            mlflow_calls.get_ready()
        while True:
            name, arguments, environment = connection.recv()
            os.environ.update(environment)
            teller.tell(_answer(name, arguments))
    os._exit(0)  # threads of MLflow's may be waiting for a server


def _answer(name: str, arguments: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], str | None]:
    """What a function returns, its arguments, and the text of its error, None without one."""
    try:
        return getattr(mlflow_calls, name)(*arguments), arguments, None
    except Exception as error:  # a tracking server can fail in any way
        return None, arguments, str(error) or type(error).__name__


class _Teller(logging.Handler):
    """Sends answers, and what is logged meanwhile, for the run to say."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection, self._one_at_a_time = connection, threading.Lock()

    def tell(self, something: Any) -> None:
        """Send it, among other threads."""
        with self._one_at_a_time:
            self._connection.send(something)

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record as text, which any process can read."""
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        with suppress(OSError):  # nobody asks any more
            self.tell(record)
