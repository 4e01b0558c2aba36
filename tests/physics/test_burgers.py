"""Burgers against exact solutions (Cole-Hopf: u = -2ν ∇φ/φ, φ any positive solution of the heat equation)."""

import math

import pytest
import torch

from hyco.generation import simulate
from hyco.physics.registry import available, build_equation, equation_config
from hyco.physics.stepper import Stepper

VISCOSITY = 0.2


def burgers(resolution, dt, viscosity=VISCOSITY, max_speed=2.0, size=(2 * math.pi, 2 * math.pi)):
    axes = dict(zip("xy", resolution, strict=False))
    return build_equation(
        {
            "name": "burgers",
            "domain": {a: {"size": s, "resolution": n} for (a, n), s in zip(axes.items(), size, strict=False)},
            "dt": dt,
            "max_speed": max_speed,
            "parameters": {"viscosity": viscosity},
        }
    )


def exact(equation, time, viscosity=VISCOSITY):
    """A solution without symmetry, one channel per axis, `[1, C, *space]`."""
    grid = equation.layout.grid
    points = torch.meshgrid(*[torch.from_numpy(grid.centers(a)) for a in grid.axes], indexing="ij")
    x, y = points[0], points[1] if grid.dimensions == 2 else torch.zeros_like(points[0])
    waves = [(1, 0, 0.6, 0.3), (2, 0, 0.3, 1.1)] + (
        [(0, 1, 0.25, 0.7), (1, 2, 0.3, 2.0)] if grid.dimensions == 2 else []
    )
    phi, slopes = 3.0 * torch.ones_like(x), [torch.zeros_like(x) for _ in points]
    for kx, ky, amplitude, phase in waves:
        decay = amplitude * math.exp(-viscosity * (kx**2 + ky**2) * time)
        angle = kx * x + ky * y + phase
        phi = phi + decay * torch.cos(angle)
        for slope, k in zip(slopes, (kx, ky), strict=False):
            slope -= decay * k * torch.sin(angle)
    return torch.stack([-2 * viscosity * s / phi for s in slopes])[None]


def error(resolution, steps, time=1.0):
    equation = burgers(resolution, time / steps, max_speed=0.5)
    end = simulate(equation, exact(equation, 0.0), steps)[:, -1]
    return float((end - exact(equation, time)).abs().max())


@pytest.mark.parametrize("shape", [(1,), (1, 1)], ids=["1d", "2d"])
def test_time_splitting_is_second_order(shape):
    # One sub-step in each run, and the same grid: differences of results show the error of time alone.
    resolution = tuple(n for n, _ in zip((24, 20), shape, strict=False))
    results = []
    for steps in (6, 12, 24):
        equation = burgers(resolution, 1.0 / steps, max_speed=0.25)
        results.append(simulate(equation, exact(equation, 0.0), steps)[:, -1])
        assert equation.convection_steps == 1
    ratio = float((results[0] - results[1]).norm() / (results[1] - results[2]).norm())
    assert math.log2(ratio) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("resolutions", [[(24,), (48,)], [(24, 20), (48, 40)]], ids=["1d", "2d"])
def test_upwind_differences_are_third_order(resolutions):
    coarse, fine = (error(r, 200) for r in resolutions)
    assert math.log2(coarse / fine) == pytest.approx(3, abs=0.35)


def test_two_dimensions_follow_the_exact_solution_on_a_non_square_grid():
    assert error((64, 48), 40) < 2e-4


@pytest.mark.parametrize("viscosity", [0.0, 1e-4, 0.01, 1.0, 100.0])
def test_the_step_is_stable_for_every_viscosity(viscosity):
    equation = burgers((64, 40), 0.1, viscosity=viscosity, max_speed=3.0)
    start = torch.randn(2, 2, 64, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).clamp(-2.5, 2.5)
    stepper, state = Stepper(equation), start
    for _ in range(50):
        state = stepper(state, {"viscosity": torch.tensor(viscosity, dtype=torch.float64)})
    assert torch.isfinite(state).all()
    assert state.square().mean() < start.square().mean()


def test_one_dimensional_flow_in_two_dimensions_equals_the_one_dimensional_solver():
    line, plane = burgers((48,), 0.05), burgers((48, 10), 0.05)
    start = exact(line, 0.0)
    flat = torch.zeros(1, 2, 48, 10, dtype=torch.float64)
    flat[:, 0] = start[:, 0, :, None]
    one = simulate(line, start, 5)[0, -1, 0]
    # The sub-steps of the plane are shorter: equal up to the error of time.
    two = simulate(plane, flat, 5)[0, -1]
    assert torch.allclose(two[0], one[:, None].expand(-1, 10), atol=1e-4)
    assert two[1].abs().max() == 0


def test_swapping_the_axes_swaps_the_solution():
    equation, swapped = burgers((32, 24), 0.05), burgers((24, 32), 0.05)
    start = exact(equation, 0.0)
    one = simulate(equation, start, 4)[:, -1]
    other = simulate(swapped, start.flip(1).transpose(2, 3).contiguous(), 4)[:, -1]
    assert torch.allclose(other.transpose(2, 3).flip(1), one, atol=1e-13)


def test_speeds_beyond_the_limit_are_refused_with_the_way_out():
    equation = burgers((32,), 0.05, max_speed=0.1)
    with pytest.raises(ValueError, match=r"set equation\.max_speed above it"):
        simulate(equation, exact(equation, 0.0) + 1.0, 2)


def test_an_unknown_equation_says_which_exist():
    with pytest.raises(ValueError, match="unknown equation 'burger'; available: advection, "):
        equation_config({"name": "burger"})
    assert "burgers" in available()
