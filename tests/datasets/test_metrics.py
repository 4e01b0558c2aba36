"""Live metrics: a readable file at every moment, no epoch twice, and MLflow without slowing a training down."""

import json
import math
import sys
import types
from pathlib import Path

import pytest
from kedro.io import DatasetError

from hyco.datasets import metrics as module
from hyco.datasets.metrics import MetricsDataset
from hyco.runtime.storage import UnwritableError


def record(epoch, **values):
    return {"epoch": epoch, "metrics": values or {"loss": 1 / epoch}}


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    # As if nobody had imported MLflow.
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    return MetricsDataset(str(tmp_path / "new" / "metrics.jsonl"), metrics_prefix="hybrid/")


def epochs(dataset):
    return [entry["epoch"] for entry in dataset.load()]


def test_the_history_can_be_read_after_every_save(dataset, tmp_path):
    for epoch in (1, 2, 3):
        dataset.save(record(epoch))
        lines = (tmp_path / "new" / "metrics.jsonl").read_text().splitlines()
        written = [json.loads(line) for line in lines]
        assert all(len(entry.pop("check")) == 8 for entry in written)
        assert written == [record(e) for e in range(1, epoch + 1)]
    assert dataset.load() == [record(1), record(2), record(3)]


def test_what_is_not_finite_or_missing_is_none(dataset):
    dataset.save(record(1, a=math.nan, b=math.inf, c=None, d=2))
    assert dataset.load() == [record(1, a=None, b=None, c=None, d=2.0)]


def test_a_resumed_training_drops_the_epochs_it_repeats(dataset, tmp_path):
    for epoch in (1, 2, 3, 4):
        dataset.save(record(epoch))
    resumed = MetricsDataset(str(tmp_path / "new" / "metrics.jsonl"))
    resumed.save(record(3, loss=7.0))
    assert resumed.load() == [record(1), record(2), record(3, loss=7.0)]
    resumed.save(record(4))
    assert epochs(resumed) == [1, 2, 3, 4]


def test_a_training_that_starts_anew_starts_the_history_anew(dataset):
    for epoch in (1, 2, 3):
        dataset.save(record(epoch))
    dataset.save(record(1))
    assert epochs(dataset) == [1]


def test_a_line_that_was_cut_off_by_a_kill_is_ignored_and_replaced(dataset, tmp_path):
    dataset.save(record(1))
    path = tmp_path / "new" / "metrics.jsonl"
    with path.open("a") as file:
        file.write('{"epoch": 2, "met')
    resumed = MetricsDataset(str(path))
    assert epochs(resumed) == [1]
    resumed.save(record(2))
    assert resumed.load() == [record(1), record(2)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_disk_without_room_is_told(dataset, tmp_path):
    dataset.save(record(1))
    path = tmp_path / "new" / "metrics.jsonl"
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(DatasetError) as caught:
        dataset.save(record(2))
    assert isinstance(caught.value.__cause__, UnwritableError)
    assert f"{path} cannot be written (No space left on device): make room" in str(caught.value.__cause__)


def test_a_history_whose_end_was_cut_off_says_which_epochs_it_lacks(dataset, tmp_path, caplog):
    for epoch in range(1, 7):
        dataset.save(record(epoch))
    path = tmp_path / "new" / "metrics.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    again = MetricsDataset(str(path))
    again.save(record(6))
    assert epochs(again) == [1, 2, 3, 6]
    assert "metrics.jsonl lacks 2 of the 5 epochs before epoch 6, the first of them 4: its end" in caplog.text
    caplog.clear()
    again = MetricsDataset(str(path))
    again.save(record(4))
    again.save(record(5))
    assert not caplog.records


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_damaged_line_is_told_and_a_resumed_training_keeps_the_others(dataset, tmp_path, caplog, line):
    for epoch in (1, 2, 3):
        dataset.save(record(epoch, loss=0.5))
    path = tmp_path / "new" / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[line] = lines[line].replace("0.5", "0.7")
    path.write_text("\n".join(lines) + "\n")
    resumed = MetricsDataset(str(path))
    with pytest.raises(DatasetError, match=rf"metrics\.jsonl, line {line + 1}, cannot be read \(it is not what"):
        resumed.load()
    resumed.save(record(4))
    assert epochs(resumed) == [epoch for epoch in (1, 2, 3, 4) if epoch != line + 1]
    assert "It is now metrics.damaged-" in caplog.text
    assert len(list(path.parent.iterdir())) == 2


def test_a_run_that_goes_on_from_another_has_every_epoch_once(dataset, tmp_path, monkeypatch):
    for epoch in (1, 2, 3, 4):
        dataset.save(record(epoch, loss=float(epoch)))
    sent = []
    resumed = MetricsDataset(str(tmp_path / "new" / "metrics.jsonl"), metrics_prefix="hybrid/")
    Server(monkeypatch)
    resumed.log_to("second")
    resumed.send_by(lambda run, metrics: sent.append((run, metrics)) or 0.0)
    for epoch in (3, 4, 5):
        resumed.save(record(epoch, loss=10.0 * epoch))
    resumed.flush()
    assert {run for run, _ in sent} == {"second"}
    values = [(step, value) for _, metrics in sent for _, value, _, step in metrics]
    assert values == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0), (5, 50.0)]


def test_without_a_file_there_is_nothing_to_load(dataset):
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"metrics\.jsonl"):
        dataset.load()
    assert dataset.preview()["data"] == []


def test_mlflow_is_not_imported_for_it(dataset):
    dataset.save(record(1))
    dataset.flush()
    assert "mlflow" not in sys.modules


class Server:
    """Stands in for MLflow: remembers each call."""

    def __init__(self, monkeypatch, active="run"):
        self.calls, self.broken, self.takes = [], False, lambda: None
        server = self

        class MlflowClient:
            def log_batch(self, run_id, metrics):
                server.takes()
                if server.broken:
                    raise ConnectionError("no server")
                server.calls.append((run_id, list(metrics)))

        mlflow = types.ModuleType("mlflow")
        run = types.SimpleNamespace(info=types.SimpleNamespace(run_id=active))
        mlflow.active_run = lambda: run if active else None
        mlflow.MlflowClient = MlflowClient
        mlflow.entities = types.ModuleType("mlflow.entities")
        mlflow.entities.Metric = lambda key, value, timestamp, step: (key, value, step)
        monkeypatch.setitem(sys.modules, "mlflow", mlflow)
        monkeypatch.setitem(sys.modules, "mlflow.entities", mlflow.entities)

    @property
    def metrics(self):
        return [metric for _, metrics in self.calls for metric in metrics]


def test_finite_metrics_go_to_the_active_run_under_their_prefix(dataset, monkeypatch):
    server = Server(monkeypatch)
    dataset.save(record(1, loss=0.5, missing=None, bad=math.nan))
    assert server.calls == [("run", [("hybrid/loss", 0.5, 1)])]


def test_calls_are_rare_and_flush_sends_the_rest(dataset, monkeypatch):
    server, now = Server(monkeypatch), [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for epoch in range(1, 51):
        dataset.save(record(epoch))
        now[0] += 0.1
    assert 2 <= len(server.calls) <= 4
    dataset.flush()
    assert [step for _, _, step in server.metrics] == list(range(1, 51))
    calls = len(server.calls)
    dataset.flush()
    assert len(server.calls) == calls


def test_slow_calls_take_a_small_share_of_the_time(dataset, monkeypatch):
    server, now = Server(monkeypatch), [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    server.takes = lambda: now.append(now.pop() + 1.0)
    for epoch in range(1, 1001):
        dataset.save(record(epoch))
        now[0] += 1.0
    assert len(server.calls) == 5  # every 200 s


def test_many_metrics_are_sent_in_calls_of_a_size_that_mlflow_takes(dataset, monkeypatch):
    server = Server(monkeypatch)
    dataset.save(record(1, **{f"m{i}": float(i) for i in range(2500)}))
    assert [len(metrics) for _, metrics in server.calls] == [1000, 1000, 500]


def test_without_an_active_run_nothing_is_sent_unless_one_is_named(dataset, monkeypatch):
    server = Server(monkeypatch, active=None)
    dataset.save(record(1))
    assert server.calls == []
    dataset.log_to("named")
    dataset.save(record(2))
    dataset.release()
    assert server.calls == [("named", [("hybrid/loss", 0.5, 2)])]


def test_a_server_that_fails_does_not_end_a_training(dataset, monkeypatch, caplog):
    server = Server(monkeypatch)
    server.broken = True
    dataset.save(record(1))
    assert "no server" in caplog.text
    assert epochs(dataset) == [1]


@pytest.mark.slow
def test_metrics_arrive_in_a_real_store(dataset, monkeypatch, tmp_path):
    monkeypatch.undo()
    import mlflow

    uri = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        # Not `set_experiment`: it would outlive this test.
        experiment = mlflow.create_experiment("test", artifact_location=str(tmp_path / "mlruns"))
        with mlflow.start_run(experiment_id=experiment) as run:
            dataset.save(record(1))
            dataset.save(record(2))
            dataset.flush()
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "hybrid/loss")
        assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5)]
    finally:
        mlflow.set_tracking_uri(uri)


def test_the_preview_has_a_curve_per_loss_and_estimate(dataset):
    for epoch in (1, 2):
        dataset.save(
            record(epoch, synthetic_loss=1.0, physical_loss=None, **{"estimate.nu": 0.1, "std.nu": 0.01, "alpha": 0.5})
        )
    figure = dataset.preview()
    curves = {trace["name"]: trace for trace in figure["data"]}
    assert set(curves) == {"synthetic loss", "physical loss", "nu"}
    assert curves["synthetic loss"]["x"] == [1, 2]
    assert curves["physical loss"]["y"] == []
    assert curves["nu"]["error_y"]["array"] == [0.01, 0.01]
    json.dumps(figure, allow_nan=False)
    import plotly.graph_objects

    plotly.graph_objects.Figure(figure)
