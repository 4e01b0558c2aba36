"""Keys that say how far a step reaches may be `auto`: each equation has a rule for the numbers that they become."""

import math

import pytest
import torch

import hyco
from hyco.equations.ranges import covering, rounded_up, with_ranges
from hyco.equations.registry import build_equation
from hyco.stepping.stepper import Stepper

LINE = {"x": {"size": 4.0, "resolution": 32}}
PLANE = {"x": {"size": 6.0, "resolution": 16}, "y": {"size": 6.0, "resolution": 12}}
SECTIONS = {
    "burgers": {"domain": LINE, "dt": 0.05, "parameters": {"viscosity": 0.1}},
    "inviscid_burgers": {"domain": LINE, "dt": 0.05},
    "navier_stokes": {"domain": PLANE, "dt": 0.1, "parameters": {"viscosity": 0.05}},
    "smoke": {"domain": PLANE, "dt": 0.1, "parameters": {"buoyancy": 0.5, "viscosity": 0.4}},
    "heat": {"domain": LINE, "dt": 0.05, "parameters": {"diffusivity": "0.2 + 0.1 * sin(1.5708 * x)"}},
    "advection": {"domain": LINE, "dt": 0.05, "parameters": {"velocity_x": -0.7}},
    "advection_diffusion": {"domain": LINE, "dt": 0.05, "parameters": {"velocity_x": 0.7, "diffusivity": 0.0}},
    "gray_scott": {
        "domain": {"x": {"size": 8.0, "resolution": 32}},
        "dt": 2.0,
        "substeps": "auto",
        "parameters": {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
    },
}


def section(name, **keys):
    return {"name": name, **SECTIONS[name], **keys}


def starts(equation):
    generator = torch.Generator().manual_seed(0)
    return equation.initial_states(2, 1.0, 1.0, generator)


@pytest.mark.parametrize("name", SECTIONS)
def test_without_the_key_an_equation_is_made_and_its_section_is_filled_once(name):
    given = section(name)
    equation = build_equation(given)
    filled = with_ranges(given, largest=equation.reach(starts(equation)), bounds={})
    assert given == section(name), "the argument stays as it is"
    own = build_equation(filled)
    assert equation.config.open_ranges
    assert own.config.open_ranges == ()
    assert own.unsuitable(starts(own)) is None
    assert with_ranges(filled, largest=1e3, bounds={}) == filled, "a number is a number"


@pytest.mark.parametrize("name", SECTIONS)
def test_an_open_range_refuses_no_states_no_values_and_no_bounds(name):
    equation = build_equation(section(name))
    assert equation.unsuitable(1e3 * starts(equation)) is None
    assert equation.exceeded(1e3) is None
    limits = equation.config.parameter_limits
    assert all(upper == math.inf for upper in [limits[name][1] for name in equation.parameters])


@pytest.mark.parametrize(
    "name", [n if n in ("burgers", "heat") else pytest.param(n, marks=pytest.mark.slow) for n in SECTIONS]
)
def test_a_step_with_a_range_that_was_auto_is_that_with_the_number_to_the_bit(name):
    equation = build_equation(section(name))
    found = covering(equation, equation.reach(starts(equation)))
    keys = ("max_speed", "max_diffusivity", "max_convection", "max_viscosity", "substeps")
    numbers = {key: value for key in keys if (value := getattr(found.config, key, None)) is not None}
    expected = build_equation(section(name, **numbers))
    assert found.substeps == expected.substeps
    states, values = starts(found), found.parameter_tensors(torch.float64)
    assert torch.equal(Stepper(found)(states, values), Stepper(expected)(states, values))


def test_speeds_have_a_fifth_of_room():
    assert with_ranges(section("burgers"), largest=3.97, bounds={})["max_speed"] == 4.8
    assert with_ranges(section("navier_stokes"), largest=2.16, bounds={})["max_speed"] == 2.6
    assert with_ranges(section("inviscid_burgers"), largest=0.01, bounds={})["max_speed"] == 0.012


def test_coefficients_are_covered_as_they_are_given_and_as_they_may_be_learnt():
    heat = section("heat")
    assert with_ranges(heat, largest=5.0, bounds={})["max_diffusivity"] == pytest.approx(0.3, rel=1e-2)
    assert with_ranges(heat, largest=5.0, bounds={"diffusivity": (0.01, 2.0)})["max_diffusivity"] == 2.0
    assert with_ranges(section("advection"), largest=None, bounds={})["max_speed"] == 0.7
    assert with_ranges(section("advection"), largest=None, bounds={"velocity_x": (-3.0, 1.0)})["max_speed"] == 3.0
    filled = with_ranges(section("burgers"), largest=1.0, bounds={"convection": (0.5, 2.5)})
    assert filled["max_convection"] == 2.5


def test_a_viscosity_of_smoke_beyond_what_its_speed_needs_is_covered_too():
    slow = with_ranges(section("smoke"), largest=0.01, bounds={"viscosity": (0.0, 0.6)})
    assert slow["max_viscosity"] == 0.6
    fast = with_ranges(section("smoke"), largest=20.0, bounds={})
    assert "max_viscosity" not in fast
    assert build_equation(fast).config.parameter_limits["viscosity"][1] > 0.4


def test_euler_steps_of_gray_scott_are_few_and_stable():
    filled = with_ranges(section("gray_scott", scheme="euler"), largest=1.0, bounds={"diffusivity_u": (0.0, 0.4)})
    equation = build_equation(filled)
    assert equation.config.parameter_limits["diffusivity_u"][1] >= 0.4
    fewer = build_equation({**filled, "substeps": filled["substeps"] - 1})
    assert fewer.exceeded(1.2) or fewer.config.parameter_limits["diffusivity_u"][1] < 0.5


def test_a_number_that_was_given_stays_the_limit():
    equation = build_equation(section("burgers", max_speed=2.0))
    assert equation.config.max_convection == 1.0
    assert equation.config.open_ranges == ()
    reason = equation.exceeded(2.5)
    assert "equation.max_speed is 2: set equation.max_speed above it (more sub-steps) or to auto" in reason


def test_a_range_is_rounded_up_to_two_digits():
    assert [rounded_up(v) for v in (4.764, 0.01301, 99.2, 1.0, 123.0)] == [4.8, 0.014, 100.0, 1.0, 130.0]


@pytest.mark.parametrize(
    ("name", "key", "value", "allowed"),
    [
        ("burgers", "max_speed", -1.0, "a number above 0, or auto"),
        ("heat", "max_diffusivity", "fast", "a number above 0, or auto"),
        ("gray_scott", "substeps", 1.5, "a whole number above 0, or auto"),
    ],
)
def test_what_is_neither_a_number_nor_auto_is_refused_in_one_line(name, key, value, allowed):
    with pytest.raises(hyco.ConfigurationError) as raised:
        hyco.equation(section(name, **{key: value}))
    assert str(raised.value) == f"equation.{key}: {value!r} is not allowed; allowed: {allowed}"
