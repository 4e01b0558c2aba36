"""Walls and sources that vary in time and along the wall: orders on manufactured solutions, and gradients."""

import math

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.expressions import Expression
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

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
    return [
        {"robin": {"a": "2 + sin(t)", "b": "0.5", "c": f"(2 + sin(t))*({v}) + 0.5*({s})"}}
        for v, s in zip(u, q, strict=True)
    ]


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
        exact.on_grid(grid, {"t": torch.tensor(t, dtype=torch.float64)} if "t" in exact.names else {})
        for t in (0.0, TIME)
    )
    found = simulate(equation, start[None, None], round(TIME / dt))[0, -1, 0]
    return float((found - end).abs().max())


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "case", "kind"),
    [
        pytest.param(name, case, kind, marks=[SLOW] * ((name, case, kind) != ("heat", "in time", "robin in time")))
        for name in ("heat", "advection_diffusion")
        for case in CASES
        for kind in ("value", "flux", "robin", "robin in time")
    ],
)
def test_walls_of_every_kind_keep_second_order(name, case, kind):
    if name == "heat":
        first, second = (error(name, case, kind, n, 0.4 / n) for n in (16, 32))
    else:
        first, second = (error(name, case, kind, n, 0.1) for n in (24, 48))
    assert math.log2(first / second) == pytest.approx(2, abs=0.11)


@SLOW
@pytest.mark.parametrize("kind", ["value", "robin in time"])
def test_time_steps_of_the_heat_equation_are_of_second_order_though_its_walls_move(kind):
    """The error in time alone: against very short steps on the same grid."""

    def end(dt):
        equation, exact = problem("heat", "in time", kind, 20, dt)
        start = exact.on_grid(equation.layout.grid, {"t": torch.tensor(0.0, dtype=torch.float64)})
        return simulate(equation, start[None, None], round(TIME / dt))[0, -1, 0]

    reference = end(0.4 / 256)
    first, second = (float((end(dt) - reference).abs().max()) for dt in (0.025, 0.0125))
    assert math.log2(first / second) == pytest.approx(2, abs=0.2)


def test_a_documented_diffusion_problem_with_a_source_has_its_exact_solution():
    """u_t = u_xx + exp(-t) (π² - 1) sin(πx) on [-1, 1] with u = 0 at the walls: exp(-t) sin(πx)."""

    def error(n):
        section = {"name": "heat", "domain": {"x": {"lower": -1.0, "size": 2.0, "resolution": n}}, "boundary": 0.0}
        section |= {
            "dt": 1.0 / n,
            "order": 2,
            "parameters": {"diffusivity": 1.0},
            "source": "exp(-t)*(-sin(pi*x) + pi**2*sin(pi*x))",
        }
        equation = build_equation(section)
        x = torch.from_numpy(equation.layout.grid.centers("x"))
        states = simulate(equation, torch.sin(math.pi * x)[None, None], n)
        return float((states[0, -1, 0] - math.exp(-1) * torch.sin(math.pi * x)).abs().max())

    first, second = error(16), error(32)
    assert math.log2(first / second) == pytest.approx(2, abs=0.11)
    assert second < 3e-3


LEARNT = {
    "heat": {
        "boundary": {
            "x": {"lower": {"robin": {"a": "k", "b": "diffusivity", "c": "k*g*cos(t)"}}, "upper": {"flux": "q*t"}}
        },
        "parameters": {"diffusivity": 0.2, "k": 0.7, "g": 1.3, "q": 0.4, "r": 0.5},
        "source": "r*temperature*(1 - temperature)*exp(-t)",
    },
    "advection_diffusion": {
        "boundary": {"x": {"lower": "g*(1 + sin(t))", "upper": {"robin": {"a": 1, "b": "k", "c": "q"}}}},
        "parameters": {"diffusivity": 0.02, "velocity_x": 0.5, "k": 0.7, "g": 1.3, "q": 0.4, "r": 0.5},
        "source": "-r*u",
    },
    "advection": {
        "boundary": {"x": {"lower": "g*(1 + sin(t))", "upper": "neumann"}},
        "parameters": {"velocity_x": 0.5, "g": 1.3, "r": 0.5},
        "source": "-r*u",
    },
    "elliptic": {
        "boundary": {"x": {"lower": {"robin": {"a": "k", "b": 0.3, "c": "g"}}, "upper": "q"}},
        "parameters": {"diffusivity": 0.2, "source": 1.0, "k": 0.7, "g": 1.3, "q": 0.4},
    },
}


@pytest.mark.parametrize("name", LEARNT)
def test_gradients_by_what_stands_in_walls_and_sources_pass_the_taylor_test(name):
    section = {"name": name, "domain": {"x": {"size": 1.0, "resolution": 12}}} | LEARNT[name]
    equation = build_equation(section | ({} if name == "elliptic" else {"dt": 0.1}))
    x = torch.from_numpy(equation.layout.grid.centers("x"))
    names = sorted(equation.parameters)
    point = torch.tensor([equation.parameters[key] for key in names], dtype=torch.float64, requires_grad=True)
    stepper = Stepper(equation)
    weights = torch.sin(7 * x)

    def loss(values):
        start = (1 + x**2)[None, None]
        step = stepper.bind(start, dict(zip(names, values, strict=True)))
        states = rollout(step, start, 1 if name == "elliptic" else 3)
        return (states * weights).sum() + (states**2).sum()

    value = loss(point)
    (gradient,) = torch.autograd.grad(value, point)
    assert (gradient.abs() > 1e-6).all()
    direction = torch.linspace(1, -0.7, len(names), dtype=torch.float64)
    with torch.no_grad():
        errors = [float((loss(point + h * direction) - value - h * (gradient @ direction)).abs()) for h in (2e-3, 1e-3)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.05)


def test_a_wall_may_have_a_pole_where_a_parameter_is_one():
    section = {
        "name": "formula",
        "domain": {"x": {"size": 1.0, "resolution": 8}},
        "dt": 0.01,
        "boundary": {"x": {"lower": "1/(a - 1) + t", "upper": 0.0}},
        "rates": {"u": "D*laplace(u)"},
        "parameters": {"D": 0.1, "a": 0.5},
    }
    assert build_equation(section).layout.channels == ("u",)
