"""What goes to MLflow while a run goes on: by a thread of its own, and into a file where MLflow does not answer."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hyco.hooks.database import address, prepare_database
from hyco.hooks.mlflow_calls import MOST_PARAMS, Entry, be_quick
from hyco.hooks.mlflow_process import Caller, Here
from hyco.runtime.beginning import begun
from hyco.runtime.locks import FileLock, HeldError, described

log = logging.getLogger(__name__)

# Folder of the queues in the project, a file for each run, and the bytes that one may have.
QUEUES = Path("data") / ".mlflow_queue"
_MOST_BYTES = 256 * 2**20
# Seconds until MLflow is tried again, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
# Seconds that the end of a run waits for a call that hangs, and those after which it is said that one does.
_PATIENCE, _SILENCE = 10.0, 5.0
# Seconds that a run which was told to end waits for MLflow.
HURRY = 2.0
# How many metrics MLflow takes in one call.
_MOST_METRICS = 1000
# Between the threads that change a queue and its file: what one appends the other must not remove, and of an entry that
# one takes the other has to know.
_changing = threading.Lock()


def redacted(text: object) -> str:
    """A text without what gives access: names and passwords in addresses, and what MLflow's variables hold."""
    shown = re.sub(r"(\w+://)[^/\s@]*@", r"\1…@", str(text))
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        if secret := os.environ.get(name):
            shown = shown.replace(secret, "…")
    return " ".join(shown.split())


class QueueError(ValueError):
    """The file of a queue is damaged."""


class Outbox:
    """Sends metrics, parameters and files to a run of MLflow without anybody waiting for it.

    What MLflow does not take goes into a file, in order; it is sent when MLflow answers again, or by `send_queue`. To
    send something twice changes nothing: metrics keep their time and step.

    Args:
        project: the folder of the project, for the file.
        run: what a queue says of the run, which has an `id`.
        mlflow: calls MLflow; by its thread alone, until it is closed.
    """

    def __init__(self, project: Path, run: Mapping[str, Any], mlflow: Caller | None = None) -> None:
        self.path = project / QUEUES / f"{run['id']}.jsonl"
        self._run, self._mlflow = dict(run), mlflow or Here()
        self._lock = FileLock(self.path.with_suffix(".lock"))  # from its first entry on
        self._waiting: SimpleQueue[Entry | None] = SimpleQueue()
        self._current: Entry | None = None
        self._seconds, self._full = 0.0, False
        self._away = (0.0, 0.0)  # how long it waits to try again, and until when
        self._told = False  # that MLflow is away
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        if not begun(self._thread):
            self._tell("no thread can be begun")

    def metrics(self, run_id: str, metrics: Sequence[list[Any]]) -> float:
        """Send metrics, `[name, value, time, step]` each.

        Returns:
            The seconds that the last call which MLflow answered has taken.
        """
        for start in range(0, len(metrics), _MOST_METRICS):
            self.put({"run": run_id, "metrics": metrics[start : start + _MOST_METRICS]})
        return self._seconds

    def params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Send parameters."""
        items = list(params.items())
        for start in range(0, len(items), MOST_PARAMS):
            self.put({"run": run_id, "params": items[start : start + MOST_PARAMS]})

    def artifact(self, run_id: str, path: Path, folder: str) -> None:
        """Send a file; where it is queued it has to be there still when it is sent."""
        self.put({"run": run_id, "artifact": str(path), "folder": folder})

    def put(self, entry: Entry) -> None:
        """Send an entry of a queue: see `deliver`."""
        entry = {**entry, "at": int(time.time() * 1000)}
        if self._thread.ident is None:  # it could not be begun
            self._queue(entry)
        else:
            self._waiting.put(entry)

    def close(self, patience: float | None = None) -> bool:
        """Send what is left and end; whether all of it was sent. What was not is in the file then.

        Args:
            patience: seconds to wait in all; None: ten for each call.

        Raises:
            KeyboardInterrupt: it was told to end while it waited, and has waited `HURRY` seconds more.
        """
        self._waiting.put(None)
        try:
            self._wait(patience or math.inf)
        except KeyboardInterrupt:
            self._wait(HURRY)
            raise
        finally:
            self._queue_rest()
        return not self.path.exists()

    def _wait(self, patience: float) -> None:
        """Wait for the thread's end, while it gets on."""
        end, before = time.monotonic() + patience, object()
        while self._thread.is_alive() and before is not self._current and time.monotonic() < end:
            before = self._current
            self._thread.join(min(_PATIENCE, end - time.monotonic()))

    def _queue_rest(self) -> None:
        """Put what the thread has in hand, and has not begun, into the file."""
        with _changing:
            self._closed.set()
            rest = [] if self._current is None else [self._current]
            while not self._waiting.empty():
                if (entry := self._waiting.get()) is not None:
                    rest.append(entry)
        for entry in rest:
            self._queue(entry)
        self._waiting.put(None)  # the thread's end, when its call comes back

    def release(self) -> None:
        """Leave the file to `send_queues`, once nothing is put into it any more."""
        self._lock.release()

    def _work(self) -> None:
        while (entry := self._waiting.get()) is not None:
            with _changing:
                if self._closed.is_set():  # meanwhile
                    break
                self._current = entry
            self._handle(entry)
            self._current = None
        if entry is not None:
            self._queue(entry)
        elif self.path.exists() and not self._closed.is_set():
            self._retry()

    def _handle(self, entry: Entry) -> None:
        """Send an entry, or put it into the file behind the others."""
        if self.path.exists() and (time.monotonic() < self._away[1] or not self._retry()):
            self._queue(entry)
            return
        begin = time.monotonic()
        hangs = threading.Timer(_SILENCE, self._tell, (f"no answer for {_SILENCE:g} s",))
        hangs.daemon = True
        try:
            begun(hangs)  # else its error says it, later
            self._mlflow.call("deliver", entry)
        except Exception as error:  # a tracking server can fail in any way
            if not self._closed.is_set():
                self._queue(entry)
                self._wait_longer()
                self._tell(redacted(error))
            return
        finally:
            hangs.cancel()
        self._seconds = time.monotonic() - begin
        if self._told:
            self._told = False
            log.info("MLflow answers again.")

    def _tell(self, reason: str) -> None:
        """Say that MLflow is away, once until it answers again."""
        if self._told or self._closed.is_set():
            return
        self._told = True
        log.warning(
            "MLflow did not take what was sent (%s): the run goes on, and what comes is kept in %s. It is sent when "
            "MLflow answers, or by `hyco mlflow-sync`.",
            reason,
            self.path,
        )

    def _retry(self) -> bool:
        """Send the file; whether that was possible."""
        try:
            count = send_queue(self.path, self._mlflow)
        except Exception:  # it is still away, which was said
            self._wait_longer()
            return False
        log.info("MLflow answers again: %d entries of its queue were sent.", count)
        self._away, self._told = (0.0, 0.0), False
        return True

    def _wait_longer(self) -> None:
        pause = min(_LONGEST_PAUSE, 2 * self._away[0] or _FIRST_PAUSE)
        self._away = (pause, time.monotonic() + pause)

    def _queue(self, entry: Entry) -> None:
        """Put an entry into the file. One that cannot be written is told once: the project's files have its values."""
        if self._full:
            return
        line = json.dumps(entry) + "\n"
        try:
            with _changing:
                if not self._lock.held:
                    self._lock.acquire()
                size = self.path.stat().st_size if self.path.exists() else 0
                if size + len(line) > _MOST_BYTES:
                    raise OSError(f"it has {_MOST_BYTES >> 20} MB")
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line if size else json.dumps(self._run) + "\n" + line)
        except OSError as error:
            self._full = True
            log.warning(
                "MLflow's queue %s takes no more (%s): what comes is in the files of the project alone.",
                self.path,
                error.strerror or error,
            )


def send_queues(project: Path) -> Iterator[tuple[Path, int, str | None]]:
    """Send all queues of a project to where its runs go; for each its file, entries sent, and what went wrong.

    That of a run that goes on is left to it.
    """
    queues = sorted((project / QUEUES).glob("*.jsonl"))
    if not queues:
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    be_quick()
    import mlflow

    if not mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]
        prepare_database(project / "mlflow.db")
        mlflow.set_tracking_uri(address(project / "mlflow.db"))
    for path in queues:
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire()
            if path.exists():  # else its run has sent it meanwhile
                yield path, send_queue(path), None
        except HeldError as error:
            yield path, 0, f"its run goes on, by {described(error.owner)}, and sends it itself"
        except QueueError as error:
            yield path, 0, str(error)
        except Exception as error:  # a tracking server can fail in any way
            yield path, 0, f"MLflow at {redacted(mlflow.get_tracking_uri())} does not take it ({redacted(error)})"
        finally:
            lock.release()


def send_queue(path: Path, mlflow: Caller | None = None) -> int:
    """Send the file of a queue, and remove it; what was sent before MLflow failed again leaves it.

    A run that MLflow does not have any more is made anew.

    Args:
        path: of the file.
        mlflow: calls MLflow; None: in this process.

    Returns:
        How many entries it had.

    Raises:
        QueueError: the file is damaged.
        Exception: whatever MLflow raises; the file has the rest.
    """
    content = path.read_bytes()
    if b"\n" not in content:  # a process was killed when it began the file
        path.unlink()
        return 0
    try:
        head, *lines = content.decode().splitlines()
        run = json.loads(head)
    except ValueError as error:
        raise QueueError(f"it cannot be read ({' '.join(str(error).split())}): remove it") from error
    caller = mlflow or Here()
    ids = {run["id"]: caller.call("present", run)}
    sent = 0
    try:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # the last one of a process that was killed
                entry = None
            if entry is not None:
                caller.call("deliver", {**entry, "run": ids.get(entry["run"], entry["run"])})
            sent += 1
    except Exception:
        if sent:
            _shorten(path, len(content), {**run, "id": ids[run["id"]]}, lines[sent:])
        raise
    _shorten(path, len(content), {**run, "id": ids[run["id"]]}, [])
    return sent


def _shorten(path: Path, size: int, run: Mapping[str, Any], rest: Sequence[str]) -> None:
    """Leave in a file what was not sent, and what has been put into it beyond its former size; or remove it."""
    with _changing:
        left = [*rest, *path.read_bytes()[size:].decode().splitlines()]
        if not left:
            path.unlink()
            return
        from hyco.runtime.storage import write_atomically  # torch comes with it

        write_atomically(path, ("\n".join([json.dumps(run), *left]) + "\n").encode())
