"""Smoke against exact flows, against finer grids, and what it promises to conserve."""

import math
from itertools import pairwise

import pytest
import torch
from phi import math as phimath

from hyco.equations.registry import build_equation
from hyco.fields import to_fields, to_tensor
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

OPEN_TOP = {"x": "closed", "y": {"lower": "closed", "upper": "open"}}
CHANNEL = {"x": "periodic", "y": "closed"}
BOXES = {"closed": "closed", "periodic": "periodic", "open": "open", "open top": OPEN_TOP, "channel": CHANNEL}


def smoke(resolution=(12, 10), dt=0.1, boundary="closed", size=(1.0, 1.25, 0.8), max_speed=1.0, **options):
    parameters = {"buoyancy": 1.0, "inflow_rate": 1.0, "viscosity": 0.004, "diffusivity": 0.003}
    keys = {k: options.pop(k) for k in ("inflow", "max_viscosity") if k in options}
    return build_equation(
        {
            "name": "smoke",
            "domain": {a: {"size": s, "resolution": n} for a, n, s in zip("xyz", resolution, size, strict=False)},
            "boundary": boundary,
            "dt": dt,
            "max_speed": max_speed,
            "parameters": {**parameters, **options},
            **keys,
        }
    )


def points(equation, channel):
    """The coordinates of a channel's entries, padding among them, each `[*space]`."""
    grid = equation.layout.grid
    axes = []
    for axis, low, h, n in zip(grid.axes, grid.lower, grid.spacing, equation.layout.shape, strict=True):
        shift = 0.0 if channel == f"velocity_{axis}" else 0.5
        axes.append(low + h * (torch.arange(n, dtype=torch.float64) + shift))
    return torch.meshgrid(*axes, indexing="ij")


def state(equation, **functions):
    """One state from functions of the coordinates by channel; zero where there is none."""
    layout = equation.layout
    found = torch.zeros(1, len(layout.channels), *layout.shape, dtype=torch.float64)
    for name, function in functions.items():
        found[0, layout.channels.index(name)] = function(*points(equation, name))
    return torch.where(layout.valid, found, 0.0)


def random_state(equation, count=1, seed=0):
    """Smoke at rest that has moved for one step."""
    start = equation.initial_states(count, 0.15, 1.0, torch.Generator().manual_seed(seed))
    return simulate(equation, start, 1)[:, -1]


def divergence(equation, states):
    faces = to_fields(states, equation.layout)["velocity"].values
    with phimath.precision(64):
        found = equation.box.divergence({a: faces[{"~vector": a}] for a in equation.layout.grid.axes})
        return found.native(["batch", *equation.layout.grid.axes])


def total(equation, states):
    """Smoke in the domain, by simulation."""
    return states[equation.layout.index(0, 1)].flatten(1).sum(1) * math.prod(equation.layout.grid.spacing)


def orders(errors):
    return torch.tensor(errors, dtype=torch.float64).log2().diff().neg()


# Vortices of one wavelength decay without changing shape, and a mean flow carries them along.
NU, MEAN, TAU = 0.2, (0.1, -0.05), 2 * math.pi
WAVES = [(1, 1, 0.2, 0.4), (-1, 1, 0.1, 1.9)]


def vortices(equation, time):
    def stream(x, y, function):
        parts = 0.0
        for kx, ky, amplitude, phase in WAVES:
            angle = kx * (x - MEAN[0] * time) + ky * (y - MEAN[1] * time) + phase
            parts = parts + amplitude * math.exp(-2 * NU * time) * function(kx, ky, angle)
        return parts

    return state(
        equation,
        smoke=lambda x, y: 1.0 + stream(x, y, lambda kx, ky, a: torch.cos(a)),
        velocity_x=lambda x, y: MEAN[0] - stream(x, y, lambda kx, ky, a: ky * torch.sin(a)),
        velocity_y=lambda x, y: MEAN[1] + stream(x, y, lambda kx, ky, a: kx * torch.sin(a)),
    )


@pytest.mark.slow
def test_decaying_vortices_and_smoke_converge_with_second_order_on_cells_that_are_not_square():
    errors = {"smoke": [], "velocity": []}
    for n in (32, 64):
        equation = smoke(
            (n, n + n // 4),
            0.25,
            "periodic",
            (TAU, TAU),
            0.6,
            max_viscosity=NU,
            buoyancy=0,
            inflow_rate=0,
            viscosity=NU,
            diffusivity=NU,
        )
        difference = simulate(equation, vortices(equation, 0.0), 2)[:, -1] - vortices(equation, 0.5)
        errors["smoke"].append(float(difference[:, 0].norm() / n))
        errors["velocity"].append(float(difference[:, 1:].norm() / n))
    assert orders(errors["velocity"])[-1] == pytest.approx(2, abs=0.1)
    assert orders(errors["smoke"])[-1] == pytest.approx(2, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "boundary", ["closed", pytest.param(OPEN_TOP, marks=pytest.mark.slow)], ids=["closed", "open top"]
)
def test_the_time_step_is_third_order(boundary):
    results = []
    for steps in (4, 8, 16):
        equation = smoke((8, 7), 0.4 / steps, boundary, max_speed=0.4, max_viscosity=0.005)
        assert equation.substeps == 1
        start = equation.initial_states(1, 0.2, 1.0, torch.Generator().manual_seed(3))
        results.append(simulate(equation, start, steps)[:, -1])
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log2(ratio) == pytest.approx(3, abs=0.1)


@pytest.mark.slow
def test_shear_between_no_slip_walls_decays_with_second_order():
    errors = []
    for n in (20, 40):
        equation = smoke((6, n), 0.1, CHANNEL, (3.0, 1.0), 1.5, inflow_rate=0, viscosity=0.05, max_viscosity=0.05)
        start = state(equation, velocity_x=lambda x, y: torch.sin(math.pi * y) - 0.5 * torch.sin(2 * math.pi * y))
        end = state(
            equation,
            velocity_x=lambda x, y: (
                math.exp(-0.02 * math.pi**2) * torch.sin(math.pi * y)
                - 0.5 * math.exp(-0.08 * math.pi**2) * torch.sin(2 * math.pi * y)
            ),
        )
        errors.append(float((simulate(equation, start, 4)[:, -1, 1] - end[:, 1]).abs().max()))
    assert orders(errors)[-1] == pytest.approx(2, abs=0.1)


def coarsened(equation, states):
    """The channels of a state on cells twice as wide."""
    layout, found = equation.layout, []
    for index, name in enumerate(layout.channels):
        values = states[layout.index(index, 1)]
        for i, axis in enumerate(layout.grid.axes, start=1):
            if name == f"velocity_{axis}":
                # Interior faces only: they are at odd positions where the wall below is not stored.
                first = 1 if layout.extent(index)[i - 1].start == 1 else 2
                keep = torch.arange(first, layout.grid.resolution[i - 1] - 1, 2)
                values = values.index_select(i, keep)
            else:
                values = values.unflatten(i, (-1, 2)).mean(i + 1)
        found.append(values)
    return found


def interior(equation, states):
    """The same for a state on the coarse cells."""
    layout, found = equation.layout, []
    for index, name in enumerate(layout.channels):
        values = states[layout.index(index, 1)]
        for i, axis in enumerate(layout.grid.axes, start=1):
            if name == f"velocity_{axis}":
                first = 0 if layout.extent(index)[i - 1].start == 1 else 1
                values = values.narrow(i, first, layout.grid.resolution[i - 1] - 1)
        found.append(values)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["closed", OPEN_TOP], ids=["closed", "open top"])
def test_a_rising_puff_converges_with_second_order_between_walls_and_openings(boundary):
    changes, previous = [], None
    damping = {"viscosity": 0.05, "diffusivity": 0.05, "max_viscosity": 0.05}
    for n in (12, 24, 48):
        equation = smoke((n, n), 0.3, boundary, (1.0, 1.25), 0.3, inflow_rate=0.0, **damping)
        start = state(equation, smoke=lambda x, y: torch.exp(-((x - 0.4) ** 2 + (y - 0.45) ** 2) / 0.04))
        end = simulate(equation, start, 2)[:, -1]
        if previous is not None:
            pairs = zip(interior(*previous), coarsened(equation, end), strict=True)
            changes.append([float((a - b).square().mean().sqrt()) for a, b in pairs])
        previous = (equation, end)
    for coarse, fine in zip(*changes, strict=True):
        assert math.log2(coarse / fine) == pytest.approx(2, abs=0.1)


@pytest.mark.slow
def test_smoke_that_leaves_through_an_open_side_is_gone_and_clean_air_follows():
    errors = []
    for n in (16, 32, 64):
        boundary = {"x": "periodic", "y": "open"}
        equation = smoke(
            (4, n),
            0.2,
            boundary,
            (1.0, 1.0),
            1.0,
            max_viscosity=1e-3,
            buoyancy=0,
            inflow_rate=0,
            diffusivity=0,
            viscosity=0,
        )
        start = state(
            equation,
            smoke=lambda x, y: torch.exp(-((y - 0.5) ** 2) / 0.02),
            velocity_y=lambda x, y: torch.ones_like(y),
        )
        after = state(equation, smoke=lambda x, y: torch.exp(-((y - 0.9) ** 2) / 0.02))
        states = simulate(equation, start, 6)
        errors.append(float((states[:, 2, 0] - after[:, 0]).abs().max()))
    assert (orders(errors) > 1.9).all()
    assert states[:, -1, 0].abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "boundary",
    ["closed", pytest.param("periodic", marks=pytest.mark.slow), pytest.param(CHANNEL, marks=pytest.mark.slow)],
    ids=["closed", "periodic", "channel"],
)
@pytest.mark.parametrize("inflow_rate", [0.0, pytest.param(1.5, marks=pytest.mark.slow)])
def test_smoke_in_a_box_changes_by_what_enters_to_rounding(boundary, inflow_rate):
    equation = smoke(boundary=boundary, inflow_rate=inflow_rate, inflow="exp(-20*((x-0.4)**2 + (y-0.3)**2))")
    amounts = [total(equation, s) for s in simulate(equation, random_state(equation, 2), 3).unbind(1)]
    x, y = points(equation, "smoke")
    region = torch.exp(-20 * ((x - 0.4) ** 2 + (y - 0.3) ** 2))[equation.layout.extent(0)]
    entering = equation.dt * inflow_rate * float(region.sum()) * math.prod(equation.layout.grid.spacing)
    for before, after in pairwise(amounts):
        assert torch.allclose(after - before, torch.full_like(before, entering), rtol=0, atol=1e-12 * float(before[0]))


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOXES.values(), ids=BOXES)
def test_the_velocity_has_no_divergence_after_each_step_even_if_it_had_before(boundary):
    equation = smoke(boundary=boundary)
    generator = torch.Generator().manual_seed(5)
    start = 0.3 * torch.randn(2, 3, *equation.layout.shape, generator=generator, dtype=torch.float64)
    start = torch.where(equation.layout.valid, start, 0.0)
    stepper, parameters = Stepper(equation), equation.parameter_tensors(torch.float64)
    for _ in range(3):
        start = stepper(start, parameters)
        largest = start[:, 1:].abs().max() / min(equation.layout.grid.spacing)
        assert divergence(equation, start).abs().max() < 1e-12 * largest


@pytest.mark.slow
def test_layered_smoke_is_in_equilibrium():
    equation = smoke(inflow_rate=0.0, diffusivity=0.0)
    start = state(equation, smoke=lambda x, y: 1.5 - y + 0.3 * y**2)
    end = simulate(equation, start, 5)[:, -1]
    assert end[:, 1:].abs().max() < 1e-14
    assert torch.allclose(end, start, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOXES.values(), ids=BOXES)
def test_the_traced_step_equals_the_plain_step_and_keeps_the_padding_zero(boundary):
    equation = smoke(boundary=boundary)
    start = random_state(equation, 2)
    parameters = equation.parameter_tensors(torch.float64)
    parameters["buoyancy"] = torch.tensor([0.5, 2.0], dtype=torch.float64)
    stepper = Stepper(equation)
    found = stepper(start, parameters)
    assert stepper.execution == "traced"
    assert torch.allclose(found, Stepper(equation, "plain")(start, parameters), rtol=0, atol=1e-14)
    assert found[:, ~equation.layout.valid].abs().max() == 0
    assert torch.equal(to_tensor(to_fields(found, equation.layout), equation.layout), found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("buoyancy", marks=pytest.mark.slow),
        "inflow_rate",
        pytest.param("viscosity", marks=pytest.mark.slow),
        pytest.param("diffusivity", marks=pytest.mark.slow),
    ],
)
def test_the_gradient_passes_the_taylor_test(name):
    equation = smoke(boundary=OPEN_TOP, max_viscosity=0.02)
    start = random_state(equation, 2)
    stepper, parameters = Stepper(equation), equation.parameter_tensors(torch.float64)

    def loss(value):
        return rollout(lambda s: stepper(s, {**parameters, name: value}), start, 4).square().sum()

    point = parameters[name].clone().requires_grad_()
    value = loss(point)
    (slope,) = torch.autograd.grad(value, point)
    scale = 0.2 * float(parameters[name])
    remainders = [abs(float(loss(point.detach() + h) - value - h * slope)) for h in (scale, scale / 2, scale / 4)]
    assert ((orders(remainders) > 1.95) & (orders(remainders) < 2.05)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "boundary",
    [pytest.param("closed", marks=pytest.mark.slow), OPEN_TOP, pytest.param("periodic", marks=pytest.mark.slow)],
    ids=["closed", "open top", "periodic"],
)
def test_the_step_is_stable_over_the_whole_range_of_its_parameters(boundary):
    equation = smoke(boundary=boundary)
    most = equation.config.largest_viscosity
    cases = [(b, v, k) for b in (0.0, 1.0, -30.0, 100.0) for v in (0.0, most) for k in (0.0, most)]
    buoyancy, viscosity, diffusivity = torch.tensor(cases, dtype=torch.float64).unbind(1)
    parameters = {"buoyancy": buoyancy, "viscosity": viscosity, "diffusivity": diffusivity}
    parameters["inflow_rate"] = torch.zeros_like(buoyancy)
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(1, 3, *equation.layout.shape, generator=generator, dtype=torch.float64)
    start = torch.where(equation.layout.valid, start, 0.0).expand(len(cases), -1, -1, -1)
    stepper = Stepper(equation)
    with torch.no_grad():
        end = rollout(lambda s: stepper(s, parameters), start, 30)[:, -1]
    assert torch.isfinite(end).all()
    growth = end[:, 0].square().mean((1, 2)) / start[:, 0].square().mean((1, 2))
    # Far beyond `max_speed` the clipped velocity has a divergence, which gathers smoke in places.
    assert (growth[buoyancy.abs() < 2] < 1).all()
    assert (growth < 20).all()


@pytest.mark.slow
def test_a_mirrored_start_gives_the_mirrored_flow():
    equation = smoke(boundary=OPEN_TOP)
    start = equation.initial_states(1, 0.15, 1.0, torch.Generator().manual_seed(0))
    mirrored = start.clone()
    index = equation.layout.index(0, 1)
    mirrored[index] = start[index].flip(1)
    one, other = (simulate(equation, s, 2)[:, -1] for s in (start, mirrored))
    assert torch.allclose(other[index], one[index].flip(1), atol=1e-13)
    sideways = equation.layout.index(1, 1)
    assert torch.allclose(other[sideways], -one[sideways].flip(1), atol=1e-13)


@pytest.mark.slow
def test_a_flow_in_a_plane_is_the_same_in_three_dimensions():
    plane = smoke((8, 9), 0.06, size=(1.0, 1.25), inflow="exp(-20*((x-0.4)**2 + (y-0.3)**2))")
    inflow = "exp(-20*((x-0.4)**2 + (z-0.3)**2))"
    boundary = {"x": "closed", "y": "periodic", "z": "closed"}
    solid = smoke((8, 4, 9), 0.06, boundary, size=(1.0, 0.5, 1.25), inflow=inflow, max_viscosity=0.02)
    start = plane.initial_states(1, 0.2, 1.0, torch.Generator().manual_seed(4))
    deep = torch.zeros(1, 4, *solid.layout.shape, dtype=torch.float64)
    deep[solid.layout.index(0, 1)] = start[plane.layout.index(0, 1)][:, :, None]
    two, three = simulate(plane, start, 2)[:, -1], simulate(solid, deep, 2)[:, -1]
    # The sub-steps in space are shorter: equal up to the error of time.
    for flat, full in ((0, 0), (1, 1), (2, 3)):
        middle = three[solid.layout.index(full, 1)][:, :, 2]
        assert torch.allclose(middle, two[plane.layout.index(flat, 1)], atol=2e-5)
    assert three[:, 2].abs().max() < 1e-13


def test_initial_states_are_smoke_at_rest():
    equation = smoke((20, 25), boundary=CHANNEL)
    start = equation.initial_states(3, 0.08, 2.0, torch.Generator().manual_seed(0))
    assert (start[:, 0] >= 0).all()
    assert 0.9 < start[:, 0].max() < 6
    assert start[:, 1:].abs().max() == 0
    assert start[:, ~equation.layout.valid].abs().max() == 0


@pytest.mark.slow
def test_speeds_beyond_the_limit_are_refused_with_the_way_out_and_much_smoke_is_not():
    equation = smoke(max_speed=0.1, buoyancy=20.0)
    start = equation.initial_states(1, 0.15, 1.0, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"set equation\.max_speed above it"):
        simulate(equation, start, 1)
    equation = smoke(max_speed=0.1, buoyancy=1e-3)
    assert torch.isfinite(simulate(equation, 50 * start, 2)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boundary": {"x": "closed"}}, "boundary must name the axes x, y"),
        ({"inflow": "exp(-z)"}, "unknown name z"),
        ({"viscosity": 1.0}, "parameters.viscosity leaves what is stable"),
        ({"resolution": (10,)}, "smoke needs two or three dimensions"),
    ],
)
def test_mistakes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        smoke(**change)
