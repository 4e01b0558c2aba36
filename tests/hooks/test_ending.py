"""One run at a time in an experiment's folders; one that is told to end keeps what it has."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import click
import pytest
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node

from hyco.hooks import InterruptionHooks, OwnershipHooks
from hyco.hooks.interruption import Interruption, signals_interrupt
from hyco.hooks.ownership import OccupiedError
from hyco.hooks.session import Session as KedroSessionThatEnds
from hyco.runtime.locks import FileLock
from hyco.runtime.open_work import OPEN
from hyco.runtime.storage import Bundle, UnwritableError, read_bundle

PARAMETERS: dict[str, Any] = {"experiment": "tiny"}


def checkpoint(epoch: int) -> Bundle:
    return Bundle(
        {}, {"epoch": epoch, "epochs": 9, "finished": False, "is_best": False, "kept_every": None, "metrics": {}}
    )


@pytest.fixture
def conf_catalog(tmp_path: Path) -> dict[str, Any]:
    kind = "hyco.datasets.checkpoint.CheckpointDataset"
    return {"hybrid_checkpoint": {"type": kind, "path": str(tmp_path / "checkpoints"), "share": 1e-9}}


def other_process(path: Path) -> subprocess.Popen[str]:
    """A process that holds a lock."""
    code = (
        "import sys, time; from pathlib import Path; from hyco.runtime.locks import FileLock\n"
        "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.parametrize("where", ["experiment", "checkpoint_dir"])
def test_the_second_of_two_runs_is_refused_before_it_writes(session, tmp_path, conf_catalog, where):
    ran: list[int] = []
    pipeline = Pipeline([node(lambda: ran.append(1) or 1, None, "one", name="one")])
    path = tmp_path / "data" / ".locks" / "tiny.json"
    parameters = PARAMETERS
    if where == "checkpoint_dir":
        path = tmp_path / "elsewhere" / ".lock.json"
        parameters = {**PARAMETERS, "hybrid": {"checkpoint_dir": "elsewhere"}}
    process = other_process(path)
    try:
        with pytest.raises(OccupiedError, match=rf"{where}.* is being run by process {process.pid} on .*: wait for"):
            session((OwnershipHooks(),), pipeline, conf_catalog, parameters)
        assert ran == []
        session((OwnershipHooks(),), pipeline, conf_catalog, {"experiment": "another"})
        assert ran == [1]
    finally:
        process.kill()
        process.wait()
    session((OwnershipHooks(),), pipeline, conf_catalog, parameters)
    assert ran == [1, 1]
    assert not path.exists()


def test_what_a_killed_run_had_begun_to_write_is_removed(session, tmp_path, conf_catalog):
    parts = [tmp_path / "data/06_models/tiny/checkpoints/.last.safetensors.7.part", tmp_path / "own/.best.7.part"]
    others = [tmp_path / "data/06_models/other/.last.7.part", tmp_path / "data/06_models/tiny/last.safetensors"]
    for path in (*parts, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a part")
    parameters = {**PARAMETERS, "hybrid": {"checkpoint_dir": "own"}}
    for path in (tmp_path / "data/.locks/tiny.json", tmp_path / "own/.lock.json"):
        process = other_process(path)
        process.kill()
        process.wait()
    session((OwnershipHooks(),), Pipeline([node(lambda: 1, None, "x", name="x")]), conf_catalog, parameters)
    assert not any(path.exists() for path in parts)
    assert all(path.exists() for path in others)


def test_a_run_that_failed_or_was_interrupted_does_not_keep_its_folders(session, tmp_path, conf_catalog):
    def fail() -> int:
        raise RuntimeError("no")

    def interrupt() -> int:
        raise KeyboardInterrupt

    hook = OwnershipHooks()
    for function, error in ((fail, RuntimeError), (interrupt, KeyboardInterrupt)):
        with pytest.raises(error):
            session((hook,), Pipeline([node(function, None, "x", name="x")]), conf_catalog, PARAMETERS)
    session((hook,), Pipeline([node(lambda: 1, None, "x", name="x")]), conf_catalog, PARAMETERS)
    FileLock(tmp_path / "data" / ".locks" / "tiny.json").acquire()


def test_a_run_keeps_its_folders_until_what_it_has_others_do_has_ended(session, tmp_path, conf_catalog):
    lock, held = tmp_path / "data" / ".locks" / "tiny.json", []

    class Working(Executor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            held.append((lock.exists(), wait, cancel_futures))
            OPEN.discard(self)

    def train() -> Iterator[int]:
        OPEN.add(working)
        yield 1
        yield 2

    working, hook = Working(), OwnershipHooks()
    catalog = {**conf_catalog, "x": {"type": "hyco.datasets.json_file.JSONDataset", "filepath": str(tmp_path / "x")}}
    with pytest.raises(DatasetError):  # in the middle of the training: what is being done goes on
        session((hook,), Pipeline([node(train, None, "x", name="x")]), catalog, PARAMETERS)
    assert held == [(True, True, True)]
    assert not lock.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_training_after_its_last_finished_epoch(
    session, tmp_path, conf_catalog, caplog, number, request
):
    def train() -> Iterator[Bundle]:
        for epoch in (1, 2, 3):
            yield checkpoint(epoch)
        os.kill(os.getpid(), number)
        time.sleep(30)
        raise AssertionError("it was not ended")

    hook = InterruptionHooks()
    heard = signal.signal(number, signal.SIG_DFL)  # a shell's background jobs do not hear SIGINT
    request.addfinalizer(lambda: signal.signal(number, heard))
    before = signal.getsignal(number)
    with pytest.raises(Interruption) as caught, signals_interrupt():
        session((hook,), Pipeline([node(train, None, "hybrid_checkpoint", name="t")]), conf_catalog, PARAMETERS)
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before
    hook.interrupted()
    assert read_bundle(tmp_path / "checkpoints" / "last.safetensors").metadata["epoch"] == 3
    assert "Kept: epoch 3 of the hybrid training. The same command with --params resume=true" in caplog.text


def test_an_interrupted_comparison_says_how_to_go_on(caplog):
    hook = InterruptionHooks()
    compares = Pipeline([node(lambda: 0, None, "comparison", name="compare")])
    hook.before_pipeline_run(compares, {})
    hook.interrupted()
    assert "Kept: the trainings that had ended. The same command with --params resume=true" in caplog.text


def test_an_interrupt_in_a_callback_which_lets_nothing_out_comes_again_at_once(capfd):
    class Deaf:
        pass

    def callback(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    def forget() -> None:
        one = Deaf()
        references.append(weakref.ref(one, callback))
        del one
        time.sleep(5)

    references: list[Any] = []
    begin = time.monotonic()
    with pytest.raises(Interruption), signals_interrupt():
        forget()
    assert time.monotonic() - begin < 2
    assert references[0]() is None
    assert "ignored" not in capfd.readouterr().err


def test_an_interrupt_that_was_swallowed_comes_again(monkeypatch):
    monkeypatch.setattr("hyco.hooks.interruption._AGAIN", 0.1)

    def swallow() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException:  # noqa: S110
            pass
        time.sleep(5)

    with pytest.raises(Interruption), signals_interrupt():
        swallow()


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_where_an_epoch_fails_the_one_before_is_kept(session, tmp_path, conf_catalog):
    def train() -> Iterator[Bundle]:
        yield checkpoint(1)
        yield checkpoint(2)
        raise RuntimeError("the solver broke")

    with pytest.raises(RuntimeError, match="the solver broke"):
        session(
            (InterruptionHooks(),),
            Pipeline([node(train, None, "hybrid_checkpoint", name="t")]),
            conf_catalog,
            PARAMETERS,
        )
    assert read_bundle(tmp_path / "checkpoints" / "last.safetensors").metadata["epoch"] == 2


def test_on_the_command_line_what_a_hook_raises_is_a_message_and_elsewhere_itself(monkeypatch):
    error = UnwritableError(Path("made_with.json"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def run(*_: Any) -> None:
        raise error

    monkeypatch.setattr("kedro.framework.session.KedroSession.run", run)
    session = KedroSessionThatEnds.__new__(KedroSessionThatEnds)
    monkeypatch.setattr(session, "_store", {}, raising=False)
    monkeypatch.setattr("hyco.hooks.session.require_selection", lambda *_: None)
    with click.Context(click.Command("run")), pytest.raises(click.ClickException, match=r"made_with\.json cannot be"):
        session.run()
    with pytest.raises(UnwritableError) as caught:
        session.run()
    assert caught.value is error


def test_an_interrupt_ends_a_run_also_where_no_thread_can_be_begun_to_tell_it_again(no_threads):
    def wait() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    with pytest.raises(Interruption), signals_interrupt():
        wait()
