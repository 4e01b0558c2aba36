"""`hyco export`: a trained network as a program of torch."""

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import hyco
from hyco.cli.main import main

ROOT = Path(__file__).parents[2]


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
    (project / "conf" / "heat" / "globals.yml").write_text("- no mapping\n")
    unreadable = CliRunner().invoke(main, ["export", "--env", "heat"])
    assert unreadable.output.startswith("Error: the parameters cannot be read: ")


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
