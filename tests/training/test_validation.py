"""Validation: which errors there are, and which of them is the score."""

import pytest
import torch

from hyco.training.synthetic import train_synthetic
from hyco.training.validation import Validation


class Damped:
    """Every state is 0.9 of the one before."""

    def __init__(self, stepping=True):
        self.stepping = stepping

    def rollout(self, states, steps):
        return torch.stack([states * 0.9**step for step in range(1, steps + 1)], dim=1)


def relative(predicted, observed):
    return float((predicted - observed).norm() / observed.norm())


@pytest.mark.parametrize("rollout", [True, False])
def test_the_score_is_the_error_of_the_rollout_where_one_is_asked_for_else_that_of_one_step(problem, rollout):
    seen = problem.observations
    initial, later = seen.initial_states[seen.val], seen.values[seen.val, 1:]
    before = torch.cat([initial[:, None], later[:, :-1]], dim=1)
    one_step = relative(0.9 * before, later)
    whole = relative(Damped().rollout(initial, later.shape[1]), later)
    assert one_step < 0.5 * whole, "they differ"
    errors = Validation(seen, rollout=rollout)(Damped())
    assert errors["one_step"] == pytest.approx(one_step, rel=1e-12)
    assert errors["score"] == pytest.approx(whole if rollout else one_step, rel=1e-12)
    assert errors.get("rollout") == (pytest.approx(whole, rel=1e-12) if rollout else None)


@pytest.mark.parametrize("rollout", [True, False])
def test_the_network_is_scored_with_the_error_that_is_asked_for(problem, rollout):
    config = problem.synthetic(epochs=1, validation_rollout=rollout)
    ((_, record),) = train_synthetic(problem.observations, config, 0, configuration={}, device=torch.device("cpu"))
    found = record["metrics"]
    assert found["validation_synthetic"] == found[f"validation_synthetic_{'rollout' if rollout else 'one_step'}"]
    assert ("validation_synthetic_rollout" in found) == rollout


def test_a_model_of_one_trajectory_is_scored_by_its_rollout_alone(problem):
    errors = Validation(problem.observations, rollout=False)(Damped(stepping=False))
    assert errors.keys() == {"rollout", "score"}
    assert errors["score"] == errors["rollout"]


def test_where_no_state_is_known_whole_but_the_first_the_rollout_is_the_score(make_problem):
    problem = make_problem({"space": {"mode": "points", "count": 9}, "initial_state": "observed"})
    errors = Validation(problem.observations, rollout=False)(Damped())
    assert errors.keys() == {"rollout", "score"}
    assert errors["score"] == errors["rollout"]


def test_without_validation_simulations_there_is_no_score(make_problem):
    validate = Validation(make_problem({"val_sim": []}).observations, rollout=True)
    assert not validate.available
    assert validate(Damped()) == {}
