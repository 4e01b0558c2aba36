"""What formulas mean: their values in cells against tensors written by hand."""

import math

import numpy as np
import pytest
import torch
from formulas import centres, end_of, formula, on_cells
from phi import math as phi_math

from hyco.equations.formula.fourier import SpectralRates
from hyco.equations.formula.symbols import symbol
from hyco.equations.formula.syntax import Names, names_in, read
from hyco.fields import to_fields, to_tensor
from hyco.stepping.stepper import Stepper

U, V = "0.5 + 0.2*sin(x) + 0.1*cos(2*x)", "0.3*cos(x)"
A = 0.7
# A formula of u, v and a, and what it is in NumPy.
POINTWISE = [
    ("a*u*(1 - u/2)", lambda u, v, x, t: A * u * (1 - u / 2)),
    ("-u**2*v + 3e-1", lambda u, v, x, t: -(u**2) * v + 0.3),
    ("2**-1*u**3 - -v", lambda u, v, x, t: 0.5 * u**3 + v),
    ("-u**2", lambda u, v, x, t: -(u**2)),
    ("u/(v**2 + 1)/2", lambda u, v, x, t: u / (v**2 + 1) / 2),
    ("u**-1 + (1 + u)**-2", lambda u, v, x, t: 1 / u + (1 + u) ** -2),
    ("u**a + sqrt(u)*u**1.5", lambda u, v, x, t: u**A + u**2),
    ("u**4 + v**5 + u**-3", lambda u, v, x, t: u**4 + v**5 + u**-3.0),
    ("sin(x)*cos(2*pi*v) + e", lambda u, v, x, t: np.sin(x) * np.cos(2 * np.pi * v) + math.e),
    ("exp(-u) + log(u) + tanh(v)", lambda u, v, x, t: np.exp(-u) + np.log(u) + np.tanh(v)),
    ("sinh(u)*cosh(v) + tan(v)", lambda u, v, x, t: np.sinh(u) * np.cosh(v) + np.tan(v)),
    (
        "abs(v) + sign(v) + max(u, v) + min(u, 0.5)",
        lambda u, v, x, t: abs(v) + np.sign(v) + np.maximum(u, v) + np.minimum(u, 0.5),
    ),
    ("sigmoid(v) + softplus(u)", lambda u, v, x, t: 1 / (1 + np.exp(-v)) + np.log1p(np.exp(u))),
    ("sigmoid(10000*v) + sign(v)", lambda u, v, x, t: (v > 0) * 1.0 + np.sign(v)),
    ("t*u + a", lambda u, v, x, t: t * u + A),
    ("3", lambda u, v, x, t: 3 + 0 * x),
    ("x", lambda u, v, x, t: x),
    ("dx(x**2) + dx(a) + dx(t) + laplace(sin(x))", lambda u, v, x, t: 2 * x - np.sin(x)),
]


def rate(equation, states, time=0.0, name="u"):
    """The rate of a field of states `[C, *space]`, `[*space]`."""
    space = phi_math.spatial(",".join(equation.layout.grid.axes))
    with phi_math.precision(64):
        fields = to_fields(states[None], equation.layout)
        values = {k: f.values for k, f in fields.items()}
        given = {k: phi_math.wrap(v, space if getattr(v, "ndim", 0) else ()) for k, v in equation.parameters.items()}
        rates = equation._advance.rates(values, given, phi_math.wrap(time))
        fields = {k: f.with_values(rates[k]) for k, f in fields.items()}
        return to_tensor(fields, equation.layout)[0][list(fields).index(name)].numpy()


def made(text, cells=32, other="0", **keys):
    fields = {"u": {"lower": 0.01}, "v": None}
    keys = {"parameters": {"a": A}, "integrator": "explicit", "stages": 4, **keys}
    unused = f" + 0*{next(iter(keys['parameters']))}" if keys["parameters"] else ""
    return formula({"u": text + unused, "v": other}, cells, fields=fields, **keys)


def states_of(equation):
    shifts = [0.0, 0.4]

    def u(x, *others):
        y = sum(others, start=0.0)
        return 0.5 + 0.2 * np.sin(x + y) + 0.1 * np.cos(2 * x - y)

    return on_cells(equation, [u, lambda x, *others: 0.3 * np.cos(x + shifts[1] + sum(others, start=0.0))])


@pytest.mark.parametrize(("text", "expected"), POINTWISE, ids=[text for text, _ in POINTWISE])
@pytest.mark.parametrize("scheme", ["differences", "spectral"])
def test_functions_of_fields_places_and_time(text, expected, scheme):
    equation = made(text, scheme=scheme)
    states = states_of(equation)
    found = rate(equation, states, time=0.3)
    (u, v), x = states.numpy(), centres(equation)["x"]
    right = np.broadcast_to(expected(u, v, x, 0.3), found.shape)
    if scheme == "spectral":
        waves = np.fft.fft(right)
        waves[np.abs(np.fft.fftfreq(32)) >= 1 / 3] = 0.0  # products keep two thirds of the waves
        right = np.fft.ifft(waves).real
    assert np.abs(found - right).max() < 1e-12 * max(1, np.abs(right).max())


def difference(u, h, order=2, axis=0):
    """The central difference along an axis of a periodic array."""
    if order == 2:
        return (np.roll(u, -1, axis) - np.roll(u, 1, axis)) / (2 * h)
    return (8 * (np.roll(u, -1, axis) - np.roll(u, 1, axis)) - np.roll(u, -2, axis) + np.roll(u, 2, axis)) / (12 * h)


def second(u, h, order=2, axis=0):
    near, far = np.roll(u, 1, axis) + np.roll(u, -1, axis), np.roll(u, 2, axis) + np.roll(u, -2, axis)
    return (near - 2 * u) / h**2 if order == 2 else (16 * near - far - 30 * u) / (12 * h**2)


@pytest.mark.parametrize("order", [2, 4])
def test_derivatives_are_central_differences(order):
    keys = {"scheme": "differences", "order": order, "transport": "central"}
    equation = made("dx(u)*v - 2*laplace(v) + dx(u**2) + laplace(u)", **keys)
    states = states_of(equation)
    (u, v), h = states.numpy(), 2 * math.pi / 32
    right = difference(u, h, order) * v - 2 * second(v, h, order) + difference(u**2, h, order) + second(u, h, order)
    assert np.abs(rate(equation, states) - right).max() < 1e-12


def test_vector_operators_in_two_dimensions():
    keys = {"cells": (16, 24), "size": (2.0 * math.pi, 3.0 * math.pi), "scheme": "differences", "order": 2}
    text = "div([u*v, v]) + dot(grad(v), grad(u)) - laplace(2*v)/2 + dot([x, a], grad(v)) + div(3*grad(v)/2 - -grad(v))"
    equation = made(text, transport="central", **keys)
    states = states_of(equation)
    (u, v), h, k = states.numpy(), 2 * math.pi / 16, 3 * math.pi / 24
    x = centres(equation)["x"]
    laplacian = second(v, h) + second(v, k, axis=1)
    right = difference(u * v, h) + difference(v, k, axis=1) - laplacian
    right += difference(v, h) * difference(u, h) + difference(v, k, axis=1) * difference(u, k, axis=1)
    right += x * difference(v, h) + A * difference(v, k, axis=1) + 2.5 * laplacian
    assert np.abs(rate(equation, states) - right).max() < 1e-12


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_carries_a_field_along_is_upwind_of_third_order(sign):
    equation = made(f"{sign}*a*dx(u)", scheme="differences")
    states = states_of(equation)
    u, h = states[0].numpy(), 2 * math.pi / 32
    u = u if sign < 0 else u[::-1]
    behind, before2, ahead = np.roll(u, 1), np.roll(u, 2), np.roll(u, -1)
    right = -A * (2 * ahead + 3 * u - 6 * behind + before2) / (6 * h)
    assert np.abs(rate(equation, states) - (right if sign < 0 else right[::-1])).max() < 1e-12


@pytest.mark.parametrize("faces", ["auto", "harmonic", "arithmetic"])
def test_a_coefficient_that_varies_has_a_mean_on_faces_and_the_flux_is_conserved(faces):
    equation = made("div(a*grad(u))", scheme="differences", parameters={"a": "1 + 0.5*sin(x)"}, faces=faces)
    states = states_of(equation)
    (u, _), h = states.numpy(), 2 * math.pi / 32
    a = 1 + 0.5 * np.sin(centres(equation)["x"])
    next_a = np.roll(a, -1)
    mean = (a + next_a) / 2 if faces == "arithmetic" else 2 * a * next_a / (a + next_a)
    flux = mean * (np.roll(u, -1) - u) / h
    found = rate(equation, states)
    assert np.abs(found - (flux - np.roll(flux, 1)) / h).max() < 1e-12
    assert abs(found.sum()) < 1e-11


def test_the_names_in_a_formula_are_those_that_it_needs():
    assert names_in("D*laplace(u) + sin(x)*pi + e*t") == {"D", "u", "x", "t"}


def test_a_product_with_what_is_the_same_everywhere_is_linear():
    names = Names(("x",), ("u",), ("D", "r"), frozenset({"r"}))
    u = symbol("u")
    assert read("dx(D*u)", names) == symbol("D") * read("dx(u)", names)
    assert read("dx(r*u)", names) != symbol("r") * read("dx(u)", names)
    assert read("dx(D)", names) == 0
    assert read("dx(r)", names) != 0
    assert read("u - u", names) == 0
    assert u in read("dx(u*u)", names).free_symbols


def test_spectral_rates_are_exact_for_waves():
    equation = made("a*dx(u) + laplace(u) - dx(dx(dx(v)))", scheme="spectral")
    assert isinstance(equation._advance._spectral, SpectralRates)
    states = on_cells(equation, [lambda x: np.sin(3 * x), lambda x: np.cos(2 * x)])
    x = centres(equation)["x"]
    right = A * 3 * np.cos(3 * x) - 9 * np.sin(3 * x) - 8 * np.sin(2 * x)
    assert np.abs(rate(equation, states) - right).max() < 1e-12


def test_powers_below_the_range_of_a_field_stay_finite():
    equation = formula("D*u**m - D*sqrt(u)", 16, parameters={"D": 1.0, "m": 1.5}, fields={"u": {"lower": 0}})
    states = on_cells(equation, [lambda x: np.sin(x)])
    start, m = states.clone().requires_grad_(), torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    end_of(equation, start, 1, {"m": m}).sum().backward()
    assert bool(torch.isfinite(start.grad).all() and torch.isfinite(m.grad))


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_fields_without_linear_terms_and_shared_products_step_as_explicit_ones_do(boundary):
    rates = {"u": "laplace(u) - u*v", "v": "u*v - (u*v)**2"}
    keys = {"boundary": boundary, "dt": 0.02, "scheme": "auto" if boundary == "periodic" else "differences"}
    ends = []
    for integrator, substeps in (("exponential", 4), ("explicit", 64)):
        equation = formula(rates, 16, integrator=integrator, substeps=substeps, stages=4, **keys)
        start = on_cells(equation, [lambda x: 1 + 0.5 * np.cos(x), lambda x: 1 + 0.5 * np.cos(2 * x)])
        ends.append(end_of(equation, start, 5))
    assert float((ends[0] - ends[1]).abs().max()) < 1e-7


@pytest.mark.parametrize("cells", [9, (6, 7), (5, 6, 7)])
def test_exact_steps_between_walls_take_coefficients_of_each_state(cells):
    walls = {"x": {"lower": 0.0, "upper": "neumann"}, "y": "neumann", "z": 0.0}
    size = 1 if isinstance(cells, int) else len(cells)
    keys = {"parameters": {"D": 0.2, "r": 0.3}, "boundary": {a: walls[a] for a in "xyz"[:size]}, "dt": 0.3}
    equation = formula("D*laplace(u) - r*u", cells, **keys)
    states = torch.rand((3, 1, *equation.layout.shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    diffusivities = torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)
    together = Stepper(equation, "traced")(states, {"D": diffusivities})
    alone = [end_of(equation, state, 1, {"D": d}) for state, d in zip(states, diffusivities, strict=True)]
    assert float((together - torch.stack(alone)).abs().max()) < 1e-12
    explicit = formula("D*laplace(u) - r*u", cells, integrator="explicit", substeps=200, stages=4, **keys)
    assert float((alone[2] - end_of(explicit, states[2], 1, {"D": diffusivities[2]})).abs().max()) < 1e-8
