"""The first guess by the weak form: near the optimum from far away, and with a word where it cannot be."""

import logging

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.weak_form import WeakForm, bump, weak_form_guess
from hyco.observations import ObservationConfig, Observations, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig

LINE = {"x": {"size": 10.0, "resolution": 64}}
# Equation, and for each unknown a guess and bounds; the truth stands in the section.
CASES = {
    "burgers": (
        {"name": "burgers", "domain": LINE, "dt": 0.1, "parameters": {"viscosity": 0.2, "convection": 0.9}},
        {"viscosity": (1.0, [0.01, 2.0]), "convection": (0.3, [-2.0, 2.0])},
    ),
    "heat": (
        {
            "name": "heat",
            "domain": {"x": {"size": 3.0, "resolution": 24}, "y": {"size": 2.0, "resolution": 20}},
            "boundary": {"x": "neumann", "y": 0.0},
            "dt": 0.05,
            "parameters": {"diffusivity": 0.1},
        },
        {"diffusivity": (0.6, [0.01, 1.0])},
    ),
    "gray_scott": (
        {
            "name": "gray_scott",
            "domain": {"x": {"size": 102.4, "resolution": 64}},
            "dt": 4.0,
            "parameters": {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
        },
        {"diffusivity_u": (0.4, [0.05, 0.5]), "diffusivity_v": (0.2, [0.01, 0.3]), "feed": (0.04, [0.005, 0.06])},
    ),
    "fisher": (
        {
            "name": "formula",
            "domain": LINE,
            "dt": 0.1,
            "fields": {"u": {"boundary": "periodic", "lower": 0, "upper": 1}},
            "rates": {"u": "D*laplace(u) + r*u*(1 - u/K)"},
            "parameters": {"D": 0.2, "r": 1.0, "K": 1.0},
        },
        {"D": (1.0, [0.02, 2.0]), "r": (0.3, [0.05, 5.0])},
    ),
}


def calibrator(equation, observations, learn, steps, **keys):
    learnt = [{"name": n, "initial_guess": guess, "bounds": bounds} for n, (guess, bounds) in learn.items()]
    config = PhysicalConfig.model_validate({"learnable_parameters": learnt, "method": "Levenberg-Marquardt", **keys})
    return Calibrator(equation, observations, config, num_predict_steps=steps, device=torch.device("cpu"))


def measured(name, noise=0.02, **keys):
    section, learn = CASES[name]
    equation = build_equation(section)
    size = 10.0 if name == "gray_scott" else 0.6 if name == "heat" else 1.5
    data = generate(equation, GenerationConfig(simulations=1, steps=12, length_scale=size), 3)
    given = {"train_sim": [0], "noise": noise, "initial_state": "full", **keys}
    return equation, observe(data, ObservationConfig.model_validate(given), 1), learn


def values(calibrated, z):
    found = calibrated.problem.forward.values(z[: calibrated.problem.parameter_count])
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("name", [*CASES])
def test_it_is_within_a_tenth_of_what_fits_best(name):
    equation, observations, learn = measured(name)
    calibrated = calibrator(equation, observations, learn, 12)
    start = calibrated.problem.box.start
    guess = weak_form_guess(calibrated.problem, start)
    assert torch.equal(guess[len(learn) :], start[len(learn) :]), "initial states stay as they are"
    found = values(calibrated, guess)
    for parameter, (far, _) in learn.items():
        truth = equation.parameters[parameter]
        assert abs(found[parameter] / truth - 1) < 0.1 < abs(far / truth - 1), parameter


def test_it_works_on_states_of_another_solver():
    """u_t = D u_xx + r u (1 - u) by central differences on four times as many cells, and SciPy's integrator."""
    section, learn = CASES["fisher"]
    equation = build_equation(section)
    n, h = 256, 10.0 / 256
    x = h * (np.arange(n) + 0.5)
    start = 0.3 + 0.25 * np.sin(0.2 * np.pi * x) + 0.1 * np.cos(0.6 * np.pi * x + 0.3)

    def rate(_, u):
        return 0.2 * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) / h**2 + u * (1 - u)

    states = solve_ivp(rate, (0, 1.21), start, "LSODA", 0.1 * np.arange(13), rtol=1e-8, atol=1e-10).y.T
    noise = 0.005 * np.random.default_rng(0).standard_normal((13, 64))
    seen = torch.from_numpy(states.reshape(13, 64, 4).mean(axis=2) + noise)[None, :, None]
    observations = Observations(
        values=seen,
        mask=torch.ones_like(seen, dtype=torch.bool),
        initial_states=seen[:, 0],
        noise_std=torch.tensor([0.005]),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=0.1,
        initial_state="full",
    )
    calibrated = calibrator(equation, observations, learn, 12)
    found = values(calibrated, weak_form_guess(calibrated.problem, calibrated.problem.box.start))
    assert found["D"] == pytest.approx(0.2, rel=0.1)
    assert found["r"] == pytest.approx(1.0, rel=0.1)


def test_the_first_update_starts_there():
    equation, observations, learn = measured("heat", initial_state="exact")
    evaluations = {}
    for first_guess in ("given", "weak_form"):
        calibrated = calibrator(equation, observations, learn, 12, first_guess=first_guess, abs_tol=1e-4)
        result = calibrated.update()
        evaluations[first_guess] = result.evaluations
        assert values(calibrated, calibrated.model.coordinates)["diffusivity"] == pytest.approx(0.1, rel=0.05)
    assert evaluations["weak_form"] < evaluations["given"]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"space": {"mode": "samples", "count": 20, "at": "anywhere"}}, "at points"),
        ({"space": {"mode": "range", "x": [0.0, 1.0]}}, "no three whole states"),
        ({"time": {"mode": "custom", "indices": [0, 1, 4, 6]}}, "no three whole states"),
    ],
)
def test_where_it_cannot_be_it_says_so_and_the_search_starts_as_ever(keys, why, caplog):
    equation, observations, learn = measured("heat", **{"initial_state": "exact", **keys})
    calibrated = calibrator(equation, observations, learn, 12)
    with caplog.at_level(logging.WARNING):
        guess = weak_form_guess(calibrated.problem, calibrated.problem.box.start)
    assert torch.equal(guess, calibrated.problem.box.start)
    assert why in caplog.text
    assert "weak_form" in caplog.text


def test_weights_are_smooth_and_compact_and_sum_to_one():
    for cells in (3, 4, 12, 160):
        weight = bump(cells)
        assert len(weight) % 2 == 1
        assert len(weight) <= cells
        assert float(weight.sum()) == pytest.approx(1)
        assert torch.equal(weight, weight.flip(0))


def test_residuals_vanish_at_the_truth_where_there_is_no_noise():
    equation, observations, learn = measured("heat", noise=0.0)
    calibrated = calibrator(equation, observations, learn, 12)
    weak, space = WeakForm(calibrated.problem), calibrated.problem.forward.space
    truth = space.learnable[0].coordinate(0.1)
    theta = torch.tensor([[truth], [truth + 0.1]], dtype=torch.float64)
    small, large = weak.residuals(theta).abs().amax(dim=1)
    assert small < 1e-10 < 1e-4 < large
