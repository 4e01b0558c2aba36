"""Ownership told by a file: one at a time, and nobody kept out by a process that was killed."""

import json
import subprocess
import sys
import time

import pytest

from hyco.runtime.locks import FileLock, HeldError

HOLD = """
import sys, time
from pathlib import Path
from hyco.runtime.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    path = tmp_path / "folder" / "lock.json"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_another_process_is_kept_out_and_told_whose_it_is(other):
    path, process = other
    with pytest.raises(HeldError, match=rf"lock\.json is held by process {process.pid} on .+, since 20"):
        FileLock(path).acquire()


def test_what_a_killed_process_left_is_taken_over(other):
    path, process = other
    process.kill()
    process.wait()
    assert path.exists()
    lock = FileLock(path)
    lock.acquire()
    assert lock.held
    assert lock.left_by["pid"] == process.pid
    lock.release()
    assert not path.exists()


def test_one_waits_as_long_as_it_is_told(other):
    path, process = other
    begin = time.monotonic()
    with pytest.raises(HeldError):
        FileLock(path).acquire(patience=0.3)
    assert 0.3 <= time.monotonic() - begin < 5
    process.kill()
    FileLock(path).acquire(patience=10)


def test_one_that_cannot_be_written_is_not_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        with pytest.raises(OSError, match="No space"):
            FileLock(tmp_path / "lock").acquire()
    assert list(tmp_path.iterdir()) == []
    FileLock(tmp_path / "lock").acquire()


def test_a_file_without_sense_is_no_owner(tmp_path):
    path = tmp_path / "lock.json"
    path.write_text("half a mess")
    lock = FileLock(path)
    lock.acquire()
    assert lock.left_by is None
    assert json.loads(path.read_text())["pid"]
    lock.release()
    lock.release()
