"""Jobs beside the program."""

import errno
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from hyco.runtime.beside import Beside, BesideError


def test_jobs_are_done_when_all_is_finished(tmp_path):
    beside = Beside(most=2)
    for i in range(4):
        beside.start({str(i): lambda i=i: (tmp_path / str(i)).write_text(str(os.getpid()))})
    beside.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]
    if sys.platform == "linux":
        assert str(os.getpid()) not in {path.read_text() for path in tmp_path.iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_a_job_does_not_hold_up_the_program():
    beside, begun = Beside(), time.monotonic()
    beside.start({"sleep": lambda: time.sleep(0.5)})
    assert time.monotonic() - begun < 0.4
    beside.finish()
    assert time.monotonic() - begun >= 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_a_further_job_begins_when_any_of_those_before_it_is_done():
    beside, begun = Beside(most=2), time.monotonic()
    beside.start({"long": lambda: time.sleep(2)})
    beside.start({"short": lambda: None, "failing": lambda: sys.exit(3)})
    beside.start({"third": lambda: None})
    assert time.monotonic() - begun < 1.5
    with pytest.raises(BesideError, match=r"^failing could not be written"):
        beside.finish()
    assert time.monotonic() - begun >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_threads_that_wait_for_the_same_processes_begin_their_jobs_one_after_the_other(tmp_path):
    beside = Beside(most=1)
    beside.start({"first": lambda: time.sleep(0.5)})
    with ThreadPoolExecutor(4) as threads:
        begun = [threads.submit(beside.start, {str(i): (tmp_path / str(i)).touch}) for i in range(4)]
    for start in begun:
        start.result()
    beside.finish()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "2", "3"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_a_job_that_fails_is_named_once():
    beside = Beside()
    beside.start({"a.pdf": lambda: sys.exit(3)})
    beside.start({"b.pdf": lambda: None})
    with pytest.raises(BesideError, match=r"a\.pdf could not be written"):
        beside.finish()
    beside.finish()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_one_waits_for_a_job_and_not_for_those_behind_it(tmp_path):
    beside, begun = Beside(), time.monotonic()
    beside.start({"png": (tmp_path / "png").touch, "pdf": lambda: time.sleep(2)})
    beside.wait_for("png")
    assert (tmp_path / "png").exists()
    assert time.monotonic() - begun < 1.5
    beside.end("pdf")
    assert time.monotonic() - begun >= 2
    beside.wait_for("nothing that was begun")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_who_waits_for_a_job_that_fails_is_told_and_the_end_names_what_came_behind():
    beside = Beside()
    beside.start({"png": lambda: None, "pdf": lambda: sys.exit(3), "svg": lambda: None})
    beside.wait_for("png")
    with pytest.raises(BesideError, match=r"^pdf could not be written"):
        beside.wait_for("pdf")
    with pytest.raises(BesideError, match=r"^svg could not be written"):
        beside.finish()
    beside.finish()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
@pytest.mark.parametrize(("error", "told"), [(OSError("disk full"), "^disk full$"), (OSError(), "^OSError$")])
def test_an_error_is_told_also_where_it_has_no_text(error, told):
    def fail():
        raise error

    beside = Beside()
    beside.start({"png": fail})
    with pytest.raises(BesideError, match=told):
        beside.wait_for("png")
    beside.finish()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_an_end_that_is_interrupted_can_be_waited_for_again(tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    beside = Beside()
    beside.start({"page": lambda: (time.sleep(1), (tmp_path / "page").touch())})
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            beside.finish()
    finally:
        signal.signal(signal.SIGALRM, before)
    beside.finish()
    assert (tmp_path / "page").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_where_no_process_can_be_begun_jobs_are_done_here_which_is_said_once(tmp_path, monkeypatch, caplog, capsys):
    def full():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def refuse():
        raise OSError("no room")

    monkeypatch.setattr(os, "fork", full)
    beside = Beside()
    beside.get_ready(int)
    for name in "ab":
        beside.start({name: lambda name=name: (tmp_path / name).write_text(str(os.getpid()))}, sent=True)
        beside.wait_for(name)
        assert (tmp_path / name).read_text() == str(os.getpid())
    (said,) = caplog.messages
    assert said.startswith("No process can be begun beside the run (Resource temporarily unavailable): ")
    beside.start({"full": refuse, "behind": int})
    with pytest.raises(BesideError, match=r"^no room$"):
        beside.wait_for("full")
    beside.start({"broken": lambda: 1 / 0})
    with pytest.raises(BesideError, match=r"broken could not be written: see the lines before this one"):
        beside.finish()
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_where_no_file_can_be_opened_for_a_process_jobs_are_done_here(tmp_path, monkeypatch, caplog):
    def full(duplex=True):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    beside = Beside()
    beside.get_ready(int)
    monkeypatch.setattr(multiprocessing.get_context("fork"), "Pipe", full, raising=False)
    for name in "ab":
        beside.start({name: partial(Path.touch, tmp_path / name)}, sent=True)
    beside.finish()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    (said,) = caplog.messages
    assert said.startswith("No process can be begun beside the run (Too many open files): ")


def draw_in_a_worker(path):
    beside = Beside()
    beside.get_ready(int)
    beside.start({"figure": path.touch}, sent=True)
    beside.finish()
    return path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are done at once")
def test_a_worker_of_a_pool_which_may_have_no_processes_does_its_jobs_itself(tmp_path):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(draw_in_a_worker, [tmp_path / "figure"]).get(30)
