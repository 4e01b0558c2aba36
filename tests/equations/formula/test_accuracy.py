"""Steps are as many as the error in time that is measured asks for, and stable."""

import math

import numpy as np
import pytest
import torch
from formulas import centres, end_of, on_cells, section

from hyco.equations.formula.amplification import Symbols, amplification
from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation
from hyco.stepping.generation import simulated

BURGERS = ("-u*dx(u) + nu*laplace(u)", {"nu": 0.1})


def smooth(equation, count=2, seed=0):
    return equation.initial_states(count, 1.0, 1.0, torch.Generator().manual_seed(seed))


def by_rule(equation, states, bounds=None):
    return equation.config.steps_for(equation.reach(states), bounds or {})[0]


def error_of_a_step(equation, states, parameters=None):
    """Over one dt, as `hyco.equations.formula.accuracy` says, but against steps a sixteenth as long."""
    finer = build_equation({**equation.config.model_dump(), "substeps": 16 * equation.config.substeps})
    worst = 0.0
    for start in states:
        end, exact = (end_of(e, start, 1, parameters) for e in (equation, finer))
        for a, b, c in zip(start, end, exact, strict=True):
            size = max(float((v - v.mean()).square().mean().sqrt()) for v in (a, c))
            worst = max(worst, float((b - c).square().mean().sqrt()) / max(size, float((c - a).square().mean().sqrt())))
    return worst


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("number", [3, 15])
def test_the_amplification_of_a_wave_is_that_of_a_step(order, number):
    # Transport by upwind differences is in the stages, diffusion exact; constants do to waves what is frozen elsewhere.
    cells, speed, diffusivity, dt = 32, 1.3, 0.02, 0.15
    keys = {"order": order, "scheme": "differences", "substeps": 1, "dt": dt}
    equation = build_equation(
        section("-c*dx(u) + D*laplace(u)", cells, parameters={"c": speed, "D": diffusivity}, **keys)
    )
    h = equation.layout.grid.spacing[0]
    wave = np.exp(1j * number * centres(equation)["x"])
    parts = [end_of(equation, torch.from_numpy(part.copy())[None], 1).numpy()[0] for part in (wave.real, wave.imag)]
    found = (parts[0] + 1j * parts[1]) / wave
    symbols, theta = Symbols.of(False, order, True, 1.0), number * h
    first, second, upwind = (
        np.interp(theta, np.linspace(0, math.pi, 33)[1:], v) for v in (symbols.first, symbols.second, symbols.upwind)
    )
    expected = amplification(
        np.array(-diffusivity * second / h**2 * dt), np.array(-(1j * first + upwind) * speed / h * dt)
    )
    assert np.abs(found - expected).max() < 5e-3  # between the waves of the table
    assert np.abs(np.abs(found) - np.abs(found).mean()).max() < 1e-10


@pytest.mark.parametrize("scheme", ["spectral", "differences"])
def test_steps_are_as_few_as_the_error_allows(scheme):
    rates, parameters = BURGERS
    plain = build_equation(section(rates, 128, size=10.0, parameters=parameters, scheme=scheme))
    states = smooth(plain)
    equation = covering(plain, plain.reach(states))
    assert equation.substeps < by_rule(plain, states)
    assert error_of_a_step(equation, states) < plain.config.error_in_time
    assert equation.unsuitable(states) is None
    # The same states and keys have the same steps, whichever other states there are beside.
    assert covering(plain, plain.reach(states.clone())).substeps == equation.substeps
    exact = build_equation({**plain.config.model_dump(), "error_in_time": 1e-12})
    assert covering(exact, exact.reach(states)).substeps == by_rule(plain, states)


def test_states_with_short_waves_have_more_steps():
    rates, parameters = BURGERS
    plain = build_equation(section(rates, 128, size=10.0, parameters=parameters))
    states = smooth(plain)
    fewest = covering(plain, plain.reach(states)).substeps
    noisy = states + 0.2 * torch.randn(states.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    equation = covering(plain, plain.reach(noisy))
    assert fewest < equation.substeps <= by_rule(plain, noisy)
    assert error_of_a_step(equation, noisy) < plain.config.error_in_time
    # Among many, too; where no state is known the rule stays.
    many = torch.cat([states, states, noisy[:1], states])
    assert covering(plain, plain.reach(many)).substeps == equation.substeps
    assert covering(plain, float(plain.reach(states))).substeps == by_rule(plain, states)


def test_a_wave_that_nothing_damps_along_its_axis_is_followed():
    # v is carried along x, where it has short waves, and spreads along y alone.
    rates = {"u": "laplace(u)*0.01", "v": "-u*dx(v) + 0.2*dy(dy(v))"}
    plain = build_equation(section(rates, (48, 16), dt=0.1))
    start = on_cells(plain, [lambda x, y: 2 + 0.1 * np.sin(y), lambda x, y: np.cos(12 * x) + 0 * y])[None]
    equation = covering(plain, plain.reach(start))
    assert equation.substeps == by_rule(plain, start)
    # Long ones need no more than what is stable.
    long = on_cells(plain, [lambda x, y: 2 + 0.1 * np.sin(y), lambda x, y: np.cos(x) + 0 * y])[None]
    fewer = covering(plain, plain.reach(long))
    assert fewer.config.stable_steps(plain.reach(long), {}) <= fewer.substeps < equation.substeps
    assert error_of_a_step(fewer, long) < plain.config.error_in_time


def test_steps_are_stable_at_the_ends_of_the_bounds():
    rates, parameters = BURGERS
    plain = build_equation(section(rates, 128, size=10.0, parameters=parameters, dt=0.1))
    states, bounds = smooth(plain), {"nu": (0.02, 2.0)}
    equation = covering(plain, plain.reach(states), bounds)
    assert equation.substeps <= by_rule(plain, states, bounds)
    for nu in bounds["nu"]:
        values = {"nu": torch.tensor(nu, dtype=torch.float64)}
        last = end_of(equation, states[0], 200, values)
        assert float(last.abs().max()) <= float(states[0].abs().max()) * (1 + 1e-6)


def test_simulations_with_other_parameters_have_steps_for_these():
    rates, parameters = BURGERS
    plain = build_equation(section(rates, 128, size=10.0, parameters=parameters, scheme="differences"))
    states, weak = smooth(plain), {"nu": torch.tensor(0.02, dtype=torch.float64)}
    usual, _ = simulated(plain, states, 2)
    other, found = simulated(plain, states, 10, parameters=weak)
    assert other.substeps > usual.substeps
    finer = build_equation({**plain.config.model_dump(), "substeps": 8 * other.substeps})
    _, exact = simulated(finer, states, 10, parameters=weak)
    assert float((found - exact).square().mean().sqrt()) < 1e-3


def test_dispersive_waves_keep_their_steps():
    plain = build_equation(section("-6*u*dx(u) - m*dx(dx(dx(u)))", 64, parameters={"m": 0.05}))
    states = smooth(plain)
    assert covering(plain, plain.reach(states)).substeps == by_rule(plain, states)


def test_rougher_states_than_those_of_a_fit_are_said():
    rates, parameters = BURGERS
    plain = build_equation(section(rates, 128, size=10.0, parameters=parameters, dt=0.1))
    states = plain.initial_states(2, 2.0, 1.0, torch.Generator().manual_seed(0))
    equation = covering(plain, plain.reach(states))
    rough = smooth(plain)[:, :, ::4].repeat(1, 1, 4)
    rough = rough * states.abs().max() / rough.abs().max()
    assert equation.unsuitable_within(states, {}) is None
    assert equation.unsuitable(rough) is None  # stable
    assert "error_in_time" in equation.unsuitable_within(rough, {})


def test_what_depends_on_t_keeps_its_steps():
    # A pulse between two states: nothing at t = 0 tells of it.
    plain = build_equation(section("-u*dx(u) + 0.3*laplace(u) + 6*exp(-((t - 0.22)/0.01)**2)*sin(x)", 64))
    states = smooth(plain)
    assert covering(plain, plain.reach(states)).substeps == by_rule(plain, states) > 1
    assert plain.config.stable_steps(plain.reach(states), {}) < by_rule(plain, states)
