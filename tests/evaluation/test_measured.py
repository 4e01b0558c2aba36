"""Models are compared with measurements where and when these were made."""

import pytest
import torch

import hyco
from hyco.evaluation import MeasuredErrors, roll_out_to_measurements
from hyco.observations import HoldoutConfig, Observations, hold_out

HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 1.0, "resolution": 6}, "y": {"size": 2.0, "resolution": 5}},
    "dt": 0.1,
    "max_diffusivity": 0.1,
    "parameters": {"diffusivity": 0.02},
}
SIGMA = 0.1


class _Off:
    """A model that is off by a number everywhere."""

    stepping = True

    def __init__(self, states, offset):
        self.states, self.offset, self.starts = states, offset, None

    def rollout(self, starts, steps):
        self.starts = starts
        return self.states[:, 1 : steps + 1] + self.offset


@pytest.fixture(scope="module")
def states():
    return 5 + hyco.simulate(hyco.equation(HEAT), simulations=2, steps=4, length_scale=0.5).states


def observations(states, **changes):
    mask = torch.rand(states.shape, generator=torch.Generator().manual_seed(3)) < 0.7
    mask[:, 2] = False
    given = {"train": [0], "val": [], "test": [1]} | changes
    layout = hyco.equation(HEAT).layout
    return Observations(states, mask, states[:, 0], torch.tensor([SIGMA]), layout=layout, dt=0.1, **given)


def test_test_trajectories_are_compared_at_their_measurements(states):
    seen = observations(states)
    rolled = roll_out_to_measurements(seen, {"physical": _Off(states[1:], 0.3)}, {})
    errors = rolled.errors["physical"]
    assert (rolled.judges, errors.steps, rolled.simulations) == ("test_sim", [1, 3, 4], [1])
    assert errors.times == pytest.approx([0.1, 0.3, 0.4])
    assert errors.count == int(seen.mask[1, 1:].sum())
    assert errors.chi_square == pytest.approx((0.3 / SIGMA) ** 2)
    for step, error in zip(errors.steps, errors.per_step, strict=True):
        there = seen.mask[1, step]
        expected = 0.3 * int(there.sum()) ** 0.5 / float(torch.linalg.vector_norm(states[1, step][there]))
        assert error == pytest.approx(expected)
    there = seen.mask[1, 1:]
    assert errors.overall == pytest.approx(0.3 * errors.count**0.5 / float(states[1, 1:][there].norm()))
    assert bool(rolled.states["truth"].isnan().eq(~seen.mask[1:, 1:]).all())
    assert MeasuredErrors.from_json(errors.to_json()) == errors


def test_what_is_held_out_judges_and_rollouts_begin_with_the_best_states(states):
    seen = hold_out(observations(states, test=[]), HoldoutConfig(fraction=0.3), seed=0)
    models = {"physical": _Off(states[:1], 0.0), "synthetic": _Off(states[:1], 0.1)}
    better = states[:1, 0] + 1
    rolled = roll_out_to_measurements(seen, models, {"physical": better})
    assert (rolled.judges, rolled.errors["physical"].count) == ("holdout", int(seen.heldout.sum()))
    assert rolled.errors["physical"].chi_square == 0.0
    assert torch.equal(models["physical"].starts, better)
    assert torch.equal(models["synthetic"].starts, states[:1, 0])


def test_without_other_measurements_the_trainings_own_judge_and_it_is_said(states, caplog):
    rolled = roll_out_to_measurements(observations(states, test=[]), {}, {})
    assert rolled.judges == "training"
    assert "observation.holdout" in caplog.text


def test_a_noise_that_is_not_known_gives_no_chi_square(states):
    seen = observations(states)
    seen.noise_std = torch.zeros(1, dtype=torch.float64)
    assert roll_out_to_measurements(seen, {}, {}).errors["persistence"].chi_square is None


def test_measurements_at_points_are_compared_at_the_points():
    equation = hyco.equation(HEAT)
    trajectories = hyco.simulate(equation, simulations=2, steps=4, length_scale=0.5)
    space = {"mode": "moving", "count": 4, "path": {"x": "x0 + 0.02*t"}}
    observed = hyco.observe(trajectories, {"train_sim": [0, 1], "space": space, "noise": 0.0})
    rolled = roll_out_to_measurements(observed, {"physical": _Off(trajectories.states, 0.0)}, {})
    assert rolled.errors["physical"].per_step == pytest.approx([0.0] * 4, abs=1e-12)
    assert rolled.errors["physical"].count == 2 * 4 * 4
    assert int((~rolled.states["truth"].isnan()).sum()) <= 32
