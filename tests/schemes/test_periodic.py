"""Fourier coefficients on a periodic box: slopes of waves, products without aliasing, and steps of both kinds."""

import math

import numpy as np
import pytest
import torch
from phi import math as phi
from phi.math import batch, spatial

from hyco.grid import Grid
from hyco.schemes.exponential import etdrk4, factors
from hyco.schemes.periodic import KEPT, BoxSpectrum, LineSpectrum, spectrum


@pytest.fixture(autouse=True)
def double_precision():
    with phi.precision(64):
        yield


def line(n):
    return Grid(("x",), (0.3,), (2.5,), (n,))


def wave(grid, k, phase=0.4):
    """Cos and -sin of a wave k times as fast as the domain, of the first axis."""
    angle = 2 * math.pi * k * (grid.centers("x") - grid.lower[0]) / grid.size[0] + phase
    return np.cos(angle), -np.sin(angle) * 2 * math.pi * k / grid.size[0]


@pytest.mark.parametrize("kind", [LineSpectrum, BoxSpectrum])
@pytest.mark.parametrize("n", [15, 16])
def test_slopes_of_the_kept_waves_are_exact_and_products_are_not_aliased(kind, n):
    grid = line(n)
    box, space = kind(grid), spatial("x")
    largest = math.ceil(KEPT * n / 2) - 1
    for k in range(largest + 1):
        values, slope = wave(grid, k)
        modes = box.forward(phi.wrap(values, space)) * box.kept
        assert np.abs(box.backward(modes).numpy("x") - values).max() < 1e-12
        found = box.backward(box.forward_slope(phi.wrap(values, space)))
        assert np.abs(found.numpy("x") - slope).max() < 1e-11
        changed = box.backward(modes * -box.squared).numpy("x")
        assert np.abs(changed + (2 * math.pi * k / 2.5) ** 2 * values).max() < 1e-9
    # cos² is a half and a half of the wave of twice the number, which is not kept: no other one takes its place.
    square = box.backward(box.forward(phi.wrap(wave(grid, largest)[0] ** 2, space)) * box.kept)
    assert np.abs(square.numpy("x") - 0.5).max() < 1e-12


def test_derivatives_on_a_box_are_those_of_a_plane_wave():
    grid = Grid(("x", "y"), (0.0, 1.0), (2.0, 3.0), (12, 9))
    box = spectrum(grid)
    assert isinstance(box, BoxSpectrum)
    x, y = np.meshgrid(grid.centers("x"), grid.centers("y"), indexing="ij")
    kx, ky = 2 * math.pi * 2 / 2.0, -2 * math.pi / 3.0
    modes = box.forward(phi.wrap(np.sin(kx * x + ky * y), spatial("x,y")))
    for axis, k in (("x", kx), ("y", ky)):
        slope = box.backward(modes * box.derivatives[axis]).numpy("x,y")
        assert np.abs(slope - k * np.cos(kx * x + ky * y)).max() < 1e-11


def test_both_kinds_of_coefficients_take_the_same_steps_and_keep_single_precision():
    grid, h = line(24), 0.05
    ends = {}
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 24, dtype=torch.float64, generator=generator)
    for kind in (LineSpectrum, BoxSpectrum):
        box = kind(grid)
        own = factors(box.squared * -0.03, h).times(box.kept * -0.5)
        state = {"u": box.forward(phi.wrap(start, batch("batch"), spatial("x"))) * box.kept}
        for _ in range(4):
            state = etdrk4(
                state, {"u": own}, lambda s, _, b=box: {"u": b.forward_slope(b.backward(s["u"]) ** 2)}, h, None
            )
        ends[kind] = box.backward(state["u"]).native("batch,x")
    assert torch.allclose(*ends.values(), rtol=0, atol=1e-13)
    assert not torch.allclose(ends[LineSpectrum], start, atol=0.1)
    with phi.precision(32):
        assert LineSpectrum(grid).forward(phi.wrap(start.float(), batch("batch"), spatial("x"))).dtype.bits == 32


def test_matrices_serve_small_grids_of_one_axis():
    assert isinstance(spectrum(line(512)), LineSpectrum)
    assert isinstance(spectrum(line(513)), BoxSpectrum)
