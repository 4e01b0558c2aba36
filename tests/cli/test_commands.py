"""The commands of `hyco`: help, options without a command, and export."""

import shutil
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

import hyco
from hyco.cli import run
from hyco.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command_and_each_has_help_of_its_own():
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    for command in (*COMMANDS, run):
        assert f"  {command.name} " in shown.output
        assert command.get_short_help_str().split()[0] in shown.output
    own = CliRunner().invoke(main, ["export", "--help"])
    assert "torch.export" in own.output
    wrong = CliRunner().invoke(main, ["exprot"])
    assert wrong.exit_code == 2
    assert "No such command 'exprot'" in wrong.output


@pytest.mark.parametrize("arguments", [[], ["--pipelines", "hybrid"], ["run", "--pipelines", "hybrid"]])
def test_without_a_command_the_options_are_those_of_run(arguments, monkeypatch):
    @click.command()
    @click.option("--pipelines")
    def pretended(pipelines):
        click.echo(f"runs {pipelines}")

    monkeypatch.setitem(main.commands, "run", pretended)
    assert CliRunner().invoke(main, arguments).output == f"runs {'hybrid' if arguments else None}\n"


@pytest.fixture(scope="module")
def network():
    heat = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 1.0, "resolution": 8}},
            "dt": 0.1,
            "max_diffusivity": 0.1,
            "parameters": {"diffusivity": 0.02},
        }
    )
    observations = hyco.observe(hyco.simulate(heat, simulations=1, steps=3), {"train_sim": [0], "noise": 0.01})
    section = {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "epochs": 1, "num_predict_steps": 1}
    return hyco.train_network(observations, section)


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("base", "heat"):
        shutil.copytree(ROOT / "conf" / name, tmp_path / "conf" / name)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def test_the_network_of_an_experiment_is_exported_from_any_folder_of_the_project(project, network):
    folder = project / "data" / "06_models" / "heat"
    nothing = CliRunner().invoke(main, ["export", "--env", "heat"])
    assert nothing.exit_code == 1
    assert "holds no trained network: train one" in nothing.output
    network.save(folder)
    done = CliRunner().invoke(main, ["export", "--format", "torch-export", "--env", "heat"])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == f"Exported: {folder / 'synthetic.pt2'}"
    states = torch.randn(3, 1, 8, dtype=torch.float64)
    after = torch.export.load(folder / "synthetic.pt2").module()(states)
    assert torch.allclose(after, network.rollout(states, 1)[:, 0], rtol=0, atol=1e-6)
    other = CliRunner().invoke(main, ["export", "--env", "heat", "--model", "hybrid_synthetic"])
    assert "holds no trained network hybrid_synthetic: there is synthetic" in other.output
    unknown = CliRunner().invoke(main, ["export", "--env", "haet"])
    assert "there is no experiment 'haet'" in unknown.output
    assert "--env takes: heat" in unknown.output


def test_outside_of_a_project_the_command_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["export"])
    assert done.exit_code == 1
    assert "start the command in its folder" in done.output


def test_from_python_a_network_is_exported_too(network, tmp_path):
    network.export(tmp_path / "mine.pt2")
    states = torch.randn(2, 1, 8, dtype=torch.float64)
    after = torch.export.load(tmp_path / "mine.pt2").module()(states)
    assert torch.allclose(after, network.rollout(states, 1)[:, 0], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"ending \.pt2"):
        network.export(tmp_path / "mine.onnx")
