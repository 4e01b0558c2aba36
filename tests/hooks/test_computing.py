"""What a pipeline cannot compute where the configuration says, told before anything is made."""

from pathlib import Path

import pytest
import yaml

from hyco.config import ConfigurationError
from hyco.hooks import computing
from hyco.hooks.computing import require_computable
from hyco.sections import merge

CONF = Path(__file__).parents[2] / "conf"
SYNTHETIC, PHYSICAL, HYBRID, COMPARE = (
    {"trajectories", "observations", f"{name}_checkpoint"} for name in ("synthetic", "physical", "hybrid", "none")
)
COMPARE |= {"comparison"}


def parameters(experiment="burgers_1d", **changes):
    merged = {}
    for file in (*sorted((CONF / "base").glob("parameters*.yml")), CONF / experiment / "parameters.yml"):
        merged = merge(merged, yaml.safe_load(file.read_text()))
    return merge(merged, {"experiment": experiment} | changes)


def refused(outputs, **changes):
    with pytest.raises(ConfigurationError) as caught:
        require_computable(parameters(**changes), outputs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_comparison_does_not_keep_its_data_on_disk():
    assert refused(COMPARE, compute={"on_disk": True}).startswith("compute.on_disk: a comparison makes the data of")


def test_windows_that_nobody_could_fill_are_told_before_the_data_are_made():
    def asked(**observation):
        return {"compute": {"on_disk": True}, "observation": observation}

    require_computable(parameters(**asked(time={"mode": "full"}, space={"mode": "full"})), SYNTHETIC)
    some = {"mode": "points", "count": 7}
    assert "windows of a simulation start after t = 0, and not everything" in refused(SYNTHETIC, **asked(space=some))
    few = {"mode": "custom", "indices": [0, 3, 4]}
    assert "windows of a simulation start after t = 0" in refused(SYNTHETIC, **asked(time=few))
    require_computable(parameters(**asked(space=some, window_start="truth")), SYNTHETIC)
    steps = parameters()["generation"]["steps"]
    whole = asked(space=some) | {"synthetic": {"num_predict_steps": steps}}
    require_computable(parameters(**whole), SYNTHETIC)
    require_computable(parameters(**asked(space=some)), PHYSICAL)


def test_a_training_that_reads_all_observations_is_told_before_the_data_are_made(monkeypatch):
    require_computable(parameters(compute={"on_disk": True}), HYBRID)
    monkeypatch.setattr("hyco.runtime.memory.memory_bytes", lambda: 2**10)
    for outputs in (PHYSICAL, HYBRID):
        assert "read all observations into memory" in refused(outputs, compute={"on_disk": True})
    own = {"window_start": "truth"}  # of which windows alone are read
    require_computable(parameters(compute={"on_disk": True}, observation=own), SYNTHETIC)


@pytest.mark.parametrize(
    ("outputs", "changes", "works"),
    [
        (SYNTHETIC, {}, False),
        (SYNTHETIC, {"generation": {"chunk": 2}}, True),
        (SYNTHETIC, {"generation": {"chunk": 500}}, False),
        (SYNTHETIC, {"compute": {"workers": 2, "on_disk": True}, "observation": {"window_start": "truth"}}, False),
        (PHYSICAL, {}, False),
        (PHYSICAL, {"physical": {"starts": 4, "starts_at_once": 2}}, True),
        (PHYSICAL, {"physical": {"starts": 2, "starts_at_once": 2}}, False),
        (HYBRID, {"physical": {"starts": 4, "starts_at_once": 2}}, False),
        (COMPARE, {}, True),
    ],
)
def test_workers_without_work_are_warned_of(outputs, changes, works, caplog):
    require_computable(parameters(**{"compute": {"workers": 2}, **changes}), outputs)
    assert ("compute.workers has no effect here" in caplog.text) is not works


def test_torchrun_trains_networks_alone(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for outputs in (SYNTHETIC, HYBRID):
        require_computable(parameters(), outputs)
    text = "torchrun has started 2 processes, which train one network together; this pipeline trains"
    assert refused(PHYSICAL) == f"{text} none: start it without torchrun"
    assert refused(COMPARE) == f"{text} many, each by itself: compute.workers does them side by side"
    monkeypatch.setenv("WORLD_SIZE", "1")
    require_computable(parameters(), PHYSICAL)


@pytest.mark.parametrize(
    ("asked", "begun"),
    [({"compute": {"workers": 2}}, 1), ({"compute": {"workers": 1}}, 0), ({"compute": {"workers": "two"}}, 0), ({}, 0)],
)
def test_workers_import_while_the_run_does_where_the_command_line_asks_for_them(asked, begun, monkeypatch):
    calls = []
    monkeypatch.setattr(computing.forerunner, "begin", lambda: calls.append(1))
    computing.begin_early(asked)
    assert len(calls) == begun


def test_workers_import_early_where_a_file_asks_for_them_and_there_is_work(monkeypatch):
    calls = []
    monkeypatch.setattr(computing.forerunner, "begin", lambda: calls.append(1))
    require_computable(parameters(compute={"workers": 2}), COMPARE)
    assert calls == [1]
    require_computable(parameters(compute={"workers": 2}), SYNTHETIC)
    assert calls == [1]
