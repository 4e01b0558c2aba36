"""Random smooth initial states and the simulations that start from them."""

import math

import pytest
import torch

from hyco.equations.initial_states import random_smooth_states, wall_field, waves
from hyco.equations.registry import build_equation
from hyco.grid import Grid
from hyco.runtime.random_streams import stream, stream_seed
from hyco.stepping.generation import GenerationConfig, generate, simulate
from hyco.walls.boundary import Boundary

GRID = Grid(axes=("x", "y"), lower=(0.0, 0.0), size=(8.0, 4.0), resolution=(64, 32))


def burgers(**changes):
    config = {
        "name": "burgers",
        "domain": {"x": {"size": 4.0, "resolution": 32}},
        "dt": 0.05,
        "max_speed": 6.0,
        "parameters": {"viscosity": 0.1},
    }
    return build_equation(config | changes)


def test_random_states_have_the_amplitude_and_correlation_that_is_asked_for():
    states = random_smooth_states(GRID, 2, 400, 0.5, 1.5, torch.Generator().manual_seed(0))
    assert states.shape == (400, 2, 64, 32)
    assert states.std() == pytest.approx(1.5, rel=0.03)
    assert states.mean(dim=(2, 3)).abs().max() < 1e-12
    for axis, h in zip((2, 3), GRID.spacing, strict=True):
        for shift in (2, 4):
            correlation = (states * states.roll(shift, axis)).mean() / states.square().mean()
            assert correlation == pytest.approx(math.exp(-((shift * h) ** 2) / (2 * 0.5**2)), abs=0.03)


WALLS = [(0.0, 0.0), (0.0, "neumann"), ("neumann", 0.0), ("neumann", "neumann"), (1.0, -2.0), (1.0, "neumann")]


def at_walls(states, h):
    """Values and slopes at both ends of the last axis, from three cells: third and second order."""
    for first in (states, states.flip(-1)):
        a, b, c = (first[..., i] for i in range(3))
        yield (15 * a - 10 * b + 3 * c) / 8, (-2 * a + 3 * b - c) / h


@pytest.mark.parametrize("ends", WALLS)
@pytest.mark.parametrize("other", ["periodic", "neumann"])
def test_random_states_vanish_at_walls_with_a_value_and_have_no_slope_at_the_others(ends, other):
    grid = Grid(axes=("x", "y"), lower=(0.0, -1.0), size=(2.0, 4.0), resolution=(12, 64))
    boundary = {"x": other, "y": {"lower": ends[0], "upper": ends[1]}}
    states = random_smooth_states(grid, 1, 400, 0.6, 1.5, torch.Generator().manual_seed(0), boundary)
    assert states.shape == (400, 1, 12, 64)
    if other == "periodic":
        assert states.std() == pytest.approx(1.5, rel=0.06)
    slopes = float(states.diff(dim=-1).abs().max()) / grid.spacing[1]
    for end, (value, slope) in zip(ends, at_walls(states, grid.spacing[1]), strict=True):
        if end == "neumann":
            assert slope.abs().max() < 0.05 * slopes
            assert value.std() > 1
        else:
            assert value.abs().max() < 0.03
            assert slope.std() > 1


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("ends", [("periodic", "periodic"), *WALLS])
def test_waves_are_orthogonal_on_the_cells(ends, n):
    walls = Boundary.of({"x": {"lower": ends[0], "upper": ends[1]}})["x"]
    numbers, shapes = waves(walls, 3.0, n)
    assert len(numbers) == len(shapes)
    assert torch.equal(numbers, numbers.sort().values)
    assert torch.allclose(shapes @ shapes.T / n, torch.eye(len(shapes), dtype=torch.float64), atol=1e-12)
    missing = {("periodic", "periodic"): (n + 1) % 2}.get(ends, int("neumann" not in ends))
    assert len(numbers) == n - missing


def test_the_field_of_the_walls_has_their_values_and_is_smooth_between_them():
    line = Grid(axes=("x",), lower=(1.0,), size=(2.0,), resolution=(8,))
    x = 1 + 0.25 * (torch.arange(8, dtype=torch.float64) + 0.5)
    cases = [
        ("neumann", 0 * x),
        (0.0, 0 * x),
        (1.5, 0 * x + 1.5),
        ({"x": {"lower": 1, "upper": 2.0}}, 1 + (x - 1) / 2),
        ({"x": {"lower": "neumann", "upper": 2.0}}, 0 * x + 2),
    ]
    for boundary, expected in cases:
        assert torch.allclose(wall_field(line, boundary), expected, atol=1e-12)
    # Equal values all round are no jump in a corner; others have the series of a plate with one warm side.
    assert torch.allclose(wall_field(GRID, 0.3), torch.full((64, 32), 0.3, dtype=torch.float64), atol=1e-12)
    plate = Grid(axes=("x", "y"), lower=(0.0, 0.0), size=(1.0, 1.0), resolution=(33, 33))
    found = wall_field(plate, {"x": 0.0, "y": {"lower": 0.0, "upper": 1.0}})
    odd = range(1, 40, 2)
    middle = sum(4 / (math.pi * k) * math.sin(k * math.pi / 2) / (2 * math.cosh(k * math.pi / 2)) for k in odd)
    assert float(found[16, 16]) == pytest.approx(middle, rel=1e-3)


def test_a_seed_generates_the_same_simulations_and_another_seed_others():
    config = GenerationConfig(simulations=2, steps=3, length_scale=0.8)
    equations = burgers(), burgers()
    one, same, other = (generate(equations[i], config, s).tensors["trajectories"] for i, s in ((0, 0), (1, 0), (0, 1)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (2, 4, 1, 32)
    assert one.dtype == torch.float64


@pytest.mark.slow
def test_a_simulation_that_is_not_finite_is_refused():
    with pytest.raises(FloatingPointError, match=r"lower equation\.dt"):
        simulate(burgers(), torch.full((1, 1, 32), torch.nan, dtype=torch.float64), 2)


def test_streams_of_one_seed_do_not_depend_on_each_other():
    assert stream_seed(0, "noise") == stream_seed(0, "noise")
    assert len({stream_seed(s, n) for s in range(3) for n in ("noise", "sensors", "batches")}) == 9
    assert torch.rand(2, generator=stream(1, "a")).tolist() != torch.rand(2, generator=stream(1, "b")).tolist()


def test_a_wall_that_loses_its_value_ends_a_simulation_with_a_line():
    domain = {"x": {"size": 1.0, "resolution": 8}}
    section = {"name": "heat", "domain": domain, "dt": 0.1, "boundary": "log(1 - 3*t)"}
    equation = build_equation({**section, "parameters": {"diffusivity": 0.1}})
    with pytest.raises(
        FloatingPointError, match=r"not finite.*formulas of equation.boundary have a value at all times"
    ):
        simulate(equation, torch.zeros(1, 1, 8, dtype=torch.float64), 5, "plain")
