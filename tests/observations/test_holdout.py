"""What is held out is not trained on, and is what was asked for."""

import pytest
import torch

import hyco
from hyco.observations import HoldoutConfig, Observations, hold_out
from hyco.observations.checks import MeasurementError
from hyco.training.validation import Validation

HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 1.0, "resolution": 6}, "y": {"size": 2.0, "resolution": 5}},
    "dt": 0.1,
    "max_diffusivity": 0.1,
    "parameters": {"diffusivity": 0.02},
}


@pytest.fixture(scope="module")
def observations():
    """Two simulations of ten steps, of which the second is for tests; most is measured."""
    equation = hyco.equation(HEAT)
    states = hyco.simulate(equation, simulations=2, steps=10, length_scale=0.5).states
    mask = torch.rand(states.shape, generator=torch.Generator().manual_seed(3)) < 0.7
    return Observations(states, mask, states[:, 0], torch.tensor([0.01]), [0], [], equation.layout, 0.1, test=[1])


@pytest.fixture(scope="module")
def at_points():
    """Four sensors that rest, each measured at each of ten times."""
    equation = hyco.equation(HEAT)
    trajectories = hyco.simulate(equation, simulations=1, steps=10, length_scale=0.5)
    space = {"mode": "moving", "count": 4, "path": {}}
    return hyco.observe(trajectories, {"train_sim": [0], "space": space, "noise": 0.01})


@pytest.mark.parametrize("by", ["points", "sensors", "times", "end"])
def test_what_is_held_out_is_the_part_that_was_asked_for(observations, by):
    held = hold_out(observations, HoldoutConfig(fraction=0.3, by=by), seed=1)
    assert not bool((held.mask & held.heldout).any())
    assert torch.equal(held.mask | held.heldout, observations.mask)
    assert torch.equal(held.values, observations.values)
    assert not bool(held.heldout[1].any())
    assert not bool(held.heldout[:, 0].any())
    after = observations.mask[0, 1:]
    away = held.heldout[0, 1:]
    times, places = after.flatten(1).any(dim=1), after.any(dim=0)
    if by == "points":
        assert abs(int(away.sum()) - 0.3 * int(after.sum())) < 1
    elif by == "sensors":
        sensors = away.any(dim=0)
        assert int(sensors.sum()) == -(-3 * int(places.sum()) // 10)
        assert torch.equal(away, after & sensors)
    else:
        chosen = away.flatten(1).any(dim=1)
        assert int(chosen.sum()) == 3
        assert torch.equal(away, after & chosen.reshape(-1, 1, 1, 1))
        assert by == "times" or chosen.nonzero().flatten().tolist() == times.nonzero().flatten().tolist()[-3:]


def test_a_sensor_at_a_point_is_held_out_at_all_times(at_points):
    held = hold_out(at_points, HoldoutConfig(fraction=0.25, by="sensors"), seed=0)
    assert held.heldout[0, 1:, 0].sum(dim=0).sort().values.tolist() == [0, 0, 0, 10]


def test_the_draw_follows_the_seed(observations):
    masks = [hold_out(observations, HoldoutConfig(), seed=seed).heldout for seed in (5, 5, 6)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_the_file_keeps_what_is_held_out(observations):
    held = hold_out(observations, HoldoutConfig(), seed=0)
    again = Observations.from_bundle(held.to_bundle())
    assert torch.equal(again.heldout, held.heldout)
    assert again.test == [1]


def test_nothing_may_be_both_held_out_and_trained_on(observations):
    with pytest.raises(MeasurementError, match="heldout and mask must be different"):
        Observations(
            **{
                **{k: getattr(observations, k) for k in ("values", "mask", "initial_states", "noise_std", "train")},
                **{k: getattr(observations, k) for k in ("val", "layout", "dt")},
                "heldout": observations.mask,
            }
        )


def test_something_must_be_left_to_train_on(at_points):
    with pytest.raises(MeasurementError, match="keeps back 4 of 4 places"):
        hold_out(at_points, HoldoutConfig(fraction=0.9, by="sensors"), seed=0)


class _Exact:
    """A model that predicts the states themselves, plus an offset."""

    stepping = True

    def __init__(self, states, offset):
        self.states, self.offset = states, offset

    def rollout(self, starts, steps):
        return self.states[:1, 1 : steps + 1] + self.offset


def test_models_are_validated_on_what_is_held_out(observations):
    held = hold_out(observations, HoldoutConfig(), seed=0)
    validate = Validation(held, rollout=True)
    assert validate(_Exact(held.values, 0.0))["score"] == 0.0
    away = held.heldout[0, 1:]
    size = torch.linalg.vector_norm(held.values[0, 1:][away])
    expected = 0.1 * int(away.sum()) ** 0.5 / float(size)
    assert validate(_Exact(held.values, 0.1))["score"] == pytest.approx(expected)
