"""Equations by formula for tests: sections, manufactured solutions, errors and orders, Taylor tests."""

import math
from itertools import pairwise

import numpy as np
import sympy as sp
import torch

from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

PLACES = {name: sp.Symbol(name, real=True) for name in "xyzt"}


def section(rates, resolution, dt=0.05, size=2 * math.pi, lower=0.0, **keys):
    """The section `equation`: a text is the rate of u; a number of cells, or one for each axis."""
    cells = (resolution,) if isinstance(resolution, int) else resolution
    sizes = size if isinstance(size, tuple) else (size,) * len(cells)
    lowers = lower if isinstance(lower, tuple) else (lower,) * len(cells)
    return {
        "name": "formula",
        "domain": {
            a: {"size": s, "resolution": n, "lower": low}
            for a, n, s, low in zip("xyz", cells, sizes, lowers, strict=False)
        },
        "dt": dt,
        "rates": {"u": rates} if isinstance(rates, str) else rates,
        **keys,
    }


def formula(rates, resolution, states=None, **keys):
    """The equation, made for these states `[…, C, *space]` if they are given."""
    equation = build_equation(section(rates, resolution, **keys))
    return equation if states is None else covering(equation, equation.reach(states))


def centres(equation):
    """Coordinates of the cells by axis, `[*space]` NumPy arrays."""
    grid = equation.layout.grid
    arrays = np.meshgrid(*(grid.centers(axis) for axis in grid.axes), indexing="ij")
    return dict(zip(grid.axes, arrays, strict=True))


def on_cells(equation, expressions, t=0.0):
    """The values of SymPy expressions or functions of the axes, one for each field, `[C, *space]` float64."""
    at = centres(equation)
    values = []
    for expression in expressions:
        function = expression
        if isinstance(expression, sp.Basic | int | float):
            names = [PLACES[a] for a in at]
            function = sp.lambdify(names, sp.sympify(expression).subs(PLACES["t"], t), "numpy")
        values.append(np.broadcast_to(function(*at.values()), equation.layout.grid.resolution))
    return torch.from_numpy(np.stack(values).astype(np.float64))


def end_of(equation, start, steps, parameters=None, execution="traced"):
    """The state `[C, *space]` after so many steps of `dt` from a state at t = 0."""
    values = {**equation.parameter_tensors(torch.float64), **(parameters or {})}
    bound = Stepper(equation, execution).bind(start[None], values)
    return rollout(bound, start[None], steps, read=[steps])[0, 0]


def by_hand(text, fields, parameters, axes="x"):
    """What a formula says of exact fields, worked out by SymPy alone."""
    places = [PLACES[a] for a in axes]

    def gradient(f):
        return sp.Matrix([sp.diff(f, place) for place in places])

    def divergence(vector):
        return sum(sp.diff(v, place) for v, place in zip(vector, places, strict=True))

    names = {
        **PLACES,
        **fields,
        **{k: sp.sympify(v, locals=PLACES) if isinstance(v, str) else v for k, v in parameters.items()},
        "grad": gradient,
        "div": divergence,
        "laplace": lambda f: divergence(gradient(f)),
        "dot": lambda a, b: a.dot(b),
        **{f"d{a}": lambda f, a=a: sp.diff(f, PLACES[a]) for a in axes},
        **{name: getattr(sp, name) for name in ("sin", "cos", "exp", "sqrt", "tanh", "pi", "log")},
    }
    return eval(text, {}, names)  # formulas of tests


def with_sources(rates, exact, parameters, axes="x"):
    """The rates and the sources that make `exact`, SymPy expressions by field, their solution."""
    return {
        name: f"{text} + ({sp.diff(exact[name], PLACES['t']) - by_hand(text, exact, parameters, axes)})"
        for name, text in rates.items()
    }


def error_of(rates, exact, resolution, steps, time, parameters=None, sources=True, **keys):
    """The root mean square error at the end of a manufactured solution, and the equation that made it."""
    given = rates if isinstance(rates, dict) else {"u": rates}
    exact = exact if isinstance(exact, dict) else {"u": exact}
    axes = "x" if isinstance(resolution, int) else "xyz"[: len(resolution)]
    texts = with_sources(given, exact, parameters or {}, axes) if sources else given
    plain = build_equation(section(texts, resolution, dt=time / steps, parameters=parameters or {}, **keys))
    start = on_cells(plain, exact.values())
    equation = covering(plain, plain.reach(start))
    end = end_of(equation, start, steps)
    return float((end - on_cells(plain, exact.values(), time)).square().mean().sqrt()), equation


def orders(errors, factor=2.0):
    """The orders between errors on ever finer grids, or with ever shorter steps."""
    return [math.log(a / b) / math.log(factor) for a, b in pairwise(errors)]


def taylor_slopes(misfit, point, direction, sizes=(1e-2, 5e-3, 2.5e-3)):
    """The orders of what remains of a function of a tensor after the linear term, with its gradient by autograd: 2."""
    at = point.clone().requires_grad_()
    value = misfit(at)
    (gradient,) = torch.autograd.grad(value, at)
    slope = float((gradient * direction).sum())
    with torch.no_grad():
        remains = [abs(float(misfit(point + e * direction)) - float(value) - e * slope) for e in sizes]
    return orders(remains, sizes[0] / sizes[1])
