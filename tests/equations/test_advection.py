"""Advection against exact solutions along characteristics, on domains that are not square, with every boundary."""

import math

import pytest
import torch
from pydantic import ValidationError

from hyco.equations.registry import build_equation, equation_config
from hyco.expressions import coordinates
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

OPEN = {"x": {"lower": 0.5, "upper": "neumann"}, "y": "periodic", "z": "neumann"}


def advection(resolution, dt, velocity, boundary="periodic", size=None, max_speed=2.0, **keys):
    """An equation on a box of size 2π along every axis, unless told otherwise."""
    axes = "xyz"[: len(resolution)]
    size = size or (2 * math.pi,) * 3
    if isinstance(boundary, dict):
        boundary = {a: boundary[a] for a in axes}
    return build_equation(
        {
            "name": "advection",
            "domain": {a: {"size": s, "resolution": n} for a, n, s in zip(axes, resolution, size, strict=False)},
            "boundary": boundary,
            "dt": dt,
            "parameters": {f"velocity_{a}": v for a, v in zip(axes, velocity, strict=True)},
            "max_speed": max_speed,
            **keys,
        }
    )


def points(equation):
    """Coordinates of the cell centres by axis, `[*space]`."""
    grid = equation.layout.grid
    return torch.broadcast_tensors(*coordinates(grid).values())


def error(equation, exact, time, steps=4):
    """Error of the last state in the mean square, from exact(0) to exact(time)."""
    equation_dt = equation.dt
    assert equation_dt * steps == pytest.approx(time)
    end = simulate(equation, exact(points(equation), 0.0)[None, None], steps)[0, -1, 0]
    return float((end - exact(points(equation), time)).square().mean().sqrt())


def order(resolution, velocity, exact, time=1.0, refine=2, **keys):
    errors = [
        error(advection([n * r for n in resolution], time / 4, velocity, **keys), exact, time) for r in (1, refine)
    ]
    return math.log(errors[0] / errors[1], refine)


def wave(s):
    """Smooth, with the period 2π, and without symmetry."""
    return torch.sin(s + 0.3) + 0.3 * torch.cos(2 * s)


# Steady flows with a known time of passage: v = 1/τ′, so that u(τ(x) - t) is carried along; v > 0 and v < 0.
def tau_x(x):
    return x + 0.3 * torch.sin(x)


def tau_y(y):
    return -(1.2 * y + 0.2 * torch.cos(y))


FLOW = ("1 / (1 + 0.3 * cos(x))", "-1 / (1.2 - 0.2 * sin(y))")


@pytest.mark.slow
def test_a_uniform_flow_is_third_order_in_three_dimensions():
    speeds = (0.9, -0.6, 0.4)

    def exact(x, t):
        a, b, c = (s - v * t for s, v in zip(x, speeds, strict=True))
        return wave(a) * torch.cos(b) + torch.sin(c + b)

    assert order((24, 20, 16), speeds, exact, time=0.8, max_speed=1.0) == pytest.approx(3, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["advective", pytest.param("conservative", marks=pytest.mark.slow)])
def test_a_varying_flow_is_third_order_in_both_forms(form):
    def exact(x, t):
        a, b = tau_x(x[0]) - t, tau_y(x[1]) - t
        # b has the period 1.2 × 2π.
        carried = 1.5 + wave(a) * torch.cos(b / 1.2)
        if form == "advective":
            return carried
        return carried * (1 + 0.3 * torch.cos(x[0])) * (1.2 - 0.2 * torch.sin(x[1]))

    found = order((48, 40), FLOW, lambda x, t: exact((x[0], x[1]), t), form=form)
    assert found == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("form", [pytest.param("advective", marks=pytest.mark.slow), "conservative"])
def test_a_flow_that_changes_direction_is_third_order(form):
    # dx/dt = sin x: tan(x/2) grows as exp(t).
    def exact(x, t):
        (s,) = x
        origin = 2 * torch.atan2(torch.sin(s / 2) * math.exp(-t), torch.cos(s / 2))
        squeeze = math.exp(-t) / (torch.cos(s / 2) ** 2 + torch.sin(s / 2) ** 2 * math.exp(-2 * t))
        return (1 + wave(origin)) * (squeeze if form == "conservative" else 1)

    found = order((128,), ("sin(x)",), exact, time=0.5, form=form, max_speed=1.0)
    assert found == pytest.approx(3, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("direction", [1, pytest.param(-1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("boundary", [0.2, pytest.param("neumann", marks=pytest.mark.slow)])
def test_what_flows_out_leaves_the_domain_to_third_order(direction, boundary):
    # A bump from the middle, half of it outside in the end.
    def exact(x, t):
        a = x[0] - direction * t - math.pi
        return 0.2 + torch.exp(-2.0 * a**2) * (1.2 + torch.sin(a))

    found = order((96,), (direction * 1.0,), exact, 3.2, boundary=boundary, max_speed=1.0)
    assert found == pytest.approx(3, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("direction", [1, -1])
def test_what_flows_in_has_the_boundary_value_to_third_order(direction):
    # In the steady state of the conservative form vu is the same everywhere: that of the wall where it enters.
    def exact(x, t):
        return 0.7 * (1 + 0.3 * torch.cos(x[0] + 1)) / (1 + 0.3 * math.cos(1))

    ends = {"lower": 0.7, "upper": -5.0} if direction > 0 else {"lower": -5.0, "upper": 0.7}
    flow = f"{direction} / (1 + 0.3 * cos(x + 1))"
    found = order((40,), (flow,), exact, 8.0, boundary={"x": ends}, form="conservative", max_speed=1.5)
    assert found == pytest.approx(3, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["advective", "conservative"])
def test_a_boundary_value_fills_the_domain(form):
    equation = advection((20, 6), 1.0, (0.8, 0.0), OPEN, form=form)
    end = simulate(equation, torch.zeros(1, 1, 20, 6, dtype=torch.float64), 30)[0, -1, 0]
    assert torch.allclose(end, torch.full_like(end, 0.5), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_uniform_concentration_stays():
    equation = advection((16, 12), 0.5, ("sin(y) + 0.2 * x", "cos(x)"), "neumann", max_speed=3.0)
    start = torch.full((1, 1, 16, 12), 0.7, dtype=torch.float64)
    assert torch.allclose(simulate(equation, start, 5)[:, -1], start, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "resolution",
    [(32,), pytest.param((20, 14), marks=pytest.mark.slow), pytest.param((8, 6, 7), marks=pytest.mark.slow)],
)
def test_the_conservative_form_keeps_the_mean_to_rounding(resolution):
    flow = ("sin(x) + 0.4", "0.5 * cos(y - 1)", "0.3 * sin(z)")[: len(resolution)]
    equation = advection(resolution, 0.2, flow, form="conservative")
    start = torch.randn(1, 1, *resolution, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    trajectory = simulate(equation, start, 5)
    assert float(trajectory.flatten(2).mean(2).diff(dim=1).abs().max()) < 1e-12
    assert float((trajectory[:, 5] - trajectory[:, 0]).abs().max()) > 0.1


@pytest.mark.parametrize(
    "boundary",
    [
        "periodic",
        pytest.param(0.0, marks=pytest.mark.slow),
        pytest.param({"x": {"lower": 0.0, "upper": "neumann"}, "y": "neumann"}, marks=pytest.mark.slow),
    ],
)
def test_the_step_is_stable_for_every_velocity_up_to_the_limit(boundary):
    equation = advection((20, 12), 0.3, (0.0, 0.0), boundary)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(7, 1, 20, 12, generator=generator, dtype=torch.float64)
    shares = torch.tensor([[0, 0], [1, 1], [-1, 1], [1, -1], [-1, -1], [0.1, -1], [-0.01, 0]], dtype=torch.float64)
    stepper = Stepper(equation)
    values = {f"velocity_{a}": 2.0 * shares[:, i] for i, a in enumerate("xy")}
    size = rollout(lambda state: stepper(state, values), start, 60).square().mean((2, 3, 4))
    # With no slope where it enters, what is at the wall stays there and fills the domain; it does not grow.
    assert (size <= 6 * start.square().mean((1, 2, 3))[:, None]).all()
    assert (size[:, -1] <= 1.001 * size[:, 30]).all()


@pytest.mark.parametrize(
    "boundary",
    ["periodic", pytest.param({**OPEN, "x": {"lower": 0.0, "upper": "neumann"}}, marks=pytest.mark.slow)],
    ids=str,
)
def test_the_advective_form_is_stable_for_every_velocity_field(boundary):
    equation = advection((24, 16), 0.3, (0.0, 0.0), boundary)
    generator = torch.Generator().manual_seed(0)
    # From white noise to fields that change over four cells.
    fields = []
    for smoothing in (0, 1, 2, 4):
        v = torch.randn(2, 2, 24, 16, generator=generator, dtype=torch.float64)
        for _ in range(smoothing):
            v = sum(v.roll(i, 2) for i in (-1, 0, 1))
            v = sum(v.roll(i, 3) for i in (-1, 0, 1))
        fields.append(2.0 * v / v.abs().amax((1, 2, 3), keepdim=True))
    v = torch.cat(fields)
    start = torch.randn(8, 1, 24, 16, generator=generator, dtype=torch.float64)
    stepper = Stepper(equation)
    states = rollout(lambda state: stepper(state, {"velocity_x": v[:, 0], "velocity_y": v[:, 1]}), start, 100)
    # Faster than 400 cells at the largest speed.
    assert (states.abs().amax((1, 2, 3, 4)) <= 1.5 * start.abs().amax((1, 2, 3))).all()


def test_a_flow_that_stagnates_near_a_wall_without_slope_lets_nothing_grow():
    # A wave of 14 cells, which enters by both walls and turns in the fourth cell from one of them.
    equation = advection((24,), 6.0, ("cos(24 * x / 14)",), "neumann", max_speed=1.0)
    start = torch.randn(3, 1, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    end = simulate(equation, start, 20)[:, -1]
    assert (end.abs().amax((1, 2)) <= 1.5 * start.abs().amax((1, 2))).all()


def random_velocity(resolution, generator, batch=()):
    return {
        f"velocity_{a}": 2 * torch.rand((*batch, *resolution), generator=generator, dtype=torch.float64) - 1
        for a, _ in zip("xyz", resolution, strict=False)
    }


@pytest.mark.parametrize("form", ["advective", "conservative"])
def test_a_constant_field_gives_what_its_number_gives(form):
    equation = advection((16, 12), 0.2, (0.4, -0.8), OPEN, form=form)
    start = torch.randn(1, 1, 16, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    numbers = equation.parameter_tensors(torch.float64)
    fields = {name: v.expand(1, 16, 12) for name, v in numbers.items()}
    one, other, both = (
        Stepper(equation, "plain")(start, v) for v in (numbers, fields, {**fields, "velocity_x": numbers["velocity_x"]})
    )
    assert torch.allclose(one, other, rtol=0, atol=1e-13)
    assert torch.allclose(one, both, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "resolution"), [("advective", (5, 6, 7)), ("conservative", (14, 10))])
def test_the_traced_step_equals_the_plain_step_to_rounding(form, resolution):
    equation = advection(resolution, 0.2, (0.0,) * len(resolution), OPEN, form=form)
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(3, 1, *resolution, generator=generator, dtype=torch.float64)
    fields = random_velocity(resolution, generator, (3,))
    for values in (fields, {k: v.flatten(1)[:, 0] for k, v in fields.items()}):
        traced = Stepper(equation, "traced")
        found = traced(start, values)
        assert traced.execution == "traced"
        assert torch.allclose(found, Stepper(equation, "plain")(start, values), rtol=0, atol=1e-13)
        # Each sample has its own velocity.
        alone = Stepper(equation, "plain")(start[1:2], {k: v[1:2] for k, v in values.items()})
        assert torch.allclose(found[1:2], alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("form", "boundary", "kind"),
    [
        pytest.param("advective", OPEN, "field", marks=pytest.mark.slow),
        ("conservative", "periodic", "field"),
        pytest.param("advective", OPEN, "scalar", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_gradient_passes_the_taylor_test_for_each_component(form, boundary, kind):
    equation = advection((12, 9), 0.2, (0.5, -0.5), boundary, form=form)
    generator = torch.Generator().manual_seed(4)
    start = torch.randn(2, 1, 12, 9, generator=generator, dtype=torch.float64)
    shape = () if kind == "scalar" else (1, 12, 9)
    # Of both signs, but away from zero: |v| has a kink there.
    signs = 1.0 if kind == "scalar" else torch.where(torch.arange(12)[:, None] < 5, -1.0, 1.0)
    point = {
        k: signs * (0.3 + torch.rand(shape, generator=generator, dtype=torch.float64)) for k in equation.parameters
    }
    stepper = Stepper(equation)

    def loss(values):
        return rollout(lambda state: stepper(state, values), start, 3).square().mean()

    for name in equation.parameters:
        direction = torch.randn(shape, generator=generator, dtype=torch.float64)
        at = point[name].clone().requires_grad_(True)
        value = loss({**point, name: at})
        (slope,) = torch.autograd.grad(value, at)
        value, along = value.detach(), (slope * direction).sum()
        remainders = [
            abs(float(loss({**point, name: point[name] + h * direction}) - value - h * along))
            for h in (4e-3, 2e-3, 1e-3)
        ]
        orders = torch.tensor(remainders, dtype=torch.float64).log2().diff().neg()
        assert ((orders > 1.95) & (orders < 2.05)).all(), name


@pytest.mark.slow
def test_swapping_the_axes_swaps_the_solution():
    boundary = {"x": {"lower": 0.4, "upper": "neumann"}, "y": "periodic"}
    one = advection((16, 11), 0.1, ("0.5 + sin(y)", "0.3 * x - 0.7"), boundary, (3.0, 2.0))
    other = {"x": "periodic", "y": boundary["x"]}
    two = advection((11, 16), 0.1, ("0.3 * y - 0.7", "0.5 + sin(x)"), other, (2.0, 3.0))
    start = torch.randn(1, 1, 16, 11, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    first, second = simulate(one, start, 4)[:, -1], simulate(two, start.transpose(2, 3).contiguous(), 4)[:, -1]
    assert torch.allclose(second.transpose(2, 3), first, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"velocity_x": 0.1}}, "velocity_y is missing: the domain has the axis y"),
        ({"parameters": {"velocity_x": 1.0, "velocity_y": 1.0, "velocity_z": 0.0}}, "the domain has no axis z"),
        ({"parameters": {"velocity_x": "1 + 2 * x", "velocity_y": 0.0}}, "leaves what is stable; allowed: -1 to 1"),
        ({"boundary": {"x": {"lower": "periodic", "upper": 0.0}, "y": 0.0}}, "both ends of an axis must be periodic"),
    ],
)
def test_wrong_configurations_say_what_is_allowed(change, message):
    data = {
        "name": "advection",
        "domain": {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.0, "resolution": 8}},
        "dt": 0.1,
        "parameters": {"velocity_x": 0.1, "velocity_y": 0.1},
        "max_speed": 1.0,
    }
    equation_config(data)
    with pytest.raises(ValidationError, match=message):
        equation_config({**data, **change})
