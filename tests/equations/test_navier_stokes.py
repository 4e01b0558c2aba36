"""Two-dimensional flow against exact solutions, and what it conserves."""

import math
from collections import Counter

import pytest
import torch
from phi import math as phimath
from phi.math import batch, spatial
from torch.utils._python_dispatch import TorchDispatchMode

from hyco.equations.registry import build_equation
from hyco.expressions import Expression
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper

LX, LY = 2 * math.pi, 3 * math.pi
MEAN = (0.3, -0.2)


def flow(resolution=(24, 20), dt=0.1, max_speed=2.0, mean_flow=MEAN, **parameters):
    return build_equation(
        {
            "name": "navier_stokes",
            "domain": {
                "x": {"size": LX, "resolution": resolution[0]},
                "y": {"size": LY, "resolution": resolution[1], "lower": -1.0},
            },
            "dt": dt,
            "max_speed": max_speed,
            "mean_flow": mean_flow,
            "parameters": {"viscosity": 0.02, **parameters},
        }
    )


class Calls(TorchDispatchMode):
    """Counts the operations, by their names."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def field(equation, formula):
    return Expression(formula).on_grid(equation.layout.grid)[None, None].contiguous()


def random_state(equation, count=1, seed=0, amplitude=1.0):
    return equation.initial_states(count, 0.8, amplitude, torch.Generator().manual_seed(seed))


def orders(errors):
    return torch.tensor(errors, dtype=torch.float64).log2().diff().neg()


def vortices(equation, time, viscosity, drag):
    """Waves of one wavelength, which do not feel each other: they decay and move with the mean flow."""
    x, y = f"(x - {MEAN[0] * time})", f"(y - {MEAN[1] * time})"
    ky = 2 * math.pi / LY
    kx = 1.0
    decay = math.exp(-(viscosity * (kx**2 + (3 * ky) ** 2) + drag) * time)
    waves = f"0.9*cos({kx}*{x} + {3 * ky}*{y} + 0.4) + 0.6*sin({kx}*{x} - {3 * ky}*{y} + 1.1)"
    return field(equation, f"{decay} * ({waves})")


@pytest.mark.slow
def test_decaying_vortices_in_a_mean_flow_are_exact_up_to_the_error_of_time():
    errors = []
    for steps in (6, 12, 24):
        equation = flow((16, 24), 1.2 / steps, max_speed=0.9, viscosity=0.05, drag=0.1)
        assert equation.substeps == 1
        end = simulate(equation, vortices(equation, 0.0, 0.05, 0.1), steps)[:, -1]
        errors.append(float((end - vortices(equation, 1.2, 0.05, 0.1)).abs().max()))
    assert orders(errors) == pytest.approx([4, 4], abs=0.1)
    assert errors[-1] < 1e-6


def test_a_manufactured_force_holds_a_flow_in_place_and_the_error_of_time_is_fourth_order():
    # ω = sin(x) + cos(2x + 2Y) with Y = 2π/LY (y + 1): g = u·∇ω - ν Δω + μ ω.
    k, nu, mu = 2 * math.pi / LY, 0.05, 0.2
    first, second = "sin(x)", f"cos(2*x + {2 * k}*y)"
    k2 = 4 + 4 * k**2
    # u = ∂ψ/∂y, v = -∂ψ/∂x with ψ = sin(x) + cos(…)/k2.
    u, v = f"(-{2 * k}*sin(2*x + {2 * k}*y)/{k2})", f"(-cos(x) + 2*sin(2*x + {2 * k}*y)/{k2})"
    slope_x, slope_y = f"(cos(x) - 2*sin(2*x + {2 * k}*y))", f"(-{2 * k}*sin(2*x + {2 * k}*y))"
    force = f"{u}*{slope_x} + {v}*{slope_y} + {nu}*({first} + {k2}*{second}) + {mu}*({first} + {second})"
    errors = []
    for steps in (4, 8, 16):
        equation = flow((24, 20), 1.0 / steps, 0.45, (0.0, 0.0), viscosity=nu, drag=mu, forcing=force)
        equation.substeps = 1
        equation.config.__dict__["max_speed"] = 5.0
        start = field(equation, f"{first} + {second}")
        errors.append(float((simulate(equation, start, steps)[:, -1] - start).abs().max()))
    assert orders(errors) == pytest.approx([4, 4], abs=0.1)


def test_a_step_transforms_two_fields_at_a_time_and_the_forcing_before_the_first_step():
    equation = flow(forcing="sin(y)")
    state = torch.zeros(1, 1, 24, 20, dtype=torch.float64)
    step = Stepper(equation, "traced").bind(state, equation.parameter_tensors(torch.float64))
    with Calls() as calls:
        step.run(state, *step.inputs)
    assert calls.counts["_fft_r2c"] == 4 + 1
    assert calls.counts["_fft_c2r"] == 2 * 4 + 1


def test_fields_transformed_one_after_the_other_give_the_same(monkeypatch):
    equation = flow(forcing="sin(y)")
    state = random_state(equation)
    ends = [simulate(equation, state, 2)]
    monkeypatch.setattr("hyco.equations.navier_stokes._AT_ONCE", 0)
    ends.append(simulate(flow(forcing="sin(y)"), state, 2))
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


def test_the_convection_conserves_energy_and_enstrophy_to_rounding():
    equation = flow(mean_flow=(0.0, 0.0), max_speed=100.0)
    noise = torch.randn(1, 1, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    modes = torch.fft.rfft2(noise[:, 0])
    with phimath.precision(64):
        wrapped = phimath.wrap(modes, batch("batch"), spatial("x,y"))
        rate = equation._convection(wrapped).native(["batch", "x", "y"])
        squared = torch.as_tensor(equation._spectrum.squared.native(["x", "y"]))
    kept = rate.abs() > 0
    inverse = torch.where(squared > 0, 1 / squared.clamp_min(1e-9), 0.0)
    twice = torch.full_like(squared, 2.0)  # half of the coefficients stand for the others
    twice[:, 0] = 1.0
    for weight in (twice, twice * inverse):
        change = (weight * modes.conj() * rate).real.sum()
        assert abs(change) < 1e-12 * (weight * modes.abs() * rate.abs()).sum()
    assert kept.sum() > 100


def test_without_viscosity_energy_and_enstrophy_drift_with_fifth_order():
    drifts = []
    for steps in (4, 8, 16):
        equation = flow((24, 20), 1.0 / steps, 1.0, (0.0, 0.0), viscosity=0.0)
        equation.substeps = 1
        equation.config.__dict__["max_speed"] = 10.0
        states = simulate(equation, random_state(equation), steps)[0, [0, -1]]
        energy = equation.velocity(states).square().sum((1, 2, 3))
        enstrophy = states.square().sum((1, 2, 3))
        drifts.append([float((q[1] - q[0]).abs() / q[0]) for q in (energy, enstrophy)])
    for one in zip(*drifts, strict=True):
        assert orders(one)[-1] == pytest.approx(5, abs=0.3)
    assert max(drifts[-1]) < 1e-5


def test_the_velocity_has_no_divergence_and_its_curl_is_the_vorticity():
    equation = flow()
    start = equation.initial_states(2, 1.6, 1.0, torch.Generator().manual_seed(0))
    velocity = equation.velocity(start)
    grid = equation.layout.grid
    kx, ky = (
        torch.fft.fftfreq(n, h / math.tau, dtype=torch.float64) for n, h in zip((24, 20), grid.spacing, strict=True)
    )
    u, v = torch.fft.fft2(velocity).unbind(1)
    divergence = torch.fft.ifft2(1j * kx[:, None] * u + 1j * ky * v).real
    curl = torch.fft.ifft2(1j * kx[:, None] * v - 1j * ky * u).real
    assert divergence.abs().max() < 1e-12
    assert (curl - start[:, 0]).abs().max() < 1e-3  # what the upper third of the wavenumbers holds
    assert torch.allclose(velocity.mean((2, 3)), torch.tensor(MEAN, dtype=torch.float64).expand(2, 2), atol=1e-14)


def test_the_mean_of_the_vorticity_stays_whatever_the_mean_of_the_force():
    one, other = flow(forcing="0.5*sin(x)"), flow(forcing="0.5*sin(x) + 3")
    start = random_state(one)
    ends = [simulate(equation, start, 3)[:, -1] for equation in (one, other)]
    assert abs(float(ends[0].mean())) < 1e-14
    assert torch.allclose(*ends, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "viscosity",
    [
        0.0,
        pytest.param(1e-3, marks=pytest.mark.slow),
        pytest.param(1.0, marks=pytest.mark.slow),
        pytest.param(1e4, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("drag", [0.0, pytest.param(50.0, marks=pytest.mark.slow)])
def test_the_step_is_stable_for_every_viscosity_and_drag(viscosity, drag):
    equation = flow(dt=0.3, max_speed=1.0, viscosity=viscosity, drag=drag)
    noise = torch.randn(1, 1, 24, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start = 3 * noise / equation.velocity(noise).abs().max()
    parameters = equation.parameter_tensors(torch.float64)
    stepper = Stepper(equation)
    end = rollout(lambda s: stepper(s, parameters), start, 40)[:, -1]
    assert torch.isfinite(end).all()
    assert end.square().mean() < 4 * start.square().mean()


@pytest.mark.parametrize(
    "forcing",
    [0.3, pytest.param("0.5*sin(x)*cos(4*pi/(3*pi)*y)", marks=pytest.mark.slow)],
    ids=["number", "formula"],
)
def test_the_traced_step_equals_the_plain_step(forcing):
    equation = flow(forcing=forcing, drag=0.1)
    start = random_state(equation, 2)
    parameters = equation.parameter_tensors(torch.float64)
    parameters["viscosity"] = torch.tensor([0.01, 0.1], dtype=torch.float64)
    stepper = Stepper(equation)
    found = stepper(start, parameters)
    assert stepper.execution == "traced"
    assert torch.allclose(found, Stepper(equation, "plain")(start, parameters), rtol=0, atol=1e-13)
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    "name",
    [pytest.param("viscosity", marks=pytest.mark.slow), pytest.param("drag", marks=pytest.mark.slow), "forcing"],
)
def test_the_gradient_passes_the_taylor_test(name):
    equation = flow(forcing="0.5*sin(x)*cos(2*y/3)", drag=0.2, viscosity=0.05)
    start = random_state(equation, 2)
    stepper, parameters = Stepper(equation), equation.parameter_tensors(torch.float64)

    def loss(value):
        return rollout(lambda s: stepper(s, {**parameters, name: value}), start, 4).square().sum()

    point = parameters[name].clone().requires_grad_()
    direction = torch.rand(point.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction = 0.2 * direction * point.detach().abs().max()
    value = loss(point)
    (slope,) = torch.autograd.grad(value, point)
    remainders = []
    for h in (1.0, 0.5, 0.25):
        moved = float(loss(point.detach() + h * direction))
        remainders.append(abs(moved - float(value.detach()) - h * float((slope * direction).sum())))
    assert ((orders(remainders) > 1.95) & (orders(remainders) < 2.05)).all()


@pytest.mark.parametrize("at_once", [2**14, 0], ids=["both at once", "one after the other"])
@pytest.mark.parametrize("execution", ["traced", pytest.param("compiled", marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_gradient_by_all_that_may_be_unknown_is_that_of_small_changes(monkeypatch, at_once, execution, count):
    monkeypatch.setattr("hyco.equations.navier_stokes._AT_ONCE", at_once)
    equation = flow((7, 10), dt=0.2, forcing="0.5*sin(x)*cos(2*y/3)", drag=0.2)
    stepper = Stepper(equation, execution)
    names = ("viscosity", "drag", "forcing")

    def end(state, *values):
        parameters = dict(zip(names, values, strict=True))
        return rollout(lambda s: stepper(s, parameters), state, 2)[:, -1]

    each = torch.arange(1.0, 1.0 + count, dtype=torch.float64)  # of each state another coefficient
    values = {**equation.parameter_tensors(torch.float64), "viscosity": 0.02 * each, "drag": 0.3 * (each - 1)}
    given = [random_state(equation, count, amplitude=0.5), *(values[name] for name in names)]
    inputs = [value.clone().requires_grad_() for value in given]
    assert torch.autograd.gradcheck(end, inputs, atol=1e-7, rtol=1e-5)
    assert stepper.execution == execution


def test_speeds_beyond_the_limit_are_refused_with_the_way_out():
    equation = flow(max_speed=0.1)
    with pytest.raises(ValueError, match=r"set equation\.max_speed above it"):
        simulate(equation, random_state(equation), 1)


def test_it_is_for_two_dimensions():
    data = {"name": "navier_stokes", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1, "max_speed": 1.0}
    with pytest.raises(ValueError, match="navier_stokes is two-dimensional"):
        build_equation({**data, "parameters": {"viscosity": 0.1}})
