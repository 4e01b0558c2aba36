"""Formulas and sections that make no sense: each is refused before anything runs, with its key, text and place."""

import re

import pytest
from formulas import section
from pydantic import ValidationError

from hyco.equations.registry import equation_config

D = {"parameters": {"D": 0.1}}
WALLS = {"x": {"lower": "neumann", "upper": 1.0}}


def mistake(rates, cells=16, **keys):
    """The first line of what is wrong."""
    with pytest.raises(ValidationError) as caught:
        equation_config(section(rates, cells, **keys))
    (detail,) = caught.value.errors()
    where = ".".join(map(str, detail["loc"]))
    return f"{where}: {detail['msg']}" if where else detail["msg"]


# The text, the character that is named, words of the reason, other keys.
UNREADABLE = [
    ("", None, "empty", {}),
    ("   ", None, "empty", {}),
    ("D*laplace(u", 10, "is not closed", D),
    ("D*laplace(u))", 13, "closes nothing", D),
    ("D*laplace(u]", 12, "closes nothing", D),
    ("3u", 1, "products are written with [*]", {}),
    ("u u", 1, "products are written with [*]", {}),
    ("u; u", 2, "cannot be read", {}),
    ("u = 1", 3, "the right-hand side alone", {}),
    ("u_t = D*laplace(u)", 5, "the right-hand side alone", D),
    ("D*laplace(u) - 0,5*u", 17, "numbers have a decimal point", D),
    ("(D*laplace(u),\n u)", 14, "a comma", D),
    ("2(u)", 1, "products are written with [*]", {}),
    ("u*(1-u", 3, "is not closed", {}),
    ("u^2", 1, "a power is written [*][*]", {}),
    ("1 + u//2", 5, "only [+] - [*] / [*][*]", {}),
    ("u % 2", 1, "only [+] - [*] / [*][*]", {}),
    ("u < 1", 1, "not allowed", {}),
    ("u == 1", 1, "not allowed", {}),
    ("u and 1", 1, "not allowed", {}),
    ("not u", 1, "not allowed", {}),
    ("u if u else 1", 1, "not allowed", {}),
    ("lambda: u", 1, "not allowed", {}),
    ("(v := u)", 2, "not allowed", {}),
    ("u.real", 1, "not allowed", {}),
    ("u[0]", 1, "not allowed", {}),
    ("f'{u}'", 1, "not allowed", {}),
    ("1 + 'u'", 5, "is not a number", {}),
    ("True", 1, "is not a number", {}),
    ("1j*u", 1, "is not a number", {}),
    ("__import__('os')", 1, "unknown function", {}),
    ("D*Δ(u)", 3, "is not allowed", D),
    ("u\n+ (1 +\n ν)", 11, "is not allowed", {}),
    ("u\n + foo(u)", 6, "unknown function 'foo'", {}),
    ("D*laplace(u) + q", 16, "allowed: u, D, x, t, pi, e [(]a parameter has a value in equation.parameters, or", D),
    ("laplace(v)", 9, "unknown name 'v'", {}),
    ("nan*u", 1, "unknown name 'nan'", {}),
    ("sen(u)", 1, "unknown function 'sen'; allowed: dx", {}),
    ("r*u(1 - u)", 3, "u is no function: a product is written u[*]", {"parameters": {"r": 1.0}}),
    ("dr(u)", 1, "unknown function 'dr', as axes are x, y and z, whatever a file calls them; allowed", {}),
    ("Laplace(u)", 1, r"'Laplace', here laplace\(…\)", {}),
    ("dxx(u)", 1, r"unknown function 'dxx', here dx\(dx\(…\)\); allowed", {}),
    ("d2_dx2(u)", 1, r"'d2_dx2', here dx\(dx\(…\)\)", {}),
    ("u - d_dx(u)", 5, r"'d_dx', here dx\(…\)", {}),
    ("Laplacian(u)", 1, r"'Laplacian', here laplace\(…\)", {}),
    ("u*u_xxx", 3, r"unknown name 'u_xxx', here dx\(dx\(dx\(u\)\)\); allowed", {}),
    ("dx*u", 1, "dx needs an argument", {}),
    ("u*laplace", 3, "laplace needs an argument", {}),
    ("dx(u, u)", 1, "takes 1 argument, not 2", {}),
    ("max(u)", 1, "takes 2 arguments, not 1", {}),
    ("dx()", 1, "takes 1 argument, not 0", {}),
    ("sin(x=u)", 1, "no arguments by name", {}),
    ("dx(*u)", 4, "not allowed", {}),
    ("dy(u)", 1, "no axis y; it has x", {}),
    ("laplace(u) + dz(u)", 14, "no axis z; it has x, y", {"cells": (8, 8)}),
    ("u*z", 3, "no axis z", {}),
    ("grad(u)", 1, "this is a vector", {}),
    ("[u, u]", 1, "this is a vector", {"cells": (8, 8)}),
    ("[u, u]", 1, "one component for each axis", {}),
    ("div([u])", 5, "one component for each axis", {"cells": (8, 8)}),
    ("div([grad(u), u])", 5, "the components of a vector are numbers", {"cells": (8, 8)}),
    ("u + grad(u)", 1, "a number and a vector cannot be added", {}),
    ("div(u)", 5, "div takes a vector", {}),
    ("div(3)", 5, "div takes a vector", {}),
    ("dot(u, grad(u))", 5, "dot takes vectors", {}),
    ("laplace(grad(u))", 9, "laplace takes a number", {}),
    ("grad(u)*grad(u)", 1, "multiplied by dot", {}),
    ("grad(u)**2", 1, "a vector has no power", {"cells": (8, 8)}),
    ("1/grad(u)", 3, "divided by a vector", {"cells": (8, 8)}),
    ("u/0", 3, "a division by zero", {}),
    ("u/(1 - 1)", 4, "a division by zero", {}),
    ("0**-1*u", 1, "a division by zero", {}),
    ("log(-1)*u", None, "logarithm of a negative number", {}),
    ("2**10**10", 4, "an exponent of 1e[+]10", {}),
    ("u**1000", 4, "an exponent of 1e[+]03; allowed: -64 to 64", {}),
    ("((u**60)**60)", 2, "an exponent of", {}),
    ("(10**60)**60*u", 1, "a number beyond", {}),
    ("u*1e400", 3, "a number beyond", {}),
    ("u" + " + u" * 800, None, "at most 2000 characters", {}),
    ("-" * 1900 + "u", None, "nested at most 40 deep", {}),
]


@pytest.mark.parametrize(("text", "place", "reason", "keys"), UNREADABLE)
def test_a_text_that_is_no_formula_is_refused_with_its_place(text, place, reason, keys):
    said = mistake(text, **keys)
    assert said.startswith("Value error, rates.u: "), said
    assert repr(text)[:50] in said
    assert "\n" not in said
    assert (", character " not in said) if place is None else (f", character {place}: " in said), said
    assert re.search(reason, said), said


OPEN = {"fields": {"u": {"lower": 0}}}
# Formulas that can be read, but have no value for something that is admissible, or make no sense there.
UNSOUND = [
    ("D*laplace(u)/u", "'D[*]laplace[(]u[)]/u', character 13: a division by u, which may be 0: give fields.u.lower", D),
    ("1/u", "a division by u, which may be 0", OPEN),
    ("1/(1 + u)", "a division by u [+] 1, which may be 0: give fields.u.lower", {}),
    ("sin(1/u)", "a division by u", {}),
    ("1/(u - 1)", "a division by u - 1", OPEN),
    ("1/(u**2 - 1)", "a division by", {"fields": {"u": {"lower": 0, "upper": 3}}}),
    ("u**-2", "a division by u", {}),
    ("1/dx(u)", "a division by dx[(]u[)]", {}),
    ("1/(x - 3)", "a division by x - 3", {}),
    ("laplace(u) + tan(pi*x/2)", "character 14: the tangent of pi[*]x/2, which is infinite", {}),
    ("laplace(u) + u*exp(tan(x)**2)", "character 20: the tangent of x", {}),
    ("dx(u/(1 + tanh(u)**2)*tan(x))", "character 23: the tangent of x", {}),
    ("D*laplace(u)", "boundary: '1/t' has no value at t = 0 on the wall x = 0", {**D, "boundary": "1/t"}),
    ("D*laplace(u)", "boundary: 'log[(]t - 1[)]' has no value at t = 0 on", {**D, "boundary": "log(t - 1)"}),
    ("D*laplace(u)", "'log[(]x - t[)]' has no value", {**D, "boundary": {"x": {"lower": "log(x - t)", "upper": 0}}}),
    ("D*laplace(u)", "'1/[(]D - 0.1[)]' has no value on", {**D, "boundary": {"flux": "1/(D - 0.1)"}}),
    ("D*laplace(u) - u*v", "the field v has no rate of change", {**D, "fields": {"u": {}, "v": {}}}),
    ("1/t", "a division by t", {}),
    ("u/K", "a division by K", {"parameters": {"K": 0.0}}),
    ("log(u)", "the logarithm of u, which is not always above 0", OPEN),
    ("sqrt(u)", "which may be negative: give fields.u.lower", {}),
    ("u**0.5", "which may be negative", {}),
    ("u**m", "which may be negative", {"parameters": {"m": 0.5}}),
    ("-laplace(u)", "unstable: the coefficient of ∂x.2 u is -1, and has to be ≥ 0", {}),
    ("laplace(laplace(u))", "unstable: the coefficient of ∂x.4 u is 1, and has to be ≤ 0", {}),
    ("-dx(dx(dx(dx(dx(dx(u))))))", "unstable: the coefficient of ∂x.6 u", {}),
    ("D*laplace(u)", "parameters.D leaves what is stable; allowed: 0 to inf", {"parameters": {"D": -1.0}}),
    ("D*laplace(u)", "parameters.D leaves what is stable", {"parameters": {"D": "sin(x)"}}),
    ("u + (a - b)*laplace(u)", "character 13: unstable: .* at a = 1, b = 2", {"parameters": {"a": 1.0, "b": 2.0}}),
    ("sin(x)*laplace(u)", "unstable: .* at x = ", {}),
    ("u*laplace(u)", "unstable: .*; give fields.u.lower or upper", {}),
    ("laplace(u**3 - u)", "unstable", {}),
    ({"u": "-laplace(v)", "v": "-laplace(u)"}, "unstable: the shortest waves grow", {}),
    ({"u": "v", "v": "-laplace(u)"}, "unstable: the shortest waves grow", {}),
    ({"u": "dx(v)", "v": "-dx(u)"}, "unstable: the shortest waves grow", {}),
    ("dx(dx(dx(u)))", "'dx[(]dx[(]dx[(]u[)][)][)]', character 1: a derivative of order 3 .*", {"boundary": "neumann"}),
    ("-laplace(laplace(u))", "a derivative of order 4 .* or neumann walls", {"boundary": 0.0}),
    ("-laplace(laplace(u))", "a derivative of order 4 .* or neumann walls", {"boundary": WALLS}),
    ("laplace(u)", "scheme spectral needs every axis to be periodic", {"boundary": 0.0, "scheme": "spectral"}),
    ("laplace(u)", "field u: boundary 'q[*]t': unknown name q", {"boundary": "q*t"}),
    ("laplace(u)", "field u: boundary.x: both ends", {"boundary": {"x": {"lower": "neumann", "upper": "periodic"}}}),
    ("D*laplace(u)", "field u: boundary: D varies in space", {"boundary": "D", "parameters": {"D": "1 + x"}}),
    ("laplace(u)", "integrator exponential needs walls", {"boundary": {"robin": {"a": "1+t", "b": 1, "c": 0}}}),
]


@pytest.mark.parametrize(("rates", "reason", "keys"), UNSOUND)
def test_a_formula_that_makes_no_sense_for_admissible_values_is_refused(rates, reason, keys):
    if "exponential" in reason:
        keys = {**keys, "integrator": "exponential"}
    said = mistake(rates, **keys)
    assert re.search(reason, said), said
    assert "\n" not in said


SECTIONS = [
    ({"rates": "u", "fields": {"u": None, "v": None}}, "the field v has no rate of change; 0 where it does not change"),
    ({"rates": {"u": "1", "v": "1"}, "fields": {"v": None}}, "'u' is no field; fields has v"),
    ({"rates": "laplace(u)", "parameters": {"D": 1.0}}, "parameters: no formula names D"),
    ({"rates": "x*u", "parameters": {"x": 1.0}}, "parameters: 'x' is taken"),
    ({"rates": "t*u", "parameters": {"t": 1.0}}, "parameters: 't' is taken"),
    ({"rates": "e*u", "parameters": {"e": 1.0}}, "parameters: 'e' is taken"),
    ({"rates": "sin*u", "parameters": {"sin": 1.0}}, "parameters: 'sin' is taken"),
    ({"rates": "u*u", "parameters": {"u": 1.0}}, "parameters: 'u' is taken"),
    ({"rates": "dx*u", "parameters": {"dx": 1.0}}, "parameters: 'dx' is taken"),
    ({"rates": {"x": "1"}}, "fields: 'x' cannot be the name of a field"),
    ({"rates": {"laplace": "1"}}, "fields: 'laplace' cannot be the name of a field"),
    ({"rates": {"if": "1"}}, "fields: 'if' cannot be the name of a field"),
    ({"rates": {"u v": "1"}}, "fields: 'u v' cannot be the name of a field"),
    ({"rates": "u", "fields": {"u": {"lower": 2, "upper": 1}}}, "lower 2 is not below upper 1"),
    ({"rates": "D*laplace(u)", "parameters": {"D": "q*x"}}, "parameters.D: 'q[*]x': unknown name q"),
    ({"rates": "D*laplace(u)", "parameters": {"D": "1 +"}}, "parameters.D: '1 [+]' is not a formula"),
    ({"rates": "laplace(u)", "stages": 6}, "stages: 6 is not allowed; allowed: 4, 3, 5, 7"),
    ({"rates": "laplace(u)", "stages": 1}, "stages: 1, Euler's method, is explicit: add integrator: explicit"),
    ({"rates": "laplace(u) - dx(u)", "stages": 1, "integrator": "explicit"}, "stages: 1, .* lets waves grow .* of u; "),
    (
        {"rates": {"u": "dx(v)", "v": "dx(u)"}, "stages": 1, "integrator": "explicit"},
        "stages: 1, Euler's method, lets waves grow that are carried along, as of u; allowed here: 4, 3, 5",
    ),
    ({"rates": "laplace(u)", "substeps": 0}, "substeps: .*0 is not allowed"),
    ({"rates": "laplace(u)", "order": 3}, "order: Input should be 2 or 4"),
]


@pytest.mark.parametrize(("keys", "reason"), SECTIONS)
def test_a_section_that_makes_no_sense_is_refused(keys, reason):
    assert re.search(reason, said := mistake(**keys)), said


SOUND = [
    ("1/(1 + u)", OPEN),
    ("1/(1 + u**2)", {}),
    ("u/(1 + abs(u))", {}),
    ("laplace(u) + exp(-tan(pi*x/2)**2)*u", {}),
    ("tanh(tan(pi*x/2)) + u/(1 + tan(x)**2)", {}),
    ("exp(u)*tanh(tan(x)) + tan(t/7)", {}),
    ("1/x*dx(x*dx(u))", {}),  # cells' centres are never at 0
    ("D*(u/K)**m*laplace(u)", {**OPEN, "parameters": {"D": 1.0, "K": 2.0, "m": 1.5}}),
    ("sqrt(1 + dot(grad(u), grad(u)))", {}),
    ("-laplace(u) - laplace(laplace(u))", {}),
    ("(r - 1)*u - 2*laplace(u) - laplace(laplace(u)) - u**3", {"parameters": {"r": 0.2}}),
    ("laplace(u**3 - u - g*laplace(u))", {"parameters": {"g": 0.1}}),
    ({"u": "v", "v": "laplace(u) - sin(u)"}, {}),
    ({"u": "-laplace(v)", "v": "laplace(u)"}, {}),  # i ∂ψ/∂t = ∇²ψ
    ({"u": "dx(v)", "v": "dx(u)"}, {}),
    ({"u": "laplace(u) - dx(u*dx(v))", "v": "laplace(v) + u - v"}, {}),
]


@pytest.mark.parametrize(("rates", "keys"), SOUND)
def test_formulas_near_to_these_are_taken(rates, keys):
    equation_config(section(rates, 16, **keys))
