"""Fourier coefficients on a periodic box: slopes of waves, and products without aliasing."""

import math

import numpy as np
import pytest
from phi import math as phi
from phi.math import spatial

from hyco.grid import Grid
from hyco.schemes.periodic import KEPT, Spectrum


@pytest.fixture(autouse=True)
def double_precision():
    with phi.precision(64):
        yield


@pytest.mark.parametrize("n", [15, 16])
def test_slopes_of_the_kept_waves_are_exact_and_products_are_not_aliased(n):
    grid, space = Grid(("x",), (0.3,), (2.5,), (n,)), spatial("x")
    box = Spectrum(grid)
    largest = math.ceil(KEPT * n / 2) - 1
    for number in range(largest + 1):
        k = 2 * math.pi * number / 2.5
        angle = k * grid.centers("x") + 0.4
        modes = box.forward(phi.wrap(np.cos(angle), space)) * box.kept
        assert np.abs(box.backward(modes).numpy("x") - np.cos(angle)).max() < 1e-12
        slope = box.backward(modes * box.derivatives["x"]).numpy("x")
        assert np.abs(slope + k * np.sin(angle)).max() < 1e-11
        assert np.abs(box.backward(modes * box.squared).numpy("x") - k**2 * np.cos(angle)).max() < 1e-9
    # cos² is a half and a half of the wave of twice the number, which is not kept: no other one takes its place.
    square = box.backward(box.forward(phi.wrap(np.cos(angle) ** 2, space)) * box.kept)
    assert np.abs(square.numpy("x") - 0.5).max() < 1e-12


def test_derivatives_on_a_box_are_those_of_a_plane_wave():
    grid = Grid(("x", "y"), (0.0, 1.0), (2.0, 3.0), (12, 9))
    box = Spectrum(grid)
    x, y = np.meshgrid(grid.centers("x"), grid.centers("y"), indexing="ij")
    kx, ky = 2 * math.pi * 2 / 2.0, -2 * math.pi / 3.0
    modes = box.forward(phi.wrap(np.sin(kx * x + ky * y), spatial("x,y")))
    for axis, k in (("x", kx), ("y", ky)):
        slope = box.backward(modes * box.derivatives[axis]).numpy("x,y")
        assert np.abs(slope - k * np.cos(kx * x + ky * y)).max() < 1e-11
