"""A process that gets ready early, and its copies."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from hyco.runtime.beside import Beside, BesideError
from hyco.runtime.copied import Copied

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is copied")

ready = []


def get_ready():
    ready.append(os.getpid())


def write_parent(path):
    path.write_text(f"{ready[-1]} {os.getppid()} {os.getpid()}")


def refuse(path):
    raise OSError(f"no room for {path}")


def break_down():
    raise ValueError("no such thing")


@pytest.fixture
def beside():
    one = Beside()
    one.get_ready(get_ready)
    yield one
    one.finish()


def test_jobs_that_can_be_sent_are_done_by_copies_of_the_process_that_got_ready(beside, tmp_path):
    for name in "ab":
        beside.start({name: partial(write_parent, tmp_path / name)}, sent=True)
    beside.wait_for("a")
    beside.finish()
    pairs = [(tmp_path / name).read_text().split() for name in "ab"]
    assert {ready_ for ready_, _, _ in pairs} == {parent for _, parent, _ in pairs} != {str(os.getpid())}
    assert pairs[0][2] != pairs[1][2]
    assert not ready, "not here"


def test_an_error_is_told_as_that_of_any_job(beside):
    beside.start({"full": partial(refuse, "it")}, sent=True)
    with pytest.raises(BesideError, match=r"^no room for it$"):
        beside.wait_for("full")
    beside.start({"broken": break_down, "behind": get_ready}, sent=True)
    with pytest.raises(BesideError, match=r"^broken, behind could not be written: see the lines before this one;"):
        beside.finish()


def test_what_a_copy_breaks_down_by_is_printed():
    code = (
        "from hyco.runtime.copied import Copied; from functools import partial; one = Copied(int);"
        "told = one.start(partial(int, 'x')); one.close()\n"
        "try: told.recv_bytes()\nexcept EOFError: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "TypeError: " in done.stderr, done.stderr
    assert done.returncode == 0


def test_where_the_process_has_ended_jobs_are_done_all_the_same(beside, tmp_path):
    process = beside._copied._process
    process.kill()
    process.join()
    ready.append(0)
    beside.start({"a": partial(write_parent, tmp_path / "a")}, sent=True)
    beside.finish()
    ready.clear()
    assert (tmp_path / "a").read_text().split()[1] == str(os.getpid())


def test_copies_of_a_process_that_has_ended_take_no_work_from_others(beside, tmp_path):
    beside.start({"waits": partial(_wait_for, tmp_path / "go")}, sent=True)
    process = beside._copied._process
    while not _children(process.pid):
        time.sleep(0.01)
    process.kill()
    process.join()
    beside.start({"go": (tmp_path / "go").touch}, sent=True)
    beside.finish()
    assert (tmp_path / "go").exists()


def _children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


def _wait_for(path):
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.01)


def test_one_that_is_killed_before_it_takes_its_work_is_an_error(tmp_path):
    one = Beside()
    one.get_ready(partial(time.sleep, 60))
    one.start({"a": partial(write_parent, tmp_path / "a")}, sent=True)
    one._copied._process.kill()
    with pytest.raises(BesideError, match=r"^a could not be written: .* killed"):
        one.finish()


def test_what_cannot_be_pickled_is_done_by_a_copy_of_the_program(beside, tmp_path):
    beside.start({"a": lambda: (tmp_path / "a").write_text(str(os.getppid()))}, sent=True)
    beside.finish()
    assert (tmp_path / "a").read_text() == str(os.getpid())


def test_a_copy_hears_how_what_it_starts_has_ended(beside, tmp_path):
    beside.start({"a": partial(_fail_a_command, tmp_path / "a")}, sent=True)
    beside.finish()
    assert (tmp_path / "a").read_text() == "1"


def _fail_a_command(path):
    path.write_text(str(subprocess.run(["false"], check=False).returncode))


def test_an_interrupt_for_all_processes_leaves_it_to_the_program(tmp_path):
    one = Copied(get_ready)
    os.kill(one._process.pid, signal.SIGINT)
    told = one.start(partial(_tell, b"done"))
    assert told.recv_bytes() == b"done"
    one.close()
    assert one._process.exitcode == 0


def _tell(what, tell):
    tell.send_bytes(what)


def test_it_ends_when_the_program_is_killed():
    code = (
        "import os, signal; from hyco.runtime.copied import Copied; one = Copied(int);"
        "print(one._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    for _ in range(100):
        try:
            os.kill(int(done.stdout), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")


def test_where_it_cannot_be_copied_its_work_is_done_here(monkeypatch, tmp_path):
    def full():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    one = Beside()
    one.get_ready(partial(monkeypatch.setattr, os, "fork", full))
    ready.append(0)
    send = Connection.send_bytes

    def late(self, content):
        time.sleep(0.2)
        send(self, content)

    monkeypatch.setattr(Connection, "send_bytes", late)
    for name in "ab":
        one.start({name: partial(write_parent, tmp_path / name)}, sent=True)
    one.finish()
    ready.clear()
    assert {(tmp_path / name).read_text().split()[2] for name in "ab"} == {str(os.getpid())}


def test_who_is_interrupted_as_work_is_sent_leaves_nobody_waiting_for_it(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    ends = []

    def pipe():
        ends.extend(multiprocessing.Pipe())
        monkeypatch.setattr(ends[0], "send_bytes", interrupt, raising=False)
        return ends

    copied = Copied(get_ready)
    monkeypatch.setattr(copied._context, "Pipe", pipe, raising=False)
    with pytest.raises(KeyboardInterrupt):
        copied.start(partial(refuse, "it"))
    assert all(end.closed for end in ends)
    copied.close()
