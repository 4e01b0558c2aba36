"""Inversion of the viscosity: what is returned, what is raised, and how sure it is."""

import math

import pytest
import torch
from phi import math as phimath

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.result import Diverged, NotConverged, Status
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")


def trainer(problem, **changes):
    config = problem.physical(**changes)
    return Calibrator(
        problem.equation, problem.observations, config, num_predict_steps=config.num_predict_steps, device=CPU
    )


def guess(value):
    return {"learnable_parameters": [{"name": "viscosity", "initial_guess": value, "bounds": [0.005, 1.0]}]}


@pytest.mark.parametrize("start", [0.5, 0.02], ids=["five_times_too_high", "five_times_too_low"])
def test_viscosity_is_recovered_to_the_noise_floor(problem, start):
    model = trainer(problem, num_predict_steps=8, **guess(start))
    result = model.update()
    estimate = model.estimates()["viscosity"]
    assert result.status is Status.CONVERGED
    assert abs(estimate["estimate"] - 0.1) < 4 * estimate["std"] < 0.01
    assert estimate["identifiable"]
    assert model.assessment.uncertainty.reduced_chi_square == pytest.approx(1, abs=0.2)


def test_noise_free_data_give_the_viscosity_back(make_problem):
    problem = make_problem({"noise": 0.0})
    model = trainer(problem, abs_tol=1e-9)
    model.update()
    estimate = model.estimates()["viscosity"]
    assert estimate["estimate"] == pytest.approx(0.1, rel=1e-5)
    assert estimate["std"] < 1e-4


def test_the_reported_std_is_the_cramer_rao_bound(problem):
    model = trainer(problem)
    model.update()
    start, sigma = model.problem.starts, model.problem.sigma
    mask = model.problem.mask

    def predict(v):
        from hyco.stepping.rollout import rollout

        value = {"viscosity": torch.tensor(v, dtype=torch.float64)}
        return (rollout(lambda s: model.problem.stepper(s, value), start, 4) / sigma)[mask]

    v, h = model.values["viscosity"], 1e-5
    slope = (predict(v + h) - predict(v - h)) / (2 * h)
    assert model.estimates()["viscosity"]["std"] == pytest.approx(float(slope.norm()) ** -1, rel=1e-4)


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
    stored = checkpoint.metadata["physical"]["estimates"]["viscosity"]["estimate"]
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
        model = trainer(problem, max_iterations=iterations, abs_tol=1e-12)
        result = model.update()
        assert model.values["viscosity"] != 0.5
        assert result.value == min(e["value"] for e in result.history if e["value"] is not None)


def test_a_true_divergence_is_told_apart_and_the_last_good_state_survives(problem):
    model = trainer(problem, suppress_convergence_errors=True)
    model.update()
    good = dict(model.values)
    model.problem.targets = torch.full_like(model.problem.targets, torch.nan)
    result = model.update()
    assert result.status is Status.DIVERGED
    assert model.values == good
    with pytest.raises(Diverged, match="not finite"):
        model.check(result)


def test_a_nan_in_the_middle_of_an_update_is_a_step_back(problem, monkeypatch):
    model = trainer(problem)
    loss, calls = model.problem.objective, []

    def sometimes(*arguments):
        calls.append(1)
        return loss(*arguments) * (math.nan if len(calls) in (2, 3) else 1.0)

    monkeypatch.setattr(model.problem, "objective", sometimes)
    result = model.update()
    assert result.status is Status.CONVERGED
    assert model.values["viscosity"] == pytest.approx(0.1, abs=0.02)


@pytest.mark.timeout(60)
def test_an_exception_in_the_loss_reaches_the_user_and_never_hangs(problem, monkeypatch):
    model = trainer(problem)
    model.estimates()
    calls = []

    def failing(*_arguments):
        calls.append(1)
        raise RuntimeError("the solver failed")

    monkeypatch.setattr(model.problem, "objective", failing)
    with pytest.raises(RuntimeError, match="the solver failed"):
        model.update()
    assert calls


def test_a_constant_state_does_not_determine_the_viscosity(problem):
    model = trainer(problem)
    model.problem.starts = torch.ones_like(model.problem.starts)
    model.problem.targets = torch.ones_like(model.problem.targets)
    estimate = model.estimates()["viscosity"]
    assert not estimate["identifiable"]
    assert estimate["std"] == pytest.approx((1.0 - 0.005) / math.sqrt(12))


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
    assert [r["metrics"] for _, r in resumed] == [r["metrics"] for _, r in whole[2:]]


def test_a_horizon_without_observations_is_refused(make_problem):
    problem = make_problem({"time": {"mode": "endpoints"}})
    with pytest.raises(ValueError, match="nothing is observed in the first 4 steps"):
        trainer(problem)
    model = trainer(problem, num_predict_steps=8)
    model.update()
    assert model.values["viscosity"] == pytest.approx(0.1, abs=0.03)


def test_a_prediction_is_computed_once_while_the_parameters_stay(problem, monkeypatch):
    model = trainer(problem)
    computed, predict = [], model._predictions._predict

    def count(starts, theta, steps):
        computed.append((len(starts), steps))
        return predict(starts, theta, steps)

    monkeypatch.setattr(model._predictions, "_predict", count)
    starts = problem.observations.initial_states[:2].clone()
    first = model.rollout(starts, 3)
    assert torch.equal(model.rollout(starts.clone(), 3), first)
    assert computed == [(2, 3)]
    # Other steps, other starts (changed in place, too), and other parameters are other predictions.
    model.rollout(starts, 4)
    starts += 0.1
    changed = model.rollout(starts, 3)
    assert not torch.equal(changed, first)
    model.place(model.unit * 0.9)
    assert not torch.equal(model.rollout(starts, 3), changed)
    assert computed == [(2, 3), (2, 4), (2, 3), (2, 3)]


def test_predictions_that_are_kept_have_an_end(problem, monkeypatch):
    monkeypatch.setattr("hyco.inversion.calibrator._KEPT_BYTES", 3 * 2 * 32 * 8)
    model = trainer(problem)
    starts = problem.observations.initial_states[:1]
    assert starts.shape == (1, 1, 32)
    for factor in (1.0, 0.9, 0.8, 0.7):
        model.rollout(starts * factor, 2)
    assert [len(states) for _, states in model._predictions._known] == [1, 1, 1]
    model.rollout(starts.repeat(4, 1, 1), 2)
    assert not model._predictions._known


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
