"""Ranges that are `auto` follow the simulations: no draw fails, and all of an experiment agrees on the numbers."""

import pytest
import torch
from pydantic import TypeAdapter

from hyco.equations.registry import build_equation
from hyco.fields import to_fields, to_tensor
from hyco.parameters import LearnableParameter
from hyco.stepping.field_rollout import physical_rollout
from hyco.stepping.generation import GenerationConfig, generate, initial_states, simulated
from hyco.stepping.ranges import expected_bounds, resolve_simulated
from hyco.stepping.stepper import Stepper

BURGERS = {"name": "burgers", "domain": {"x": {"size": 4.0, "resolution": 32}}, "dt": 0.05}
BURGERS |= {"parameters": {"viscosity": 0.1}}
FLOW = {
    "name": "navier_stokes",
    "domain": {"x": {"size": 6.283185307179586, "resolution": 16}, "y": {"size": 7.853981633974483, "resolution": 20}},
    "dt": 0.15,
    "parameters": {"viscosity": 0.02, "drag": 0.05, "forcing": "0.5*cos(3*x + 0.5) + 0.3*sin(2*x - 1.6*y)"},
}
ROLLED = {"simulations": 7, "steps": 8, "length_scale": 0.6, "amplitude": 1.2}
GENERATION = GenerationConfig(simulations=4, steps=8, length_scale=0.8)


def learnable(*entries):
    return TypeAdapter(list[LearnableParameter]).validate_python(list(entries))


@pytest.mark.slow
def test_no_seed_of_a_flow_is_refused():
    speeds = []
    for seed in range(20):
        equation = build_equation(FLOW)
        states = generate(equation, GenerationConfig(**ROLLED), seed).tensors["trajectories"]
        speeds.append(float(equation.velocity(states).abs().max()))
    assert sum(speed > 2.0 for speed in speeds) > 2, "the key that the experiment had was too low for these"


def test_the_speed_of_every_state_is_covered_by_the_range():
    equation = build_equation(FLOW)
    starts = initial_states(equation, GenerationConfig(**ROLLED), 0)
    own, states = simulated(equation, starts, 8)
    speed = float(equation.velocity(states).abs().max())
    assert speed <= own.config.max_speed <= 1.5 * speed


@pytest.mark.slow
def test_a_flow_that_speeds_up_from_rest_gets_sub_steps_for_it():
    # A uniform force -φ' = 1 where the potential is a hat's flank: from rest, u = t until the flank ends.
    section = {
        "name": "inviscid_burgers",
        "domain": {"x": {"size": 20.0, "resolution": 80}},
        "dt": 0.5,
        "parameters": {"potential": "5 * cos(0.31415926535 * x)"},
    }
    equation = build_equation(section)
    own, states = simulated(equation, torch.zeros((1, 1, 80), dtype=torch.float64), 10)
    # Newton's law in the potential: u²/2 + φ is conserved, so that u never exceeds √(2 · 10) from rest.
    reached = float(states.abs().max())
    assert 2.0 < reached < 20.0**0.5
    assert reached <= own.config.max_speed
    wider = build_equation({**section, "max_speed": 3 * own.config.max_speed})
    _, expected = simulated(wider, torch.zeros((1, 1, 80), dtype=torch.float64), 10)
    assert torch.allclose(states, expected, atol=0.05 * reached)


def test_simulations_are_those_with_the_numbers_that_were_found_to_the_bit():
    section = resolve_simulated(BURGERS, GENERATION.model_dump(), 3, [])
    assert {key: section[key] for key in BURGERS} == BURGERS
    found = generate(build_equation(BURGERS), GENERATION, 3).tensors["trajectories"]
    assert torch.equal(found, generate(build_equation(section), GENERATION, 3).tensors["trajectories"])


def test_a_section_without_open_ranges_stays_as_it_is():
    given = BURGERS | {"max_speed": 6.0}
    assert resolve_simulated(given, GENERATION.model_dump(), 0, []) == given


def test_another_seed_has_its_own_numbers_and_the_same_seed_the_same():
    numbers = [resolve_simulated(BURGERS, GENERATION.model_dump(), seed, [])["max_speed"] for seed in (0, 1, 0)]
    assert numbers[0] == numbers[2] != numbers[1]


def test_numbers_without_bounds_may_become_ten_times_their_guess():
    equation = build_equation(BURGERS)
    two = learnable(
        {"name": "convection", "initial_guess": -0.2},
        {"name": "convection", "initial_guess": 1.0, "bounds": [0.5, 3.0]},
    )
    assert expected_bounds(two, equation.layout.grid) == {"convection": (-2.0, 3.0)}
    assert resolve_simulated(BURGERS, GENERATION.model_dump(), 0, two)["max_convection"] == 3.0


def test_a_step_of_an_equation_whose_states_nobody_knows_says_so(caplog):
    Stepper(build_equation(BURGERS))
    assert "max_speed and max_convection of the equation is auto" in caplog.text


def test_fields_are_rolled_out_with_sub_steps_for_their_speed():
    state = initial_states(build_equation(BURGERS), GENERATION, 0) * 5
    ends = []
    for equation in (build_equation(BURGERS), build_equation(BURGERS | {"max_speed": 20.0})):
        fields = to_fields(state, equation.layout)
        rolled = physical_rollout(equation, fields, {"viscosity": 0.1, "convection": 1.0}, 4)
        ends.append(to_tensor({"velocity": rolled["velocity"].time[-1]}, equation.layout))
    assert torch.allclose(*[end.double() for end in ends], atol=0.02 * float(ends[1].abs().max()))
