from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import click
import pytest
import yaml
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node

import hyco
from hyco.hooks import FigureHooks, ReportHooks
from hyco.hooks.errors import foreseen
from hyco.hooks.reporting import _command
from hyco.runtime.storage import Bundle, DamagedFileError, read_json
from hyco.training.checkpoints import ResumeError

PARAMETERS = {"experiment": "tiny", "hybrid": {"alpha": 0.7}}


@pytest.fixture
def conf_catalog(tmp_path) -> dict[str, Any]:
    return {"report": {"type": "kedro_datasets.json.JSONDataset", "filepath": str(tmp_path / "out" / "report.json")}}


def write() -> dict[str, Any]:
    return {"methods": {}}


def raise_error(error: Exception) -> Pipeline:
    def work() -> None:
        raise error

    return Pipeline([node(work, None, "report", name="work")])


def test_the_resolved_parameters_are_saved_beside_the_report(session, conf_catalog, tmp_path):
    session((ReportHooks(),), Pipeline([node(write, None, "report", name="work")]), conf_catalog, PARAMETERS)
    assert yaml.safe_load((tmp_path / "out" / "configuration.yaml").read_text()) == PARAMETERS
    made_with = read_json(tmp_path / "out" / "made_with.json")
    assert made_with["hyco"] == hyco.__version__
    assert made_with["packages"]["torch"] == version("torch")
    assert made_with["observations"] is None


def test_a_run_ends_by_naming_its_report(session, conf_catalog, tmp_path, caplog):
    pipeline = Pipeline([node(write, None, "report", name="work")])
    with caplog.at_level(logging.INFO):
        session((ReportHooks(),), pipeline, conf_catalog, PARAMETERS)
    assert caplog.messages[-1] == f"Numbers: {tmp_path / 'out' / 'report.json'}"


def test_the_page_is_named_last_and_the_summary_stands_before_it(session, conf_catalog, tmp_path, caplog):
    page = {
        "report_page": {"type": "kedro_datasets.text.TextDataset", "filepath": str(tmp_path / "out" / "report.html")}
    }
    methods = {
        "hybrid_physical": {
            "nrmse": {"mean": 0.02, "per_step": [0.01, 0.03]},
            "parameters": {"viscosity": {"true": None, "estimate": 0.1007, "std": 0.00098, "identifiable": True}},
        }
    }
    nodes = [
        node(lambda: {"methods": methods, "warnings": ["mind the gap"]}, None, "report", name="report"),
        node(lambda report: "<html>", "report", "report_page", name="page"),
    ]
    with caplog.at_level(logging.INFO):
        session((ReportHooks(),), Pipeline(nodes), conf_catalog | page, PARAMETERS)
    assert caplog.messages[-1] == f"Report: {tmp_path / 'out' / 'report.html'}"
    said = next(message for message in caplog.messages if message.startswith("Done."))
    assert "0.10070 ± 0.00098" in said
    assert "mind the gap" in said


def test_an_unforeseen_error_says_what_was_saved_and_how_to_go_on(session, tmp_path):
    def train() -> Iterator[Bundle]:
        metadata = {"epoch": 3, "epochs": 7, "is_best": False, "kept_every": None, "finished": False, "metrics": {}}
        yield Bundle({}, {"kind": "checkpoint", **metadata})
        raise ZeroDivisionError("a bug")

    conf = {"hybrid_checkpoint": {"type": "hyco.datasets.checkpoint.CheckpointDataset", "path": str(tmp_path / "c")}}
    pipeline = Pipeline([node(train, None, "hybrid_checkpoint", name="train_hybrid_models")])
    with pytest.raises(ZeroDivisionError) as caught:
        session((ReportHooks(),), pipeline, conf, PARAMETERS)
    assert "epoch 3 of 7 of the hybrid training" in caught.value.__notes__[-1]
    assert "resume=true" in caught.value.__notes__[-1]


def test_a_run_without_a_report_names_none_and_saves_no_configuration(session, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        session((ReportHooks(),), Pipeline([node(lambda: 1, None, "number", name="work")]), {}, PARAMETERS)
    assert not any(message.startswith("Report") for message in caplog.messages)
    assert not list(tmp_path.rglob("configuration.yaml"))


def test_a_foreseen_error_is_a_message_on_the_command_line_and_itself_elsewhere(session, conf_catalog):
    pipeline = raise_error(ResumeError("remove the checkpoint to start anew"))
    with click.Context(click.Command("run")), pytest.raises(click.ClickException, match="remove the checkpoint"):
        session((ReportHooks(),), pipeline, conf_catalog, PARAMETERS)
    with pytest.raises(ResumeError, match="remove the checkpoint"):
        session((ReportHooks(),), pipeline, conf_catalog, PARAMETERS)


def test_what_a_dataset_says_is_a_message_too(session, conf_catalog):
    unread = {"mine": {"type": "hyco.datasets.states.StatesDataset", "filepath": "nowhere.npz"}}
    pipeline = Pipeline([node(lambda states: {"states": states}, "mine", "report", name="look")])
    with (
        click.Context(click.Command("run")),
        pytest.raises(click.ClickException, match=r"^predict.initial_states: the"),
    ):
        session((ReportHooks(),), pipeline, conf_catalog | unread, PARAMETERS)


def test_what_a_dataset_says_is_a_message_however_often_kedro_wraps_it():
    damaged = DamagedFileError("comparison.json cannot be read")
    inner, outer = DatasetError("inner"), DatasetError("outer")
    outer.__cause__, inner.__cause__ = inner, damaged
    assert foreseen(outer) is damaged
    assert foreseen(inner) is damaged
    assert foreseen(DatasetError("of a bug")) is None


def test_an_unforeseen_error_keeps_its_traceback_on_the_command_line(session, conf_catalog):
    with click.Context(click.Command("run")), pytest.raises(ZeroDivisionError):
        session((ReportHooks(),), raise_error(ZeroDivisionError("a bug")), conf_catalog, PARAMETERS)


def test_on_the_command_line_a_result_that_cannot_be_saved_ends_the_node_that_makes_more(session, tmp_path):
    ended = []

    def grow() -> Iterator[dict[str, Any]]:
        try:
            yield {}
        finally:
            ended.append(True)

    (tmp_path / "file").touch()
    conf = {"type": "hyco.datasets.growing.GrowingJSONDataset", "filepath": str(tmp_path / "file" / "comparison.json")}
    pipeline = Pipeline([node(grow, None, "comparison", name="compare")])
    with (
        click.Context(click.Command("run")),
        pytest.raises(click.ClickException, match=r"comparison\.json cannot be written") as caught,
    ):
        session((ReportHooks(),), pipeline, {"comparison": conf}, PARAMETERS)
    assert ended, caught


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/home/me/.venv/bin/hyco", "hyco"),
        ("/home/me/.venv/Scripts/hyco.exe", "hyco"),
        ("/home/me/src/hyco/__main__.py", "hyco"),
        ("/home/me/.venv/bin/kedro", "kedro"),
        ("/home/me/site-packages/kedro/__main__.py", "kedro"),
    ],
)
def test_what_was_typed_can_be_typed_again(program, name, monkeypatch):
    monkeypatch.setattr("sys.argv", [program, "--env", "a b"])
    with click.Context(click.Command("run")):
        assert _command() == f"{name} --env 'a b'"


def test_a_training_alone_says_whose_the_report_is_that_stands_there(session, conf_catalog, tmp_path, caplog):
    pipeline = Pipeline(
        [node(lambda: [{"epoch": 1, "metrics": {"validation_synthetic": 0.5}}], None, "synthetic_metrics", name="work")]
    )
    said = {}
    for earlier in (False, True):
        if earlier:
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "report.json").touch()
        with caplog.at_level(logging.INFO):
            session((ReportHooks(),), pipeline, conf_catalog, PARAMETERS)
        said[earlier] = caplog.messages[-1]
    assert said[False].startswith("No report yet: the same command with --tags evaluate ")
    assert said[True].startswith(f"The report in {tmp_path / 'out'} is an earlier run's: the same command with ")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is made at once")
def test_a_page_that_was_not_made_is_not_named(session, conf_catalog, tmp_path, caplog):
    kind = {"type": "hyco.datasets.texts.TextFileDataset", "filepath": str(tmp_path / "out" / "report.html")}
    nodes = [
        node(write, None, "report", name="report"),
        node(lambda _: lambda: str(1 / 0), "report", "report_page", name="page"),
    ]
    with caplog.at_level(logging.INFO), pytest.raises(OSError, match=r"report\.html could not be written"):
        session((FigureHooks(), ReportHooks()), Pipeline(nodes), conf_catalog | {"report_page": kind}, PARAMETERS)
    assert caplog.messages[-1] == f"Numbers: {tmp_path / 'out' / 'report.json'}"
