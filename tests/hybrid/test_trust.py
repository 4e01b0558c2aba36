"""Error variances, as they are estimated from what was measured."""

import math

import pytest
import torch

from hyco.hybrid.trust import Misfit, Trust


class Answers:
    """A model whose rollout is known."""

    def __init__(self, states):
        self.states = states

    def rollout(self, starts, steps):
        return self.states[: len(starts), :steps]


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_truth_has_no_error_variance_and_an_offset_has_its_square(make_problem, noise):
    problem = make_problem({"noise": noise})
    seen, train = problem.observations, problem.observations.train
    truth = problem.trajectories.tensors["trajectories"][train, 1:]
    misfit = Misfit(seen, train)
    entries = truth.numel()
    scatter = 0.0 if noise == 0 else 4 * math.sqrt(2 / entries)
    assert misfit(Answers(truth)) <= scatter
    assert misfit(Answers(truth + 3 * seen.sigma)) == pytest.approx(9.0, abs=1e-6 if noise == 0 else 1.0)
    broken = truth.clone()
    broken[0, 0] = math.nan
    assert misfit(Answers(broken)) == math.inf


def test_without_simulations_or_measurements_there_is_no_misfit(make_problem):
    assert not Misfit(make_problem({"val_sim": []}).observations, []).available


def test_the_spread_grows_with_the_covariance(problem, monkeypatch):
    physical = problem.hybrid().physical
    trust = Trust(problem.observations, 0)
    spreads = []
    for variance in (0.0, 1e-6, 4e-6, 4e-4):
        monkeypatch.setattr(physical.model, "covariance", lambda v=variance: torch.tensor([[v]], dtype=torch.float64))
        spreads.append(trust.spread(physical))
    assert spreads[0] == 0.0
    assert spreads[2] == pytest.approx(4 * spreads[1], rel=0.02)
    assert spreads[3] > 50 * spreads[2]
    monkeypatch.setattr(physical.model, "covariance", lambda: None)
    assert trust.spread(physical) == 0.0


def test_a_parameter_of_which_nothing_is_known_spreads_over_its_bounds(make_problem):
    problem = make_problem()
    physical = problem.hybrid().physical
    physical.model.assessor.assess(physical.model.coordinates)
    physical.model.assessment.uncertainty.covariance.fill_(math.inf)
    assert float(physical.model.covariance()) == pytest.approx(float(physical.model.space.width) ** 2 / 12)
