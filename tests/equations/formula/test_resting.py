"""Walls that never change, of which an exact step takes hardly an operation: against the same ones as parameters."""

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

SECTION = {"name": "formula", "rates": {"u": "D*laplace(u)"}, "dt": 0.1}
WALLS = {
    "values": {"x": {"lower": 0.5, "upper": -0.25}},
    # Of these the mean has no state at rest: it grows.
    "fluxes": {"x": {"lower": {"flux": 0.5}, "upper": {"flux": -0.25}}},
    "value and Robin": {"x": {"lower": 0.5, "upper": {"robin": {"a": 2.0, "b": 0.5, "c": -0.25}}}},
}


def by_parameters(boundary):
    """The same walls, with g and q for 0.5 and -0.25."""
    if isinstance(boundary, dict):
        return {key: by_parameters(value) if key != "b" else value for key, value in boundary.items()}
    return {0.5: "g", -0.25: "q"}.get(boundary, boundary)


def prepared(equation, state):
    """The recorded program of a step."""
    stepper = Stepper(equation, "traced")
    stepper.bind(state, equation.parameter_tensors(state.dtype))
    return next(iter(stepper._programs.values()))


@pytest.mark.parametrize("rate", ["D*laplace(u)", "D*laplace(u) + r*u*(1 - u)"])
@pytest.mark.parametrize("walls", WALLS)
def test_walls_that_never_change_do_what_the_same_ones_as_parameters_do(walls, rate):
    domain = {"x": {"size": 2.0, "resolution": 24}}
    given = {**SECTION, "rates": {"u": rate}, "domain": domain, "substeps": 4}
    numbers = {"D": 0.3, **({"r": 0.7} if "r*" in rate else {})}
    constant = build_equation({**given, "boundary": WALLS[walls], "parameters": numbers})
    named = {"boundary": by_parameters(WALLS[walls]), "parameters": {**numbers, "g": 0.5, "q": -0.25}}
    state = torch.linspace(0.1, 1.0, 48, dtype=torch.float64).reshape(2, 1, 24)
    found, expected = (
        rollout(Stepper(e, "traced").bind(state, e.parameter_tensors(torch.float64)), state, 5)
        for e in (constant, build_equation({**given, **named}))
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_in_two_dimensions_too():
    space = {"domain": {axis: {"size": 1.0, "resolution": 6} for axis in "xy"}}
    boundary = {"x": {"lower": 0.5, "upper": {"flux": -0.25}}, "y": "neumann"}
    constant = build_equation({**SECTION, **space, "boundary": boundary, "parameters": {"D": 0.3}})
    named = {"boundary": by_parameters(boundary), "parameters": {"D": 0.3, "g": 0.5, "q": -0.25}}
    state = torch.linspace(0.1, 1.0, 36, dtype=torch.float64).reshape(1, 1, 6, 6)
    found, expected = (
        Stepper(e, "traced")(state, e.parameter_tensors(torch.float64))
        for e in (constant, build_equation({**SECTION, **space, **named}))
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_what_is_worked_out_from_the_diffusivity_is_its_exponential_alone():
    domain = {"x": {"size": 2.0, "resolution": 24}}
    equation = build_equation({**SECTION, "domain": domain, "boundary": WALLS["values"], "parameters": {"D": 0.3}})
    program = prepared(equation, torch.ones(1, 1, 24, dtype=torch.float64))
    operations = [n for n in program.prepare.__self__.graph.nodes if n.op == "call_function"]
    assert len(operations) <= 5
