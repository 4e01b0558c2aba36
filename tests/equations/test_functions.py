"""A Python function of rates is an equation by formula."""

import sys

import pytest

import hyco
from hyco.config import ConfigurationError
from hyco.equations.formula.functions import rates_of
from hyco.runtime.plugins import PluginError

SECTION = {
    "domain": {"x": {"size": 10.0, "resolution": 32}},
    "boundary": "neumann",
    "dt": 0.1,
    "fields": {"u": {"lower": 0.0}},
    "parameters": {"D": 0.2, "r": 1.0, "K": 1.5},
}
SCRIPT = '''
def fisher(fields, parameters, op):
    """Spread and growth."""
    u, p = fields.u, parameters
    return {"u": op.div(p["D"] * op.grad(u)) + p.r * u * (1 - u / p.K)}

def fails(fields, parameters, op):
    return {"u": op.curl(fields.u)}

def compares(fields, parameters, op):
    return {"u": 1.0 if fields.u > 0 else 0.0}

def nothing(fields, parameters, op):
    pass

def words(fields, parameters, op):
    return {"u": "D*u"}

def short(fields):
    return {"u": fields.u}
'''


@pytest.fixture(autouse=True)
def script(tmp_path, monkeypatch):
    """A file of functions on Python's path."""
    (tmp_path / "own_rates.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_rates", raising=False)


def test_its_steps_are_those_of_the_formula_to_the_bit():
    by_function = hyco.equation({"name": "own_rates:fisher", **SECTION})
    by_formula = hyco.equation({"name": "formula", "rates": {"u": "div(D*grad(u)) + r*u*(1 - u/K)"}, **SECTION})
    first, second = (hyco.simulate(e, simulations=2, steps=5, seed=0) for e in (by_function, by_formula))
    assert first.states.equal(second.states)
    assert type(by_function).__doc__ == "Spread and growth."


def test_its_configuration_may_be_written_and_read_again():
    config = hyco.equation({"name": "own_rates:fisher", **SECTION}).config
    again = hyco.equation(config.model_dump())
    assert again.config == config


def test_all_that_a_formula_holds_can_be_written():
    def rates(fields, parameters, op):
        u, v = fields["u"], fields["v"]
        flow = op.dot(op.vector(u, parameters.w), op.grad(v))
        return {
            "u": op.max(u, 0) - flow + 0.1 * op.exp(-v) * op.abs(u) + op.e,
            "v": op.laplace(v) + op.sin(op.pi * op.x) * op.t + op.sigmoid(u) / 3 + op.dx(u) * op.dy(v) ** 2,
        }

    texts = rates_of(rates, "here")
    hyco.equation(
        {
            "name": "formula",
            "domain": {a: {"size": 1.0, "resolution": 8} for a in "xy"},
            "boundary": "neumann",
            "dt": 0.01,
            "rates": texts,
            "parameters": {"w": 0.3},
        }
    )
    assert "dot([u, w], grad(v))" in texts["u"]
    assert "0.1*exp(-v)*abs(u)" in texts["u"]
    assert "max(0, u)" in texts["u"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "there is no operator 'curl'; allowed: dx, dy, dz, grad"),
        ("compares", "fails when it is called with symbols: TypeError"),
        ("nothing", "returns None, not a rate of change for each field"),
        ("words", "the rate of u is 'D*u', no expression of fields"),
        ("short", "the function takes fields, parameters and operators"),
    ],
)
def test_what_is_no_function_of_rates_is_refused_in_one_line(name, message):
    with pytest.raises((ConfigurationError, PluginError)) as error:
        hyco.equation({"name": f"own_rates:{name}", **SECTION})
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_parameters_and_rates_are_checked():
    with pytest.raises(ConfigurationError, match="unknown name 'K'"):
        hyco.equation({"name": "own_rates:fisher", **SECTION, "parameters": {"D": 0.2, "r": 1.0}})
    with pytest.raises(ConfigurationError, match="the function own_rates:fisher returns them"):
        hyco.equation({"name": "own_rates:fisher", **SECTION, "rates": {"u": "D*u"}})


def test_states_that_grow_without_end_are_refused():
    with pytest.raises(FloatingPointError, match="do the states grow without end"):
        hyco.simulate(
            hyco.equation({"name": "own_rates:fisher", **SECTION, "fields": {"u": {}}}), simulations=2, steps=5
        )
