from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from kedro.pipeline import Pipeline, node
from mlflow.entities import Dataset, Run

from hyco.hooks import MlflowHooks, mlflow_calls
from hyco.hooks.errors import TrackingError
from hyco.hooks.final_metrics import data_of, final_metrics
from hyco.hooks.outbox import QUEUES
from hyco.hooks.records import flatten, report_metrics, run_name
from hyco.runtime.storage import Bundle

PARAMETERS = {"experiment": "tiny", "notes": "a note", "hybrid": {"alpha": 0.5, "checkpoint_dir": None}}
REPORT = {"methods": {"hybrid_synthetic": {"nrmse": {"mean": 0.25, "per_step": [0.25]}}}, "cost": {"wall_seconds": 2.0}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, because making MLflow's database takes seconds."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every run starts from a folder that is not the project's, with no tracking URI set, and leaves no run open."""
    monkeypatch.chdir(tmp_path)
    before = mlflow_calls._own_uri
    mlflow.set_tracking_uri(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow_calls._own_uri = None
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow_calls._own_uri = before


@pytest.fixture
def conf_catalog(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "reporting"
    return {
        "metrics": {
            "type": "hyco.datasets.metrics.MetricsDataset",
            "filepath": str(folder / "hybrid_metrics.jsonl"),
            "metrics_prefix": "hybrid/",
        },
        "report": {"type": "kedro_datasets.json.JSONDataset", "filepath": str(folder / "report.json")},
        "synthetic_report": {"type": "kedro_datasets.json.JSONDataset", "filepath": str(folder / "other.json")},
        "physical_model": {
            "type": "kedro_datasets.json.JSONDataset",
            "filepath": str(tmp_path / "models" / "physical_model.json"),
            "versioned": True,
        },
    }


def train() -> Iterator[dict[str, Any]]:
    for epoch in (1, 2):
        yield {"epoch": epoch, "metrics": {"loss": 1.0 / epoch, "physical_loss": None}}


def fail(metrics: list[Any]) -> None:
    raise RuntimeError("the solver broke")


TRAIN = node(train, None, "metrics", name="train")
FINISH = node(lambda metrics: ({"viscosity": 0.1}, REPORT), "metrics", ["physical_model", "report"], name="finish")
COMPLETE = Pipeline([TRAIN, FINISH])
BROKEN = Pipeline([TRAIN, node(fail, "metrics", None, name="fail")])


def newest(project: Path, experiment: str = "tiny") -> Run:
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return client.search_runs([found.experiment_id], order_by=["attributes.start_time DESC"], max_results=1)[0]


def artefacts(run: Run) -> list[str]:
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_run_has_its_parameters_live_metrics_report_and_models_in_the_projects_own_store(
    session, project, conf_catalog, tmp_path
):
    left_by_another_pipeline = tmp_path / "reporting" / "other.json"
    left_by_another_pipeline.parent.mkdir()
    left_by_another_pipeline.write_text("{}")
    session((MlflowHooks(),), COMPLETE, conf_catalog, PARAMETERS, project)
    run = newest(project)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "hybrid"
    assert run.data.params == {
        "experiment": "tiny",
        "notes": "a note",
        "hybrid.alpha": "0.5",
        "hybrid.checkpoint_dir": "null",
    }
    assert run.data.metrics == {"loss": 0.5, "nrmse/hybrid_synthetic": 0.25, "cost/wall_seconds": 2.0}
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5)]
    assert run.data.tags["experiment"] == "tiny"
    assert run.data.tags["pipeline"] == "hybrid"
    assert run.data.tags["environment"] == "tiny"
    assert run.data.tags["mlflow.note.content"] == "a note"
    assert artefacts(run) == ["models/physical_model.json", "report/hybrid_metrics.jsonl", "report/report.json"]
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(project / "mlruns" / "tiny")
    assert not (tmp_path / "mlflow.db").exists()


def test_two_sessions_in_one_process_make_two_finished_runs(session, project, conf_catalog):
    hook = MlflowHooks()
    session((hook,), COMPLETE, conf_catalog, {"experiment": "twice"}, project)
    first = newest(project, "twice").info
    session((hook,), COMPLETE, conf_catalog, {"experiment": "twice"}, project)
    second = newest(project, "twice").info
    assert first.run_id != second.run_id
    assert first.status == second.status == "FINISHED"


def test_a_failing_run_is_marked_failed_and_keeps_the_metrics_until_then(session, project, conf_catalog):
    with pytest.raises(RuntimeError, match="the solver broke"):
        session((MlflowHooks(),), BROKEN, conf_catalog, {"experiment": "broken"}, project)
    run = newest(project, "broken")
    assert run.info.status == "FAILED"
    assert run.data.metrics == {"loss": 0.5}
    assert mlflow.active_run() is None
    assert mlflow.last_active_run().info.run_id == run.info.run_id


def test_an_interrupted_run_is_marked_killed_when_the_next_one_starts(session, project, conf_catalog):
    def interrupt(metrics: list[Any]) -> None:
        raise KeyboardInterrupt

    hook = MlflowHooks()
    interrupted = Pipeline([TRAIN, node(interrupt, "metrics", None, name="interrupt")])
    with pytest.raises(KeyboardInterrupt):
        session((hook,), interrupted, conf_catalog, {"experiment": "interrupted"}, project)
    session((hook,), COMPLETE, conf_catalog, {"experiment": "after"}, project)
    assert newest(project, "interrupted").info.status == "KILLED"
    assert newest(project, "after").info.status == "FINISHED"


def test_a_run_inside_an_active_run_is_nested_in_it_and_leaves_it_open(session, project, conf_catalog):
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    mlflow.set_experiment("parent")
    with mlflow.start_run() as parent:
        session((MlflowHooks(),), COMPLETE, conf_catalog, PARAMETERS, project)
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == parent.info.run_id
    children = mlflow.MlflowClient().search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert [run.info.status for run in children] == ["FINISHED"]


def test_a_tracking_uri_that_the_user_set_is_kept(session, project, conf_catalog, tmp_path, monkeypatch):
    uri = f"sqlite:///{project}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    session((MlflowHooks(),), COMPLETE, conf_catalog, {"experiment": "chosen"}, tmp_path)
    assert newest(project, "chosen").info.status == "FINISHED"
    assert not (tmp_path / "mlflow.db").exists()


def test_a_run_that_another_one_is_in_the_way_of_begins_again(session, project, conf_catalog, monkeypatch):
    start, refusals = mlflow.start_run, ["(sqlite3.OperationalError) database is locked", "Experiment already exists."]

    def refused(*arguments, **options):
        if refusals:
            raise mlflow.MlflowException(refusals.pop())
        return start(*arguments, **options)

    monkeypatch.setattr(mlflow_calls, "_PAUSE", 0.01)
    monkeypatch.setattr(mlflow, "start_run", refused)
    session((MlflowHooks(),), COMPLETE, conf_catalog, {"experiment": "in turn"}, project)
    assert not refusals
    assert newest(project, "in turn").info.status == "FINISHED"


def test_a_server_that_is_not_there_is_told_before_anything_runs(session, conf_catalog, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"MLflow takes no run at http://127.0.0.1:1 .* MLFLOW_TRACKING_URI"):
        session((MlflowHooks(),), COMPLETE, conf_catalog, PARAMETERS, tmp_path)
    assert not (tmp_path / "reporting").exists()


def test_a_folder_of_mlflow_that_is_read_only_is_told_when_a_run_begins(
    session, project, conf_catalog, monkeypatch, caplog
):
    (project / "mlruns").mkdir(exist_ok=True)
    said: list[str] = []
    begun = node(lambda: said.append(caplog.text) or 1, None, "x", name="x")
    monkeypatch.setattr("os.access", lambda folder, _: "mlruns" not in Path(folder).parts)
    session((MlflowHooks(),), Pipeline([begun]), conf_catalog, PARAMETERS, project)
    assert "cannot be written (it is read-only for this user): figures and models of this run wait" in said[0]


def unreachable(*_: Any, **__: Any) -> None:
    raise mlflow.MlflowException("the server is gone")


@pytest.mark.parametrize("call", ["log_artifact", "log_batch", "set_terminated"])
def test_a_server_that_goes_away_ends_no_run(session, project, conf_catalog, tmp_path, monkeypatch, caplog, call):
    def leave() -> dict[str, float]:
        monkeypatch.setattr(mlflow.MlflowClient, call, unreachable)
        return {"viscosity": 0.1}

    pipeline = Pipeline([TRAIN, node(lambda _: (leave(), REPORT), "metrics", ["physical_model", "report"], name="end")])
    session((MlflowHooks(),), pipeline, conf_catalog, {"experiment": "gone"}, project)
    assert (tmp_path / "reporting" / "report.json").exists()
    assert (
        "MLflow has not got all" if call == "set_terminated" else "MLflow did not take what was sent"
    ) in caplog.text
    assert "the server is gone" in caplog.text
    assert mlflow.active_run() is None


def test_a_server_that_goes_away_does_not_hide_why_a_run_failed(session, project, conf_catalog, monkeypatch):
    def leave(metrics: list[Any]) -> None:
        monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", unreachable)
        fail(metrics)

    pipeline = Pipeline([TRAIN, node(leave, "metrics", None, name="fail")])
    with pytest.raises(RuntimeError, match="the solver broke"):
        session((MlflowHooks(),), pipeline, conf_catalog, {"experiment": "gone"}, project)


def test_a_server_that_goes_away_ends_no_comparison(session, project, tmp_path, monkeypatch, caplog):
    catalog = {
        "comparison": {
            "type": "hyco.datasets.growing.GrowingJSONDataset",
            "filepath": str(tmp_path / "comparison.json"),
        },
    }

    def leaving() -> Iterator[dict[str, Any]]:
        for state in grow():
            yield state
            monkeypatch.setattr(mlflow.MlflowClient, "log_batch", unreachable)

    pipeline = Pipeline([node(leaving, None, "comparison", name="compare")])
    session((MlflowHooks(),), pipeline, catalog, {"experiment": "gone"}, project)
    assert len(json.loads((tmp_path / "comparison.json").read_text())["runs"]) == 2
    assert "MLflow did not take what was sent (the server is gone)" in caplog.text
    queue = (project / QUEUES).glob("*.jsonl")
    waiting = [json.loads(line) for path in queue for line in path.read_text().splitlines()]
    assert {entry["nested"]["name"] for entry in waiting if "nested" in entry} >= {"hybrid_physical seed 1"}
    assert mlflow.active_run() is None


def test_a_deleted_experiment_is_taken_up_again(session, project, conf_catalog):
    session((MlflowHooks(),), COMPLETE, conf_catalog, {"experiment": "deleted"}, project)
    mlflow.delete_experiment(newest(project, "deleted").info.experiment_id)
    session((MlflowHooks(),), COMPLETE, conf_catalog, {"experiment": "deleted"}, project)
    assert newest(project, "deleted").info.status == "FINISHED"


def test_nested_parameters_become_one_key_each():
    parameters = {
        "seed": 3,
        "resume": False,
        "observation": {"train_sim": [0, 1], "space": {}},
        "physical": {"learnable_parameters": [{"name": "viscosity", "bounds": [0.001, 1.0]}]},
        "notes": "x" * 7000,
        "what?": None,
    }
    assert flatten(parameters) == {
        "seed": "3",
        "resume": "false",
        "observation.train_sim": "[0, 1]",
        "observation.space": "{}",
        "physical.learnable_parameters.0.name": "viscosity",
        "physical.learnable_parameters.0.bounds": "[0.001, 1.0]",
        "notes": "x" * 6000,
        "what_": "null",
    }


def test_runs_of_a_sweep_have_names_that_differ():
    changed = {"experiment": "tiny", "hybrid": {"alpha": 0.3}, "seed": 1}
    assert run_name({"pipeline_names": ["hybrid"], "runtime_params": changed}) == "alpha=0.3 seed=1 (hybrid)"
    assert run_name({"pipeline_names": None, "runtime_params": {}}) == "__default__"
    assert len(run_name({"runtime_params": {"notes": "x" * 300}})) == 250


def test_a_report_gives_its_finite_numbers_by_quantity_and_method():
    values = {"true": 0.1, "estimate": 0.11, "std": None, "relative_error": 0.1, "identifiable": True}
    report = {
        "methods": {
            "persistence": {"nrmse": {"mean": float("nan"), "per_step": []}},
            "physical": {
                "nrmse": {"mean": 0.5, "per_step": [0.5]},
                "parameters": {"viscosity": values},
                "training_seconds": 3.0,
            },
        },
        "cost": {"peak_rss_bytes": 7},
    }
    assert report_metrics(report) == {
        "cost/peak_rss_bytes": 7.0,
        "nrmse/physical": 0.5,
        "training_seconds/physical": 3.0,
        "estimate/physical/viscosity": 0.11,
        "relative_error/physical/viscosity": 0.1,
    }


def test_runs_of_one_problem_are_in_one_experiment_with_their_own_name_as_a_tag(session, project, conf_catalog):
    for name, alpha in (("low", 0.5), ("high", 0.95)):
        parameters = {"experiment": name, "hybrid": {"alpha": alpha}}
        session((MlflowHooks(),), COMPLETE, conf_catalog, parameters, project, env="problem")
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("problem").experiment_id])
    assert {(run.data.tags["experiment"], run.data.params["hybrid.alpha"]) for run in runs} == {
        ("low", "0.5"),
        ("high", "0.95"),
    }
    assert all(set(run.data.metrics) == set(runs[0].data.metrics) for run in runs)


def test_a_training_alone_leaves_its_estimates_and_held_out_errors_as_metrics(tmp_path):
    model, history = tmp_path / "model.json", tmp_path / "history.jsonl"
    model.write_text(json.dumps({"parameters": {"viscosity": {"estimate": 0.1, "std": None}}}))
    records = [{"epoch": 1, "metrics": {"validation_physical": 0.25}}, {"epoch": 2, "metrics": {"physical_loss": 1.0}}]
    history.write_text("".join(json.dumps(record) + "\n" for record in records))
    paths = {"hybrid_physical_model": model, "hybrid_metrics": history, "report": tmp_path / "none.json"}
    assert final_metrics(paths) == {
        "estimate/hybrid_physical/viscosity": 0.1,
        "heldout_error/hybrid_physical": 0.25,
    }


def test_the_data_are_a_dataset_with_digest_and_source():
    tensors = {"values": torch.zeros(2, 3)}
    origin = {"measurements": {"file": "data/01_raw/mine.csv"}}
    measured = Dataset(**data_of(Bundle(tensors, {"origin": origin}), "tiny"))
    assert (measured.name, json.loads(measured.source)["uri"]) == ("data/01_raw/mine.csv", "data/01_raw/mine.csv")
    assert json.loads(measured.profile) == {"shapes": {"values": [2, 3]}}
    other = Dataset(**data_of(Bundle({"values": torch.ones(2, 3)}, {}), "tiny"))
    assert other.source_type == "simulation"
    assert other.digest != measured.digest


def compared(method: str, seed: int, nrmse: float | None) -> dict[str, Any]:
    """A run of a comparison."""
    return {
        "method": method,
        "training": method.removesuffix("_physical"),
        "seed": seed,
        "status": "failed" if nrmse is None else "finished",
        "reason": "NotConverged: too few" if nrmse is None else None,
        "nrmse": nrmse,
        "nrmse_all": None,
        "parameters": {} if nrmse is None else {"viscosity": {"estimate": 0.1, "std": None, "relative_error": 0.25}},
        "training_seconds": 1.5,
        "wall_seconds": 2.0,
    }


def grow() -> Iterator[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    methods = {"hybrid_physical": {"nrmse": {"median": 0.5}, "failed": 1}, "synthetic": {"nrmse": None, "failed": 0}}
    for record in (compared("hybrid_physical", 0, 0.5), compared("hybrid_physical", 1, None)):
        runs = [*runs, record]
        yield {
            "experiment": "tiny",
            "trainings": {"hybrid": {"method": "hybrid", "configuration": {"hybrid": {"alpha": 0.7}}}},
            "runs": runs,
            "summary": {"methods": methods},
        }


def test_every_method_and_seed_of_a_comparison_is_a_run_nested_in_it(session, project, tmp_path):
    catalog = {
        "comparison": {
            "type": "hyco.datasets.growing.GrowingJSONDataset",
            "filepath": str(tmp_path / "reporting" / "comparison.json"),
        },
        "report": {"type": "kedro_datasets.json.JSONDataset", "filepath": str(tmp_path / "reporting" / "report.json")},
    }
    pipeline = Pipeline([node(grow, None, "comparison", name="compare")])
    session((MlflowHooks(),), pipeline, catalog, {**PARAMETERS, "experiment": "compared"}, project)
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("compared").experiment_id])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = {run.data.params["seed"]: run for run in found if run is not parent}
    assert (len(found), sorted(children)) == (3, ["0", "1"])
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {"median_nrmse/hybrid_physical": 0.5, "failed_runs": 1.0}
    assert artefacts(parent) == ["report/comparison.json"]
    done, failed = children["0"], children["1"]
    assert done.info.run_name == "hybrid_physical seed 0"
    assert done.info.status == "FINISHED"
    assert done.data.params == {
        "method": "hybrid_physical",
        "seed": "0",
        "training": "hybrid",
        "hybrid.alpha": "0.7",
    }
    assert done.data.metrics == {
        "nrmse": 0.5,
        "training_seconds": 1.5,
        "wall_seconds": 2.0,
        "estimate/viscosity": 0.1,
        "relative_error/viscosity": 0.25,
    }
    assert failed.info.status == "FAILED"
    assert failed.data.tags["reason"] == "NotConverged: too few"
    assert "nrmse" not in failed.data.metrics
