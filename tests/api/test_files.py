"""What is saved comes back bit for bit, from a folder of the front door and from one that a run has left."""

import json

import pytest
import torch
from kedro.io import Version
from kedro_datasets.json import JSONDataset

import hyco
from hyco.datasets.versioned import VersionedTensorDataset
from hyco.runtime.storage import write_bundle


def assert_equal_physics(one, other):
    assert torch.equal(one.initial_states, other.initial_states)
    assert one.posterior.metadata == other.posterior.metadata
    assert all(torch.equal(value, other.posterior.tensors[name]) for name, value in one.posterior.tensors.items())
    assert json.dumps(one.final) == json.dumps(other.final)
    assert one.estimate.numbers == other.estimate.numbers
    assert torch.equal(one.estimate.covariance, other.estimate.covariance)
    assert one.equation.config == other.equation.config


def assert_equal_networks(one, other):
    assert one.final.metadata == other.final.metadata
    assert one.final.tensors.keys() == other.final.tensors.keys()
    assert all(torch.equal(value, other.final.tensors[name]) for name, value in one.final.tensors.items())


def as_run(folder, both, version):
    """Both models as the catalog of the pipelines keeps them."""
    save_network_as_run(folder, both, version)
    path = folder / "hybrid_physical_model.json"
    JSONDataset(filepath=str(path), version=Version(None, version)).save(both.physics.final)
    path = folder / "hybrid_initial_states.safetensors"
    VersionedTensorDataset(str(path), version=Version(None, version)).save(both.physics.posterior)


def save_network_as_run(folder, both, version):
    path = folder / "hybrid_synthetic_model.safetensors"
    VersionedTensorDataset(str(path), version=Version(None, version)).save(both.network.final)


def test_a_physical_model_comes_back_bit_for_bit(door, physics, tmp_path):
    physics.save(tmp_path / "new" / "folder")
    again = hyco.load(tmp_path / "new" / "folder")
    assert isinstance(again, hyco.FittedPhysics)
    assert_equal_physics(again, physics)
    assert again.history == physics.history
    assert torch.equal(again.rollout(door.starts, 6), physics.rollout(door.starts, 6))


def test_a_network_comes_back_bit_for_bit(door, network, tmp_path):
    network.save(str(tmp_path))
    again = hyco.load(str(tmp_path))
    assert isinstance(again, hyco.TrainedNetwork)
    assert_equal_networks(again, network)
    assert again.history == network.history
    assert torch.equal(again.rollout(door.starts, 6), network.rollout(door.starts, 6))


def test_a_hybrid_comes_back_bit_for_bit(both, tmp_path):
    both.save(tmp_path)
    again = hyco.load(tmp_path)
    assert isinstance(again, hyco.TrainedHybrid)
    assert_equal_physics(again.physics, both.physics)
    assert_equal_networks(again.network, both.network)
    assert again.history == both.history


def test_nothing_is_pickled(both, tmp_path):
    both.save(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".safetensors", ".safetensors"]


def test_a_field_with_many_unknowns_comes_back_bit_for_bit(tmp_path):
    equation = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 1.0, "resolution": 80}},
            "dt": 0.1,
            "max_diffusivity": 0.02,
            "parameters": {"diffusivity": "0.01 + 0.005*sin(2*pi*x)"},
        }
    )
    trajectories = hyco.simulate(equation, simulations=2, steps=3, length_scale=0.1)
    observations = hyco.observe(trajectories, {"train_sim": [0, 1], "noise": 0.01})
    learn = [
        {
            "name": "diffusivity",
            "kind": "field",
            "initial_guess": 0.01,
            "bounds": [0.001, 0.02],
            "regularisation": {"kind": "h1", "weight": 1e4},
        }
    ]
    physics = hyco.fit(equation, observations, learn, epochs=3, suppress_convergence_errors=True)
    assert physics.final["covariance"] is None
    physics.save(tmp_path)
    again = hyco.load(tmp_path)
    assert_equal_physics(again, physics)
    one, other = again.estimate["diffusivity"], physics.estimate["diffusivity"]
    assert torch.equal(one.value, other.value)
    assert torch.equal(one.std, other.std)


def test_the_newest_complete_version_of_a_run_is_read(door, both, tmp_path):
    older = door.train_hybrid(seed=1)
    as_run(tmp_path, older, "2026-01-02T03.04.05.006Z")
    as_run(tmp_path, both, "2026-02-02T03.04.05.006Z")
    # Of a run that was killed in between.
    save_network_as_run(tmp_path, older, "2026-03-02T03.04.05.006Z")
    again = hyco.load(tmp_path)
    assert_equal_networks(again.network, both.network)
    assert_equal_physics(again.physics, both.physics)
    assert again.history == []
    with pytest.raises(ValueError, match="no history to draw"):
        again.plot_history()
    with pytest.raises(ValueError, match="folder of a run"):
        both.save(tmp_path)


def test_of_several_trainings_one_is_chosen(door, physics, network, both, tmp_path):
    physics.save(tmp_path)
    network.save(tmp_path)
    with pytest.raises(ValueError, match="say which, training=physical or synthetic"):
        hyco.load(tmp_path)
    assert isinstance(hyco.load(tmp_path, "physical"), hyco.FittedPhysics)
    assert isinstance(hyco.load(tmp_path, "synthetic"), hyco.TrainedNetwork)
    with pytest.raises(ValueError, match="no models of the training hybrid; there are: physical, synthetic"):
        hyco.load(tmp_path, "hybrid")
    both.save(tmp_path)
    assert isinstance(hyco.load(tmp_path), hyco.TrainedHybrid)
    with pytest.raises(ValueError, match="'both' is not allowed; allowed: hybrid, physical, synthetic"):
        hyco.load(tmp_path, "both")


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        hyco.load(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no trained model"):
        hyco.load(tmp_path)


def test_a_damaged_or_foreign_file_is_refused(door, physics, network, tmp_path):
    physics.save(tmp_path)
    path = tmp_path / "physical_model.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        hyco.load(tmp_path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a 'physical_model'"):
        hyco.load(tmp_path)
    # Files of earlier versions do not name all of their equation.
    path.write_text(json.dumps({k: v for k, v in physics.final.items() if k != "equation_section"}))
    with pytest.raises(ValueError, match="give equation="):
        hyco.load(tmp_path)
    assert hyco.load(tmp_path, equation=door.equation).estimate.numbers == physics.estimate.numbers
    other = tmp_path / "other"
    write_bundle(other / "synthetic_model.safetensors", door.trajectories.to_bundle())
    with pytest.raises(ValueError, match="the file holds 'trajectories'"):
        hyco.load(other)
