"""A cluster of Dask, which others have started: distributed.dask.org."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hyco.compute.config import ComputeConfig
from hyco.compute.errors import ComputeError, LostWorkerError
from hyco.compute.pieces import version

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

# Seconds to wait for the scheduler, and for a first worker before that is said.
_PATIENCE = 20
_LOOPBACK = ("127.", "localhost", "[::1]")


class DaskCluster(Executor):
    """The workers of a scheduler. Dask begins a piece again whose worker dies, as often as the scheduler allows.

    What travels is pickled by Dask: the name of `perform`, and texts.

    Args:
        config: has the scheduler.

    Attributes:
        gone: what to say when it is.

    Raises:
        ComputeError: distributed is not installed, the scheduler does not answer or is not who it should be, a file of
            TLS is not there, or a worker has another version of this package.
    """

    def __init__(self, config: ComputeConfig) -> None:
        if config.scheduler is None:
            raise ComputeError("compute.scheduler is missing")
        try:
            dask: Any = import_module("distributed")
        except ImportError as error:
            raise ComputeError(
                f"compute.scheduler: {config.scheduler} needs Dask, which is not installed: pip install 'hyco[cluster]'"
            ) from error
        address = config.scheduler if config.is_address else _address_in(Path(config.scheduler))
        if address.startswith("tls:") != (config.security is not None):
            raise ComputeError(f"compute.scheduler: {address} and compute.security do not fit: tls:// needs it, alone")
        _warn_if_open(address)
        self.gone = (
            f"the scheduler at {address} is gone, or has forgotten the work. Start it again, then go on with "
            "resume=true: what was done is kept"
        )
        security = None
        if config.security is not None:
            files = config.security.model_dump()
            if missing := [
                f"compute.security.{key}: {path}" for key, path in files.items() if not Path(path).is_file()
            ]:
                raise ComputeError(f"{'; '.join(missing)}: no such file")
            security = dask.Security(
                tls_ca_file=files["ca"],
                tls_client_cert=files["certificate"],
                tls_client_key=files["key"],
                require_encryption=True,
            )
        try:
            self._client = dask.Client(address, timeout=_PATIENCE, security=security, set_as_default=False)
        except OSError as error:  # of the network and of TLS alike
            raise ComputeError(
                f"compute.scheduler: {address} does not answer ({' '.join(str(error).split())!s:.200}): is it started, "
                "and reachable from here?"
            ) from error
        self._executor = self._client.get_executor(pure=False)
        try:
            self._greet(address)
        except BaseException:
            self._client.close()
            raise

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `concurrent.futures.Executor.submit`; a future whose workers die has a `LostWorkerError`.

        One is cancelled that is submitted after Dask has given the scheduler up.
        """
        future: Future[T] = Future()
        try:
            inner = self._executor.submit(fn, *args, **kwargs)
        except import_module("distributed.client").ClosedClientError:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            inner.add_done_callback(lambda inner: _pass_on(inner, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster. Pieces that are being done go on to their ends, and keep their results; others are not."""
        # Once the scheduler has been away for longer than Dask waits there is nobody to leave: the pieces have told it.
        with suppress(import_module("distributed.client").ClosedClientError):
            self._executor.shutdown(wait and not cancel_futures)
        self._client.close()

    def _greet(self, address: str) -> None:
        """Wait for a first worker, and see that all have this version of the package.

        Raises:
            ComputeError: one has not.
        """
        if not self._client.scheduler_info()["workers"]:
            log.warning("The scheduler at %s has no workers yet: waiting for the first.", address)
            self._client.wait_for_workers(1)
        own = version()
        try:
            found = self._client.run(version)
        except Exception as error:  # whatever a worker says where it cannot import this package
            raise ComputeError(
                f"a worker of {address} cannot use hyco ({type(error).__name__}: {error!s:.200}): install the same "
                "version there"
            ) from error
        if others := {worker: theirs for worker, theirs in found.items() if theirs != own}:
            worker, theirs = next(iter(others.items()))
            raise ComputeError(
                f"worker {worker} of {address} has hyco {theirs}, here it is {own}: install the same one"
            )


def _address_in(path: Path) -> str:
    """The address that a scheduler file holds.

    Raises:
        ComputeError: there is no such file, or no address in it.
    """
    try:
        address = json.loads(path.read_text(encoding="utf-8"))["address"]
    except OSError as error:
        raise ComputeError(
            f"compute.scheduler: {path} cannot be read ({error.strerror}); allowed: tcp://host:port, tls://host:port, "
            "or the file of `dask scheduler --scheduler-file`"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ComputeError(f"compute.scheduler: {path} is no scheduler file: it has no address") from error
    return str(address)


def _warn_if_open(address: str) -> None:
    if address.startswith("tcp:") and not address.removeprefix("tcp://").startswith(_LOOPBACK):
        log.warning(
            "The scheduler at %s is open: whoever reaches it can run any program on its workers, and on this machine. "
            "Use compute.security beyond a network that you trust.",
            address,
        )


def _pass_on(inner: Future[Any], outer: Future[Any]) -> None:
    """The outcome of Dask's future, in our words."""
    try:
        outer.set_result(inner.result())
    except CancelledError:
        outer.cancel()
        outer.set_running_or_notify_cancel()
    except import_module("distributed").KilledWorker as error:
        outer.set_exception(LostWorkerError(f"{error.allowed_failures + 1} workers have died with it", final=True))
    except Exception as error:  # whatever came of it
        outer.set_exception(error)
