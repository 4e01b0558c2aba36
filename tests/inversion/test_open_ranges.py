"""Ranges that are `auto` follow what was measured: exact solutions with speeds that nobody guessed are fitted right."""

import logging
import math

import numpy as np
import pytest
import torch

import hyco
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.estimated_model import EstimatedModel
from hyco.inversion.open_ranges import filled_ranges
from hyco.training.physical import PhysicalConfig

CELLS, SIZE, VISCOSITY = 128, 2 * math.pi, 0.5
# The steepness of the Cole-Hopf solution: the largest speed is 2ν a/√(1 - a²) = 3.97.
A = 3.97 / math.hypot(3.97, 1.0)
LEARN = [{"name": "viscosity", "initial_guess": 0.2, "bounds": [0.01, 2.0]}]
FULL = {"train_sim": [0], "val_sim": [1], "noise": 0.01}


def burgers(**keys):
    domain = {"x": {"size": SIZE, "resolution": CELLS}}
    section = {"name": "burgers", "domain": domain, "dt": 0.05, "parameters": {"viscosity": VISCOSITY}}
    return hyco.equation(section | keys)


def exact(steps=20):
    """u = -2ν φ'/φ with φ = 1 + a exp(-νt) cos x, twice, the second one moved: [2, T+1, 1, cells]."""
    x = (np.arange(CELLS) + 0.5) * SIZE / CELLS
    decay = np.exp(-VISCOSITY * 0.05 * np.arange(steps + 1))[:, None]
    waves = [2 * VISCOSITY * A * decay * np.sin(x - s) / (1 + A * decay * np.cos(x - s)) for s in (0.0, 1.0)]
    return np.stack(waves)[:, :, None]


def observed(equation, **section):
    return hyco.observe(hyco.Trajectories(exact(), equation), FULL | section, seed=0)


def learnable(learn):
    return PhysicalConfig.model_validate({"learnable_parameters": learn}).learnable_parameters


@pytest.fixture(scope="module")
def fitted():
    equation = burgers()
    return hyco.fit(equation, observed(equation), LEARN, method="Levenberg-Marquardt")


@pytest.mark.slow
def test_an_exact_solution_is_fitted_whatever_its_speed(fitted):
    assert float(np.abs(exact()).max()) == pytest.approx(3.97, abs=0.01)
    viscosity = fitted.estimate["viscosity"]
    assert abs(viscosity.value - VISCOSITY) < 2 * viscosity.std
    assert viscosity.std < 0.001
    assert fitted.estimate.ranges["max_speed"] == 4.8


@pytest.mark.slow
def test_the_numbers_are_those_of_the_range_given_as_a_number_to_the_bit(fitted):
    equation = burgers(max_speed=4.8)
    expected = hyco.fit(equation, observed(equation), LEARN, method="Levenberg-Marquardt")
    assert fitted.estimate["viscosity"] == expected.estimate["viscosity"]
    assert "ranges" not in expected.final["assumed"]
    starts = exact()[:, 0]
    assert np.array_equal(fitted.rollout(starts, 5), expected.rollout(starts, 5))


@pytest.mark.slow
def test_a_file_keeps_the_range(fitted, tmp_path):
    fitted.save(tmp_path)
    again = hyco.load(tmp_path)
    assert again.estimate.ranges == fitted.estimate.ranges
    assert again.equation.config.max_speed == "auto"
    starts = exact()[:, 0]
    assert np.array_equal(again.rollout(starts, 5), fitted.rollout(starts, 5))


@pytest.mark.slow
def test_a_prediction_from_faster_states_gets_more_sub_steps(fitted):
    starts = 2 * exact()[:, 0]
    found = fitted.rollout(starts, 4)
    expected = hyco.equation({**burgers().config.model_dump(), "max_speed": 9.6, "max_convection": 1.0})
    model = EstimatedModel(hyco.PhysicalEstimate(numbers={}, values=fitted.estimate.values), expected)
    assert np.array_equal(found, model.rollout(torch.from_numpy(starts), 4).numpy())


def test_ranges_cover_all_simulations_noise_and_bounds():
    equation = burgers()
    observations = observed(equation, noise=0.05)
    largest = max(float(observations.values.abs().max()), float(observations.initial_states.abs().max()))
    learn = [{"name": "convection", "initial_guess": 1.0, "bounds": [0.5, 2.0]}]
    ranges = filled_ranges(equation, {}, observations, learnable(learn))
    assert ranges["max_convection"] == 2.0
    assert 1.2 * largest <= ranges["max_speed"] <= 1.3 * largest


def test_measurements_of_parts_leave_room_for_what_was_not_seen():
    equation = burgers()
    sensors = {"space": {"mode": "points", "count": 12}}
    unknown = observed(equation, initial_state="observed", **sensors)
    seen = float(unknown.values.abs().max())
    assert filled_ranges(equation, {}, unknown, [])["max_speed"] >= 1.5 * seen
    known = observed(equation, **sensors)
    assert filled_ranges(equation, {}, known, [])["max_speed"] == 4.8


def test_another_equation_of_the_physical_model_has_ranges_of_its_own():
    equation = burgers(max_speed=9.0)
    overrides = {"name": "inviscid_burgers"}
    assert filled_ranges(equation, overrides, observed(equation), [])["max_speed"] == 4.8
    assert filled_ranges(equation, {}, observed(equation), []) == {}


def test_the_speed_of_a_flow_follows_from_its_vorticity():
    # ω = k A cos ky is the shear flow u = A sin ky (k = 1, A = 1.5), which only decays.
    n = 16
    axis = {"size": SIZE, "resolution": n}
    flow = {"name": "navier_stokes", "domain": {"x": axis, "y": axis}, "dt": 0.1, "parameters": {"viscosity": 0.05}}
    equation = hyco.equation(flow)
    y = (np.arange(n) + 0.5) * SIZE / n
    decay = np.exp(-0.05 * 0.1 * np.arange(6))[:, None, None]
    states = np.broadcast_to(1.5 * decay * np.cos(y), (1, 6, n, n))[:, :, None].copy()
    trajectories = hyco.Trajectories(states, equation)
    for space in ({"mode": "full"}, {"mode": "points", "count": 60}):
        section = {"train_sim": [0], "noise": 0.01, "space": space}
        found = filled_ranges(equation, {}, hyco.observe(trajectories, section), [])
        assert 1.2 * 1.49 <= found["max_speed"] <= 2.1
    sparse = {"train_sim": [0], "noise": 0.01, "space": {"mode": "points", "count": 60}, "initial_state": "observed"}
    assert filled_ranges(equation, {}, hyco.observe(trajectories, sparse), [])["max_speed"] >= 1.8


@pytest.mark.slow
def test_a_flow_of_which_no_speed_was_measured_is_tried_with_the_first_guesses():
    room = {
        "name": "smoke",
        "domain": {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.25, "resolution": 10}},
        "dt": 0.15,
        "parameters": {"buoyancy": 0.5, "viscosity": 0.002},
    }
    equation = hyco.equation(room)
    trajectories = hyco.simulate(equation, simulations=1, steps=6, length_scale=0.1, amplitude=2.0)
    speed = float(trajectories.states[:, :, 1:].abs().max())
    observations = hyco.observe(trajectories, {"train_sim": [0], "space": {"mode": "points", "count": 20}})
    learn = [{"name": "buoyancy", "initial_guess": 0.5, "bounds": [0.0, 2.0]}]
    assert filled_ranges(equation, {}, observations, learnable(learn))["max_speed"] >= speed


def test_a_value_that_is_not_used_and_costs_time_is_told(caplog):
    heat = {"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 16}}, "dt": 0.1}
    equation = hyco.equation(heat | {"parameters": {"diffusivity": 1.0}})
    states = np.ones((1, 3, 1, 16)) + np.arange(3)[None, :, None, None]
    observations = hyco.observe(hyco.Trajectories(states, equation), {"train_sim": [0], "noise": 0.1})
    learn = [{"name": "diffusivity", "initial_guess": 1e-4, "bounds": [1e-6, 1e-3]}]
    filled_ranges(equation, {}, observations, learnable(learn))
    assert "equation.parameters.diffusivity is 1, far beyond what is learnt" in caplog.text


def test_bounds_that_ask_for_many_sub_steps_are_named(caplog):
    axis = {"size": 20.0, "resolution": 32}
    section = {"name": "formula", "domain": {"x": axis}, "dt": 0.5, "parameters": {"M": 1.0, "g": 1.0}}
    equation = hyco.equation(section | {"rates": {"u": "M*laplace(u**3 - u - g*laplace(u))"}})
    states = 0.9 * np.sin(2 * np.pi * 3 * np.arange(32) / 32) * np.ones((1, 3, 1, 1))
    observations = hyco.observe(hyco.Trajectories(states, equation), {"train_sim": [0], "noise": 0.01})
    wide = [
        {"name": "M", "initial_guess": 0.3, "bounds": [0.003, 100.0]},
        {"name": "g", "initial_guess": 1.0, "bounds": [0.01, 10.0]},
    ]
    substeps = filled_ranges(equation, {}, observations, learnable(wide))["substeps"]
    assert f"Each step takes {substeps} sub-steps" in caplog.text
    assert "with M from 0.003 to 10 it would take" in caplog.text
    caplog.clear()
    filled_ranges(
        equation, {}, observations, learnable([entry | {"initial_guess": 1.0, "bounds": [0.5, 2.0]} for entry in wide])
    )
    assert "sub-steps" not in caplog.text


def test_a_prediction_has_steps_for_the_estimate_and_for_rougher_states():
    given = {"name": "formula", "domain": {"x": {"size": 10.0, "resolution": 64}}, "dt": 0.1}
    plain = hyco.equation({**given, "rates": {"u": "-c*u*dx(u) + 0.1*laplace(u)"}, "parameters": {"c": 1.0}})
    starts, rough = (plain.initial_states(2, length, 1.0, torch.Generator().manual_seed(1)) for length in (2.0, 0.4))
    rough = rough * starts.abs().max() / rough.abs().max()
    ranges = plain.config.ranges(plain.reach(starts), {"c": (4.0, 6.0)})
    model = EstimatedModel(hyco.PhysicalEstimate(numbers={}, values={"c": 5.0}, ranges=ranges), plain)
    assert model.covering(starts) is model
    for states in (3 * starts, rough):
        steps = model.covering(states).estimate.ranges["substeps"]
        # Not for c = 1, which the section of the equation has.
        assert steps == plain.config.ranges(plain.reach(states), {"c": (5.0, 5.0)})["substeps"] > ranges["substeps"]


def test_a_search_that_goes_on_with_other_ranges_says_so(caplog):
    equation, config = burgers(), PhysicalConfig.model_validate({"learnable_parameters": LEARN})
    first, other = (
        Calibrator(equation, observed(equation), config, num_predict_steps=2, device=torch.device("cpu"))
        for _ in range(2)
    )
    state = first.state()
    other.load(state)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    first.ranges = {**first.ranges, "max_speed": 9.6}
    other.load(first.state())
    assert "'max_speed': 9.6" in caplog.text
