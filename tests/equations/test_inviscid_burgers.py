"""Inviscid Burgers against characteristics, steady flow in a potential, shocks and rarefactions."""

import math

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.stepping.generation import simulate
from hyco.stepping.stepper import Stepper

POTENTIAL = "0.5*sin(x) + 0.3*cos(2*x + 0.4)"


def flow(resolution, dt, potential=0.0, max_speed=2.5, size=2 * math.pi, **axes):
    domain = {"x": {"size": size, "resolution": resolution}, **axes}
    keys = {"domain": domain, "dt": dt, "max_speed": max_speed, "parameters": {"potential": potential}}
    equation = build_equation({"name": "inviscid_burgers", **keys})
    return equation, torch.from_numpy(equation.layout.grid.centers("x"))


def start(x):
    """Smooth, without symmetry; a shock forms at t = 1.2."""
    return 0.4 + 0.6 * torch.sin(x) + 0.2 * torch.cos(2 * x + 0.5)


def along_characteristics(x, t):
    """The value that a particle at x has brought along from where it started, found by Newton's method."""
    y = x.clone()
    for _ in range(60):
        slope = 0.6 * torch.cos(y) - 0.4 * torch.sin(2 * y + 0.5)
        y = y - (y + t * start(y) - x) / (1 + t * slope)
    return start(y)


def run(equation, values, steps):
    return simulate(equation, values[None, None], steps)[0, :, 0]


def order(errors):
    return math.log2(errors[0] / errors[1])


def test_smooth_flow_follows_the_characteristics_with_second_order_even_at_extrema():
    errors = []
    for n in (256, 512):
        equation, x = flow(n, 0.25 * 16 / n, max_speed=1.3)
        errors.append(float((run(equation, start(x), n // 16)[-1] - along_characteristics(x, 0.25)).abs().max()))
    assert errors[1] < 1e-5
    assert order(errors) == pytest.approx(2, abs=0.1)


def test_steady_flow_in_a_potential_stays_steady_with_second_order():
    errors = []
    for n in (64, 128):
        equation, _ = flow(n, 0.1, POTENTIAL)
        steady = (2 * (2.0 - equation.parameters["potential"])).sqrt()
        errors.append(float((run(equation, steady, 10)[-1] - steady).abs().max()))
    assert errors[1] < 1e-3
    assert order(errors) == pytest.approx(2, abs=0.1)


@pytest.mark.slow
def test_time_is_third_order():
    results = []
    for steps in (4, 8, 16):
        equation, x = flow(32, 0.4 / steps, POTENTIAL, max_speed=1.5)
        assert equation.substeps == 1
        results.append(run(equation, start(x), steps)[-1])
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log2(ratio) == pytest.approx(3, abs=0.1)


def test_a_shock_moves_at_the_mean_of_both_velocities_and_does_not_ring():
    equation, x = flow(200, 0.05, size=20.0)
    states = run(equation, torch.where((x < 5) | (x > 15), 2.0, 0.5).double(), 60)
    front = states[-1][(x > 2) & (x < 15)]
    position = 2 + 0.1 * float((front - 0.5).sum()) / 1.5
    assert position == pytest.approx(5 + 1.25 * 3.0, abs=0.02)
    assert int(((front > 0.52) & (front < 1.98)).sum()) <= 3, "a few cells wide"
    assert states.min() > 0.5 - 0.01
    assert states.max() < 2.0 + 0.01


def test_a_shock_between_opposite_flows_stands_still_and_a_rarefaction_opens_without_a_shock():
    equation, x = flow(200, 0.05, size=20.0)
    end = run(equation, torch.where((x > 5) & (x < 15), 1.0, -1.0).double(), 40)[-1]
    fan = ((x - 5) / 2).clamp(-1, 1)
    assert (end - fan)[:100].abs().mean() < 0.01
    assert (end - fan)[45:55].abs().max() < 0.04, "through zero too"
    assert (end + end.flip(0).roll(100)).abs().max() < 1e-12
    assert int((end[130:170].abs() < 0.98).sum()) <= 4


def test_the_mean_is_conserved_through_shocks_in_a_potential():
    equation, x = flow(96, 0.1, POTENTIAL)
    states = run(equation, start(x), 60)
    assert states.mean(dim=1).diff().abs().max() < 1e-14
    assert states.diff(dim=1).min() < -1.0, "there are shocks"


def test_energy_is_lost_in_shocks_only():
    equation, x = flow(256, 0.1)
    energy = run(equation, start(x), 40).square().mean(dim=1)
    assert energy.diff().max() < 1e-12
    assert energy[8] > 0.9999 * energy[0], "before the shock"
    assert energy[-1] < 0.9 * energy[0]


def test_a_constant_in_the_potential_changes_nothing():
    equation, x = flow(64, 0.1, POTENTIAL)
    potential = equation.parameter_tensors(torch.float64)["potential"]
    stepper = Stepper(equation)
    one, other = (stepper(start(x)[None, None], {"potential": potential + c}) for c in (0.0, 7.0))
    assert torch.allclose(one, other, rtol=0, atol=1e-13)


def test_a_potential_that_is_a_number_is_no_force():
    equation, x = flow(64, 0.1)
    number = Stepper(equation)(start(x)[None, None], {"potential": torch.tensor(3.0, dtype=torch.float64)})
    field = Stepper(equation)(start(x)[None, None], {"potential": torch.full((1, 64), 3.0, dtype=torch.float64)})
    assert torch.allclose(number, field, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "size", [pytest.param(0.1, marks=pytest.mark.slow), pytest.param(10.0, marks=pytest.mark.slow), 1e4]
)
def test_the_step_is_stable_for_every_potential_and_state(size):
    equation, _ = flow(64, 0.1, max_speed=3.0)
    assert equation.config.parameter_limits == {"potential": (-math.inf, math.inf)}
    generator = torch.Generator().manual_seed(0)
    potential = size * torch.randn(3, 64, generator=generator, dtype=torch.float64)
    state = 4 * torch.randn(3, 1, 64, generator=generator, dtype=torch.float64)
    first, stepper = float(state.abs().max()), Stepper(equation)
    force = float((potential.roll(-1, 1) - potential.roll(1, 1)).abs().max()) / (2 * equation.layout.grid.spacing[0])
    for _ in range(100):
        state = stepper(state, {"potential": potential})
    # A force can do no more than push at its strongest all the time.
    assert state.abs().max() < 1.1 * (first + 100 * 0.1 * force)


@pytest.mark.parametrize("direction", ["scale", "field"])
def test_the_gradient_passes_the_taylor_test(direction):
    equation, x = flow(64, 0.1, POTENTIAL)
    stepper = Stepper(equation)
    true = equation.parameter_tensors(torch.float64)["potential"]
    change = true if direction == "scale" else torch.cos(3 * x + 1)[None] + 0.3 * torch.sin(x)[None]

    def loss(potential):
        state = start(x)[None, None]
        for _ in range(8):
            state = stepper(state, {"potential": potential})
        return (state**3).mean()

    point = true.clone().requires_grad_(True)
    value = loss(point)
    slope = (torch.autograd.grad(value, point)[0] * change).sum()
    steps = (2e-2, 1e-2, 5e-3)
    remainders = [abs(float(loss(true + h * change) - value.detach() - h * slope)) for h in steps]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


def test_the_traced_step_of_a_batch_equals_the_plain_steps():
    equation, x = flow(48, 0.2, POTENTIAL)
    states = torch.stack([start(x), start(x + 1.0) - 0.5])[:, None]
    potentials = torch.stack([torch.sin(x), 0.4 * torch.cos(x + 0.3)])
    traced = Stepper(equation, "traced")
    found = traced(states, {"potential": potentials})
    assert traced.execution == "traced"
    for i in range(2):
        expected = Stepper(equation, "plain")(states[i : i + 1], {"potential": potentials[i : i + 1]})
        assert torch.allclose(found[i], expected[0], rtol=0, atol=1e-14)


def test_speeds_beyond_the_limit_are_refused_with_the_way_out():
    equation, x = flow(32, 0.1, max_speed=0.5)
    with pytest.raises(ValueError, match=r"set equation\.max_speed above it"):
        run(equation, start(x), 2)


def test_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="one dimension"):
        flow(32, 0.1, y={"size": 1.0, "resolution": 8})
