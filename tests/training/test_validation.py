"""Validation: which errors there are, and which of them is the score."""

import pytest
import torch

from hyco.training.physical import train_physical
from hyco.training.synthetic import train_synthetic
from hyco.training.validation import Validation

CPU = torch.device("cpu")


class Damped:
    """Every state is 0.9 of the one before."""

    def __init__(self, stepping=True):
        self.stepping = stepping

    def rollout(self, states, steps, time=0.0):
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


def train_network(problem, rollout):
    config = problem.synthetic(epochs=1, validation_rollout=rollout)
    return train_synthetic(problem.observations, config, 0, configuration={}, device=CPU)


def fit_physics(problem, rollout):
    config = problem.physical(epochs=1, max_iterations=1, validation_rollout=rollout, suppress_convergence_errors=True)
    return train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU)


def train_both(problem, rollout):
    return problem.hybrid(epochs=1, warmup_epochs=0, validation_rollout=rollout).train()


@pytest.mark.parametrize("rollout", [True, False])
@pytest.mark.parametrize(
    ("train", "models"),
    [(train_network, ["synthetic"]), (fit_physics, ["physical"]), (train_both, ["synthetic", "physical"])],
)
def test_every_training_scores_its_models_with_the_error_that_is_asked_for(problem, train, models, rollout):
    ((_, record),) = train(problem, rollout)
    metrics = record["metrics"]
    for model in models:
        asked = metrics[f"validation_{model}_{'rollout' if rollout else 'one_step'}"]
        assert metrics[f"validation_{model}"] == asked
        assert (f"validation_{model}_rollout" in metrics) == rollout


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
