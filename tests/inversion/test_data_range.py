"""Data that the equation's step is not made for are refused before anything is fitted."""

import json
from dataclasses import replace
from functools import cache

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.data_range import require_range
from hyco.inversion.optimisers.result import Diverged, Status
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import ObservationConfig, Observations, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig

BURGERS = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 32}},
    "dt": 0.05,
    "max_speed": 6.0,
    "parameters": {"viscosity": 0.1},
}
FLOW = {
    "name": "navier_stokes",
    "domain": {"x": {"size": 6.0, "resolution": 16}, "y": {"size": 6.0, "resolution": 12}},
    "dt": 0.1,
    "max_speed": 3.0,
    "parameters": {"viscosity": 0.05, "drag": 0.05},
}


@cache
def built(section):
    """Of equal sections there is one equation, whose step is recorded once."""
    return build_equation(json.loads(section))


def observed(section, noise=0.01, **observation):
    equation = built(json.dumps(section))
    data = generate(equation, GenerationConfig(simulations=2, steps=4, length_scale=0.8), 0)
    config = ObservationConfig.model_validate({"train_sim": [0, 1], "noise": noise} | observation)
    return equation, data.tensors["trajectories"], observe(data, config, 0)


SEEN = [{}, {"space": {"mode": "points", "count": 20}}, {"space": {"mode": "samples", "count": 150}}]


@pytest.mark.slow
@pytest.mark.parametrize("observation", SEEN, ids=["everywhere", "at sensors", "samples"])
def test_speeds_above_the_limit_of_the_step_are_refused_with_speed_and_key(observation):
    _, states, observations = observed(BURGERS, **observation)
    slow = build_equation(BURGERS | {"max_speed": 0.5 * float(states.abs().max())})
    with pytest.raises(ValueError, match=r"the velocity reaches [\d.]+, but equation.max_speed is [\d.]+"):
        require_range(slow, observations)


def test_they_are_refused_before_the_first_rollout():
    _, states, observations = observed(BURGERS)
    slow = build_equation(BURGERS | {"max_speed": 0.5 * float(states.abs().max())})
    learn = [{"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 1.0]}]
    config = PhysicalConfig.model_validate({"learnable_parameters": learn, "num_predict_steps": 4})
    with pytest.raises(ValueError, match="the measurements leave what the equation's step is made for"):
        Calibrator(slow, observations, config, num_predict_steps=4, device=torch.device("cpu"))


def test_noise_alone_is_no_reason():
    equation, states, observations = observed(BURGERS, noise=0.3)
    largest = float(states[:2].abs().max())
    assert float(observations.values.abs().max()) > 1.1 * largest
    require_range(build_equation(BURGERS | {"max_speed": 1.01 * largest}), observations)
    require_range(equation, observations)


def test_a_speed_that_is_worked_out_from_whole_states_is_seen_too():
    equation, states, observations = observed(FLOW)
    speed = float(equation.velocity(states).abs().max())
    with pytest.raises(ValueError, match="the velocity reaches"):
        require_range(build_equation(FLOW | {"max_speed": 0.5 * speed}), observations)
    require_range(equation, observations)


@pytest.mark.slow
def test_a_search_that_fails_for_a_speed_names_it_and_the_key():
    equation, states, observations = observed(BURGERS)
    learn = [{"name": "viscosity", "initial_guess": 0.01, "bounds": [0.005, 1.0]}]
    config = PhysicalConfig.model_validate({"learnable_parameters": learn, "num_predict_steps": 4})
    physics = Calibrator(equation, observations, config, num_predict_steps=4, device=torch.device("cpu"))
    starts = 1e3 * states[:, 0]
    targets = SyntheticTargets(starts, torch.zeros_like(states[:, 1:]), torch.tensor([0, 1]), None)
    result = physics.update(0.5, targets)
    assert result.status is Status.DIVERGED
    with pytest.raises(Diverged, match=r"not finite at the start: the velocity reaches .* equation.max_speed is 6"):
        physics.check(result)


def test_fields_that_are_large_at_other_places_do_not_ask_for_more_than_their_start_says():
    """Where much is of one substance little is of the other: ranges that are auto know that, and so does the check."""
    section = {
        "name": "formula",
        "domain": {"x": {"size": 60.0, "resolution": 32}},
        "boundary": "neumann",
        "dt": 12.5,
        "rates": {"u": "0.2*laplace(u) - u*v**2 + 0.03*(1 - u)", "v": "D*laplace(v) + u*v**2 - 0.088*v"},
        "parameters": {"D": 0.06},
    }
    equation = build_equation(section)
    x = torch.from_numpy(equation.layout.grid.centers("x"))
    v = 0.4 * torch.exp(-(((x - 20) / 6) ** 2))
    start = torch.stack([1 - v, v])[None]
    seen = Observations(
        values=torch.tensor([[[[0.0], [0.0]], [[0.99], [0.2]]]]),
        mask=torch.tensor([[[[False], [False]], [[True], [True]]]]),
        positions=torch.full((1, 2, 1, 1), 30.0),
        initial_states=start,
        noise_std=torch.tensor([0.001, 0.001]),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=12.5,
    )
    filled = build_equation(section | equation.config.ranges(equation.reach(start), {"D": (0.005, 0.5)}))
    assert filled.exceeded(0.99) is not None  # of both fields at once
    require_range(filled, seen)
    with pytest.raises(ValueError, match="a state reaches 3, for which the formulas ask for"):
        require_range(filled, replace(seen, values=seen.values + 2.01))
