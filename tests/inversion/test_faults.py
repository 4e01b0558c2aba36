"""Faults in the middle of an inversion: an error or a step back; never a hang, never the guess as an estimate."""

import math
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from phi import math as phimath

from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.lbfgsb import minimise_lbfgsb
from hyco.inversion.optimisers.result import Status

CPU = torch.device("cpu")
METHODS = ("L-BFGS-B", "Levenberg-Marquardt", "Adam")

pytestmark = pytest.mark.timeout(120)


def trainer(problem, method, **changes):
    config = problem.physical(**{"method": method, "epochs": 400, "suppress_convergence_errors": True} | changes)
    return Calibrator(
        problem.equation, problem.observations, config, num_predict_steps=config.num_predict_steps, device=CPU
    )


def inject(physics, fault, when):
    """Replace the physical step by one that has a fault at some calls."""
    stepper, calls = physics.problem.forward.stepper, []
    bind = stepper.bind

    def faulty(state, parameters, time=0.0):
        bound = bind(state, parameters, time)

        def run(state, *inputs):
            calls.append(1)
            return fault(bound.run(state, *inputs)) if when(len(calls)) else bound.run(state, *inputs)

        return replace(bound, run=run)

    stepper.bind = faulty
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_nan_at_a_random_step_is_a_step_back(problem, method, seed):
    physics = trainer(problem, method)
    physics.model.numbers()
    at = random.Random(seed).randrange(9, 30)
    inject(physics, lambda state: state * math.nan, lambda call: call == at)
    result = physics.update()
    assert result.status is not Status.DIVERGED
    assert physics.model.values["viscosity"] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_a_solver_that_fails_for_good_is_an_error_that_reaches_the_user(problem, method):
    physics = trainer(problem, method)
    physics.model.numbers()

    def fail(state):
        raise phimath.Diverged(SimpleNamespace(msg="the pressure solve did not converge"))

    inject(physics, fail, lambda call: call > 12)
    with pytest.raises(phimath.Diverged):
        physics.update()


@pytest.mark.parametrize("method", METHODS)
def test_states_that_are_never_finite_are_a_divergence_and_leave_the_parameters_alone(problem, method):
    physics = trainer(problem, method)
    before = dict(physics.model.values)
    inject(physics, lambda state: state * math.nan, lambda call: True)
    result = physics.update()
    assert result.status is Status.DIVERGED
    assert physics.model.values == before
    assert math.isnan(result.value)
    assert not physics.model.numbers()["viscosity"].identifiable


@pytest.mark.parametrize("method", METHODS)
def test_a_fault_in_all_but_the_first_evaluation_never_passes_for_convergence_on_the_guess(problem, method):
    physics = trainer(problem, method)
    physics.model.numbers()
    first = problem.physical().num_predict_steps
    inject(physics, lambda state: state * math.nan, lambda call: call > first)
    result = physics.update()
    assert result.status is not Status.CONVERGED
    with pytest.raises(phimath.ConvergenceException):
        trainer(problem, method, suppress_convergence_errors=False).check(result)


def test_an_abnormal_line_search_is_told_and_the_best_point_kept():
    import numpy as np

    def liar(x):
        """The gradient points uphill."""
        return float((x**2).sum()), -2 * x

    found = minimise_lbfgsb(
        liar, np.array([0.5]), np.array([[-1.0, 1.0]]), abs_tol=1e-12, max_iterations=20, scale=np.array([0.1])
    )
    assert found.status is Status.LINE_SEARCH_FAILED
    assert "line search" in found.reason
