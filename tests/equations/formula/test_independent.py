"""Formulas against exact solutions and against SciPy's integrators on grids of its own."""

import numpy as np
import pytest
import torch
from formulas import centres, end_of, formula, on_cells, section
from scipy.integrate import solve_ivp

from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation


@pytest.mark.slow
def test_a_kdv_soliton_keeps_its_shape_and_speed():
    size, speed = 40.0, 1.0

    def soliton(time):
        def at(x):
            distance = (x - 10 - speed * time + size / 2) % size - size / 2
            return speed / 2 / np.cosh(np.sqrt(speed) / 2 * distance) ** 2

        return at

    plain = formula("-6*u*dx(u) - dx(dx(dx(u)))", 128, size=size, dt=0.2)
    start = on_cells(plain, [soliton(0)])
    equation = covering(plain, plain.reach(start))
    assert equation.substeps <= 4
    end = end_of(equation, start, 25)
    assert float((end - on_cells(plain, [soliton(5.0)])).abs().max()) < 1e-5
    assert float(end.sum()) == pytest.approx(float(start.sum()), rel=1e-12)


def shifted(values, size, distance):
    """The values of a periodic function, so much further."""
    k = 2 * np.pi * np.fft.rfftfreq(len(values), size / len(values))
    return np.fft.irfft(np.fft.rfft(values) * np.exp(1j * k * distance), len(values))


def test_kuramoto_sivashinsky_agrees_with_scipy_on_twice_the_cells():
    size, n = 22.0, 64

    def wave(x):
        return np.cos(2 * np.pi * x / size) + 0.1 * np.sin(4 * np.pi * x / size)

    plain = formula("-u*dx(u) - laplace(u) - laplace(laplace(u))", n, size=size, dt=0.1)
    start = on_cells(plain, [wave])
    equation = covering(plain, plain.reach(start))
    k = 2 * np.pi * np.fft.rfftfreq(2 * n, size / (2 * n))

    def rate(_, u):
        return np.fft.irfft((k**2 - k**4) * np.fft.rfft(u) - 0.5j * k * np.fft.rfft(u * u), 2 * n)

    fine = wave((np.arange(2 * n) + 0.5) * size / (2 * n))
    found = solve_ivp(rate, (0, 5), fine, method="BDF", rtol=1e-8, atol=1e-10).y[:, -1]
    right = shifted(found, size, size / n / 4)[::2]
    assert np.abs(end_of(equation, start, 50)[0].numpy() - right).max() < 5e-6


def means(values, factor):
    """Of so many neighbouring cells."""
    return values.reshape(-1, factor).mean(1)


def second(u, h):
    """The second difference between walls without slope."""
    padded = np.concatenate([u[:1], u, u[-1:]])
    return np.diff(padded, 2) / h**2


@pytest.mark.slow
def test_fitzhugh_nagumo_pulse_agrees_with_scipy():
    n, factor, size = 128, 4, 60.0
    rates = {"u": "D*laplace(u) + u - u**3/3 - v + I", "v": "eps*(u + a - b*v)"}
    p = {"D": 1.0, "I": 0.5, "eps": 0.08, "a": 0.7, "b": 0.8}

    def first(x):
        return -1 + 2.5 * np.exp(-((x - 8) ** 2) / 10)

    plain = build_equation(section(rates, n, size=size, dt=0.25, parameters=p, boundary="neumann"))
    start = on_cells(plain, [first, lambda x: -0.5 + 0 * x])
    equation = covering(plain, plain.reach(start))
    m = n * factor
    h = size / m
    x = (np.arange(m) + 0.5) * h

    def rate(_, y):
        u, v = y[:m], y[m:]
        return np.concatenate([second(u, h) + u - u**3 / 3 - v + p["I"], p["eps"] * (u + p["a"] - p["b"] * v)])

    begin = np.concatenate([first(x), np.full(m, -0.5)])
    banded = solve_ivp(rate, (0, 20), begin, method="LSODA", lband=m, uband=m, rtol=1e-7, atol=1e-9).y[:, -1]
    end = end_of(equation, start, 80).numpy()
    assert np.abs(end[0] - means(banded[:m], factor)).max() < 0.02 * np.abs(end[0]).max()
    assert np.abs(end[1] - means(banded[m:], factor)).max() < 0.02


@pytest.mark.slow
def test_a_porous_fisher_front_agrees_with_scipy_and_stays_positive():
    n, factor, size = 100, 4, 20.0
    p = {"D": 1.0, "K": 1.0, "m": 1.0, "r": 1.0}

    def first(x):
        return np.maximum(1 - (x / 4) ** 2, 0.0)

    keys = {"size": size, "dt": 0.2, "parameters": p, "boundary": "neumann", "fields": {"u": {"lower": 0}}}
    plain = build_equation(section("div(D*(u/K)**m*grad(u)) + r*u*(1 - u/K)", n, **keys))
    start = on_cells(plain, [first])
    equation = covering(plain, plain.reach(start))
    h = size / (n * factor)

    def rate(_, u):
        flux = (u[1:] + u[:-1]) / 2 * np.diff(u) / h
        return np.diff(np.concatenate([[0], flux, [0]])) / h + u * (1 - u)

    begin = first((np.arange(n * factor) + 0.5) * h)
    found = solve_ivp(rate, (0, 6), begin, method="LSODA", lband=1, uband=1, rtol=1e-7, atol=1e-9).y[:, -1]
    end = end_of(equation, start, 30)[0].numpy()
    right = means(found, factor)
    assert np.sqrt(np.mean((end - right) ** 2)) < 3e-3
    assert end.min() > -1e-3
    # The front of m = 1 moves at √(r D/2).
    where = centres(equation)["x"][np.argmax(end < 0.5)]
    before = centres(equation)["x"][np.argmax(end_of(equation, start, 20)[0].numpy() < 0.5)]
    assert (where - before) / 2 == pytest.approx(np.sqrt(0.5), abs=0.12)


@pytest.mark.slow
def test_two_layers_conduct_like_the_exact_solution():
    # Steady: the flux is the same in both layers, .01 and .1, that meet on the face at .5.
    diffusivity = "0.055 + 0.045*sign(x - 0.5)"
    keys = {"size": 1.0, "dt": 10.0, "parameters": {"D": diffusivity}}
    equation = formula("div(D*grad(u))", 8, boundary={"x": {"lower": 0.0, "upper": 1.0}}, **keys)
    end = end_of(equation, torch.zeros(1, 8, dtype=torch.float64), 60)[0].numpy()
    flux = 1 / (0.5 / 0.01 + 0.5 / 0.1)
    x = centres(equation)["x"]
    right = np.where(x < 0.5, flux * x / 0.01, 1 - flux * (1 - x) / 0.1)
    assert np.abs(end - right).max() < 1e-6


@pytest.mark.slow
def test_two_layers_in_two_dimensions_with_a_flow_along_them():
    # -c ∂u/∂y = 0 for what depends on x alone: the same steady state.
    keys = {"size": (1.0, 1.0), "dt": 10.0, "parameters": {"D": "0.055 + 0.045*sign(x - 0.5)", "c": 0.02}}
    boundary = {"x": {"lower": 0.0, "upper": 1.0}, "y": "periodic"}
    start = torch.zeros(1, 8, 4, dtype=torch.float64)
    equation = formula("div(D*grad(u)) - c*dy(u)", (8, 4), start + 1, boundary=boundary, **keys)
    end = end_of(equation, start, 60)[0].numpy()
    flux = 1 / (0.5 / 0.01 + 0.5 / 0.1)
    x = centres(equation)["x"]
    assert np.abs(end - np.where(x < 0.5, flux * x / 0.01, 1 - flux * (1 - x) / 0.1)).max() < 1e-6
