"""An optimiser in a file of the user's: found by name, validated, and used by an inversion and a hybrid."""

import pytest
import torch
from pydantic import ValidationError

from hyco.inversion.optimisers.registry import optimiser_config
from hyco.training.physical import train_physical

NAME = "my_optimiser:Descent"
CPU = torch.device("cpu")


@pytest.fixture
def outside(write_example):
    return write_example("inversion.md", "my_optimiser")


def test_the_example_of_the_documentation_is_short(outside):
    assert len([line for line in outside.splitlines() if line.strip()]) <= 40


def test_it_finds_the_viscosity_that_the_others_find(outside, problem):
    estimates = {}
    for method in ({"name": NAME, "first_step": 0.2}, "Levenberg-Marquardt"):
        config = problem.physical(method=method, epochs=300, abs_tol=1e-10)
        *_, (_, last) = train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU)
        estimates[str(method)] = last["metrics"]["estimate.viscosity"]
    ours, theirs = estimates.values()
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_it_serves_a_hybrid_and_its_checkpoint(outside, problem, assert_resumable):
    physical = {"method": {"name": NAME}, "max_iterations": 5, "suppress_convergence_errors": True}

    def run(checkpoint, resume):
        return problem.hybrid(physical=physical, epochs=4, warmup_epochs=1).train(checkpoint, resume)

    *_, (_, record) = assert_resumable(run, 2)
    assert record["metrics"]["estimate.viscosity"] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "Newton"}, "unknown optimiser 'Newton'; available: Adam, L-BFGS-B, Levenberg-Marquardt"),
        ({"name": "nowhere:Descent"}, "there is no module 'nowhere'"),
        ({"name": "my_optimiser:Ascent"}, "my_optimiser has no Ascent; its classes are: Descent"),
        ({"name": "my_optimiser:DescentConfig"}, "DescentConfig is no subclass of .*Minimiser"),
    ],
)
def test_what_is_no_optimiser_is_refused_with_the_reason(outside, method, message):
    with pytest.raises(ValueError, match=message):
        optimiser_config(method)


def test_its_own_keys_are_validated(outside):
    with pytest.raises(ValidationError, match="first_step"):
        optimiser_config({"name": NAME, "first_step": -1})
    with pytest.raises(ValidationError, match="rate"):
        optimiser_config({"name": NAME, "rate": 1})


def test_the_keys_of_a_method_may_be_short_and_another_methods_are_said_to_have_no_effect(problem, caplog):
    from hyco.inversion.calibrator import Calibrator

    adam = problem.physical(method="Adam", learning_rate=0.05)
    assert adam.optimiser.learning_rate == 0.05
    assert problem.physical(method={"name": "Adam", "learning_rate": 0.1}).optimiser.learning_rate == 0.1
    config = problem.physical(method="L-BFGS-B", learning_rate=0.05)
    Calibrator(problem.equation, problem.observations, config, num_predict_steps=4, device=CPU)
    assert "physical.learning_rate has no effect: it needs method: Adam; L-BFGS-B has no such key" in caplog.text
