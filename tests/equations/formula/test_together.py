"""Fields that spread and react alike are stepped in one: the same states as one by one, and as the built-in files."""

import pytest
import torch
from formulas import end_of, taylor_slopes

from hyco.equations.formula.together import StackedRates
from hyco.equations.registry import build_equation
from hyco.stepping.stepper import Stepper

DOMAIN = {"x": {"size": 25.0, "resolution": 16}, "y": {"size": 20.0, "resolution": 12}}
PATTERN = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
RATES = {
    "u": "diffusivity_u*laplace(u) - u*v**2 + feed*(1 - u)",
    "v": "diffusivity_v*laplace(v) + u*v**2 - (feed + kill)*v",
}
GIVEN = {"domain": DOMAIN, "dt": 20.0, "parameters": PATTERN}
KEYS = {"name": "formula", **GIVEN, "rates": RATES, "scheme": "differences", "integrator": "explicit", "order": 2}
EULER = {**KEYS, "stages": 1, "substeps": 40}


def start():
    equation = build_equation({"name": "gray_scott", **GIVEN})
    return equation.initial_states(1, 5.0, 1.0, torch.Generator().manual_seed(0))[0]


@pytest.mark.parametrize("execution", ["traced", "compiled"])
@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_euler_by_formula_is_the_built_in_one(boundary, execution):
    own = build_equation({"name": "gray_scott", **GIVEN, "scheme": "euler", "substeps": 40, "boundary": boundary})
    formula = build_equation({**EULER, "boundary": boundary})
    assert dict(formula.described())["scheme"] == "differences of order 2; 1 explicit stage of order 1 (Euler)"
    one, other = (end_of(equation, start(), 5, execution=execution) for equation in (own, formula))
    assert torch.allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("keys", [{"stages": 1, "substeps": 40}, {"stages": 4, "substeps": 8}, {"order": 4}])
def test_fields_in_one_are_those_one_by_one(keys):
    """A wall without a flux is the same as one without a slope, but in words: these fields are not taken together."""
    together = build_equation({**KEYS, "boundary": "neumann", **keys})
    apart = build_equation({**KEYS, "fields": {"u": {"boundary": {"flux": 0.0}}, "v": {"boundary": "neumann"}}, **keys})
    assert isinstance(together._advance._stacked, StackedRates)
    assert apart._advance._stacked is None
    assert torch.allclose(end_of(together, start(), 2), end_of(apart, start(), 2), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "rates",
    [
        {"u": "laplace(u) - u*v", "v": "laplace(v) + u*v - dx(v)"},  # carried along
        {"u": "laplace(u) - u**3", "v": "laplace(v) + u"},  # what only one of them has
        {"u": "laplace(u) - v", "v": "u"},  # one of them stays where it is
        {"u": "laplace(u) + x*v", "v": "laplace(v)"},
    ],
)
def test_fields_that_do_not_do_the_same_are_taken_one_by_one(rates):
    equation = build_equation({**KEYS, "rates": rates, "parameters": {}, "substeps": 100, "stages": 4})
    assert equation._advance._stacked is None


def test_it_takes_no_more_operations_than_the_built_in_file():
    own = build_equation({"name": "gray_scott", **GIVEN, "scheme": "euler", "substeps": 40, "boundary": "neumann"})
    counts = []
    for equation in (own, build_equation({**EULER, "boundary": "neumann"})):
        stepper = Stepper(equation, "traced")
        stepper.bind(start()[None], equation.parameter_tensors(torch.float64))
        counts.append(next(p.operations for (kind, _), p in stepper._programs.items() if kind == "traced"))
    assert counts[1] <= counts[0] + 2


@pytest.mark.parametrize("name", PATTERN)
def test_gradients_of_fields_in_one_pass_the_taylor_test(name):
    equation = build_equation(EULER)

    def misfit(value):
        return end_of(equation, start(), 2, {name: value}).square().sum()

    value = torch.tensor(PATTERN[name], dtype=torch.float64)
    for slope in taylor_slopes(misfit, value, value, (2e-2, 1e-2, 5e-3)):
        assert 1.95 < slope < 2.05
