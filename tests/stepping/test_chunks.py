"""Simulations in chunks are those that are made at once, wherever a chunk is made."""

import pytest
import torch

from hyco.compute import ComputeConfig
from hyco.equations.registry import build_equation
from hyco.stepping import chunks
from hyco.stepping.chunks import generate_in_chunks
from hyco.stepping.generation import GenerationConfig, generate

# Its range is open: the first states of all simulations say what it is.
BURGERS = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 16}},
    "dt": 0.05,
    "parameters": {"viscosity": 0.1},
}
HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 3.0, "resolution": 12}, "y": {"size": 2.0, "resolution": 8}},
    "dt": 0.05,
    "parameters": {"diffusivity": "0.1 + 0.05*sin(2*pi*x/3)"},
}


def section(**keys):
    return GenerationConfig(simulations=5, steps=4, length_scale=0.8, **keys)


@pytest.mark.parametrize("equation", [BURGERS, HEAT])
def test_chunks_are_parts_of_the_whole_and_leave_nothing(equation, tmp_path):
    found = generate_in_chunks(equation, section(chunk=2), 3, ComputeConfig(), tmp_path / "chunks")
    expected = generate(build_equation(equation), section(chunk=2), 3)
    assert torch.equal(found.tensors["trajectories"], expected.tensors["trajectories"])
    assert found.metadata == expected.metadata
    whole = generate(build_equation(equation), section(), 3).tensors["trajectories"]
    torch.testing.assert_close(found.tensors["trajectories"], whole, rtol=0, atol=1e-13)
    assert not (tmp_path / "chunks").exists()


def test_chunks_that_a_killed_run_has_made_are_not_made_again(tmp_path, killed_in_the_second):
    made = killed_in_the_second
    with pytest.raises(KeyboardInterrupt):
        generate_in_chunks(BURGERS, section(chunk=2), 3, ComputeConfig(), tmp_path / "chunks")
    found = generate_in_chunks(BURGERS, section(chunk=2), 3, ComputeConfig(), tmp_path / "chunks")
    assert made == [2, 2, 2, 1]
    expected = generate(build_equation(BURGERS), section(chunk=2), 3)
    assert torch.equal(found.tensors["trajectories"], expected.tensors["trajectories"])


def test_a_chunk_that_is_damaged_is_made_anew(tmp_path, monkeypatch):
    folder = tmp_path / "chunks"
    monkeypatch.setattr(chunks.shutil, "rmtree", lambda *_, **__: None)
    expected = generate_in_chunks(BURGERS, section(chunk=2), 3, ComputeConfig(), folder)
    one, *_ = folder.glob("*/*.safetensors")
    one.write_bytes(one.read_bytes()[:-8] + bytes(8))
    found = generate_in_chunks(BURGERS, section(chunk=2), 3, ComputeConfig(), folder)
    assert torch.equal(found.tensors["trajectories"], expected.tensors["trajectories"])


def test_what_cannot_be_simulated_is_told_as_without_chunks(tmp_path):
    slow = {**BURGERS, "max_speed": 0.5}
    with pytest.raises(ValueError, match="the velocity reaches"):
        generate_in_chunks(slow, section(chunk=2), 3, ComputeConfig(), tmp_path)


@pytest.mark.slow
def test_two_processes_make_what_one_makes(tmp_path):
    found = generate_in_chunks(BURGERS, section(chunk=2), 3, ComputeConfig(workers=2), tmp_path / "chunks")
    expected = generate(build_equation(BURGERS), section(chunk=2), 3)
    assert torch.equal(found.tensors["trajectories"], expected.tensors["trajectories"])
