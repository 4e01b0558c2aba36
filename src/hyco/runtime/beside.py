"""Small jobs in processes of their own, while the program goes on."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from hyco.runtime.beginning import begin
from hyco.runtime.copied import NO_PROCESS, Copied, UnsentError

log = logging.getLogger(__name__)

Job = Callable[[], None]


class BesideError(OSError):
    """Jobs have failed; the message says why, or that it was said before."""


@dataclass
class _Working:
    """A process with its jobs: it tells after each that it is done, by nothing, or why not, and ends."""

    jobs: Mapping[str, Job]
    told: Connection
    process: BaseProcess | None = None  # None: it is no child of this one
    done: set[str] = field(default_factory=set)
    reason: str = ""

    def hear(self) -> bool:
        """Wait until it tells something; False: it has ended."""
        try:
            said = self.told.recv_bytes().decode()
        except (EOFError, ConnectionError):  # the latter: it was killed before it had read its work
            return False
        if said == NO_PROCESS.decode():
            self.do_here()
        elif said:
            self.reason = said
        else:
            self.done.add(list(self.jobs)[len(self.done)])
        return True

    def do_here(self) -> None:
        """Do all of it in this process, as there can be no other one."""
        failed = _done_here(self.jobs)
        self.done = self.jobs.keys() - failed.keys()
        self.reason = next(iter(failed.values()), "")

    def wait_for(self, job: str) -> bool:
        """Wait until a job is done, or never will be; whether it is."""
        while job not in self.done:
            if not self.hear():
                return False
        return True

    def end(self) -> dict[str, str]:
        """Wait for the end; the jobs that were not done, with the reason, empty where it is not known."""
        while not self.told.closed and self.hear():
            pass
        if self.process is not None:
            self.process.join()
        self.told.close()
        return {job: self.reason for job in self.jobs if job not in self.done}


class Beside:
    """Runs jobs beside the program, on Linux; elsewhere at once, as only there a process can be copied safely.

    A job gets a copy of all that the program has in memory, and must neither use torch nor wait for another thread.
    Threads may share it; one that calls it waits until no other does.

    Args:
        most: so many processes at a time; a further one waits until one of them has ended.
    """

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._running: list[_Working] = []
        self._failed: dict[str, str] = {}
        self._copied: Copied | None = None
        self._said = False
        self._one_at_a_time = threading.RLock()

    def get_ready(self, work: Job) -> None:
        """Let a process do what jobs need done before they begin, as imports; until `finish` jobs can be copies of it.

        Args:
            work: what it does.
        """
        if sys.platform == "linux" and self._copied is None:
            try:
                self._copied = Copied(work)
            except OSError as error:  # jobs are done all the same
                self._say(error)

    def start(self, jobs: Mapping[str, Job], *, sent: bool = False) -> None:
        """Begin jobs, one after the other in one process.

        Args:
            jobs: by what they make, for the message if one fails; those behind it are not done.
            sent: they are done by a copy of the process that has got ready, if there is one and they can be pickled;
                else by one of this process.
        """
        if sys.platform != "linux":
            for job in jobs.values():
                job()
            return
        work = partial(_undisturbed, tuple(jobs.values()))
        with self._one_at_a_time:
            if len(self._running) >= self._most:
                self._failed |= self._first_to_end().end()
            working = self._sent(jobs, work) if sent else None
            try:
                self._running.append(working or self._forked(jobs, work))
            except OSError as error:
                self._say(error)
                self._failed |= _done_here(jobs)

    def _first_to_end(self) -> _Working:
        """Wait until one of the processes has ended, which is none of those that run any more."""
        while True:
            telling = wait([working.told for working in self._running])
            for working in [working for working in self._running if working.told in telling]:
                if not working.hear():
                    self._running.remove(working)
                    return working

    def _sent(self, jobs: Mapping[str, Job], work: Callable[[Connection], None]) -> _Working | None:
        """A copy of the process that has got ready, at work; None: there is no such process, or no way to send that."""
        if self._copied is None:
            return None
        try:
            return _Working(jobs, self._copied.start(work))
        except OSError:  # it was ended
            self._copied.close()
            self._copied = None
        except UnsentError:
            pass
        return None

    def _forked(self, jobs: Mapping[str, Job], work: Callable[[Connection], None]) -> _Working:
        """A copy of this process at work.

        Raises:
            OSError: there can be none.
        """
        context = multiprocessing.get_context("fork")
        told, tell = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(tell,))
        try:
            begin(process)
        except OSError:
            told.close()
            raise
        finally:
            tell.close()  # the process has its own: where that ends, so does what it tells
        return _Working(jobs, told, process)

    def _say(self, error: OSError) -> None:
        """Once, that there is no process beside this one."""
        if not self._said:
            why = error.strerror or error
            log.warning("No process can be begun beside the run (%s): it draws its figures itself.", why)
        self._said = True

    def wait_for(self, what: str) -> None:
        """Wait until a job is done, if it is going on, and those after it in its process go on.

        Raises:
            BesideError: it has failed, which is told once.
        """
        with self._one_at_a_time:
            for working in self._running:
                if what in working.jobs and not working.wait_for(what):
                    self._running.remove(working)
                    self._failed |= working.end()
                    break
            if what in self._failed:
                raise _error({what: self._failed.pop(what)})

    def end(self, what: str) -> None:
        """Wait until the process with a job has ended: what it makes is made anew, or removed."""
        with self._one_at_a_time:
            for working in [working for working in self._running if what in working.jobs]:
                self._running.remove(working)
                self._failed |= working.end()

    def finish(self) -> None:
        """Wait until all is done, and let the process that has got ready end.

        Raises:
            BesideError: jobs have failed.
        """
        with self._one_at_a_time:
            while self._running:  # where this is interrupted, it is called again, and waits for the same one
                self._failed |= self._running[0].end()
                del self._running[0]
            if self._copied is not None:
                self._copied.close()
                self._copied = None
            failed, self._failed = self._failed, {}
        if failed:
            raise _error(failed)


def _done_here(jobs: Mapping[str, Job]) -> dict[str, str]:
    """Do jobs in this process; those that were not done, with the reason, empty where it was printed."""
    left = dict(jobs)
    try:
        for name, job in jobs.items():
            job()
            del left[name]
    except OSError as error:
        return dict.fromkeys(left, _words(error))
    except Exception:  # as in another process, whose lines on the terminal say it
        traceback.print_exc()
    return dict.fromkeys(left, "")


def _words(error: OSError) -> str:
    """What it says; no text would say: done."""
    return str(error) or type(error).__name__


def _error(failed: Mapping[str, str]) -> BesideError:
    said = list(dict.fromkeys(reason for reason in failed.values() if reason))
    if others := [what for what, reason in failed.items() if not reason]:
        said.append(
            f"{', '.join(others)} could not be written: see the lines before this one; if there are none, the process "
            "that draws was killed, as a system does for want of memory"
        )
    return BesideError("; ".join(said))


def _undisturbed(jobs: tuple[Job, ...], tell: Connection) -> None:
    """An interrupt ends the program, which waits for this; its way to end in order is not this process's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # Else what the program has would be looked through, and copied, whenever garbage is collected; what jobs leave goes
    # with this process.
    gc.disable()
    try:
        for job in jobs:
            job()
            tell.send_bytes(b"")
    except OSError as error:
        tell.send_bytes(_words(error).encode())
        os._exit(1)


# To draw the figures of a run takes as long as all else of its evaluation: that is done beside it.
FIGURES = Beside(most=max(2, min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)))
