"""The prior of unknown initial states: its modes keep the walls of the domain, and the estimates are right with it."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

import hyco
from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.initial_prior import InitialStatePrior, with_data
from hyco.inversion.initial_state import InitialStates
from hyco.observations import ObservationConfig, Observations, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")
LINE = {"x": {"lower": -0.5, "size": 2.0, "resolution": 24}}
PLATE = {"x": {"size": 2.0, "resolution": 16}, "y": {"size": 1.5, "resolution": 10}}
HEAT = {"name": "heat", "dt": 0.05, "max_diffusivity": 0.4, "parameters": {"diffusivity": 0.08}}
FLOW = {"name": "advection", "dt": 0.05, "max_speed": 2.0, "parameters": {"velocity_x": 0.7}}
DIFFUSIVITY = {"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.005, 0.4]}
SPEED = {"name": "velocity_x", "initial_guess": 0.2, "bounds": [-1.5, 1.5]}
PRIOR = {"length_scale": 0.5, "amplitude": 1.0}
S = "((x + 0.5) / 2)"


def measured(section, formula, observation=None, length_scale=0.5):
    equation = build_equation(section)
    start = {} if formula is None else {equation.layout.channels[0]: formula}
    data = generate(
        equation, GenerationConfig(simulations=2, steps=10, length_scale=length_scale, initial_state=start), 0
    )
    config = {"train_sim": [0, 1], "noise": 0.01, "initial_state": "full"} | (observation or {})
    return equation, observe(data, ObservationConfig.model_validate(config), 0)


def settings(learnable, method="Levenberg-Marquardt", **changes):
    return PhysicalConfig.model_validate(
        {
            "learnable_parameters": [learnable],
            "method": method,
            "num_predict_steps": 10,
            "initial_state": PRIOR,
            "suppress_convergence_errors": True,
            "epochs": 40,
        }
        | changes
    )


def check(learnable, truth, section, formula, observation=None, **changes):
    """The estimate is the truth within three standard deviations, and the residuals are the noise."""
    equation, seen = measured(section, formula, observation)
    config = settings(learnable, **changes)
    physics = Calibrator(equation, seen, config, num_predict_steps=10, device=CPU)
    physics.update()
    number = physics.model.numbers()[learnable["name"]]
    assert abs(number.value - truth) < 3 * number.std
    assert number.std < 0.2 * truth
    assert physics.model.assessment.uncertainty.reduced_chi_square == pytest.approx(1.0, abs=0.25)


WALLS = [
    (0.0, 0.0, f"sin(pi*{S}) + 0.5*sin(2*pi*{S})"),
    (0.0, "neumann", f"sin(pi*{S}/2) + 0.4*sin(3*pi*{S}/2)"),
    ("neumann", 0.0, f"cos(pi*{S}/2) - 0.4*cos(3*pi*{S}/2)"),
    ("neumann", "neumann", f"0.5 + cos(pi*{S}) + 0.4*cos(2*pi*{S})"),
    (1.0, 1.0, f"1 + sin(pi*{S}) + 0.5*sin(2*pi*{S})"),
    (1.0, 2.0, f"1 + {S} + sin(pi*{S}) + 0.5*sin(2*pi*{S})"),
    (1.0, "neumann", f"1 + sin(pi*{S}/2)"),
    ("neumann", -2.0, f"-2 + cos(pi*{S}/2)"),
]
QUICK = [(0.0, "neumann"), (1.0, 2.0)]


def cases(walls):
    """Those between walls that are not among the quick ones are slow: there are many."""
    return [pytest.param(*wall, marks=[pytest.mark.slow] * (wall[:2] not in QUICK)) for wall in walls]


@pytest.mark.parametrize(("lower", "upper", "formula"), cases(WALLS))
def test_the_diffusivity_is_right_between_any_walls(lower, upper, formula):
    section = HEAT | {"domain": LINE, "boundary": {"x": {"lower": lower, "upper": upper}}}
    check(DIFFUSIVITY, 0.08, section, formula)


@pytest.mark.parametrize(("lower", "upper"), cases(w[:2] for w in WALLS if {*w[:2]} <= {0.0, "neumann"}))
def test_random_initial_states_are_states_of_the_prior(lower, upper):
    section = HEAT | {"domain": LINE, "boundary": {"x": {"lower": lower, "upper": upper}}}
    check(DIFFUSIVITY, 0.08, section, None)


@pytest.mark.parametrize(
    ("boundary", "formula"),
    [
        pytest.param(
            {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"},
            "sin(pi*x/4) * (1 + 0.5*sin(2*pi*y/1.5))",
            marks=pytest.mark.slow,
        ),
        ({"x": {"lower": 1.0, "upper": 2.0}, "y": {"lower": "neumann", "upper": "neumann"}}, "1 + x/2 + sin(pi*x/2)"),
    ],
)
@pytest.mark.parametrize("initial", ["full", "observed"])
def test_the_diffusivity_is_right_on_a_plate(boundary, formula, initial):
    section = HEAT | {"domain": PLATE, "boundary": boundary}
    space = {"space": {"mode": "points", "count": 60}, "interpolation": "cubic"} if initial == "observed" else {}
    check(DIFFUSIVITY, 0.08, section, formula, {"initial_state": initial} | space)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("boundary", "formula"),
    [
        (0.0, f"sin(pi*{S}/2)**2"),
        pytest.param({"lower": 1.0, "upper": "neumann"}, f"1 + sin(pi*{S}/2)**2 + 0.3*{S}", marks=pytest.mark.slow),
        pytest.param("neumann", f"{S}**2 - 0.5*{S}**3", marks=pytest.mark.slow),
        pytest.param({"lower": 0.0, "upper": "neumann"}, None, marks=pytest.mark.slow),
    ],
)
def test_a_flow_may_carry_anything_out_of_the_domain(boundary, formula):
    """At the wall where it leaves, the state is neither the wall's value nor without slope."""
    check(SPEED, 0.7, FLOW | {"domain": LINE, "boundary": {"x": boundary}}, formula)


@pytest.mark.slow
def test_the_initial_state_is_one_of_the_data_whatever_the_physical_model_assumes():
    """Diffusion so weak that it changes nothing would hold a state at the wall where the flow leaves."""
    section = FLOW | {"domain": LINE, "boundary": {"x": 0.0}}
    believed = {
        "name": "advection_diffusion",
        "boundary": section["boundary"],
        "max_speed": 2.0,
        "max_diffusivity": 0.01,
    }
    believed["parameters"] = {"velocity_x": 0.7, "diffusivity": 1e-6}
    check(SPEED, 0.7, section, f"sin(pi*{S}/2)**2", equation=believed)


def layout(boundary, *others, resolution=(12, 9)):
    grid = Grid(axes=("x", "y"), lower=(-1.0, 0.0), size=(2.0, 3.0), resolution=resolution)
    return Layout(grid, tuple(FieldSpec(f"u{i}", boundary=b) for i, b in enumerate((boundary, *others))))


@pytest.mark.parametrize("open_walls", [False, True])
@pytest.mark.parametrize(
    "boundary", ["periodic", "neumann", 1.5, {"x": {"lower": 0.0, "upper": "neumann"}, "y": {"lower": 1.0, "upper": 2}}]
)
def test_states_are_projected_on_orthogonal_modes_and_come_back(boundary, open_walls):
    where, prior = layout(boundary, boundary), InitialStatePrior(length_scale=0.6, amplitude=0.7)
    nothing, unit = torch.zeros(3, 2, 12, 9, dtype=torch.float64), torch.ones(2, 1, 1, dtype=torch.float64)
    initial = InitialStates(nothing, unit, where, prior, open_walls=open_walls)
    xi = torch.randn(1, len(initial), generator=torch.Generator().manual_seed(0), dtype=torch.float64).clamp(-3, 3)
    states = initial.states(xi)
    assert states.shape == (1, 3, 2, 12, 9)
    again = InitialStates(states[0], unit, where, prior, open_walls=open_walls)
    assert torch.allclose(again.initial, xi[0], atol=1e-9)
    # Their variance in the mean over the domain is the prior's.
    deviations = initial.states(torch.eye(len(initial), dtype=torch.float64)) - initial.states(0 * xi)
    assert float(deviations.square().sum(dim=0).mean()) == pytest.approx(0.7**2, rel=1e-3)


def test_a_prior_for_fields_with_different_boundaries_is_refused():
    where, prior = layout("neumann", 0.0), InitialStatePrior(length_scale=0.6)
    with pytest.raises(ValueError, match=r"one boundary; here they differ: set null"):
        InitialStates(torch.zeros(1, 2, 12, 9), torch.ones(2, 1, 1), where, prior)


def test_the_first_coordinates_are_the_same_to_the_bit_in_every_call():
    where, prior = layout(0.0, resolution=(24, 20)), InitialStatePrior(length_scale=0.4)
    observed = torch.randn(2, 1, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = torch.ones(1, 1, 1, dtype=torch.float64)
    first = InitialStates(observed, unit, where, prior).initial
    assert all(torch.equal(InitialStates(observed, unit, where, prior).initial, first) for _ in range(50))


@pytest.mark.parametrize("method", ["Levenberg-Marquardt", pytest.param("L-BFGS-B", marks=pytest.mark.slow)])
def test_trainings_with_a_prior_are_the_same_to_the_bit_and_resumable(method, assert_resumable):
    section = HEAT | {"domain": PLATE, "boundary": {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"}}
    equation, seen = measured(section, None, {"initial_state": "observed", "space": {"mode": "points", "count": 40}})
    config = settings(DIFFUSIVITY, method, epochs=4, num_predict_steps=4, max_iterations=2)

    def run(checkpoint, resume):
        return train_physical(
            equation, seen, config, configuration={}, device=CPU, checkpoint=checkpoint, resume=resume
        )

    one = assert_resumable(run, 1)[-1][0]
    other = list(run(None, False))[-1][0]
    assert all(torch.equal(other.tensors[name], value) for name, value in one.tensors.items())


PLATE_WAVES = [(1, 0, 3.0), (0, 1, -2.0), (1, 1, 1.5), (2, 1, 1.0), (3, 0, 0.7), (0, 3, 0.4)]


def warm_plate(x, y, t, diffusivity=0.08):
    """Heat on 2 × 1.5 with insulated walls, about 20 °C: a series of cosines, each with its own decay."""
    u = np.full(np.broadcast(x, y, t).shape, 20.0)
    for i, j, a in PLATE_WAVES:
        decay = diffusivity * ((np.pi * i / 2) ** 2 + (np.pi * j / 1.5) ** 2)
        u += a * np.cos(np.pi * i * x / 2) * np.cos(np.pi * j * y / 1.5) * np.exp(-decay * t)
    return u


@pytest.mark.parametrize("std", [0.1, pytest.param("estimate", marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.study) for seed in (1, 2))])
def test_sensors_in_a_warm_plate_need_no_word_about_its_initial_state(std, seed, tmp_path, caplog):
    random = np.random.default_rng(seed)
    x, y, t = 2 * random.random(40) ** 1.3, 1.5 * random.random(40), 0.05 * np.array([0, 1, 3, 7, 12, 20])
    table = pd.DataFrame([(*place, time) for time in t for place in zip(x, y, strict=True)], columns=["x", "y", "time"])
    table = table[random.random(len(table)) < 0.8]
    table["T"] = warm_plate(table.x, table.y, table.time) + 0.1 * random.standard_normal(len(table))
    table.to_csv(tmp_path / "plate.csv", index=False)
    domain = {"x": {"size": 2.0, "resolution": 24}, "y": {"size": 1.5, "resolution": 18}}
    scheme = {"boundary": "neumann", "form": "nondivergence", "order": 4}
    equation = hyco.equation(HEAT | scheme | {"domain": domain, "parameters": {"diffusivity": 0.3}})
    section = {"axes": {"x": "x", "y": "y"}, "fields": {"temperature": "T"}, "std": std}
    observation = {"train_sim": [0], "interpolation": "cubic"}
    seen = hyco.read_measurements(tmp_path / "plate.csv", equation, section, observation)
    with caplog.at_level(logging.INFO):
        estimate = hyco.fit(equation, seen, [DIFFUSIVITY], method="Levenberg-Marquardt").estimate
    found = estimate["diffusivity"]
    assert abs(found.value - 0.08) < 2.5 * found.std
    assert found.std < 0.05 * 0.08
    assert found.identifiable
    prior = estimate.initial_state_prior
    assert prior["mean"]["temperature"] == pytest.approx(20.0, abs=2.0)
    assert 1.5 < prior["amplitude"]["temperature"] < 6.0
    assert 0.2 < prior["length_scale"] < 1.2
    assert (
        "Prior of the states at t = 0, from the measurements where it is not given: correlation length" in caplog.text
    )


def measured_at_start(where, states, initial_state="observed"):
    """Observations of some states at t = 0 and again later, each in a trajectory of its own."""
    values = states[:, None].repeat(1, 2, *[1] * (states.ndim - 1))
    return Observations(
        values=values,
        mask=torch.ones_like(values, dtype=torch.bool),
        initial_states=states,
        noise_std=torch.full((states.shape[1],), 1e-3, dtype=torch.float64),
        train=[*range(len(states))],
        val=[],
        layout=where,
        dt=0.1,
        initial_state=initial_state,
    )


@pytest.mark.parametrize("length", [0.15, 0.4])
@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_mean_amplitude_and_length_are_those_that_the_states_were_drawn_with(length, boundary):
    """Drawn from the Gaussian process by its own definition, with the roots of its covariance matrix."""
    n, size = 60, 4.0
    where = Layout(Grid(("x",), (0.0,), (size,), (n,)), (FieldSpec("u", boundary=boundary),))
    x = size * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    distance = x[:, None] - x
    if boundary == "periodic":
        distance = size / torch.pi * torch.sin(torch.pi * distance / size)
    values, vectors = torch.linalg.eigh(torch.exp(-(distance**2) / (2 * length**2)))
    draws = torch.randn(5, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states = 20 + 3 * (draws * values.clamp_min(0).sqrt()) @ vectors.T
    prior = with_data(InitialStatePrior(), measured_at_start(where, states[:, None]))
    assert prior.length_scale == pytest.approx(length, rel=0.35)  # the grid's steps are of a third
    assert prior.mean["u"] == pytest.approx(20, abs=1.5)
    assert 2 < prior.amplitude["u"] < 7  # at most twice the standard deviation of the draws


def test_states_that_tell_no_length_have_a_fifth_of_the_smallest_extent():
    where = layout("neumann", resolution=(8, 8))
    states = 5 + torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = measured_at_start(where, states)
    seen.mask[:, :, :, 1:] = False
    seen.mask[:, :, :, :, 2:] = False  # two places are left
    assert with_data(InitialStatePrior(), seen).length_scale == pytest.approx(0.2 * 2.0)


def test_numbers_are_taken_as_they_are():
    where = layout("neumann", "neumann")
    seen = measured_at_start(where, torch.full((1, 2, 12, 9), 7.0, dtype=torch.float64))
    given = InitialStatePrior(length_scale=0.3, amplitude={"u0": 1.0, "u1": 2.0})
    assert with_data(given, seen) is given
    assert given.by_channel(("u0", "u1")) == (0.3, [1.0, 2.0], None)
    some = with_data(InitialStatePrior(length_scale=0.3, amplitude=2.0, mean="auto"), seen)
    assert (some.length_scale, some.amplitude["u1"]) == (0.3, 2.0)
    assert some.mean["u1"] == pytest.approx(7.0)


def test_the_mean_goes_over_into_the_walls_values():
    """Between walls at 0 and 1 the mean 20 has boundary layers: w = 20 - A e^(-x/l) - B e^((x-L)/l) on a line."""
    n, size, length = 400, 4.0, 0.3
    where = Layout(Grid(("x",), (0.0,), (size,), (n,)), (FieldSpec("u", boundary={"x": {"lower": 0.0, "upper": 1.0}}),))
    prior = InitialStatePrior(length_scale=length, amplitude=2.0, mean=20.0)
    unit = torch.ones(1, 1, dtype=torch.float64)
    initial = InitialStates(torch.zeros(1, 1, n, dtype=torch.float64), unit, where, prior)
    mean = initial.states(torch.zeros(1, len(initial), dtype=torch.float64))[0, 0, 0]
    x = size * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    exact = 20 - 20 * torch.exp(-x / length) - 19 * torch.exp((x - size) / length)
    assert torch.allclose(mean, exact, atol=5e-3)


def test_each_channel_has_its_own_amplitude_and_mean():
    where = layout("periodic", "periodic")
    prior = InitialStatePrior(length_scale=0.6, amplitude={"u0": 0.5, "u1": 3.0}, mean={"u0": 1.0, "u1": -2.0})
    nothing, unit = torch.zeros(1, 2, 12, 9, dtype=torch.float64), torch.ones(2, 1, 1, dtype=torch.float64)
    initial = InitialStates(nothing, unit, where, prior)
    centre = initial.states(torch.zeros(1, len(initial), dtype=torch.float64))
    assert torch.allclose(centre[0, 0, 0], torch.ones(12, 9, dtype=torch.float64))
    assert torch.allclose(centre[0, 0, 1], torch.full((12, 9), -2.0, dtype=torch.float64))
    moves = initial.states(torch.eye(len(initial), dtype=torch.float64)) - centre
    variance = moves.square().sum(dim=0)[0].flatten(1).mean(dim=1)
    assert variance.tolist() == pytest.approx([0.25, 9.0], rel=1e-3)
    again = InitialStates(initial.states(initial.initial[None] + 0.3)[0], unit, where, prior)
    assert torch.allclose(again.initial, initial.initial + 0.3)


def test_a_prior_that_names_some_channels_only_is_refused():
    with pytest.raises(ValueError, match="names some channels but not u1: name all"):
        InitialStatePrior(length_scale=0.3, amplitude={"u0": 1.0}).by_channel(("u0", "u1"))
    with pytest.raises(ValueError, match="auto needs measurements"):
        InitialStatePrior().by_channel(("u0",))
