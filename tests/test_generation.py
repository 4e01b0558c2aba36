"""Random smooth initial states and the simulations that start from them."""

import math

import pytest
import torch

from hyco.generation import GenerationConfig, generate, simulate
from hyco.grid import Grid
from hyco.physics.initial_states import random_smooth_states
from hyco.physics.registry import build_equation
from hyco.randomness import stream, stream_seed

GRID = Grid(axes=("x", "y"), lower=(0.0, 0.0), size=(8.0, 4.0), resolution=(64, 32))


def burgers(**changes):
    config = {
        "name": "burgers",
        "domain": {"x": {"size": 4.0, "resolution": 32}},
        "dt": 0.05,
        "max_speed": 6.0,
        "parameters": {"viscosity": 0.1},
    }
    return build_equation(config | changes)


def test_random_states_have_the_amplitude_and_correlation_that_is_asked_for():
    states = random_smooth_states(GRID, 2, 400, 0.5, 1.5, torch.Generator().manual_seed(0))
    assert states.shape == (400, 2, 64, 32)
    assert states.std() == pytest.approx(1.5, rel=0.03)
    assert states.mean(dim=(2, 3)).abs().max() < 1e-12
    for axis, h in zip((2, 3), GRID.spacing, strict=True):
        for shift in (2, 4):
            correlation = (states * states.roll(shift, axis)).mean() / states.square().mean()
            assert correlation == pytest.approx(math.exp(-((shift * h) ** 2) / (2 * 0.5**2)), abs=0.03)


def test_a_seed_generates_the_same_simulations_and_another_seed_others():
    config = GenerationConfig(simulations=2, steps=3, length_scale=0.8)
    one, same, other = (generate(burgers(), config, s).tensors["trajectories"] for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (2, 4, 1, 32)
    assert one.dtype == torch.float64


def test_a_simulation_that_is_not_finite_is_refused():
    with pytest.raises(FloatingPointError, match=r"lower equation\.dt"):
        simulate(burgers(), torch.full((1, 1, 32), torch.nan, dtype=torch.float64), 2)


def test_streams_of_one_seed_do_not_depend_on_each_other():
    assert stream_seed(0, "noise") == stream_seed(0, "noise")
    assert len({stream_seed(s, n) for s in range(3) for n in ("noise", "sensors", "batches")}) == 9
    assert torch.rand(2, generator=stream(1, "a")).tolist() != torch.rand(2, generator=stream(1, "b")).tolist()
