"""Inversion of the viscosity: what is returned, what is raised, and how sure it is."""

import math
from dataclasses import replace

import pytest
import torch
from phi import math as phimath

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.result import Diverged, NotConverged, Status
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")


def trainer(problem, observations=None, **changes):
    config, data = problem.physical(**changes), observations or problem.observations
    return Calibrator(problem.equation, data, config, num_predict_steps=config.num_predict_steps, device=CPU)


def guess(value):
    return {"learnable_parameters": [{"name": "viscosity", "initial_guess": value, "bounds": [0.005, 1.0]}]}


@pytest.mark.parametrize("start", [0.5, 0.02], ids=["five_times_too_high", "five_times_too_low"])
def test_viscosity_is_recovered_to_the_noise_floor(problem, start):
    physics = trainer(problem, num_predict_steps=8, **guess(start))
    result = physics.update()
    estimate = physics.model.numbers()["viscosity"]
    assert result.status is Status.CONVERGED
    assert abs(estimate.value - 0.1) < 4 * estimate.std < 0.01
    assert estimate.identifiable
    assert physics.model.assessment.uncertainty.reduced_chi_square == pytest.approx(1, abs=0.2)


def test_noise_free_data_give_the_viscosity_back(make_problem):
    problem = make_problem({"noise": 0.0})
    physics = trainer(problem, abs_tol=1e-9)
    physics.update()
    estimate = physics.model.numbers()["viscosity"]
    assert estimate.value == pytest.approx(0.1, rel=1e-5)
    assert estimate.std < 1e-4


def test_the_reported_std_is_the_cramer_rao_bound(problem):
    physics = trainer(problem)
    physics.update()
    start, sigma = physics.problem.starts, physics.problem.data.sigma
    mask = physics.problem.data.mask

    def predict(v):
        from hyco.stepping.rollout import rollout

        value = {"viscosity": torch.tensor(v, dtype=torch.float64)}
        return (rollout(lambda s: physics.problem.forward.stepper(s, value), start, 4) / sigma)[mask]

    v, h = physics.model.values["viscosity"], 1e-5
    slope = (predict(v + h) - predict(v - h)) / (2 * h)
    assert physics.model.numbers()["viscosity"].std == pytest.approx(float(slope.norm()) ** -1, rel=1e-4)


def test_suppression_is_off_by_default_and_not_converged_leaves_with_the_best_point_attached(problem):
    assert not PhysicalConfig.model_validate(guess(0.5)).suppress_convergence_errors
    config = problem.physical(max_iterations=1, abs_tol=1e-12)
    steps = train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU)
    checkpoint, _ = next(steps)
    with pytest.raises(NotConverged) as caught:
        next(steps)
    error = caught.value
    assert isinstance(error, phimath.NotConverged)
    assert error.result.status is Status.ITERATION_LIMIT
    assert error.result.value < error.result.initial_value
    assert error.parameters["viscosity"] != 0.5
    assert "physical.max_iterations" in str(error)
    assert "physical.suppress_convergence_errors=true" in str(error)
    stored = checkpoint.metadata["physical"]["estimate"]["numbers"]["viscosity"]["estimate"]
    assert stored == error.parameters["viscosity"], "nothing is lost"


@pytest.mark.parametrize(("limits", "key"), [({"max_iterations": 1}, "max_iterations"), ({"epochs": 1}, "epochs")])
def test_the_message_names_the_key_that_limits(problem, limits, key):
    physical = trainer(problem, abs_tol=1e-12, **limits)
    with pytest.raises(NotConverged, match=f"Raise physical.{key},"):
        physical.check(physical.update())


def test_suppression_on_returns_the_best_parameters_found(problem):
    config = problem.physical(max_iterations=1, abs_tol=1e-12, epochs=1, suppress_convergence_errors=True)
    steps = list(train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU))
    assert len(steps) == 1
    assert abs(steps[0][1]["metrics"]["estimate.viscosity"] - 0.1) < 0.4


def test_few_iterations_give_a_changed_parameter(problem):
    for iterations in (1, 2, 3):
        physics = trainer(problem, max_iterations=iterations, abs_tol=1e-12)
        result = physics.update()
        assert physics.model.values["viscosity"] != 0.5
        assert result.value == min(e["value"] for e in result.history if e["value"] is not None)


def test_a_true_divergence_is_told_apart_and_the_last_good_state_survives(problem):
    good = trainer(problem)
    good.update()
    # The squares of residuals in units of such a noise are infinite.
    noise_std = torch.full_like(problem.observations.noise_std, 1e-200)
    physics = trainer(problem, replace(problem.observations, noise_std=noise_std), suppress_convergence_errors=True)
    physics.place(good.model.coordinates)
    result = physics.update()
    assert result.status is Status.DIVERGED
    assert physics.model.values == good.model.values
    with pytest.raises(Diverged, match="not finite"):
        physics.check(result)


def test_a_nan_in_the_middle_of_an_update_is_a_step_back(problem, monkeypatch):
    physics = trainer(problem)
    loss, calls = physics.problem.objective, []

    def sometimes(*arguments):
        calls.append(1)
        return loss(*arguments) * (math.nan if len(calls) in (2, 3) else 1.0)

    monkeypatch.setattr(physics.problem, "objective", sometimes)
    result = physics.update()
    assert result.status is Status.CONVERGED
    assert physics.model.values["viscosity"] == pytest.approx(0.1, abs=0.02)


@pytest.mark.timeout(60)
def test_an_exception_in_the_loss_reaches_the_user_and_never_hangs(problem, monkeypatch):
    physics = trainer(problem)
    physics.model.numbers()
    calls = []

    def failing(*_arguments):
        calls.append(1)
        raise RuntimeError("the solver failed")

    monkeypatch.setattr(physics.problem, "objective", failing)
    with pytest.raises(RuntimeError, match="the solver failed"):
        physics.update()
    assert calls


def test_a_constant_state_does_not_determine_the_viscosity(problem):
    data = problem.observations
    ones = {"values": torch.ones_like(data.values), "initial_states": torch.ones_like(data.initial_states)}
    estimate = trainer(problem, replace(data, **ones)).model.numbers()["viscosity"]
    assert not estimate.identifiable
    assert estimate.std == pytest.approx((1.0 - 0.005) / math.sqrt(12))


def test_updates_stop_when_nothing_better_is_found(problem):
    config = problem.physical(max_iterations=20, epochs=30, suppress_convergence_errors=True)
    steps = list(train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU))
    assert len(steps) < 30
    assert steps[-1][0].metadata["finished"]


def test_a_killed_inversion_resumes_to_the_same_numbers(problem):
    config = problem.physical(max_iterations=1, epochs=4, suppress_convergence_errors=True)

    def run(**resume):
        return list(
            train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU, **resume)
        )

    whole = run()
    resumed = run(checkpoint=whole[1][0], resume=True)
    assert [r["metrics"] for _, r in resumed] == [r["metrics"] for _, r in whole[1:]]


def test_a_horizon_without_observations_is_refused(make_problem):
    problem = make_problem({"time": {"mode": "endpoints"}})
    with pytest.raises(ValueError, match="nothing is observed in the first 4 steps"):
        trainer(problem)
    physics = trainer(problem, num_predict_steps=8)
    physics.update()
    assert physics.model.values["viscosity"] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"dt": 0.1}, "dt 0.1"), ({"domain": {"x": {"size": 10.0, "resolution": 16}}}, "x: 16 cells from 0 to 10")],
)
def test_data_of_other_states_than_the_equations_are_refused(problem, change, words):
    other = build_equation(problem.equation.config.model_dump() | change)
    config = problem.physical()
    with pytest.raises(ValueError, match=rf"the data have velocity_x.*the section equation has velocity_x.*{words}"):
        Calibrator(other, problem.observations, config, num_predict_steps=4, device=CPU)


def test_an_end_of_the_domain_at_zero_may_have_been_rounded():
    shared = {"name": "burgers", "dt": 0.05, "max_speed": 2.0, "parameters": {"viscosity": 0.1}}
    sizes = (0.3, 3 * 0.1)
    ours, theirs = (
        build_equation({**shared, "domain": {"x": {"lower": -0.3, "size": size, "resolution": 8}}}) for size in sizes
    )
    ours.require_states(theirs.layout, theirs.dt)
