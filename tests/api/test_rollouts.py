"""Rollouts take arrays and tensors, and give back what they were given; what does not fit is refused in one line."""

import numpy as np
import pytest
import torch

import hyco


@pytest.fixture(params=["physics", "network", "both.physics", "both.network"])
def model(request):
    owner, _, part = request.param.partition(".")
    result = request.getfixturevalue(owner)
    return getattr(result, part) if part else result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arrays_and_tensors_give_the_same_numbers(door, model, dtype):
    starts = door.starts.to(dtype)
    tensor, array = model.rollout(starts, 5), model.rollout(starts.numpy(), steps=5)
    assert isinstance(array, np.ndarray)
    assert tensor.shape == array.shape == (4, 5, 1, 32)
    assert tensor.dtype == dtype
    assert array.dtype == starts.numpy().dtype
    assert np.array_equal(tensor.numpy(), array)


def test_an_array_in_any_order_of_memory_will_do(door, model):
    starts = door.starts.numpy()
    assert np.array_equal(model.rollout(starts[::-1], 3)[::-1], model.rollout(starts[::-1].copy(), 3)[::-1])


def test_the_physical_model_predicts_with_its_estimate(door, physics):
    parameters = {"viscosity": physics.estimate["viscosity"].value}
    section = door.equation.config.model_dump() | {"parameters": parameters}
    simulated = hyco.simulate(hyco.equation(section), initial_states=door.starts, steps=5)
    assert torch.allclose(physics.rollout(door.starts, 5), simulated.states[:, 1:], rtol=1e-12, atol=1e-12)


def test_simulations_from_given_states_start_there(door):
    for starts in (door.starts, door.starts.numpy(), door.starts.numpy().tolist()):
        if isinstance(starts, list):
            with pytest.raises(ValueError, match="expected a NumPy array or a tensor, got list"):
                hyco.simulate(door.equation, initial_states=starts, steps=8)
        else:
            simulated = hyco.simulate(door.equation, initial_states=starts, steps=8)
            assert torch.equal(simulated.states, door.trajectories.states)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (np.zeros((2, 32)), r"expected the shape \[B, 1, 32\] \(channels velocity_x and axes x last\), got \[2, 32\]"),
        (np.zeros((2, 1, 31)), r"expected the shape \[B, 1, 32\] .*, got \[2, 1, 31\]"),
        (np.zeros((2, 1, 32), dtype=int), "expected float32 or float64, got int64"),
        (torch.zeros((2, 1, 32), dtype=torch.float16), "expected float32 or float64, got float16"),
        ([[[0.0] * 32]], "expected a NumPy array or a tensor, got list"),
    ],
)
def test_other_states_are_refused_in_one_line(model, states, message):
    with pytest.raises(ValueError, match=f"^initial states: {message}$"):
        model.rollout(states, 3)


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, "3"])
def test_a_rollout_has_a_step_at_least(door, model, steps):
    with pytest.raises(ValueError, match=r"^steps: expected a whole number from 1 on, got"):
        model.rollout(door.starts, steps)
