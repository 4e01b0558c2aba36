"""Advection and diffusion together, against exact solutions on domains that are not square, with every boundary."""

import math

import pytest
import torch
from pydantic import ValidationError

from hyco.equations.registry import build_equation, equation_config
from hyco.expressions import coordinates
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

SIZE = (3.0, 2.0, 2.5)
MIXED = {"x": {"lower": 0.5, "upper": "neumann"}, "y": "periodic", "z": "neumann"}


def transport(resolution, dt, velocity, diffusivity, boundary="periodic", max_speed=1.5, max_diffusivity=0.6, **keys):
    axes = "xyz"[: len(resolution)]
    if isinstance(boundary, dict):
        boundary = {a: boundary[a] for a in axes}
    speeds = {f"velocity_{a}": v for a, v in zip(axes, velocity, strict=True)}
    return build_equation(
        {
            "name": "advection_diffusion",
            "domain": {a: {"size": s, "resolution": n} for a, n, s in zip(axes, resolution, SIZE, strict=False)},
            "boundary": boundary,
            "dt": dt,
            "order": 2,
            "parameters": {**speeds, "diffusivity": diffusivity},
            "max_speed": max_speed,
            "max_diffusivity": max_diffusivity,
            **keys,
        }
    )


def points(equation):
    """Coordinates of the cell centres by axis, `[*space]`."""
    return torch.broadcast_tensors(*coordinates(equation.layout.grid).values())


# Solutions of ∂u/∂t + v ∂u/∂x = D ∂²u/∂x² on [0, L] by boundary, as functions of x, t, v, D, L.


def drifting(x, t, v, d, length):
    k = 2 * math.pi / length
    return torch.sin(k * (x - v * t) + 0.4) * math.exp(-d * k**2 * t)


def between_cold_walls(x, t, v, d, length):
    k = math.pi / length
    return torch.exp(v * x / (2 * d)) * torch.sin(k * x) * math.exp(-(v**2 / (4 * d) + d * k**2) * t)


def between_insulated_walls(x, t, v, d, length):
    # Its slope is the solution between cold walls.
    k, rate = math.pi / length, v**2 / (4 * d) + d * (math.pi / length) ** 2
    swing = torch.exp(v * x / (2 * d)) * (d * k * torch.cos(k * x) - v / 2 * torch.sin(k * x))
    return -swing / rate * math.exp(-rate * t)


KINDS = {
    "periodic": ("periodic", drifting),
    "dirichlet": (0.0, between_cold_walls),
    "neumann": ("neumann", between_insulated_walls),
}


def mode_error(resolution, kinds, speeds, diffusivity, form):
    boundary = {a: KINDS[kind][0] for a, kind in zip("xyz", kinds, strict=False)}
    equation = transport(resolution, 0.1, speeds, diffusivity, boundary, 0.9, diffusivity, form=form)
    start, end = (
        math.prod(
            KINDS[kind][1](x, t, v, diffusivity, length)
            for kind, x, v, length in zip(kinds, points(equation), speeds, SIZE, strict=False)
        )
        for t in (0.0, 0.2)
    )
    found = simulate(equation, start[None, None], 2)[0, -1, 0]
    return float((found - end).square().mean().sqrt())


@pytest.mark.parametrize(
    ("kinds", "resolution", "speeds", "form"),
    [
        pytest.param(("periodic", "dirichlet"), (32, 26), (0.9, -0.5), "advective", marks=pytest.mark.slow),
        pytest.param(("dirichlet", "neumann"), (32, 26), (0.6, -0.7), "conservative", marks=pytest.mark.slow),
        (("neumann", "periodic"), (32, 26), (0.3, 0.3), "advective"),
        pytest.param(
            ("neumann", "periodic", "dirichlet"), (18, 14, 16), (-0.2, 0.1, 0.15), "advective", marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_the_scheme_is_second_order_for_every_boundary(kinds, resolution, speeds, form):
    # Flows so slow that the second-order error of diffusion outweighs the third-order one of advection.
    coarse, fine = (mode_error([r * n for n in resolution], kinds, speeds, 0.4, form) for r in (1, 2))
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("direction", [1, -1])
def test_a_flow_against_a_wall_has_its_steady_layer_to_second_order(direction):
    errors = []
    for n in (24, 48):
        ends = (0.3, 1.0)[::direction]
        walls = {"x": {"lower": ends[0], "upper": ends[1]}}
        equation = transport((n,), 1.0, (direction * 0.5,), 0.4, walls, 0.5, 0.4)
        (x,) = points(equation)
        s = x if direction > 0 else SIZE[0] - x
        steady = 0.3 + 0.7 * torch.expm1(s / 0.8) / math.expm1(SIZE[0] / 0.8)
        end = simulate(equation, steady[None, None], 4)[0, -1, 0]
        errors.append(float((end - steady).square().mean().sqrt()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


@pytest.mark.slow
def test_varying_velocity_and_diffusivity_are_second_order():
    # Each grid has three times the cells of the one before, so that it has cells with the same centres.
    results = []
    flow = ("0.3 + 0.1 * cos(2 * pi * x / 3) * sin(pi * y)", "0.1 * sin(2 * pi * x / 3 + pi * y)")
    for refined in (1, 3, 9):
        diffusivity = "0.3 + 0.1 * cos(2 * pi * x / 3 + 1) * cos(pi * y)"
        equation = transport((14 * refined, 12 * refined), 0.05, flow, diffusivity, MIXED, 0.5, 0.4)
        x, y = points(equation)
        start = 0.5 + torch.sin(math.pi * x / 6) * (1 + 0.5 * torch.sin(math.pi * y))
        end = simulate(equation, start[None, None], 2)[0, -1, 0]
        results.append(end[refined // 2 :: refined, refined // 2 :: refined])
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log(ratio, 3) == pytest.approx(2, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "boundary",
    [pytest.param("periodic", marks=pytest.mark.slow), {"x": {"lower": 0.0, "upper": "neumann"}, "y": 0.0}],
    ids=str,
)
def test_the_step_is_stable_for_all_parameters_up_to_the_limits(boundary):
    equation = transport((20, 12), 0.2, (0.0, 0.0), 0.0, boundary)
    generator = torch.Generator().manual_seed(0)
    cells = torch.ones(20, 12, dtype=torch.float64)
    shares = [(0, 0, 0), (1, 1, 1), (-1, 1, 1), (1, -1, 0), (-1, -1, 1e-3), (0, 0, 1), (0.1, -1, 0.03)]
    values = torch.stack([torch.stack([share * cells for share in case]) for case in shares])
    rough = 2 * torch.rand(2, 3, 20, 12, generator=generator, dtype=torch.float64) - 1
    rough[:, 2] = rough[:, 2].abs()
    values = torch.cat([values, rough])
    start = torch.randn(9, 1, 20, 12, generator=generator, dtype=torch.float64)
    stepper = Stepper(equation)
    given = {"velocity_x": 1.5 * values[:, 0], "velocity_y": 1.5 * values[:, 1], "diffusivity": 0.6 * values[:, 2]}
    states = rollout(lambda state: stepper(state, given), start, 15)
    assert (states.abs().amax((1, 2, 3, 4)) <= 1.5 * start.abs().amax((1, 2, 3))).all()
    assert (states[:, -1].square().mean((1, 2, 3)) <= start.square().mean((1, 2, 3))).all()


def test_the_conservative_form_keeps_the_mean_to_rounding():
    flow, diffusivity = ("sin(2 * pi * x / 3) + 0.4", "0.5 * cos(pi * y - 1)"), "0.3 + 0.2 * sin(pi * y)"
    equation = transport((20, 14), 0.1, flow, diffusivity, form="conservative")
    start = torch.randn(1, 1, 20, 14, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    trajectory = simulate(equation, start, 5)
    assert float(trajectory.flatten(2).mean(2).diff(dim=1).abs().max()) < 1e-12
    assert float((trajectory[:, 5] - trajectory[:, 0]).abs().max()) > 0.1


@pytest.mark.slow
def test_without_one_part_it_is_the_other_equation():
    common = {
        "domain": {"x": {"size": 3.0, "resolution": 16}, "y": {"size": 2.0, "resolution": 12}},
        "boundary": {"x": MIXED["x"], "y": "neumann"},
        "dt": 0.01,
    }
    speeds = {"velocity_x": "0.4 * y", "velocity_y": -0.3}
    both = {"name": "advection_diffusion", "order": 2, "max_speed": 1.0, "max_diffusivity": 0.6, **common}
    carried = build_equation({"name": "advection", "max_speed": 1.0, "parameters": speeds, **common})
    spread = build_equation(
        {"name": "heat", "order": 2, "max_diffusivity": 0.6, "parameters": {"diffusivity": 0.5}, **common}
    )
    only_carried = build_equation({**both, "parameters": {**speeds, "diffusivity": 0.0}})
    only_spread = build_equation({**both, "parameters": {"velocity_x": 0.0, "velocity_y": 0.0, "diffusivity": 0.5}})
    x, y = points(carried)
    start = (0.5 + torch.sin(math.pi * x / 6) * (1 + torch.cos(math.pi * y)))[None, None]
    for one, other in ((carried, only_carried), (spread, only_spread)):
        found, expected = (simulate(e, start, 5)[:, -1] for e in (one, other))
        # Their sub-steps differ.
        assert torch.allclose(found, expected, rtol=0, atol=1e-4)
        assert not torch.allclose(found, start, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "resolution"), [("advective", (14, 10)), ("conservative", (5, 6, 7))])
def test_the_traced_step_equals_the_plain_step_to_rounding(form, resolution):
    equation = transport(resolution, 0.05, (0.0,) * len(resolution), 0.1, MIXED, form=form)
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(3, 1, *resolution, generator=generator, dtype=torch.float64)
    fields = {
        name: 0.6 * torch.rand(3, *resolution, generator=generator, dtype=torch.float64) for name in equation.parameters
    }
    for values in (fields, {k: v.flatten(1)[:, 0] for k, v in fields.items()}):
        traced = Stepper(equation, "traced")
        found = traced(start, values)
        assert traced.execution == "traced"
        assert torch.allclose(found, Stepper(equation, "plain")(start, values), rtol=0, atol=1e-13)
        alone = Stepper(equation, "plain")(start[1:2], {k: v[1:2] for k, v in values.items()})
        assert torch.allclose(found[1:2], alone, rtol=0, atol=1e-13)


# Steps between rounding, which is near where the loss curves little, and the third order of a rough velocity.
@pytest.mark.parametrize(
    ("kind", "largest"), [pytest.param("field", 1.2e-4, marks=pytest.mark.slow), ("scalar", 1.2e-3)]
)
def test_the_gradient_passes_the_taylor_test_for_each_parameter(kind, largest):
    equation = transport((12, 9), 0.1, (0.5, -0.5), 0.3, MIXED)
    generator = torch.Generator().manual_seed(4)
    start = torch.randn(2, 1, 12, 9, generator=generator, dtype=torch.float64)
    shape = () if kind == "scalar" else (1, 12, 9)
    point = {k: 0.2 + 0.3 * torch.rand(shape, generator=generator, dtype=torch.float64) for k in equation.parameters}
    stepper = Stepper(equation)

    def loss(values):
        return rollout(lambda state: stepper(state, values), start, 2).square().mean()

    for name in equation.parameters:
        direction = torch.randn(shape, generator=generator, dtype=torch.float64)
        at = point[name].clone().requires_grad_(True)
        value = loss({**point, name: at})
        (slope,) = torch.autograd.grad(value, at)
        value, along = value.detach(), (slope * direction).sum()
        remainders = [
            abs(float(loss({**point, name: point[name] + h * direction}) - value - h * along))
            for h in (largest, largest / 2, largest / 4)
        ]
        orders = torch.tensor(remainders, dtype=torch.float64).log2().diff().neg()
        assert ((orders > 1.95) & (orders < 2.05)).all(), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocity_y": None}, "velocity_y is missing"),
        ({"diffusivity": 0.7}, "diffusivity leaves what is stable; allowed: 0 to 0.6"),
        ({"diffusivity": -0.1}, "diffusivity leaves what is stable"),
    ],
)
def test_wrong_configurations_say_what_is_allowed(change, message):
    data = {
        "name": "advection_diffusion",
        "domain": {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.0, "resolution": 8}},
        "dt": 0.1,
        "parameters": {"velocity_x": 0.1, "velocity_y": 0.1, "diffusivity": 0.1},
        "max_speed": 1.0,
        "max_diffusivity": 0.6,
    }
    equation_config(data)
    with pytest.raises(ValidationError, match=message):
        equation_config({**data, "parameters": {**data["parameters"], **change}})


def outflow_error(n, velocity, wall):
    """Root mean square error at t = 0.25 of u = 1 + exp(-t) cos(2 x + 0.3), made a solution by source and walls."""
    size, spread, time = 1.3, 0.05, 0.25
    wave = "exp(-t)*cos({0})"
    # s = u_t + v u_x - D u_xx
    phase = "2*x + 0.3"
    source = f"(4*{spread} - 1)*{wave.format(phase)} - 2*{velocity}*exp(-t)*sin({phase})"
    walls = {}
    for end, place, outward in (("lower", 0.0, -1), ("upper", size, 1)):
        value, slope = f"1 + exp(-t)*cos({2 * place + 0.3})", f"{-2 * outward}*exp(-t)*sin({2 * place + 0.3})"
        kinds = {"value": value, "flux": {"flux": slope}}
        kinds["robin"] = {"robin": {"a": 1.5, "b": 0.4, "c": f"1.5*({value}) + 0.4*({slope})"}}
        leaves = velocity * outward > 0
        walls[end] = kinds[wall if leaves else "value"]
    section = {"name": "advection_diffusion", "domain": {"x": {"size": size, "resolution": n}}, "dt": time / 4}
    parameters = {"velocity_x": velocity, "diffusivity": spread}
    equation = build_equation({**section, "parameters": parameters, "boundary": {"x": walls}, "source": source})
    (x,) = points(equation)
    end = simulate(equation, (1 + torch.cos(2 * x + 0.3))[None, None], 4)[0, -1, 0]
    return float((end - 1 - math.exp(-time) * torch.cos(2 * x + 0.3)).square().mean().sqrt())


@pytest.mark.parametrize("wall", ["value", "flux", "robin"])
@pytest.mark.parametrize("velocity", [pytest.param(0.8, marks=pytest.mark.slow), -0.6])
def test_a_wall_that_the_flow_leaves_by_is_second_order_whatever_it_holds(velocity, wall):
    """Where cells are thinner than D/|v|."""
    coarse, fine = (outflow_error(n, velocity, wall) for n in (80, 160))
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)
