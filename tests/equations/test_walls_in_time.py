"""Walls and sources that vary in time and along the wall: manufactured solutions with measured orders, and gradients."""

import math

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.expressions import Expression
from hyco.stepping.generation import simulate

D, V = 0.3, 0.7
TIME = 0.4


# What stands at x = 0 and x = 1 of u and its outward slope q, of which every condition has its formulas.
def conditions(kind, u, q):
    if kind == "value":
        return [{"value": each} for each in u]
    if kind == "flux":
        return [{"flux": each} for each in q]
    if kind == "robin":
        return [{"robin": {"a": 2.0, "b": 0.5, "c": f"2*({v}) + 0.5*({slope})"}} for v, slope in zip(u, q, strict=True)]
    return [{"robin": {"a": "2 + sin(t)", "b": "0.5", "c": f"(2 + sin(t))*({v}) + 0.5*({s})"}} for v, s in zip(u, q, strict=True)]


# u, its values and outward slopes at both walls, and its rate less what the equation has, by the velocity v.
CASES = {
    "constant": ("sin(2*x) + x*(1 - x)*0*t", ("0", "sin(2)"), ("-2", "2*cos(2)"), "4*D*sin(2*x) + v*2*cos(2*x)"),
    "in time": (
        "sin(2*x + 3*t)",
        ("sin(3*t)", "sin(2 + 3*t)"),
        ("-2*cos(3*t)", "2*cos(2 + 3*t)"),
        "(3 + 2*v)*cos(2*x + 3*t) + 4*D*sin(2*x + 3*t)",
    ),
    "in time and along": (
        "sin(2*x + 3*t)*(2 + cos(pi*y))",
        ("sin(3*t)*(2 + cos(pi*y))", "sin(2 + 3*t)*(2 + cos(pi*y))"),
        ("-2*cos(3*t)*(2 + cos(pi*y))", "2*cos(2 + 3*t)*(2 + cos(pi*y))"),
        "((3 + 2*v)*cos(2*x + 3*t) + 4*D*sin(2*x + 3*t))*(2 + cos(pi*y)) + D*pi*pi*cos(pi*y)*sin(2*x + 3*t)",
    ),
}


def problem(name, case, kind, n, dt, **keys):
    u, values, slopes, source = CASES[case]
    lower, upper = conditions(kind, values, slopes)
    boundary, domain = {"x": {"lower": lower, "upper": upper}}, {"x": {"size": 1.0, "resolution": n}}
    parameters = {"diffusivity": D}
    v = 0.0
    if name == "advection_diffusion":
        v = V
        parameters["velocity_x"] = V
    if "y" in source:
        domain["y"], boundary["y"] = {"size": 1.0, "resolution": n}, "neumann"
        parameters |= {"velocity_y": 0.0} if v else {}
    for key, number in (("D", D), ("v", v)):
        source = str(source).replace(key, f"{number}")
    section = {"name": name, "domain": domain, "boundary": boundary, "dt": dt, "parameters": parameters}
    return build_equation(section | {"source": source} | keys), Expression(u)


def error(name, case, kind, n, dt, **keys):
    equation, exact = problem(name, case, kind, n, dt, **keys)
    grid = equation.layout.grid
    start, end = (
        exact.on_grid(grid, {"t": torch.tensor(t, dtype=torch.float64)} if "t" in exact.names else {}) for t in (0.0, TIME)
    )
    found = simulate(equation, start[None, None], round(TIME / dt))[0, -1, 0]
    return float((found - end).abs().max())
