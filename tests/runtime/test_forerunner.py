"""Workers are copies of one process that has imported what they need."""

import errno
import os
import signal
import sys
from multiprocessing import forkserver

import pytest

from hyco.compute.errors import LostWorkerError
from hyco.compute.processes import Processes
from hyco.runtime import forerunner

linux = pytest.mark.skipif(sys.platform != "linux", reason="only there a process without threads is copied")


@pytest.fixture
def worker(monkeypatch):
    """One worker, on a machine without a GPU."""
    monkeypatch.setattr(forerunner, "_GPUS", ())
    with Processes(1) as executor:
        yield executor


@linux
def test_workers_begin_with_what_they_need_and_have_one_parent(worker):
    parent = worker.submit(os.getppid).result()
    assert parent == forkserver._forkserver._forkserver_pid != os.getpid()
    assert worker.submit(eval, "'hyco.comparison.one_run' in __import__('sys').modules").result()


@linux
def test_workers_have_the_variables_of_the_program_as_they_are_now(worker, monkeypatch):
    monkeypatch.setenv("HYCO_TEST", "set after the first process began")
    monkeypatch.delenv("HOME", raising=False)
    found = worker.submit(eval, "dict(__import__('os').environ)").result()
    assert (found.get("HYCO_TEST"), "HOME" in found) == ("set after the first process began", False)


@linux
def test_an_interrupt_of_a_terminal_is_left_to_the_program(worker):
    assert signal.SIGINT in worker.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@linux
def test_another_one_is_begun_where_it_has_died(worker):
    first = worker.submit(os.getppid).result()
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    with Processes(1) as later:
        second = later.submit(os.getppid).result()
    assert second not in (first, os.getpid())


@linux
def test_where_no_process_can_be_begun_that_is_told_of_the_work(monkeypatch):
    def full(*_):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(forerunner, "_GPUS", ())
    monkeypatch.setattr(forkserver, "_forkserver", forkserver.ForkServer())
    monkeypatch.setattr(forkserver, "ensure_running", forkserver._forkserver.ensure_running)
    monkeypatch.setattr(forkserver, "connect_to_new_process", forkserver._forkserver.connect_to_new_process)
    monkeypatch.setattr("multiprocessing.util.spawnv_passfds", full)
    assert forerunner.begin() == "forkserver"
    with Processes(1) as executor, pytest.raises(LostWorkerError, match=r"^no process can be begun \(Resource temp"):
        executor.submit(os.getppid).result()


def test_each_worker_imports_for_itself_beside_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(forerunner, "_GPUS", (tmp_path,))
    assert forerunner.begin() == "spawn"
