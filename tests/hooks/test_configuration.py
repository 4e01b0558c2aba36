from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import torch
import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.hooks import hook_impl
from kedro.framework.project import LOGGING
from kedro.io import AbstractDataset, DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Pipeline, node

from hyco.config import ConfigurationError
from hyco.datasets.states import StatesDataset
from hyco.datasets.tensor import TensorDataset
from hyco.hooks import ConfigurationHooks
from hyco.hooks.errors import say_it_once
from hyco.runtime.storage import Bundle
from hyco.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"


@pytest.fixture(autouse=True)
def _logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pytest's own log handlers alone."""
    monkeypatch.setenv("KEDRO_LOGGING_CONFIG", "not used")


def context(project: Path = PROJECT, env: str | None = None, **runtime_params: Any) -> Any:
    loader = OmegaConfigLoader(str(project / "conf"), env, runtime_params, **CONFIG_LOADER_ARGS)
    return SimpleNamespace(project_path=project, config_loader=loader)


class ForeseenError(ValueError):
    """As one of the program's own."""

    __module__ = "hyco.somewhere"


@pytest.mark.parametrize(("kind", "times"), [(ForeseenError, 0), (ValueError, 1)])
def test_on_the_command_line_kedro_does_not_repeat_what_was_foreseen(kind, times, monkeypatch):
    kept: list[str] = []

    class Terminal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    monkeypatch.setattr(logging.root, "handlers", [Terminal()])
    say_it_once()
    say_it_once()
    assert len(logging.root.handlers[0].filters) == 1

    def fail() -> None:
        raise kind("too fast")

    with click.Context(click.Command("run")), pytest.raises(kind):
        node(fail, None, "nothing", name="fails").run({})
    assert len([text for text in kept if "too fast" in text]) == times
    with pytest.raises(kind):  # in a notebook
        node(fail, None, "nothing", name="fails").run({})
    assert len([text for text in kept if "too fast" in text]) == times + 1


def test_the_default_experiment_is_valid():
    ConfigurationHooks().after_context_created(context())


def test_problems_are_one_line_each_and_name_their_file():
    wrong = context(seed=-1, hybrid={"alpha": 2.0})
    with pytest.raises(ConfigurationError) as caught:
        ConfigurationHooks().after_context_created(wrong)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["--params", "seed"], ["--params", "hybrid.alpha"]]


def test_a_problem_in_a_file_is_laid_to_that_file(tmp_path):
    (tmp_path / "conf" / "base").mkdir(parents=True)
    (tmp_path / "conf" / "mine").mkdir()
    (tmp_path / "conf" / "base" / "parameters.yml").write_text("seed: 0\n")
    (tmp_path / "conf" / "mine" / "parameters.yml").write_text("seed: many\n")
    with pytest.raises(ConfigurationError, match=r"(?m)^conf/mine/parameters\.yml: seed: 'many'"):
        ConfigurationHooks().after_context_created(context(tmp_path, "mine"))


def test_on_the_command_line_a_wrong_configuration_is_a_message_without_traceback():
    with click.Context(click.Command("run")), pytest.raises(click.ClickException) as caught:
        ConfigurationHooks().after_context_created(context(seed=-1))
    assert caught.value.exit_code == 1
    assert "--params: seed: -1" in caught.value.message


def test_an_unknown_experiment_is_told_which_there_are():
    with pytest.raises(ConfigurationError, match=r"no experiment 'burgers_7d'.*burgers_1d, burgers_2d"):
        ConfigurationHooks().after_context_created(context(env="burgers_7d"))


def test_outside_of_a_project_it_is_told_where_to_start(tmp_path):
    with pytest.raises(ConfigurationError, match="start this command in the project's folder"):
        ConfigurationHooks().after_context_created(context(tmp_path))


def test_an_experiment_without_a_name_has_that_of_its_folder(tmp_path):
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "heat").rename(tmp_path / "conf" / "mine")
    (tmp_path / "conf" / "mine" / "globals.yml").unlink()
    made = context(tmp_path, "mine")
    ConfigurationHooks().after_context_created(made)
    assert made.config_loader["parameters"]["experiment"] == "mine"
    assert "/mine/" in made.config_loader["catalog"]["report"]["filepath"]


def test_what_an_earlier_run_has_not_made_is_told_before_anything_is_computed(tmp_path):
    parameters = {"observation": {"test_sim": [1]}, "experiment": "mine"}
    files = {name: TensorDataset(str(tmp_path / name)) for name in ("hybrid_model", "observations")}
    optional = {"cached_trajectories": TensorDataset(str(tmp_path / "none"), must_exist=False)}
    catalog = DataCatalog({"parameters": MemoryDataset(parameters), **files, **optional})
    pipeline = Pipeline([node(lambda *_: 0, ["hybrid_model", "observations", "cached_trajectories"], "rollouts")])
    files["observations"].save(Bundle({}, {}))
    with pytest.raises(ConfigurationError, match="mine has no hybrid_model yet; run `--tags train`"):
        ConfigurationHooks().before_pipeline_run({}, pipeline, catalog)
    files["hybrid_model"].save(Bundle({}, {}))
    ConfigurationHooks().before_pipeline_run({}, pipeline, catalog)


def test_a_missing_device_is_told_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    parameters = {"observation": {"test_sim": [1]}, "device": "cuda"}
    catalog = DataCatalog({"parameters": MemoryDataset(parameters)})
    train, evaluate = Pipeline([node(max, "params:device", "model")]), Pipeline([node(max, "model", "rollouts")])
    with pytest.raises(ConfigurationError, match="'cuda' is not available here"):
        ConfigurationHooks().before_pipeline_run({}, train, catalog)
    ConfigurationHooks().before_pipeline_run({}, evaluate, catalog)


def test_a_runner_of_several_processes_is_refused():
    runner = {"runner": "<kedro.runner.parallel_runner.ParallelRunner object at 0x1>"}
    with pytest.raises(ConfigurationError, match=r"--runner ParallelRunner cannot be used.*compute\.workers"):
        ConfigurationHooks().before_pipeline_run(runner, Pipeline([]), DataCatalog({}))


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "conf" / "base").mkdir(parents=True)
    (tmp_path / "conf" / "mine").mkdir()
    (tmp_path / "conf" / "base" / "parameters.yml").write_text("seed: [0\n")
    with pytest.raises(ConfigurationError, match=r"parameters cannot be read.*conf/base/parameters\.yml"):
        ConfigurationHooks().after_context_created(context(tmp_path, "mine"))


@pytest.mark.parametrize(("chosen", "used"), [("kept", PROJECT / "kept"), ("/far/away", Path("/far/away"))])
def test_checkpoint_dir_sends_the_hybrids_checkpoints_there(chosen, used):
    conf = {"type": "hyco.datasets.checkpoint.CheckpointDataset", "directory": "usual"}
    catalog = DataCatalog.from_config({"hybrid_checkpoint": conf, "hybrid_resume_point": conf, "other": conf})
    hooks = ConfigurationHooks()
    hooks.after_context_created(context())
    hooks.after_catalog_created(catalog, {"parameters": {"hybrid": {"checkpoint_dir": chosen}}})
    assert catalog.get("hybrid_checkpoint").directory == used
    assert catalog.get("hybrid_resume_point").directory == used
    assert catalog.get("other").directory == Path("usual")


def test_without_checkpoint_dir_the_catalog_is_left_as_it_is():
    conf = {"type": "hyco.datasets.checkpoint.CheckpointDataset", "directory": "usual"}
    catalog = DataCatalog.from_config({"hybrid_checkpoint": conf})
    ConfigurationHooks().after_catalog_created(catalog, {"parameters": {"hybrid": {"checkpoint_dir": None}}})
    assert catalog.get("hybrid_checkpoint").directory == Path("usual")


@pytest.mark.parametrize(
    ("test_sim", "reason"),
    [([], "test_sim: .* leaves nothing to evaluate on"), ([0], "experiment tiny has no model yet; run `--tags train`")],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_begins(session, tmp_path, test_sim, reason):
    begun = []

    class Tracking:
        @hook_impl
        def before_pipeline_run(self):
            begun.append(True)

    conf = {"type": "hyco.datasets.tensor.TensorDataset", "filepath": str(tmp_path / "model.safetensors")}
    catalog = {"model": conf, "model_resume_point": {**conf, "must_exist": False}}
    inputs = ["model", "model_resume_point"]
    pipeline = Pipeline([node(lambda model, point: model, inputs, "rollouts", name="roll_out")])
    parameters = {"experiment": "tiny", "observation": {"test_sim": test_sim}}
    with pytest.raises(ConfigurationError, match=reason):
        session((ConfigurationHooks(), Tracking()), pipeline, catalog, parameters)
    assert not begun


def test_a_dataset_that_cannot_tell_whether_it_exists_is_not_refused():
    pipeline = Pipeline([node(lambda model: None, "model", None, name="use")])

    class Silent(AbstractDataset):
        def load(self):
            return 1

        def save(self, data): ...

        def _describe(self):
            return {}

    catalog = DataCatalog({"model": Silent()})
    catalog["parameters"] = {"experiment": "tiny", "observation": {}}
    ConfigurationHooks().before_pipeline_run({}, pipeline, catalog)


def test_the_threads_of_a_run_are_not_those_of_the_next_one_in_the_process(session):
    hooks, found = ConfigurationHooks(), []
    pipeline = Pipeline([node(lambda _: found.append(torch.get_num_threads()), "parameters", None, name="work")])
    before = torch.get_num_threads()
    for threads in (before + 1, before + 2, None, None):
        session((hooks,), pipeline, {}, {"experiment": "tiny", "observation": {}, "threads": threads})
    assert found == [before + 1, before + 2, before, before]


def test_the_projects_logging_holds_wherever_the_command_was_started(monkeypatch, tmp_path):
    before, handlers = dict(LOGGING.data), list(logging.getLogger().handlers)
    monkeypatch.delenv("KEDRO_LOGGING_CONFIG")
    monkeypatch.chdir(tmp_path)
    try:
        ConfigurationHooks().after_context_created(context())
        assert yaml.safe_load((PROJECT / "conf" / "logging.yml").read_text()) == LOGGING.data
        assert logging.getLogger("kedro.io").level == logging.WARNING
    finally:
        LOGGING.configure(before)
        logging.getLogger().handlers = handlers


def test_the_file_of_states_to_predict_from_is_relative_to_the_project():
    catalog = DataCatalog({"prediction_states": StatesDataset()})
    assert catalog.load("prediction_states") is None
    hooks = ConfigurationHooks()
    hooks.after_context_created(context())
    hooks.after_catalog_created(catalog, {"parameters": {"predict": {"initial_states": "data/mine.npz"}}})
    with pytest.raises(DatasetError, match=rf"there is no file {PROJECT / 'data' / 'mine.npz'}"):
        catalog.load("prediction_states")
