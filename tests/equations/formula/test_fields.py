"""Parameters that are learnt as fields, and initial states inside what fields admit."""

import math

import numpy as np
import pytest
import torch
from formulas import centres, end_of, formula, on_cells, section, taylor_slopes

from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation
from hyco.stepping.generation import GenerationConfig, initial_states, simulate

KINDS = {
    "D*laplace(u)": ("D", {"D": 0.2}),
    "div(D*grad(u))": ("D", {"D": 0.2}),
    "0.1*laplace(u) + r*u*(1 - u/K)": ("r", {"r": 1.0, "K": 2.0}),
    "-c*dx(u) + 0.1*laplace(u)": ("c", {"c": 0.5}),
}


WALLS = {"x": {"lower": 0.3, "upper": "neumann"}}


CASES = [(rates, boundary) for rates in KINDS for boundary in ("periodic", WALLS)]


@pytest.mark.parametrize(
    ("rates", "boundary"),
    [pytest.param(*case, marks=() if case[1] == WALLS and "r*" in case[0] else pytest.mark.slow) for case in CASES],
)
def test_a_parameter_learnt_as_a_field_has_steps_of_its_own(rates, boundary):
    name, parameters = KINDS[rates]
    keys = {"boundary": boundary, "dt": 0.2}
    plain = build_equation(section(rates, 32, parameters=parameters, **keys))
    start = on_cells(plain, [lambda x: 0.3 + np.sin(x if boundary == "periodic" else x / 4)])
    varying = build_equation(section(rates, 32, parameters=parameters, **keys) | plain.config.for_fields([name]))
    equation = covering(varying, plain.reach(start), {name: (0.05, 2 * parameters[name])})
    assert equation.substeps * 4 <= 200
    x = torch.from_numpy(centres(equation)["x"])
    field = parameters[name] * (1 + 0.5 * torch.cos(x))
    # A formula in the configuration is the same equation.
    text = f"{parameters[name]}*(1 + 0.5*cos(x))"
    steps = {"substeps": equation.config.substeps, "stages": equation.config.stages}
    given = formula(rates, 32, parameters={**parameters, name: text}, **keys, **steps)
    found, right = end_of(equation, start, 5, {name: field[None]}), end_of(given, start, 5)
    assert float((found - right).abs().max()) < 1e-10
    # Its steps are short enough.
    steps["substeps"] *= 8
    finer = formula(rates, 32, parameters={**parameters, name: text}, **keys, **steps)
    assert float((found - end_of(finer, start, 5)).abs().max()) < 2e-4
    # A field that is the same everywhere is a number.
    constant = torch.full_like(field, parameters[name])[None]
    number = end_of(covering(plain, plain.reach(start)), start, 5)
    assert float((end_of(equation, start, 5, {name: constant}) - number).abs().max()) < 2e-3
    direction = 0.3 * field * torch.sin(2 * x + 1)
    slopes = taylor_slopes(
        lambda p: end_of(equation, start, 2, {name: p[None]}).square().sum(), field, direction, (0.2, 0.1, 0.05)
    )
    assert all(1.9 <= s <= 2.1 for s in slopes) or rates.startswith("-c")


def test_fields_with_ends_of_their_range_begin_inside_them():
    fields = {"u": {"lower": 0}, "v": {"lower": -1, "upper": 2}, "w": {"upper": 3}}
    equation = formula({f: f"laplace({f})" for f in "uvw"}, 64, fields=fields)
    states = equation.initial_states(20, 1.0, 2.0, torch.Generator().manual_seed(0))
    assert float(states[:, 0].min()) >= 0
    assert float(states[:, 0].max()) > 1
    assert -1 < float(states[:, 1].min()) < -0.8
    assert 1.8 < float(states[:, 1].max()) < 2
    assert float(states[:, 2].max()) <= 3


@pytest.mark.parametrize("boundary", ["neumann", "periodic", {"x": {"lower": 0.0, "upper": 1.0}}])
def test_fisher_kpp_runs_from_random_states_that_are_admissible(boundary):
    rates, parameters = "D*laplace(u) + r*u*(1 - u/K)", {"D": 0.05, "r": 2.0, "K": 1.0}
    keys = {"parameters": parameters, "fields": {"u": {"lower": 0, "upper": 1}}, "boundary": boundary, "size": 10.0}
    equation = formula(rates, 64, **keys)
    config = GenerationConfig(simulations=4, steps=40, length_scale=1.0)
    starts = initial_states(equation, config, 0)
    assert float(starts.min()) >= 0
    end = simulate(equation, starts, 40)[:, -1]
    assert bool(torch.isfinite(end).all())
    assert float(end.min()) > -1e-3
    assert float(end.max()) < 1 + 1e-3
    if boundary == "neumann":
        assert float(end.mean()) > 0.9 - math.exp(-4)


def test_unbounded_fields_draw_the_states_that_they_drew():
    equation = formula("laplace(u)", 32)
    generator = torch.Generator().manual_seed(1)
    states = equation.initial_states(3, 1.0, 0.7, generator)
    assert float(states.min()) < 0
    assert float(states.std()) == pytest.approx(0.7, rel=0.5)
