"""MLflow beside the run: what it says comes here, errors are told, and it ends with the run, whatever ends that."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from hyco.hooks import mlflow_calls, mlflow_process
from hyco.hooks.joining import Joining
from hyco.hooks.mlflow_process import Elsewhere, Here, MlflowError, discard, take

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MLflow is called in the process of the run")


@pytest.fixture
def process(monkeypatch):
    """A process whose calls need no MLflow."""

    def deliver(entry):
        logging.getLogger("hyco.test").warning("got %s", entry["run"])
        if "fail" in entry:
            entry["nested"]["id"] = "made"
            raise ValueError(entry["fail"])
        return os.getpid() if entry["run"] != "slow" else time.sleep(60)

    monkeypatch.setattr(mlflow_calls, "get_ready", lambda: None)
    monkeypatch.setattr(mlflow_calls, "deliver", deliver)
    one = Elsewhere()
    yield one
    one.close()


def test_what_is_called_happens_elsewhere_and_what_is_said_there_is_said_here(process, caplog):
    assert process.call("deliver", {"run": "a"}) not in (os.getpid(), None)
    assert caplog.messages == ["got a"]


def test_an_error_is_told_with_what_the_call_had_changed(process):
    entry = {"run": "a", "fail": "no such run", "nested": {}}
    with pytest.raises(MlflowError, match=r"^no such run$"):
        process.call("deliver", entry)
    assert entry["nested"] == {"id": "made"}
    assert process.call("deliver", {"run": "b"})


def test_signals_for_all_processes_leave_it_to_the_run(process):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(process._process.pid, number)
    assert process.call("deliver", {"run": "a"})
    process.close()
    assert process._process.exitcode == 0


def test_one_that_was_killed_is_an_error_of_the_call(process):
    process._process.kill()
    process._process.join()
    with pytest.raises(MlflowError, match="its process has ended"):
        process.call("deliver", {"run": "a"})


def test_it_ends_when_the_run_is_killed():
    code = (
        "import os, signal; from hyco.hooks import mlflow_calls, mlflow_process; mlflow_calls.get_ready = lambda: None;"
        "mlflow_calls.deliver = lambda _: os.getpid(); one = mlflow_process.Elsewhere();"
        "print(one.call('deliver', {}), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    number = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")


def test_one_that_nothing_was_asked_of_ends_at_once(monkeypatch):
    monkeypatch.setattr(mlflow_calls, "get_ready", lambda: time.sleep(60))
    begin = time.monotonic()
    Elsewhere().close()
    assert time.monotonic() - begin < 1.5


def test_who_only_asks_whether_there_is_mlflow_has_not_joined(monkeypatch, tmp_path):
    (tmp_path / "mlflow.py").write_text("found = True")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    joined = []
    joining = Joining(lambda: joined.append(1))
    joining.begin()
    try:
        assert importlib.util.find_spec("mlflow")
        assert not joined
        for _ in range(2):
            importlib.import_module("mlflow")
            sys.modules.pop("mlflow")
        assert joined == [1]
    finally:
        joining.end()


def test_where_mlflow_is_imported_already_it_is_called_here(monkeypatch):
    monkeypatch.setattr(mlflow_process, "_begun", one := Here())
    monkeypatch.setitem(sys.modules, "mlflow", sys)
    assert take() is not one
    monkeypatch.delitem(sys.modules, "mlflow")
    monkeypatch.setattr(mlflow_process, "_begun", one)
    assert take() is one
    discard()


@pytest.mark.slow
def test_code_that_logs_by_itself_finds_the_run_active(tmp_path):
    code = """
import importlib.util
import sys
from functools import partial
from hyco.hooks.mlflow_calls import join, start
from hyco.hooks.mlflow_process import Elsewhere
from hyco.hooks.joining import Joining
one = Elsewhere()
asked = {"project": sys.argv[1], "experiment": "e", "problem": "p", "folder": "f", "tags": {}, "name": "n"}
head = one.call("start", asked | {"notes": None})
joining = Joining(partial(join, head["id"], head["store"]))
joining.begin()
assert importlib.util.find_spec("mlflow")
assert "mlflow" not in sys.modules
import mlflow
assert joining not in sys.meta_path
assert mlflow.active_run().info.run_id == head["id"]
mlflow.log_metric("mine", 1.0)
one.call("deliver", {"run": head["id"], "end": "FINISHED", "time": 1})
run = mlflow.get_run(head["id"])
assert run.data.metrics == {"mine": 1.0} and run.info.status == "FINISHED", run
one.close()
mlflow.end_run()
asked |= {"project": sys.argv[2], "problem": "other", "notes": None}
assert start(asked)["artifacts"].startswith("file://" + sys.argv[2])
assert sys.argv[2] + "/mlflow.db" in mlflow.get_tracking_uri()
"""
    for name in "ab":
        (tmp_path / name).mkdir()
    # MLflow tells processes that are begun where runs of this one went.
    alone = {name: value for name, value in os.environ.items() if "MLFLOW_TRACKING" not in name}
    folders = [str(tmp_path / name) for name in "ab"]
    subprocess.run([sys.executable, "-c", code, *folders], check=True, timeout=300, env=alone)


def test_where_no_process_can_be_begun_the_run_calls_mlflow_itself_and_says_so(monkeypatch, caplog):
    def full():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", full)
    monkeypatch.setattr(mlflow_process, "sys", SimpleNamespace(platform="linux", modules={}))
    monkeypatch.setattr(mlflow_process.threading, "active_count", lambda: 1)
    mlflow_process.begin_early()
    (said,) = caplog.messages
    assert said == "No process can be begun for MLflow (Resource temporarily unavailable): the run waits for it."
    assert isinstance(take(), Here)


def test_an_interrupt_while_it_begins_leaves_no_process_that_the_program_would_wait_for():
    code = """
import os
import signal
from multiprocessing import popen_fork
from hyco.hooks import mlflow_process
begun = popen_fork.Popen._launch
def launch(popen, process):
    begun(popen, process)
    os.kill(os.getpid(), signal.SIGINT)
popen_fork.Popen._launch = launch
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, as in jobs in the background
mlflow_process.begin_early()
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, stderr=subprocess.PIPE, text=True)
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"
