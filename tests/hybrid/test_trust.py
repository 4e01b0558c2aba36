"""Error variances, as they are estimated from what was measured."""

import math

import numpy as np
import pytest
import torch

import hyco
from hyco.config import resolve_hybrid
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.hybrid.trust import Misfit, Trust
from hyco.observations import Observations


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


def heated(noise, wrong=False):
    """A hybrid for sensors of unknown noise in a line: with the right wall, or with one that is not there."""
    equation = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 2.0, "resolution": 24}},
            "boundary": "neumann",
            "dt": 0.25,
            "max_diffusivity": 0.2,
            "parameters": {"diffusivity": 0.03},
        }
    )
    x = equation.layout.grid.centers("x")
    t = 0.25 * np.arange(13)[:, None]
    waves = ((1, 3.0), (2, -2.0), (3, 1.0))
    u = 20 + sum(a * np.cos(np.pi * k * x / 2) * np.exp(-0.03 * (np.pi * k / 2) ** 2 * t) for k, a in waves)
    u[1:] += noise * np.random.default_rng(0).standard_normal(u[1:].shape)
    values = torch.from_numpy(u)[None, :, None]
    heldout = torch.rand(values.shape, generator=torch.Generator().manual_seed(1)) < 0.2
    heldout[:, 0] = False
    seen = Observations(
        values=values,
        mask=~heldout,
        heldout=heldout,
        initial_states=values[:, 0],
        noise_std=torch.zeros(1, dtype=torch.float64),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=0.25,
    )
    physical = {
        "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.001, 0.2]}],
        "method": "Levenberg-Marquardt",
        "num_predict_steps": 12,
        "equation": {"boundary": 20.0} if wrong else {},
    }
    section = {"epochs": 1, "num_predict_steps": 4, "alpha": "auto", "observed_steps": 12}
    network = {"network": {"name": "resnet", "filters": 4, "blocks": 1}}
    config = HybridConfig.model_validate(resolve_hybrid(section, network, physical))
    return HybridTrainer(equation, seen, config, 0, configuration={}, device=torch.device("cpu"))


def test_a_noise_of_unknown_size_is_that_of_white_residuals():
    trainer = heated(noise=0.1)
    trainer.physical.calibrate(30)
    variances = trainer.models.trust.variances(trainer.synthetic, trainer.physical)
    sigma = float(trainer.physical.problem.data.sigma.flatten()[0])
    assert math.sqrt(variances.real) * sigma == pytest.approx(0.1, rel=0.25)
    assert variances.physical < variances.resolution < variances.real
    assert variances.weights.network < 0.1, "physics that is right teaches, however near the network is"


def test_errors_of_a_wrong_equation_are_no_noise():
    trainer = heated(noise=0.1, wrong=True)
    trainer.physical.calibrate(30)
    variances = trainer.models.trust.variances(trainer.synthetic, trainer.physical)
    assert (variances.real, variances.resolution) == (0.0, 1.0)
    assert variances.physical > 100
