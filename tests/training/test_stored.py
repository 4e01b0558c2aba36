"""Data that stay on disk are those in memory, to the bit, and so is what a network learns from them."""

from dataclasses import replace

import pytest
import torch

from hyco.compute import ComputeConfig
from hyco.datasets.tensor import TensorDataset
from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, Observations, counts, in_memory, observe, observe_on_disk
from hyco.observations.changes import change_std
from hyco.pipelines.generation.nodes import generate_trajectories
from hyco.runtime import mapped
from hyco.runtime.storage import DamagedFileError, digest, read_bundle, write_bundle
from hyco.stepping.chunks import generate_in_chunks
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.synthetic import train_synthetic

EQUATION = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 16}, "y": {"size": 3.0, "resolution": 8}},
    "dt": 0.05,
    "parameters": {"viscosity": 0.1},
}
GENERATION = GenerationConfig(simulations=7, steps=5, length_scale=0.8, chunk=3, execution="plain")
OBSERVED = {"train_sim": [0, 1, 2, 3, 4], "val_sim": [5], "test_sim": [6], "noise": 0.01}
NETWORK = {
    "network": {"name": "resnet", "filters": 4, "blocks": 1},
    "epochs": 3,
    "num_predict_steps": 2,
    "batch_size": 3,
    "input_noise": 0.01,
}

FEW_WEIGHTS = {
    "network": {"name": "pseudospectral", "degree": 2, "substeps": 1},
    "optimizer": "levenberg_marquardt",
    "epochs": 3,
    "num_predict_steps": 2,
    "batch_size": 3,
    "ema_decay": 0.5,
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Parts of two simulations, in memory and on disk alike, and windows that are let go often."""
    monkeypatch.setattr(mapped, "_PART", 2 * 6 * 2 * 16 * 8)
    monkeypatch.setattr("hyco.training.stored._HELD", 10_000)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    made = generate_in_chunks(EQUATION, GENERATION, 3, ComputeConfig(on_disk=True), folder / "chunks")
    write_bundle(folder / "trajectories.safetensors", made)
    return read_bundle(folder / "trajectories.safetensors")


def stored(simulated, folder, **keys):
    config = ObservationConfig.model_validate({**OBSERVED, **keys})
    write_bundle(folder / "observations.safetensors", observe_on_disk(simulated, config, 3, folder / "observing"))
    return read_bundle(folder / "observations.safetensors")


def made_in_memory(**keys):
    config = ObservationConfig.model_validate({**OBSERVED, **keys})
    return observe(generate(build_equation(EQUATION), GENERATION, 3), config, 3)


def test_simulations_on_disk_are_those_in_memory(simulated, tmp_path):
    expected = generate(build_equation(EQUATION), GENERATION, 3)
    assert mapped.is_mapped(simulated.tensors["trajectories"])
    assert torch.equal(simulated.tensors["trajectories"], expected.tensors["trajectories"])
    assert digest(simulated) == digest(expected)
    file = tmp_path / "damaged.safetensors"
    content = bytearray(simulated.file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedFileError, match="checksum"):
        read_bundle(file)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"initial_state": "full", "window_start": "truth"},
        {"space": {"mode": "range", "x": [1.0, 3.0]}, "window_start": "truth", "noise_reference": "max"},
        {"train_sim": [0, 2, 3, 6, 1], "test_sim": [4], "initial_state": "full"},
    ],
)
@pytest.mark.parametrize("network", [NETWORK, FEW_WEIGHTS], ids=["adam", "levenberg_marquardt"])
def test_what_is_measured_on_disk_and_learnt_from_it_is_as_in_memory(keys, network, simulated, tmp_path):
    found, expected = stored(simulated, tmp_path, **keys), made_in_memory(**keys)
    assert digest(found) == digest(expected.to_bundle())
    seen = Observations.from_bundle(found)
    assert mapped.is_mapped(seen.values)
    assert not mapped.is_mapped(expected.values)
    for one, other in zip(seen.statistics(), expected.statistics(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(change_std(seen), change_std(expected))
    assert torch.equal(counts(seen), expected.mask[expected.train].flatten(2).sum(2))
    read = in_memory(seen)
    assert not mapped.is_mapped(read.values)
    assert digest(read.to_bundle()) == digest(found)
    config, cpu = SyntheticConfig.model_validate(network), torch.device("cpu")
    runs = [[*train_synthetic(data, config, 3, configuration={}, device=cpu)] for data in (seen, expected)]
    for (one, _), (other, _) in zip(*runs, strict=True):
        assert one.metadata["metrics"] == other.metadata["metrics"]
        assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_parts_change_statistics_by_rounding_alone(monkeypatch):
    parted = made_in_memory()
    monkeypatch.undo()
    whole = made_in_memory()
    assert torch.allclose(parted.noise_std, whole.noise_std, rtol=1e-14, atol=0)
    for one, other in zip(parted.statistics(), whole.statistics(), strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-14)


def test_simulations_that_a_killed_run_has_left_are_not_made_again(tmp_path, killed_in_the_second):
    made = killed_in_the_second
    here = ComputeConfig(on_disk=True), tmp_path / "chunks"
    with pytest.raises(KeyboardInterrupt):
        generate_in_chunks(EQUATION, GENERATION, 3, *here)
    found = generate_in_chunks(EQUATION, GENERATION, 3, *here)
    assert made == [3, 3, 3, 1]
    expected = generate(build_equation(EQUATION), GENERATION, 3).tensors["trajectories"]
    assert torch.equal(found.tensors["trajectories"], expected)
    other = generate_in_chunks({**EQUATION, "parameters": {"viscosity": 0.2}}, GENERATION, 3, *here)
    assert made == [3, 3, 3, 1, 3, 3, 1]
    assert not torch.equal(other.tensors["trajectories"], expected)


def test_a_file_that_is_saved_elsewhere_stays_where_it_is(simulated, tmp_path):
    before = simulated.file.read_bytes()
    TensorDataset(str(tmp_path / "other" / "copy.safetensors")).save(replace(simulated, metadata={"kind": "copy"}))
    assert simulated.file.read_bytes() == before
    copy = read_bundle(tmp_path / "other" / "copy.safetensors")
    assert copy.metadata == {"kind": "copy"}
    assert torch.equal(copy.tensors["trajectories"], simulated.tensors["trajectories"])
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["copy.safetensors"]
    made = generate_in_chunks(EQUATION, GENERATION, 3, ComputeConfig(on_disk=True), tmp_path / "chunks")
    TensorDataset(str(tmp_path / "named.safetensors")).save(made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["named.safetensors", "other"]


def test_simulations_on_disk_are_read_into_memory_where_they_are_to_be_there(simulated):
    sections = {"equation": EQUATION, "generation": GENERATION.model_dump(), "measurements": {}, "seed": 3}
    origin = {key: sections[key] for key in ("equation", "generation", "seed")}
    cached = replace(simulated, metadata={**simulated.metadata, "origin": origin})
    stays = generate_trajectories(cached, None, **sections, compute={"on_disk": True})
    assert stays is cached
    read = generate_trajectories(cached, None, **sections, compute={"on_disk": False})
    assert read.file is None
    assert not mapped.is_mapped(read.tensors["trajectories"])
    assert digest(read) == digest(cached)


def test_what_needs_memory_is_refused(simulated, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"compute\.on_disk: false"):
        stored(simulated, tmp_path, initial_state="observed")
    partly = Observations.from_bundle(stored(simulated, tmp_path, space={"mode": "range", "x": [1.0, 3.0]}))
    with pytest.raises(ValueError, match="5 training windows start where not everything was measured"):
        next(train_synthetic(partly, SyntheticConfig.model_validate(NETWORK), 3, configuration={}, device="cpu"))
    monkeypatch.setattr("hyco.observations.on_disk.memory_bytes", lambda: 1000)
    with pytest.raises(ValueError, match="the observations take"):
        in_memory(partly)
