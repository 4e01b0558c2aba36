"""The inverse problem: Jacobians, unknown initial states, fields, stages, starts, and what data do not determine."""

import json
import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.hybrid.trust import Misfit, Trust
from hyco.inversion.assessment import assess
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.jacobian import central_jacobian, reverse_jacobian
from hyco.inversion.optimisers.result import Status
from hyco.inversion.residuals import residual_summary
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig

CPU = torch.device("cpu")
HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 3.0, "resolution": 14}, "y": {"size": 2.0, "resolution": 10}},
    "boundary": {"x": 0.0, "y": "neumann"},
    "dt": 0.05,
    "max_diffusivity": 1.0,
    "parameters": {"diffusivity": "0.3 + 0.1 * x"},
}
LINE = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 24}},
    "dt": 0.05,
    "max_speed": 6.0,
    "parameters": {"viscosity": 0.1},
}


PLANE = LINE | {"domain": {"x": {"size": 4.0, "resolution": 16}, "y": {"size": 4.0, "resolution": 12}}}
SMALL = LINE | {"domain": {"x": {"size": 4.0, "resolution": 8}, "y": {"size": 4.0, "resolution": 6}}}
ALONG_X = {"velocity_x": "sin(pi*x/2)*cos(pi*y/2)", "velocity_y": 0.0}


@cache
def built(section):
    """Of equal sections there is one equation, whose step is recorded once."""
    return build_equation(json.loads(section))


def trainer(parameters, equation=LINE, observation=None, seed=0, steps=6, start=None, **physical):
    one = built(json.dumps(equation))
    generation = GenerationConfig(simulations=2, steps=steps, length_scale=0.8, initial_state=start or {})
    data = generate(one, generation, seed)
    config = ObservationConfig.model_validate({"train_sim": [0, 1], "noise": 0.01} | (observation or {}))
    settings = PhysicalConfig.model_validate(
        {"learnable_parameters": parameters, "num_predict_steps": steps, "method": "Levenberg-Marquardt"} | physical
    )
    observations = observe(data, config, seed)
    return Calibrator(one, observations, settings, num_predict_steps=steps, device=CPU)


VISCOSITY = {"name": "viscosity", "initial_guess": 0.5, "bounds": [0.005, 1.0]}
LINEAR = {
    "name": "diffusivity",
    "kind": "expression",
    "expression": "a + b * x",
    "scalars": [
        {"name": "a", "initial_guess": 0.5, "bounds": [0.05, 0.6], "true_value": 0.3},
        {"name": "b", "initial_guess": 0.0, "bounds": [-0.01, 0.13], "true_value": 0.1},
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "equation"),
    [
        ([VISCOSITY], LINE),
        pytest.param([LINEAR], HEAT, marks=pytest.mark.slow),
        pytest.param(
            [{"name": "diffusivity", "kind": "fourier", "modes": 1, "offset": 0.4, "prior_std": 0.05}],
            HEAT,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["number", "formula", "fourier"],
)
def test_the_batched_jacobian_equals_reverse_mode_to_a_millionth(parameters, equation):
    problem = trainer(parameters, equation, steps=3).problem
    z = problem.box.start + 0.01
    _, batched = central_jacobian(problem.real, z, problem.box.lower, problem.box.upper)
    rows = torch.arange(0, len(batched), 11)  # a pass each; of both simulations, all times and all over the domain
    exact = reverse_jacobian(lambda point: problem.real(point[None])[0, rows], z)
    assert float((batched[rows] - exact).abs().max() / exact.abs().max()) < 1e-6


@pytest.mark.slow
def test_levenberg_marquardt_and_lbfgs_find_the_same_minimum_and_the_first_needs_few_simulations():
    found = {}
    for method in ("Levenberg-Marquardt", "L-BFGS-B", "Adam"):
        physics = trainer([VISCOSITY], method=method, abs_tol=1e-9, epochs=600)
        result = physics.update()
        assert result.status is Status.CONVERGED, method
        found[method] = physics.model.values["viscosity"]
        if method == "Levenberg-Marquardt":
            assert physics.estimate.outcome.forward_simulations < 25
    assert found["L-BFGS-B"] == pytest.approx(found["Levenberg-Marquardt"], rel=1e-4)
    assert found["Adam"] == pytest.approx(found["Levenberg-Marquardt"], rel=2e-3)


@pytest.mark.slow
def test_two_numbers_of_a_formula_are_recovered_within_their_intervals():
    physics = trainer([LINEAR], HEAT)
    physics.update()
    estimates = physics.model.numbers()
    for name, true in (("diffusivity.a", 0.3), ("diffusivity.b", 0.1)):
        entry = estimates[name]
        assert abs(entry.value - true) < 4 * entry.std
        assert entry.interval[0] < entry.value < entry.interval[1]
        assert entry.identifiable


@pytest.mark.slow
def test_growing_horizons_and_many_starts_find_the_same_minimum():
    plain = trainer([VISCOSITY], abs_tol=1e-10)
    plain.update()
    staged = trainer([VISCOSITY], abs_tol=1e-10, horizons=[1, 3], starts=5)
    result = staged.update()
    assert staged.model.values["viscosity"] == pytest.approx(plain.model.values["viscosity"], rel=1e-5)
    assert len(result.ends) == 5
    many = trainer([VISCOSITY], abs_tol=1e-10, starts=5)
    assert len(many.update().ends) == 5


@pytest.mark.slow
def test_a_horizon_of_which_only_the_start_is_measured_is_left_out():
    """Measured states at t = 0 do not tell which of several starts is the best."""
    times = {"initial_state": "full", "time": {"mode": "uniform", "every": 3}}
    plain, staged = (trainer([VISCOSITY], observation=times, starts=3, horizons=h) for h in ([], [2]))
    plain.update()
    staged.update()
    assert staged.estimate.outcome.ends == plain.estimate.outcome.ends
    assert torch.equal(staged.model.coordinates, plain.model.coordinates)


def test_two_parameters_that_enter_as_a_product_are_told():
    product = {
        "name": "viscosity",
        "kind": "expression",
        "expression": "a * b",
        "scalars": [{"name": n, "initial_guess": 0.3, "bounds": [0.05, 1.0]} for n in "ab"],
    }
    physics = trainer([product], suppress_convergence_errors=True)
    physics.update()
    assert not any(entry.identifiable for entry in physics.model.numbers().values())
    (words,) = physics.model.assessment.identifiability.words()
    assert words == "0.71 viscosity.a - 0.71 viscosity.b"
    assert physics.model.values["viscosity.a"] * physics.model.values["viscosity.b"] == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("prior", [pytest.param(None, marks=pytest.mark.slow), {"length_scale": 0.8, "amplitude": 1.0}])
def test_noisy_initial_states_are_estimated_and_widen_the_error_bars(prior):
    exact = trainer([VISCOSITY], observation={"noise": 0.05})
    exact.update()
    noisy = trainer([VISCOSITY], observation={"noise": 0.05, "initial_state": "full"}, initial_state=prior)
    noisy.update()
    ignored, honest = exact.model.numbers()["viscosity"], noisy.model.numbers()["viscosity"]
    assert honest.std > 1.2 * ignored.std
    assert abs(honest.value - 0.1) < 4 * honest.std
    truth = generate(built(json.dumps(LINE)), GenerationConfig(simulations=2, steps=6, length_scale=0.8), 0).tensors[
        "trajectories"
    ][:, 0]
    measured = noisy.problem.starts
    assert float((noisy.model.initial_states - truth).norm()) < float((measured - truth).norm())


@pytest.mark.slow
def test_the_std_with_noisy_initial_states_is_that_of_the_whole_covariance():
    physics = trainer([VISCOSITY], observation={"noise": 0.05, "initial_state": "full"}, steps=3)
    physics.update()
    problem, z = physics.problem, physics.model.coordinates
    dense = reverse_jacobian(lambda point: problem.real(point[None])[0], z)
    variance = torch.linalg.inv(dense.T @ dense)[0, 0]
    assert float(physics.model.assessment.uncertainty.covariance[0, 0]) == pytest.approx(float(variance), rel=1e-5)


def without_channel(physics, channel):
    """The same trainer where a channel was not observed."""
    seen = physics.problem.data.observations
    mask = seen.mask.clone()
    mask[:, :, channel] = False
    return Calibrator(
        physics.problem.forward.stepper.equation,
        replace(seen, mask=mask),
        physics.config,
        num_predict_steps=physics.problem.steps,
        device=CPU,
    )


@pytest.mark.slow
def test_a_constant_channel_changes_no_error_bar():
    both = trainer([VISCOSITY], PLANE, start=ALONG_X)
    both.update()
    one = without_channel(both, 1)
    found, expected = (
        assess(both.problem.linearised(both.model.coordinates), both.model.space),
        assess(one.problem.linearised(both.model.coordinates), one.model.space),
    )
    assert torch.allclose(found.uncertainty.covariance, expected.uncertainty.covariance, rtol=1e-9)
    assert found.uncertainty.reduced_chi_square == pytest.approx(expected.uncertainty.reduced_chi_square, rel=1e-9)
    assert found.uncertainty.reduced_chi_square == pytest.approx(1, abs=0.1)
    one.place(both.model.coordinates)
    assert both.model.numbers()["viscosity"].std == pytest.approx(one.model.numbers()["viscosity"].std, rel=1e-6)
    times = [residual_summary(physics.problem, both.model.coordinates)["time"] for physics in (both, one)]
    assert torch.allclose(*times, rtol=1e-9)
    assert not residual_summary(both.problem, both.model.coordinates)["space"][1].any()


@pytest.mark.slow
def test_a_constant_channel_changes_no_error_variance():
    both = trainer([VISCOSITY], PLANE, start=ALONG_X)
    both.place(both.model.coordinates * 0.9)
    one = without_channel(both, 1)
    one.place(both.model.coordinates)
    seen = [physics.problem.data.observations for physics in (both, one)]
    misfits = [Misfit(s, s.train)(both.model) for s in seen]
    assert misfits[0] == pytest.approx(misfits[1], rel=1e-9)
    assert misfits[0] > 0
    trusts = [Trust(s, 0) for s in seen]
    assert trusts[0].real == 1.0, "the noise is known"
    entries = both.problem.data.sigma.shape
    spread = trusts[0].spread(both)
    offset = torch.ones(entries, dtype=torch.float64) * both.problem.data.sigma
    both.model.rollout_draws = lambda starts, steps, theta: both.model.rollout(starts, steps) + offset
    assert trusts[0].spread(both) == pytest.approx(1.0)
    offset[1] *= 100
    assert trusts[0].spread(both) == pytest.approx(1.0), "in a constant channel σ is no noise to measure errors with"
    assert spread > 0


@pytest.mark.slow
def test_a_constant_channel_does_not_make_a_fit_look_as_good_as_the_noise():
    field = {
        "name": "viscosity",
        "kind": "field",
        "initial_guess": 0.3,
        "bounds": [0.01, 0.9],
        "transform": "none",
        "regularisation": {"kind": "tikhonov", "weight": "discrepancy"},
    }
    physics = trainer([field], SMALL, {"noise": 0.02}, steps=4, start=ALONG_X, suppress_convergence_errors=True)
    physics.update()
    one = without_channel(physics, 1)
    one.update()
    assert physics.model.space.weights["viscosity"] == pytest.approx(one.model.space.weights["viscosity"])


def test_a_field_on_the_grid_is_found_with_a_weight_by_the_discrepancy_principle():
    field = {"name": "diffusivity", "kind": "field", "initial_guess": 0.45, "bounds": [0.05, 0.9], "transform": "none"}
    physics = trainer([field], HEAT, steps=5, suppress_convergence_errors=True)
    physics.update()
    truth = physics.problem.forward.stepper.equation.parameters["diffusivity"]
    found = physics.model.space.to_values(physics.model.theta)["diffusivity"]
    start = physics.model.space.to_values(physics.model.space.initial)["diffusivity"]
    assert float((found - truth).norm()) < 0.5 * float((start - truth).norm())
    assert physics.model.space.weights["diffusivity"] > 0
    physics.conclude()
    field = physics.estimate["diffusivity"]
    assert field.std.shape == (14, 10)
    assert bool((field.std > 0).all())
    assert not field.identifiable, "a field on the grid is never wholly determined"


def test_residuals_over_time_and_space_are_one_where_the_model_is_right():
    physics = trainer([VISCOSITY], steps=8)
    physics.update()
    physics.conclude()
    assert float(physics.estimate.residuals["time"][0]) == 0
    assert physics.estimate.residuals["time"][1:].mean() == pytest.approx(1, abs=0.1)
    assert physics.estimate.residuals["space"].shape == (1, 24)


def test_point_samples_determine_the_viscosity_too():
    space = {"mode": "samples", "count": 150}
    physics = trainer([VISCOSITY], observation={"space": space})
    physics.update()
    estimate = physics.model.numbers()["viscosity"]
    assert abs(estimate.value - 0.1) < 4 * estimate.std


def test_a_prior_pulls_and_narrows():
    prior = {"mean": 0.105, "std": 1e-3}
    free, held = trainer([VISCOSITY]), trainer([VISCOSITY | {"prior": prior}])
    free.update()
    held.update()
    assert held.model.numbers()["viscosity"].std < 1.0001e-3
    assert free.model.values["viscosity"] < held.model.values["viscosity"] < 0.105
    # The minimum is the precision-weighted mean.
    std = free.model.numbers()["viscosity"].std
    expected = (free.model.values["viscosity"] / std**2 + 0.105 / 1e-6) / (1 / std**2 + 1e6)
    assert held.model.values["viscosity"] == pytest.approx(expected, rel=0.01)


def test_the_loss_is_the_weighted_mean_of_both_groups():
    problem = trainer([VISCOSITY]).problem
    starts = torch.cat([problem.starts, problem.starts + 0.1])
    targets = torch.zeros(4, 6, 1, 24, dtype=torch.float64)
    synthetic = SyntheticTargets(starts, targets, torch.tensor([0, 1]))
    z = problem.box.start[None]
    loss = float(problem.objective(z, None, 0.7, synthetic).square().sum())
    states = problem.forward.rollout(starts, problem.box.start, 6)
    real = ((states[:2] - problem.data.targets) / problem.data.sigma).square().mean()
    other = (states / problem.data.sigma).square().mean()
    assert loss == pytest.approx(float(0.7 * real + 0.3 * other))
    only = float(problem.objective(z, None, 0.0, synthetic).square().sum())
    assert only == pytest.approx(float(other))
    assert math.isfinite(only)


@pytest.mark.parametrize("initial", ["exact", "full"])
def test_only_measured_states_are_kept_and_they_give_the_residuals(initial):
    observed = {"time": {"mode": "custom", "indices": [2, 5]}, "initial_state": initial}
    problem = trainer([VISCOSITY], observation=observed, steps=8).problem
    assert problem.data.times == ([2, 5] if initial == "exact" else [0, 2, 5])
    data, z = problem.data.observations, problem.box.start[None]
    starts = problem.initial(z)[0]
    states = torch.cat(
        [starts[:, None], problem.forward.rollout(starts, problem.box.start[: problem.parameter_count], 8)], dim=1
    )
    for steps in (8, 4):
        first = problem.data.first
        expected = ((states - data.values) / problem.data.sigma)[:, first : steps + 1][data.mask[:, first : steps + 1]]
        assert torch.equal(problem.real(z, steps)[0], expected)
        assert problem.data.count(steps) == len(expected)


def test_the_pull_of_predictions_is_the_distance_to_the_minimum_on_real_data():
    free = trainer([VISCOSITY], abs_tol=1e-12)
    free.update()
    assert free.model.numbers()["viscosity"].pull < 0.05
    pulled = trainer([VISCOSITY], abs_tol=1e-12)
    starts = pulled.problem.starts
    wrong = pulled.problem.forward.rollout(starts, pulled.model.space.lower + 0.6, 6)
    pulled.update(0.9, SyntheticTargets(starts, wrong, torch.tensor([0, 1])))
    entry = pulled.model.numbers()["viscosity"]
    distance = abs(pulled.model.values["viscosity"] - free.model.values["viscosity"]) / entry.std
    assert distance > 1
    assert entry.pull == pytest.approx(distance, rel=0.1)
    metrics = pulled.model.metrics()
    assert [metrics["lower.viscosity"], metrics["upper.viscosity"]] == list(entry.interval)
    low, high = entry.interval
    assert low < free.model.values["viscosity"] < high, "the interval reaches to where the measurements alone put it"


@pytest.mark.parametrize("dense", [2000, pytest.param(0, marks=pytest.mark.slow)])
def test_without_noise_a_prior_and_physics_that_is_wrong_do_not_pull(dense, monkeypatch):
    """The estimate is the minimum with the noise that the residuals tell, which is larger than their unit."""
    monkeypatch.setattr("hyco.inversion.assessment.LARGEST_DENSE", dense)
    number = VISCOSITY | {"prior": {"mean": 0.2, "std": 0.001}}
    noise_free = {"noise": 0.0, "initial_state": "full"}
    physics = trainer([number], observation=noise_free, abs_tol=1e-10, resolution={"x": 8})
    physics.update()
    assert physics.problem.data.scale**2 * physics.model.assessment.uncertainty.reduced_chi_square > 2
    assert float(physics.model.assessment.pull[0].abs()) < 1e-2


@pytest.mark.slow
def test_without_noise_the_pull_beside_a_prior_is_a_distance_to_the_same_minimum():
    """Larger residuals do not make the prior count more for where it is."""
    options = {"observation": {"noise": 0.0, "initial_state": "full"}, "abs_tol": 1e-10, "resolution": {"x": 8}}
    number = VISCOSITY | {"prior": {"mean": 0.2, "std": 0.001}}
    free, pulled = trainer([number], **options), trainer([number], **options)
    free.update()
    pulled.problem.data.rescale(free.problem.data.scale)
    starts = pulled.problem.starts
    wrong = pulled.problem.forward.rollout(starts, free.model.theta + 0.05, 6)
    pulled.update(0.9, SyntheticTargets(starts, wrong, torch.tensor([0, 1])))
    std = pulled.model.assessment.uncertainty.std[0]
    assert pulled.problem.data.scale**2 * pulled.model.assessment.uncertainty.reduced_chi_square > 2
    distance = float((pulled.model.theta[0] - free.model.theta[0]) / std)
    assert float(pulled.model.assessment.pull[0]) == pytest.approx(distance, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [None, {"length_scale": 0.8, "amplitude": 1.0}])
def test_error_bars_without_a_matrix_of_all_initial_states_are_the_same(prior, monkeypatch):
    physics = trainer([VISCOSITY], observation={"noise": 0.05, "initial_state": "full"}, initial_state=prior)
    physics.update()
    dense = assess(physics.problem.linearised(physics.model.coordinates), physics.model.space)
    monkeypatch.setattr("hyco.inversion.assessment.LARGEST_DENSE", 1)
    iterative = assess(physics.problem.linearised(physics.model.coordinates), physics.model.space)
    assert float(iterative.uncertainty.std[0]) == pytest.approx(float(dense.uncertainty.std[0]), rel=1e-4)
    assert iterative.uncertainty.reduced_chi_square == pytest.approx(dense.uncertainty.reduced_chi_square, rel=0.15)
    assert float(iterative.pull[0]) == pytest.approx(float(dense.pull[0]), abs=0.02)
    assert torch.equal(iterative.identifiability.determined, dense.identifiability.determined)


def test_a_number_on_its_bound_is_not_pulled_without_that_matrix_either(monkeypatch):
    high = VISCOSITY | {"initial_guess": 0.3, "bounds": [0.2, 1.0]}
    physics = trainer([high], observation={"noise": 0.02, "initial_state": "full"})
    physics.update()
    assert physics.model.values["viscosity"] == 0.2
    assert float(assess(physics.problem.linearised(physics.model.coordinates), physics.model.space).pull[0]) == 0
    monkeypatch.setattr("hyco.inversion.assessment.LARGEST_DENSE", 1)
    assert float(assess(physics.problem.linearised(physics.model.coordinates), physics.model.space).pull[0]) == 0


FLOW = {
    "name": "navier_stokes",
    "domain": {"x": {"size": 6.0, "resolution": 10}, "y": {"size": 6.0, "resolution": 8}},
    "dt": 0.1,
    "max_speed": 3.0,
    "parameters": {"viscosity": 0.05, "drag": 0.05, "forcing": "0.5*cos(2*pi*x/6)"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "regularisation",
    [{"kind": "tikhonov", "weight": 1.0}, pytest.param({"kind": "h1", "weight": 0.1}, marks=pytest.mark.slow)],
)
def test_error_bars_of_numbers_beside_a_field_of_too_many_cells_are_the_same(regularisation, monkeypatch):
    """The field is left free, held by its regularisation as in the whole covariance; it has no error bars itself."""
    field = {"name": "forcing", "kind": "field", "initial_guess": 0.0, "regularisation": regularisation}
    number = {"name": "viscosity", "initial_guess": 0.1, "bounds": [0.001, 0.5]}
    sparse = {"space": {"mode": "points", "count": 30}}
    physics = trainer([field, number], FLOW, sparse, method="L-BFGS-B", epochs=20, suppress_convergence_errors=True)
    physics.update()
    dense = assess(physics.problem.linearised(physics.model.coordinates), physics.model.space)
    monkeypatch.setattr("hyco.inversion.assessment.LARGEST_DENSE", 1)
    monkeypatch.setattr("hyco.inversion.assessor.LARGEST_DENSE", 1)
    physics.conclude()
    found = physics.model.assessment
    assert found.kept.tolist() == [80]
    assert float(found.uncertainty.std[0]) == pytest.approx(float(dense.uncertainty.std[80]), rel=2e-3)
    assert float(found.uncertainty.std[0]) > 1.05 / float(dense.uncertainty.information[80, 80]) ** 0.5
    assert float(found.pull[0]) == pytest.approx(float(dense.pull[80]), abs=0.03)
    assert found.uncertainty.reduced_chi_square == pytest.approx(dense.uncertainty.reduced_chi_square, rel=0.15)
    estimate = physics.estimate
    assert math.isfinite(estimate["viscosity"].std)
    assert estimate["forcing"].value.shape == (10, 8)
    assert estimate["forcing"].std is None
    assert estimate.identifiability["labels"] == list(estimate.labels) == ["viscosity"]
    assert physics.model.covariance() is None


@pytest.mark.slow
def test_cells_on_their_bounds_leave_the_error_bars_of_numbers(monkeypatch):
    """What a bound holds does not pull, and does not keep the iteration from its end."""
    regularisation = {"kind": "h1", "weight": 0.01}
    field = {"name": "forcing", "kind": "field", "initial_guess": 0.0, "bounds": [-0.2, 0.2]}
    number = {"name": "viscosity", "initial_guess": 0.1, "bounds": [0.001, 0.5]}
    sparse = {"space": {"mode": "points", "count": 30}}
    options = {"method": "L-BFGS-B", "epochs": 40, "suppress_convergence_errors": True}
    physics = trainer([field | {"regularisation": regularisation}, number], FLOW, sparse, **options)
    physics.update()
    held = (physics.model.coordinates <= physics.problem.box.lower) | (
        physics.model.coordinates >= physics.problem.box.upper
    )
    assert held.sum() > 5
    dense = assess(physics.problem.linearised(physics.model.coordinates), physics.model.space)
    monkeypatch.setattr("hyco.inversion.assessment.LARGEST_DENSE", 1)
    found = assess(physics.problem.linearised(physics.model.coordinates), physics.model.space)
    assert float(found.uncertainty.std[0]) == pytest.approx(float(dense.uncertainty.std[80]), rel=0.02)


@pytest.mark.slow
def test_a_constant_channel_does_not_count_without_that_matrix_either(monkeypatch):
    physics = trainer([VISCOSITY], SMALL, {"noise": 0.05, "initial_state": "full"}, start=ALONG_X, steps=4)
    monkeypatch.setattr("hyco.inversion.assessment.LARGEST_DENSE", 1)
    physics.update()
    iterative = assess(physics.problem.linearised(physics.model.coordinates), physics.model.space)
    assert iterative.uncertainty.reduced_chi_square == pytest.approx(1, abs=0.2)


def test_another_minimum_that_fits_as_well_is_reported(caplog):
    """The viscosity is a square: both signs of its root fit."""
    root = {"name": "a", "initial_guess": 0.5, "bounds": [-0.9, 0.9]}
    square = {"name": "viscosity", "kind": "expression", "expression": "0.01 + a**2", "scalars": [root]}
    physics = trainer([square], starts=6)
    physics.update()
    physics.conclude()
    (other,) = physics.estimate.alternative_minima
    assert other["viscosity.a"] == pytest.approx(-physics.model.values["viscosity.a"], rel=1e-2)
    assert "Another minimum fits the data as well: viscosity.a" in caplog.text
    single = trainer([VISCOSITY], starts=6)
    single.update()
    single.conclude()
    assert single.estimate.alternative_minima == []


def test_another_minimum_of_a_field_alone_is_told_too(caplog, monkeypatch):
    field = {"name": "diffusivity", "kind": "fourier", "modes": 1, "offset": 0.4, "prior_std": 0.05}
    physics = trainer([field], HEAT, steps=2)
    physics.update()
    monkeypatch.setattr("hyco.inversion.assessor.alternative_minima", lambda theta, *rest: [theta])
    physics.conclude()
    assert "Another minimum fits the data as well: another field. The error bars" in caplog.text


def targets_of(problem, length, entries):
    """The network's predictions from four starts, those of the two simulations at t = 0 among them."""
    draws = torch.Generator().manual_seed(1)
    others = torch.randn(2, 1, 24, generator=draws, dtype=torch.float64).cumsum(-1) / 5
    starts = torch.stack([others[0], problem.starts[0], others[1], problem.starts[1]])
    targets = torch.randn(4, length, 1, 24, generator=draws, dtype=torch.float64)
    mask = torch.rand(targets.shape, generator=draws) < 0.3 if entries else None
    return SyntheticTargets(starts, targets, torch.tensor([1, 3]), mask)


@pytest.mark.parametrize("entries", [False, True])
@pytest.mark.parametrize("length", [2, 6])
def test_the_objective_with_predictions_is_the_loss_by_hand(length, entries):
    """Real data over six steps from t = 0, predictions over as many or fewer from more starts, where they count."""
    problem = trainer([VISCOSITY]).problem
    synthetic, alpha = targets_of(problem, length, entries), 0.3
    z = problem.box.start[None] - 0.1
    loss = float(problem.objective(z, None, alpha, synthetic).square().sum())
    own = problem.forward.rollout(problem.starts, z[0], 6)
    real = ((own - problem.data.targets) / problem.data.sigma).square().mean()
    error = (
        (problem.forward.rollout(synthetic.starts, z[0], length) - synthetic.targets) / problem.data.sigma
    ).square()
    other = error.mean() if synthetic.entries is None else error[synthetic.entries].mean()
    assert loss == pytest.approx(float(alpha * real + (1 - alpha) * other), rel=1e-12)
    # Predictions where they do not count may be anything.
    if entries:
        synthetic.targets[~synthetic.entries] = 1e6
        assert float(problem.objective(z, None, alpha, synthetic).square().sum()) == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("length", [2, 6])
def test_copies_in_one_batch_equal_one_by_one(length):
    problem = trainer([VISCOSITY]).problem
    synthetic = targets_of(problem, length, True)
    z = problem.box.start + torch.linspace(-0.3, 0.1, 5, dtype=torch.float64)[:, None]
    together = problem.objective(z, None, 0.3, synthetic)
    alone = torch.cat([problem.objective(point[None], None, 0.3, synthetic) for point in z])
    assert torch.allclose(together, alone, rtol=1e-12, atol=1e-12)
    assert len(together.unique(dim=0)) == 5
