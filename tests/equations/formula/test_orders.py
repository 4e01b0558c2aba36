"""Orders of accuracy of formulas against manufactured solutions, and their gradients."""

import math

import pytest
import sympy as sp
import torch
from formulas import PLACES, by_hand, end_of, error_of, formula, on_cells, orders, section, taylor_slopes, with_sources

from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation

x, y, z, t = (PLACES[a] for a in "xyzt")
tenth = sp.Rational(1, 10)
# Smooth, periodic over 2π, without symmetry.
ONE = sp.exp(-t) * sp.sin(x) + 3 * tenth * sp.cos(2 * x + t)
OTHER = sp.exp(-t) * sp.cos(x) - 2 * tenth * sp.sin(x + t)
POSITIVE = 1 + sp.exp(-t) * sp.sin(x) / 2 + tenth * sp.cos(2 * x + t)
EVEN = sp.exp(-t) * sp.cos(x) + 3 * tenth * sp.cos(2 * x) * sp.cos(t)
LONG = 2 * sp.exp(-t) * sp.sin(x / 4) + sp.cos(x / 2 + t) + sp.sin(3 * x / 4 - 2 * t) / 2  # over 8π
PLANE = sp.exp(-t) * sp.sin(x) * sp.cos(2 * y) + 3 * tenth * sp.cos(x + y + t)
PLANE_2 = sp.exp(-t) * sp.cos(x + 2 * y) + 2 * tenth * sp.sin(x - y)
SPACE = sp.exp(-t) * sp.sin(x) * sp.cos(y) * sp.cos(z) + 3 * tenth * sp.cos(x + y + z)

LOWER, SIZE = (0.3, 0.2, 0.1), (3.0, 2.5, 2.0)


def walls(exact, *kinds):
    """Of an exact solution: for each axis a letter for each end; v: value, f: flux, r: Robin."""
    result = {}
    for axis, pair, low, size in zip("xyz", kinds, LOWER, SIZE, strict=False):
        ends = []
        for kind, at, sign in ((pair[0], low, -1), (pair[1], low + size, 1)):
            value = str(exact.subs(PLACES[axis], at))
            slope = str(sign * sp.diff(exact, PLACES[axis]).subs(PLACES[axis], at))
            robin = {"a": 2.0, "b": 0.5, "c": f"2*({value}) + 0.5*({slope})"}
            ends.append({"v": value, "f": {"flux": slope}, "r": {"robin": robin}}[kind])
        result[axis] = {"lower": ends[0], "upper": ends[1]}
    return result


def between(*kinds, exact=ONE):
    """Keys of a domain between walls."""
    n = len(kinds)
    return {"boundary": walls(exact, *kinds), "size": SIZE[:n], "lower": LOWER[:n]}


def each(first, second, *kinds):
    """Keys of two fields between walls of their own."""
    fields = {"u": {"boundary": walls(first, *kinds)}, "v": {"boundary": walls(second, *kinds)}}
    return {"fields": fields, "size": SIZE[: len(kinds)], "lower": LOWER[: len(kinds)]}


NEUMANN = {"boundary": "neumann", "size": math.pi}
DIFFERENCES, CENTRAL = {"scheme": "differences"}, {"transport": "central"}
LOWER_0, RK4 = {"fields": {"u": {"lower": 0}}}, {"substeps": 2, "stages": 4}
EULER = {"integrator": "explicit", "stages": 1, "substeps": 1}
HEAT, BURGERS = "D*laplace(u)", "-u*dx(u) + nu*laplace(u)"
BURGERS_2D = {"u": "-u*dx(u) - v*dy(u) + nu*laplace(u)", "v": "-u*dx(v) - v*dy(v) + nu*laplace(v)"}
FISHER, R = "D*laplace(u) + r*u*(1 - u/K)", {"D": 0.1, "r": 2.0, "K": 3.0}
WAVE = {"u": "v", "v": "c**2*laplace(u)"}
GRAY_SCOTT = {"u": "Du*laplace(u) - u*v**2 + F*(1 - u)", "v": "Dv*laplace(v) + u*v**2 - (F + k)*v"}
GS = {"Du": 0.1, "Dv": 0.05, "F": 0.4, "k": 0.6}
FITZHUGH = {"u": "D*laplace(u) + u - u**3/3 - v + I", "v": "eps*(u + a - b*v)"}
FH = {"D": 0.1, "I": 0.3, "eps": 0.08, "a": 0.7, "b": 0.8}
POROUS, P = "div(D*(u/K)**m*grad(u)) + r*u*(1 - u/K)", {"D": 0.1, "K": 1.5, "m": 1.5, "r": 0.8}
PAIR, PLANES = {"u": ONE, "v": OTHER}, {"u": PLANE, "v": PLANE_2}
ADVECTION_DIFFUSION = "-dx(c*u) + div(D*grad(u))"
CARRIED = "-c*dx(u) + D*laplace(u)"
C = {"c": "0.7 + 0.2*cos(x)", "D": "0.3 + 0.1*sin(x)"}
KS = "-u*dx(u) - laplace(u) - laplace(laplace(u))"
CAHN_HILLIARD = "laplace(u**3 - u - g*laplace(u))"
SWIFT_HOHENBERG = "(r - 1)*u - 2*laplace(u) - laplace(laplace(u)) - u**3"

# Rates, parameters, exact solution, keys, cells along x of the coarser of both grids, the least and the largest order:
# so fine that the order is that of the limit. `steps`: the time steps alone are refined, where space is exact.
ONE_D = {
    "heat, order 2, values": (HEAT, {"D": 0.3}, ONE, {**between("vv"), "order": 2}, 16, 1.9, 2.1),
    "heat, order 2, flux and Robin": (HEAT, {"D": 0.3}, ONE, {**between("fr"), "order": 2}, 16, 1.9, 2.1),
    "heat, Euler": (HEAT, {"D": 0.3}, ONE, {**EULER, "steps": 64}, 16, 0.9, 1.1),
    "Fisher-KPP, Euler, differences": (FISHER, R, ONE, {**EULER, **DIFFERENCES, "steps": 64}, 128, 0.9, 1.1),
    "heat, flux and value": (HEAT, {"D": 0.3}, ONE, between("fv"), 16, 3.9, 4.1),
    "heat, Robin": (HEAT, {"D": 0.3}, ONE, between("rr"), 16, 3.9, 4.1),
    "heat, neumann": (HEAT, {"D": 0.3}, EVEN, NEUMANN, 160, 3.9, 4.1),
    "heat, differences": (HEAT, {"D": 0.3}, ONE, DIFFERENCES, 16, 3.9, 4.1),
    "Burgers, spectral": (BURGERS, {"nu": 0.05}, ONE, {}, 16, 3.9, 4.1),
    "Burgers, differences": (BURGERS, {"nu": 0.05}, ONE, DIFFERENCES, 64, 2.9, 3.1),
    "Burgers, values that vary": (BURGERS, {"nu": 0.1}, ONE, between("vv"), 32, 2.9, 3.1),
    "Burgers, flux and value": (BURGERS, {"nu": 0.1}, ONE, between("fv"), 32, 2.9, 3.1),
    "Burgers, central": (BURGERS, {"nu": 0.1}, ONE, {**between("fv"), **CENTRAL}, 32, 3.9, 4.1),
    "Burgers, central, values": (BURGERS, {"nu": 0.1}, ONE, {**between("vv"), **CENTRAL}, 32, 3.9, 4.1),
    "Fisher-KPP, differences": (FISHER, R, ONE, DIFFERENCES, 16, 3.9, 4.1),
    "Fisher-KPP, value and flux": (FISHER, R, ONE, between("vf"), 128, 3.9, 4.1),
    "Fisher-KPP, Robin": (FISHER, R, ONE, between("rr"), 32, 3.9, 4.1),
    "porous Fisher, differences": (POROUS, P, POSITIVE, {**DIFFERENCES, **LOWER_0}, 32, 1.9, 2.1),
    "porous Fisher, spectral": (POROUS, P, POSITIVE, {**LOWER_0, **RK4, "steps": 2}, 64, 3.9, 4.1),
    "advection, spectral": ("-c*dx(u)", {"c": 0.7}, ONE, {}, 16, 3.9, 4.1),
    "advection, upwind": ("-c*dx(u)", {"c": 0.7}, ONE, DIFFERENCES, 64, 2.9, 3.1),
    "advection, central": ("-c*dx(u)", {"c": 0.7}, ONE, {**DIFFERENCES, **CENTRAL}, 64, 3.9, 4.1),
    "advection, in and out": ("-c*dx(u)", {"c": 0.7}, ONE, between("vv"), 32, 2.9, 3.1),
    "advection, central, in and out": ("-c*dx(u)", {"c": 0.7}, ONE, {**between("vv"), **CENTRAL}, 32, 3.9, 4.1),
    "advection, the other way": ("c*dx(u)", {"c": 0.7}, ONE, between("vv"), 32, 2.9, 3.1),
    "advection-diffusion, coefficients that vary": (ADVECTION_DIFFUSION, C, ONE, between("vf"), 64, 1.9, 2.1),
    "advection-diffusion, outflow": (CARRIED, {"c": 0.7, "D": 0.1}, ONE, between("rf"), 64, 2.9, 3.1),
    "advection-diffusion, central, outflow": (
        CARRIED,
        {"c": 0.7, "D": 0.1},
        ONE,
        {**between("rf"), **CENTRAL},
        64,
        3.9,
        4.1,
    ),
    "KdV": ("-6*u*dx(u) - m*dx(dx(dx(u)))", {"m": 0.01}, ONE, {"substeps": 4, "steps": 4}, 16, 3.9, 4.1),
    "Kuramoto-Sivashinsky": (KS, {}, LONG, {"size": 8 * math.pi, "substeps": 1, "time": 2, "steps": 8}, 32, 3.9, 4.1),
    "Kuramoto-Sivashinsky, stiff": (KS, {}, ONE, {"substeps": 1, "steps": 128}, 16, 3.9, 4.1),
    "wave": (WAVE, {"c": 0.8}, PAIR, {}, 16, 3.9, 4.1),
    "wave, walls": (WAVE, {"c": 0.8}, PAIR, each(ONE, OTHER, "vf"), 128, 3.9, 4.1),
    "Gray-Scott": (GRAY_SCOTT, GS, PAIR, {"substeps": 1}, 16, 3.9, 4.1),
    "Gray-Scott, walls": (GRAY_SCOTT, GS, PAIR, each(ONE, OTHER, "fr"), 32, 3.9, 4.1),
    "FitzHugh-Nagumo": (FITZHUGH, FH, PAIR, {}, 32, 3.9, 4.1),
    "FitzHugh-Nagumo, walls": (FITZHUGH, FH, PAIR, each(ONE, OTHER, "fr"), 32, 3.9, 4.1),
    "Swift-Hohenberg": (SWIFT_HOHENBERG, {"r": 0.3}, EVEN, {"substeps": 2, "steps": 16}, 16, 3.9, 4.1),
    "Swift-Hohenberg, neumann": (SWIFT_HOHENBERG, {"r": 0.3}, EVEN, NEUMANN, 128, 3.9, 4.1),
    "Cahn-Hilliard, neumann": (CAHN_HILLIARD, {"g": 0.1}, EVEN, {**NEUMANN, "time": 0.1}, 16, 3.9, 4.1),
    "Cahn-Hilliard, order 2": (CAHN_HILLIARD, {"g": 0.1}, EVEN, {**NEUMANN, "time": 0.1, "order": 2}, 16, 1.9, 2.1),
    "Cahn-Hilliard, differences": (CAHN_HILLIARD, {"g": 0.1}, EVEN, {**DIFFERENCES, "time": 0.1}, 16, 3.9, 4.1),
    "diffusion that varies in time": ("(D + q*sin(t))*laplace(u)", {"D": 0.1, "q": 0.05}, ONE, {}, 16, 3.9, 4.1),
    "diffusion that varies in space": ("div((D + q*sin(x))*grad(u))", {"D": 0.1, "q": 0.05}, ONE, {}, 16, 3.9, 4.1),
    "diffusion of the state": ("div((D + q*u**2)*grad(u))", {"D": 0.1, "q": 0.1}, ONE, between("rv"), 32, 1.9, 2.1),
}
MORE_D = {
    "heat 2-D": (HEAT, {"D": 0.3}, PLANE, {}, (16, 20), 3.9, 4.1),
    "heat 2-D, walls": (HEAT, {"D": 0.3}, PLANE, between("vf", "rv", exact=PLANE), (16, 20), 3.9, 4.1),
    "Burgers 2-D": (BURGERS_2D, {"nu": 0.1}, PLANES, {}, (16, 20), 3.9, 4.1),
    "Burgers 2-D, walls": (BURGERS_2D, {"nu": 0.1}, PLANES, each(PLANE, PLANE_2, "vv", "vv"), (16, 20), 2.9, 3.1),
    "heat 3-D": (HEAT, {"D": 0.3}, SPACE, {"time": 0.2}, (8, 10, 12), 3.9, 4.1),
    "heat 3-D, walls": (
        HEAT,
        {"D": 0.3},
        SPACE,
        {**between("vf", "rv", "ff", exact=SPACE), "time": 0.2},
        (12, 15, 18),
        3.9,
        4.1,
    ),
}
FAST = ("heat, flux and value",)
# Studies, and the case of the tests that has their order, scheme and kinds of walls.
REPEATED = {
    "Burgers, values that vary": "Burgers, flux and value",
    "Burgers, central, values": "Burgers, central",
    "Fisher-KPP, Robin": "Gray-Scott, walls",
    "advection, central, in and out": "Burgers, central",
    "advection, the other way": "advection, in and out",
    "FitzHugh-Nagumo": "Gray-Scott",
    "FitzHugh-Nagumo, walls": "Gray-Scott, walls",
    "Swift-Hohenberg": "Kuramoto-Sivashinsky, stiff",
    "heat 2-D": "Burgers 2-D",
}


def refined(case):
    """The errors on a grid and on one with twice the cells and steps."""
    rates, parameters, exact, keys, cells, _, _ = case
    keys = dict(keys)
    time, steps, errors = keys.pop("time", 0.5), keys.pop("steps", None), []
    for factor in (1, 2):
        finer = 1 if steps else factor
        n = cells * finer if isinstance(cells, int) else tuple(c * finer for c in cells)
        first = n if isinstance(n, int) else n[0]
        number = steps * factor if steps else max(2, first // 4)
        error, _ = error_of(rates, exact, n, number, time, parameters, **keys)
        errors.append(error)
    return errors


def cases(fast):
    """All, those that are not fast as slow tests."""
    marks = dict.fromkeys({**ONE_D, **MORE_D}, pytest.mark.slow) | dict.fromkeys(fast, ())
    marks |= dict.fromkeys(REPEATED, pytest.mark.study)
    return [pytest.param({**ONE_D, **MORE_D}[name], id=name, marks=marks[name]) for name in marks]


def kinds_of_walls(keys):
    """`periodic`, `value`, or the name of the condition, at all ends of all fields."""
    if "boundary" not in keys:
        return set().union(*map(kinds_of_walls, keys["fields"].values())) if "fields" in keys else {"periodic"}
    boundary = keys["boundary"]
    if isinstance(boundary, str):
        return {boundary}
    ends = [end for axis in boundary.values() for end in axis.values()]
    return {next(iter(end)) if isinstance(end, dict) else "value" for end in ends}


def scheme(keys):
    """What chooses it."""
    return {key: keys[key] for key in ("scheme", "transport", "integrator", "order") if key in keys}


@pytest.mark.parametrize(("study", "kept"), REPEATED.items())
def test_what_a_study_shows_a_case_of_the_tests_shows_too(study, kept):
    assert kept not in REPEATED
    (*_, keys, cells, low, high), (*_, others, other_cells, other_low, other_high) = (
        {**ONE_D, **MORE_D}[name] for name in (study, kept)
    )
    assert (low, high, scheme(keys)) == (other_low, other_high, scheme(others))
    assert isinstance(cells, int) == isinstance(other_cells, int)
    assert kinds_of_walls(keys) <= kinds_of_walls(others)


@pytest.mark.parametrize("case", cases(FAST))
def test_the_order_is_what_the_docs_promise(case):
    (order,) = orders(refined(case))
    assert case[-2] <= order <= case[-1]


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(()))
def test_gradients_by_parameters_and_the_initial_state_pass_the_taylor_test(case):
    rates, parameters, exact, keys, cells, _, _ = case
    keys = {k: v for k, v in keys.items() if k not in ("time", "steps")}
    rates = rates if isinstance(rates, dict) else {"u": rates}
    exact = exact if isinstance(exact, dict) else {"u": exact}
    n = 12 if isinstance(cells, int) else (8, 10, 12)[: len(cells)]
    axes = "x" if isinstance(n, int) else "xyz"[: len(n)]
    texts = with_sources(rates, exact, parameters, axes)
    equation = build_equation(section(texts, n, dt=0.02, parameters=parameters, **keys))
    start = on_cells(equation, exact.values())
    equation = covering(equation, equation.reach(start))
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(start.shape, generator=generator, dtype=torch.float64)

    def misfit(state, given):
        end = end_of(equation, state, 2, given)
        return (weights * end + end.square()).sum()

    direction = torch.randn(start.shape, generator=generator, dtype=torch.float64) * 0.1
    for slope in taylor_slopes(lambda s: misfit(s, {}), start, direction):
        assert 1.95 <= slope <= 2.05
    for name, value in equation.parameter_tensors(torch.float64).items():
        direction = (1 + 0.1 * torch.randn(value.shape, generator=generator, dtype=torch.float64)) * value
        end = misfit(start, {})
        changed = misfit(start, {name: value + direction})
        if abs(float(changed - end)) < 1e-9 * abs(float(end)):
            continue
        slopes = taylor_slopes(lambda p, name=name: misfit(start, {name: p}), value, direction, (0.02, 0.01, 0.005))
        linear = misfit(start, {name: value + 2 * direction}) - 2 * changed + end
        assert abs(float(linear)) < 1e-9 * abs(float(end)) or all(1.95 <= s <= 2.05 for s in slopes), (name, slopes)


@pytest.mark.parametrize(
    "rates",
    [
        "D*laplace(u)",
        pytest.param("-u*dx(u) + D*laplace(u)", marks=pytest.mark.slow),
        pytest.param("div(D*(1 + u**2)*grad(u))", marks=pytest.mark.slow),
        pytest.param("-D*dx(u)", marks=pytest.mark.slow),
    ],
)
def test_gradients_by_what_stands_in_walls_pass_the_taylor_test(rates):
    boundary = {"x": {"lower": "g*cos(t)", "upper": {"robin": {"a": "k", "b": 1.0, "c": "k*g**2"}}}}
    parameters = {"D": 0.3, "g": 0.7, "k": 0.4}
    start = on_cells(formula(rates, 12, parameters=parameters, boundary=boundary), [sp.sin(x) + 1])
    equation = formula(rates, 12, start, parameters=parameters, boundary=boundary, dt=0.1)
    for name in ("g", "k") if rates != "-D*dx(u)" else ("g",):
        value = torch.tensor(parameters[name], dtype=torch.float64)
        slopes = taylor_slopes(
            lambda p, name=name: end_of(equation, start, 3, {name: p}).pow(4).sum(), value, value, (0.01, 0.005, 0.0025)
        )
        assert all(1.95 <= s <= 2.05 for s in slopes), (name, slopes)


def test_sources_of_the_tests_are_right():
    assert by_hand("laplace(u) + dx(u**2)", {"u": sp.sin(x)}, {}) == 2 * sp.sin(x) * sp.cos(x) - sp.sin(x)
