"""MLflow away, slow or refusing: nobody waits for it, nothing is lost, and no password is told."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner

from hyco.cli.mlflow_sync import mlflow_sync
from hyco.hooks import mlflow_calls
from hyco.hooks import outbox as module
from hyco.hooks.outbox import QUEUES, Outbox, redacted, send_queue, send_queues

RUN = {"id": "run", "experiment": "tiny", "name": "hybrid", "start": 0, "tags": {"a": "b"}}


class Server:
    """Stands in for MLflow."""

    def __init__(self) -> None:
        self.away, self.there, self.got = False, True, []
        self.hang = threading.Event()
        self.hang.set()

    def take(self, call: str, *values: Any) -> None:
        self.hang.wait(30)
        if self.away:
            raise mlflow.MlflowException("no answer from http://me:secret@server/x")
        self.got.append((call, *values))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        entries = [(m.key, m.value, m.step) for m in metrics] + [(p.key, p.value) for p in [*params, *tags]]
        self.take("batch", run_id, *entries)

    def log_artifact(self, run_id: str, path: str, folder: str) -> None:
        self.take("artifact", run_id, Path(path).name, folder)

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.take("end", run_id, status)

    def get_run(self, run_id: str) -> Any:
        if self.away:
            self.take("get")
        if not self.there:
            raise mlflow.MlflowException("no such run", error_code=mlflow.protos.databricks_pb2.RESOURCE_DOES_NOT_EXIST)
        return type("Run", (), {"info": type("Info", (), {"run_id": run_id})})

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return name

    def create_run(self, experiment: str, **options: Any) -> Any:
        self.take("made", experiment, options["run_name"])
        return type("Run", (), {"info": type("Info", (), {"run_id": "new"})})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    one = Server()
    monkeypatch.setattr(mlflow, "MlflowClient", lambda: one)
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    monkeypatch.setattr(module, "_SILENCE", 0.2)
    return one


def metric(step: int) -> list[Any]:
    return ["loss", float(step), 0, step]


def steps(server: Server) -> list[int]:
    return [entry[2] for call in server.got if call[0] == "batch" for entry in call[2:] if len(entry) == 3]


def test_all_is_sent_in_order(server, tmp_path):
    (tmp_path / "file.txt").write_text("x")
    box = Outbox(tmp_path, RUN)
    box.params("run", {f"p{i}": "1" for i in range(150)})
    box.metrics("run", [metric(step) for step in range(2500)])
    box.artifact("run", tmp_path / "file.txt", "report")
    assert box.close()
    assert [len(call) - 2 for call in server.got] == [100, 50, 1000, 1000, 500, 2]
    assert steps(server) == list(range(2500))
    assert not (tmp_path / QUEUES).exists()


def test_what_a_server_does_not_take_is_sent_when_it_answers_again(server, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    box = Outbox(tmp_path, RUN)
    for step in range(30):
        server.away = 10 <= step < 20
        box.metrics("run", [metric(step)])
        while not box._waiting.empty() or box._current is not None:
            time.sleep(0.001)
    assert box.close()
    assert steps(server) == list(range(30))
    messages = [m for m in caplog.messages if "MLflow" in m]
    assert len(messages) == 2, messages
    assert "did not take what was sent (no answer from http://…@server/x)" in messages[0]
    assert messages[1] == "MLflow answers again: 10 entries of its queue were sent."
    assert "secret" not in caplog.text


def test_what_a_server_never_took_is_sent_later(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hyco.cli.mlflow_sync.project_folder", lambda: tmp_path)
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: True)
    (tmp_path / "file.txt").write_text("x")
    server.away = True
    box = Outbox(tmp_path, RUN)
    box.metrics("run", [metric(step) for step in range(5)])
    box.artifact("run", tmp_path / "file.txt", "report")
    box.put({"run": "run", "end": "FINISHED", "time": 7})
    assert not box.close()
    box.release()
    refused = CliRunner().invoke(mlflow_sync)
    assert refused.exit_code == 1
    assert "run `hyco mlflow-sync` again when MLflow answers" in refused.output
    assert "secret" not in refused.output
    assert box.path.exists()
    server.away = False
    done = CliRunner().invoke(mlflow_sync)
    assert (done.exit_code, done.output) == (0, "run: 3 entries were sent.\n")
    assert steps(server) == list(range(5))
    assert server.got[1:] == [("artifact", "run", "file.txt", "report"), ("end", "run", "FINISHED")]
    assert CliRunner().invoke(mlflow_sync).output == "Nothing waits for MLflow.\n"


def test_a_run_whose_database_is_lost_is_made_anew(server, tmp_path):
    server.away = True
    box = Outbox(tmp_path, RUN)
    box.metrics("run", [metric(1)])
    box.close()
    server.away, server.there = False, False
    assert send_queue(box.path) == 1
    assert server.got == [("made", "tiny", "hybrid"), ("batch", "new", ("loss", 1.0, 1))]


def test_nobody_waits_for_a_server_that_hangs(server, tmp_path):
    server.hang.clear()
    box = Outbox(tmp_path, RUN)
    begin = time.monotonic()
    for step in range(100):
        box.metrics("run", [metric(step)])
    assert time.monotonic() - begin < 0.5
    assert not box.close()
    assert time.monotonic() - begin < 5
    server.away = True
    server.hang.set()
    box._thread.join(10)
    server.away, server.got = False, []
    send_queue(box.path)
    assert steps(server) == list(range(100))


def test_a_server_that_hangs_is_told_once_and_so_is_its_answer(server, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    server.hang.clear()
    outbox = Outbox(tmp_path, RUN)
    seconds = outbox.metrics("run", [metric(0)])  # alone: it is told without another one
    time.sleep(0.4)
    assert caplog.text.count("MLflow did not take what was sent (no answer for 0.2 s)") == 1
    for step in range(1, 8):
        seconds = outbox.metrics("run", [metric(step)])
    assert seconds == 0, "a call that hangs says nothing of how long the next will take"
    server.hang.set()
    assert outbox.close()
    assert [m for m in caplog.messages if "MLflow" in m][1:] == ["MLflow answers again."]
    assert steps(server) == list(range(8))


def test_a_server_that_hangs_and_fails_then_is_told_once(server, tmp_path, caplog):
    server.hang.clear()
    outbox = Outbox(tmp_path, RUN)
    outbox.metrics("run", [metric(0)])
    time.sleep(0.3)
    server.away = True
    server.hang.set()
    assert not outbox.close()
    assert caplog.text.count("MLflow did not take") == 1


def test_a_queue_has_a_size(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "_MOST_BYTES", 2000)
    server.away = True
    box = Outbox(tmp_path, RUN)
    for step in range(100):
        box.metrics("run", [metric(step)])
    assert not box.close()
    assert box.path.stat().st_size <= 2000
    assert caplog.text.count("takes no more") == 1


def test_no_password_is_told(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    text = redacted("refused at https://me:hunter2@host:5000/api\n for user me with hunter2")
    assert text == "refused at https://…@host:5000/api for user me with …"


def test_a_run_that_is_told_to_end_waits_for_a_slow_server_no_longer_than_was_said(server, tmp_path, monkeypatch):
    box = Outbox(tmp_path, RUN)
    monkeypatch.setattr(mlflow_calls, "deliver", lambda *_: time.sleep(0.15))
    for step in range(40):
        box.metrics("run", [metric(step)])
    begin = time.monotonic()
    assert not box.close(0.4)
    assert time.monotonic() - begin < 1.5
    box._thread.join(5)
    assert len(box.path.read_text().splitlines()) > 30


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_while_the_end_waits_leaves_all_in_the_file(server, tmp_path, monkeypatch, times):
    monkeypatch.setattr(module, "HURRY", 0.2)
    server.hang.clear()
    box = Outbox(tmp_path, RUN)
    for step in range(20):
        box.metrics("run", [metric(step)])
    joined, join = [], box._thread.join

    def interrupted(seconds: float) -> None:
        joined.append(seconds)
        if len(joined) <= times:
            raise KeyboardInterrupt
        join(seconds)

    monkeypatch.setattr(box._thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        box.close()
    assert len(joined) == 2, "it is told to hurry, and then not to wait at all"
    box.release()
    server.away = True
    server.hang.set()
    join(10)
    server.away = False
    assert list(send_queues(tmp_path)) == [(box.path, 20, None)]
    assert steps(server) == list(range(20))


def test_where_no_thread_can_be_started_all_is_sent(server, tmp_path, monkeypatch):
    box = Outbox(tmp_path, RUN)
    monkeypatch.setattr(module.threading.Timer, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread")))
    for step in range(5):
        box.metrics("run", [metric(step)])
    assert box.close()
    assert steps(server) == list(range(5))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_the_thread_has_ended_all_is_in_the_file(server, tmp_path, monkeypatch):
    box = Outbox(tmp_path, RUN)
    monkeypatch.setattr(box, "_handle", lambda _: (_ for _ in ()).throw(MemoryError))
    for step in range(5):
        box.metrics("run", [metric(step)])
    assert not box.close()
    assert send_queue(box.path) == 5
    assert steps(server) == list(range(5))


def test_what_is_put_into_a_queue_while_it_is_sent_is_not_lost(server, tmp_path, monkeypatch):
    server.away = True
    box = Outbox(tmp_path, RUN)
    for step in (0, 1):
        box.metrics("run", [metric(step)])
    assert not box.close()
    server.away = False
    take = server.take

    def slow(call: str, *values: Any) -> None:
        take(call, *values)
        if len(server.got) == 1:
            box._queue({"run": "run", "metrics": [["loss", 2.0, 0, 2]], "at": 0})

    monkeypatch.setattr(server, "take", slow)
    send_queue(box.path)
    assert steps(server) == [0, 1]
    send_queue(box.path)
    assert steps(server) == [0, 1, 2]
    assert not box.path.exists()


def test_the_queue_of_a_run_that_goes_on_is_left_to_it(server, tmp_path):
    server.away = True
    box = Outbox(tmp_path, RUN)
    box.metrics("run", [metric(0)])
    assert not box.close()
    server.away = False
    ((path, count, said),) = send_queues(tmp_path)
    assert (path, count, steps(server)) == (box.path, 0, [])
    assert "its run goes on, by process" in said
    box.release()
    assert list(send_queues(tmp_path)) == [(box.path, 1, None)]
    assert list(box.path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"), [(b"", None), (b'{"id": "ru', None), (b"\xff\n{}\n", "it cannot be read")]
)
def test_a_queue_that_was_only_begun_is_none_and_a_damaged_one_is_told(server, tmp_path, content, said):
    path = tmp_path / QUEUES / "run.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    ((_, count, mistake),) = send_queues(tmp_path)
    assert count == 0
    assert (mistake is None) == (said is None)
    assert mistake is None or mistake.startswith(said)
    assert path.exists() == (said is not None)


def test_where_no_thread_can_be_begun_all_is_kept_to_be_sent_later(server, tmp_path, monkeypatch, caplog, no_threads):
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: True)
    box = Outbox(tmp_path, RUN)
    assert "MLflow did not take what was sent (no thread can be begun): the run goes on" in caplog.text
    for step in range(3):
        box.metrics("run", [metric(step)])
    assert box.path.exists(), "at once: the run may be killed"
    assert not box.close()
    box.release()
    assert [(path, sent, error) for path, sent, error in send_queues(tmp_path)] == [(box.path, 3, None)]
    assert steps(server) == [0, 1, 2]
