"""Waves that keep the walls: orthogonal, and exact for the Laplacian."""

import math

import numpy as np
import pytest
import torch
from phi import math as phi
from phi.math import spatial

from hyco.grid import Grid
from hyco.schemes.waves import FourierModes, Waves, in_waves, mirrored, resting_state, wave_matrix, waves_of
from hyco.walls.boundary import Boundary

WALLS = {
    "periodic": "periodic",
    "values": 0.3,
    "closed": "neumann",
    "value below": {"x": {"lower": 0.3, "upper": "neumann"}},
    "value above": {"x": {"lower": "neumann", "upper": 0.3}},
}
# A state that keeps the walls, as a function of x/L, and its wavenumber times L.
STATES = {
    "periodic": (lambda s: np.sin(4 * math.pi * s + 0.4), 4 * math.pi),
    "values": (lambda s: np.sin(3 * math.pi * s), 3 * math.pi),
    "closed": (lambda s: np.cos(3 * math.pi * s), 3 * math.pi),
    "value below": (lambda s: np.sin(2.5 * math.pi * s), 2.5 * math.pi),
    "value above": (lambda s: np.cos(2.5 * math.pi * s), 2.5 * math.pi),
}


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("kind", WALLS)
def test_waves_are_orthonormal_and_the_laplacian_of_a_state_is_exact(kind, n):
    numbers, waves = wave_matrix(Boundary.of(WALLS[kind])["x"], 2.5, n)
    assert np.abs(waves @ waves.T - np.eye(n)).max() < 1e-13
    assert (np.diff(numbers) >= 0).all()
    state, k = STATES[kind]
    values = state((np.arange(n) + 0.5) / n)
    assert waves.T @ (numbers**2 * (waves @ values)) == pytest.approx((k / 2.5) ** 2 * values, abs=1e-11)


def test_the_transform_of_several_axes_comes_back():
    grid = Grid(("x", "y"), (0.0, -1.0), (3.0, 2.0), (8, 5))
    waves = Waves(grid, {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"})
    values = phi.wrap(
        torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), spatial("x,y")
    )
    with phi.precision(64):
        back = waves.backward(waves.forward(values))
    assert torch.allclose(back.native("x,y"), values.native("x,y"), rtol=0, atol=1e-13)
    assert waves.squared.shape.sizes == (8, 5)


@pytest.mark.parametrize(
    ("boundary", "waves", "mirrors"),
    [
        ("periodic", True, True),
        ({"x": {"lower": 1.0, "upper": 2.0}, "y": "neumann"}, True, True),
        ({"x": 1.0, "y": {"lower": 1.0, "upper": "neumann"}}, True, True),
        ({"x": 1.0, "y": 2.0}, False, True),  # the values meet in a corner
        ({"x": {"flux": 0.0}, "y": "periodic"}, True, True),
        ({"x": {"flux": 0.1}, "y": "periodic"}, False, False),
        ({"x": {"robin": {"a": 1.0, "b": 0.5, "c": 0.0}}, "y": "periodic"}, False, False),
        ({"x": "sin(t)", "y": "periodic"}, False, False),
    ],
)
def test_which_walls_waves_are_for(boundary, waves, mirrors):
    grid = Grid(("x", "y"), (0.0, 0.0), (3.0, 2.0), (8, 6))
    assert (in_waves(grid, boundary), mirrored(grid, boundary)) == (waves, mirrors)
    assert not in_waves(Grid(("x", "y"), (0.0, 0.0), (3.0, 2.0), (513, 6)), boundary)


def test_what_rests_has_the_values_of_the_walls():
    grid = Grid(("x",), (1.0,), (4.0,), (4,))
    assert resting_state(grid, "periodic") == 0.0
    assert resting_state(grid, {"x": {"lower": 0.5, "upper": "neumann"}}) == 0.5
    rest = resting_state(grid, {"x": {"lower": 1.0, "upper": 3.0}})
    assert rest.numpy("x") == pytest.approx([1.25, 1.75, 2.25, 2.75])


@pytest.mark.parametrize(("n", "kind"), [(1, FourierModes), (26, FourierModes), (17, Waves), (34, Waves)])
def test_transforms_are_fast_ones_where_numbers_of_cells_have_small_factors(n, kind):
    grid = Grid(("x",), (0.0,), (2.0,), (n,))
    waves = waves_of(grid, "periodic")
    assert type(waves) is kind
    values = np.random.default_rng(0).normal(size=n)
    expected = np.fft.ifft(np.exp(-0.01 * (2 * np.pi * np.fft.fftfreq(n, 2.0 / n)) ** 2) * np.fft.fft(values)).real
    with phi.precision(64):
        decayed = waves.forward(phi.wrap(values, spatial("x"))) * phi.exp(-0.01 * waves.squared)
        found = waves.backward(decayed).numpy("x")
    assert np.abs(found - expected).max() < 1e-12
