"""Steps are as many as formulas need: long rollouts at the ends of all ranges stay finite, and few steps do."""

import math

import pytest
import torch
from formulas import end_of, section

from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation

POSITIVE = {"fields": {"u": {"lower": 0}}}
# Rates, parameters, bounds, cells, other keys, and the most evaluations of the rates in a step of `dt`.
KINDS = {
    "heat": ("D*laplace(u)", {"D": 0.1}, {"D": (0.01, 50.0)}, 64, {}, 4),
    "heat, walls": ("D*laplace(u)", {"D": 0.1}, {"D": (0.01, 50.0)}, 64, {"boundary": 0.5}, 4),
    "Burgers": ("-u*dx(u) + nu*laplace(u)", {"nu": 0.1}, {"nu": (0.1, 1.0)}, 64, {}, 16),
    "Burgers, walls": ("-u*dx(u) + nu*laplace(u)", {"nu": 0.1}, {"nu": (0.05, 1.0)}, 64, {"boundary": 0.0}, 24),
    "inviscid Burgers": ("-dx(u**2/2)", {}, {}, 64, {}, 24),
    "Fisher-KPP": ("D*laplace(u) + r*u*(1 - u)", {"D": 0.1, "r": 1.0}, {"r": (0.0, 10.0)}, 64, POSITIVE, 40),
    "Fisher-KPP, Euler": (
        "D*laplace(u) + r*u*(1 - u)",
        {"D": 0.1, "r": 1.0},
        {"D": (0.01, 1.0), "r": (0.0, 2.0)},
        32,
        {**POSITIVE, "scheme": "differences", "integrator": "explicit", "stages": 1},
        80,
    ),
    "porous": ("div(D*u**m*grad(u))", {"D": 0.1, "m": 1.0}, {"D": (0.0, 0.5), "m": (1, 2)}, 32, POSITIVE, 80),
    "porous, wide bounds": (
        "div(D*u**m*grad(u))",
        {"D": 0.1, "m": 1.0},
        {"D": (0.001, 5.0), "m": (0.5, 1.0)},
        32,
        POSITIVE,
        40,
    ),
    "advection": ("-c*dx(u)", {"c": 1.0}, {"c": (-2.0, 2.0)}, 64, {"scheme": "differences"}, 16),
    "advection, in and out": ("-c*dx(u)", {"c": 1.0}, {"c": (-2.0, 2.0)}, 64, {"boundary": 0.0}, 16),
    "KdV": ("-6*u*dx(u) - m*dx(dx(dx(u)))", {"m": 0.05}, {"m": (0.01, 1.0)}, 64, {}, 64),
    "KdV, differences": ("-dx(dx(dx(u))) - u*dx(u)", {}, {}, 32, {"scheme": "differences"}, 120),
    "Kuramoto-Sivashinsky": ("-u*dx(u) - laplace(u) - laplace(laplace(u))", {}, {}, 64, {"size": 22.0}, 16),
    "wave": ({"u": "v", "v": "c**2*laplace(u)"}, {"c": 1.0}, {"c": (0.1, 2.0)}, 64, {}, 16),
    "wave, walls": ({"u": "v", "v": "c**2*laplace(u)"}, {"c": 1.0}, {"c": (0.1, 2.0)}, 64, {"boundary": 0.0}, 24),
    "Schrödinger": ({"u": "-laplace(v)", "v": "laplace(u)"}, {}, {}, 32, {}, 48),
    "two waves": ({"u": "c*dx(v)", "v": "c*dx(u)"}, {"c": 1.0}, {"c": (-2.0, 2.0)}, 64, {}, 16),
    "Swift-Hohenberg": ("(r - 1)*u - 2*laplace(u) - laplace(laplace(u)) - u**3", {"r": 0.3}, {}, 64, {}, 40),
    "Cahn-Hilliard": ("laplace(u**3 - u - g*laplace(u))", {"g": 0.1}, {"g": (0.05, 0.5)}, 64, {"dt": 0.01}, 300),
    "Cahn-Hilliard, neumann": (
        "laplace(u**3 - u - g*laplace(u))",
        {"g": 0.1},
        {"g": (0.05, 0.5)},
        32,
        {"dt": 0.01, "boundary": "neumann"},
        120,
    ),
    "diffusion that varies": ("div(D*(1.1 + sin(x))*grad(u))", {"D": 0.1}, {"D": (0.0, 1.0)}, 32, {}, 64),
    "sine-Gordon": ({"u": "v", "v": "laplace(u) - sin(u)"}, {}, {}, 64, {}, 16),
    "FitzHugh-Nagumo": (
        {"u": "D*laplace(u) + u - u**3/3 - v", "v": "k*(u - a*v)"},
        {"D": 0.1, "k": 0.1, "a": 0.5},
        {},
        64,
        {},
        16,
    ),
    "Brusselator": (
        {"u": "D*laplace(u) + a - (b + 1)*u + u**2*v", "v": "E*laplace(v) + b*u - u**2*v"},
        {"D": 0.1, "E": 0.5, "a": 1.0, "b": 2.5},
        {"b": (1.5, 3.0)},
        64,
        {"fields": {"u": {"lower": 0}, "v": {"lower": 0}}},
        60,
    ),
    "predators that follow": (
        {"u": "D*laplace(u) - q*div(u*grad(v)) + u*(1 - u - v)", "v": "laplace(v) + u - v"},
        {"D": 0.5, "q": 0.2},
        {},
        32,
        {"fields": {"u": {"lower": 0}, "v": {"lower": 0}}},
        60,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("amplitude", [0.1, 3.0])
@pytest.mark.parametrize("name", KINDS)
def test_long_rollouts_stay_bounded_with_few_steps(name, amplitude):
    rates, parameters, bounds, cells, keys, most = KINDS[name]
    if name == "predators that follow" and amplitude > 1:
        amplitude = 0.5
    plain = build_equation(section(rates, cells, parameters=parameters, **keys))
    generator = torch.Generator().manual_seed(5)
    states = plain.initial_states(2, plain.layout.grid.size[0] / 8, amplitude, generator)
    equation = covering(plain, plain.reach(states), bounds)
    stages = 4 if equation.plan.exponential else equation.config.stages
    assert equation.substeps * stages <= most * max(1.0, amplitude) * 1.5
    for end in range(2):
        values = {
            k: torch.tensor(float(bounds.get(k, (v, v))[end]), dtype=torch.float64) for k, v in parameters.items()
        }
        for start in states[:1]:
            last = end_of(equation, start, 60, values)
            assert bool(torch.isfinite(last).all())
            largest = max(float(start.abs().max()), 2 * math.pi)
            assert float(last.abs().max()) < 4 * largest, float(last.abs().max())


def test_steps_follow_what_fields_reach_together():
    # Where much of v is, little of u is left: steps for both at once would be ten times as many.
    parameters = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
    rates = {
        "u": "diffusivity_u*laplace(u) - u*v**2 + feed*(1 - u)",
        "v": "diffusivity_v*laplace(v) + u*v**2 - (feed + kill)*v",
    }
    given = section(rates, (24, 24), dt=20.0, size=37.5, parameters=parameters)
    own = build_equation(
        {**{k: given[k] for k in ("domain", "dt", "parameters")}, "name": "gray_scott", "substeps": 40}
    )
    start = own.initial_states(1, 6.0, 1.0, torch.Generator().manual_seed(0))[0]
    plain = build_equation(given)
    equation = covering(plain, plain.reach(start))
    assert equation.substeps <= 6
    assert equation.unsuitable(start) is None
    assert "substeps" in equation.unsuitable(3 * start)
    end = end_of(equation, start, 4)
    finer = build_equation({**given, "substeps": 8 * equation.substeps})
    assert float((end - end_of(finer, start, 4)).abs().max()) < 5e-3
    # Of one field no more is known than how large it is.
    assert covering(plain, float(plain.reach(start))).substeps > 4 * equation.substeps


LIMITED = {"domain": {"x": {"size": 8.0, "resolution": 16}}, "dt": 0.5, "integrator": "explicit"}
LIMITED |= {"name": "formula", "scheme": "differences", "rates": {"u": "D*laplace(u)"}, "parameters": {"D": 0.1}}


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(("stages", "substeps"), [(1, 2), (4, 1), (5, 1), (7, 3)])
def test_steps_given_by_hand_say_how_much_diffusion_they_are_stable_for(stages, substeps, order):
    config = build_equation({**LIMITED, "stages": stages, "substeps": substeps, "order": order}).config
    lower, most = config.parameter_limits["D"]
    assert lower == 0
    assert config.limiting_keys("D")[1] == "substeps"
    start = torch.rand(1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5

    def size(diffusivity):
        # The equation is made for a small one; that it is given another goes unseen.
        return float(end_of(build_equation(config), start, 200, {"D": torch.tensor(diffusivity).double()}).abs().max())

    assert size(0.99 * most) < 0.6
    assert not size((1.05 if stages in (1, 4) else 1.5) * most) <= 10  # of the others the limit is not sharp


def test_the_limit_is_of_each_parameter_with_the_others_as_they_are():
    rates = {"u": "2*(D + s)*laplace(u) - u", "v": "E*laplace(v) + x*u"}
    given = {**LIMITED, "rates": rates, "parameters": {"D": 0.1, "s": 0.05, "E": 0.2}, "order": 2, "stages": 1}
    limits = build_equation({**given, "substeps": 4}).config.parameter_limits
    most = 2.0 * 4 / 0.5 * 0.5**2 / 4
    assert limits["D"][1] == pytest.approx(most / 2 - 0.05)
    assert limits["s"][1] == pytest.approx(most / 2 - 0.1)
    assert limits["E"] == pytest.approx((0.0, most))
    assert build_equation({**given, "substeps": "auto"}).config.parameter_limits["E"] == (0.0, math.inf)
    with pytest.raises(ValueError, match=r"parameters.E leaves what is stable; allowed: 0 to 1"):
        build_equation({**given, "substeps": 4, "parameters": {"D": 0.1, "s": 0.05, "E": 1.2}})
