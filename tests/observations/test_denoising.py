"""Noise is taken off a measured state, and the state is left."""

import math

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations.denoising import denoised, ends_of, noise_of_states

N = 96
X = (torch.arange(N, dtype=torch.float64) + 0.5) / N
SMOOTH = torch.cos(3 * math.pi * X)
FRONT = torch.where(X < 0.4, 1.0, 0.0).double()
ROUGH = torch.randn(N, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def noise(shape, seed, count=30):
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("truth", "most"), [(SMOOTH, 0.75), (FRONT, 0.5), (ROUGH, 1.02)])
@pytest.mark.parametrize("part", [0.01, 0.05])
def test_errors_are_less_than_the_noise_and_no_more_where_a_state_is_rough(truth, most, part):
    sigma = part * truth.std()
    found = [denoised(truth + sigma * e, sigma, ["even"]) for e in noise(truth.shape, 1)]
    errors = torch.stack([f.state - truth for f in found]) / sigma
    assert float(errors.square().mean().sqrt()) < most
    assert abs(float(errors[:, -30:].mean())) < 0.05  # a mean stays one
    spread = torch.stack([f.std for f in found]).square().mean().sqrt() / sigma
    assert 0.5 * float(errors.std()) < float(spread) < 1.2


def test_each_axis_has_its_own_ends():
    x, y = torch.meshgrid(torch.arange(40) / 40, (torch.arange(12) + 0.5) / 12, indexing="ij")
    truth = (torch.sin(2 * math.pi * x) + 2 * y).double()
    sigma = 0.03 * truth.std()
    measured = truth + sigma * noise(truth.shape, 2, 1)[0]
    found = denoised(measured, sigma, ["wrap", "even"])
    turned = denoised(measured.T.contiguous(), sigma, ["even", "wrap"])
    assert torch.allclose(turned.state.T, found.state, rtol=0, atol=1e-12)
    assert torch.allclose(turned.std.T, found.std, rtol=0, atol=1e-12)
    moved = denoised(measured.roll(11, dims=0), sigma, ["wrap", "even"])
    assert torch.allclose(moved.state.roll(-11, dims=0), found.state, rtol=0, atol=1e-12)
    assert float((found.state - truth).square().mean().sqrt()) < 0.7 * sigma


@pytest.mark.parametrize("truth", [torch.sin(math.pi * X), X])
@pytest.mark.parametrize("part", [0.02, 0.05, 0.1])
def test_beside_walls_with_a_slope_nothing_is_lost(truth, part):
    sigma = part * truth.std()
    draws = noise(truth.shape, 9, 60)
    draws = torch.cat([draws, -draws])  # whose means are zero
    found = [denoised(truth + sigma * e, sigma, ["odd"]) for e in draws]
    errors = torch.stack([f.state - truth for f in found])[:, [0, 1, -2, -1]] / sigma
    rms, std = errors.square().mean(dim=0).sqrt(), torch.stack([f.std for f in found]).mean(dim=0) / sigma
    assert bool((rms <= 1.05 * draws[:, [0, 1, -2, -1]].square().mean(dim=0).sqrt()).all())
    assert float(errors.mean(dim=0).abs().max()) < 0.15
    assert bool((rms < 1.3 * std[[0, 1, -2, -1]]).all())
    assert float(std[-1]) < 1.1
    assert 0.3 < float(std[N // 2]) < 0.6


def test_an_odd_end_leaves_a_line_to_the_rounding():
    line = 3.0 - 2.0 * X
    assert torch.allclose(denoised(line, torch.tensor(0.1), ["odd"]).state, line, rtol=0, atol=1e-13)


def test_the_walls_of_each_channel_say_how_it_goes_on():
    grid = Grid(("x", "y"), (0.0, 0.0), (1.0, 1.0), (8, 8))
    insulated = {"x": "neumann", "y": {"lower": {"flux": 0.0}, "upper": {"robin": {"a": 0.0, "b": 2.0, "c": 0.0}}}}
    mixed = {"x": {"lower": "neumann", "upper": 0.0}, "y": "periodic"}
    open_ones = {"x": {"flux": 1.0}, "y": {"flux": "q"}}
    layout = Layout(
        grid,
        (
            FieldSpec("a", boundary=insulated),
            FieldSpec("b", ("x", "y"), boundary=mixed),
            FieldSpec("c", boundary=open_ones),
            FieldSpec("v", ("x", "y"), staggered=True, boundary="neumann"),
        ),
    )
    found = [ends_of(layout, c) for c in range(len(layout.channels))]
    assert found[0] == ["even", "even"]
    assert found[1] == found[2] == ["odd", "wrap"]
    assert found[3] == ["odd", "odd"]
    assert found[4:] == [["odd", "even"], ["even", "odd"]]


def test_where_the_noise_is_larger_more_is_taken_off():
    sigma = torch.where(X < 0.5, 0.01, 0.1).double()
    errors = torch.stack([denoised(SMOOTH + sigma * e, sigma, ["even"]).state - SMOOTH for e in noise((N,), 3)])
    left, right = errors[:, : N // 2 - 8], errors[:, N // 2 + 8 :]
    assert float(left.square().mean().sqrt()) < 0.009
    assert float(right.square().mean().sqrt()) < 0.06


def test_fewer_entries_than_a_spline_are_left():
    values = torch.tensor([1.0, -1.0, 2.0, 0.5]).double()
    assert torch.equal(denoised(values, torch.tensor(0.1), ["even"]).state, values)


@pytest.mark.parametrize("part", [0.003, 0.05])
def test_states_tell_their_noise(part):
    truth = torch.stack([SMOOTH, FRONT, torch.exp(-(((X - 0.3) / 0.1) ** 2))]).repeat(8, 1)
    sigma = part * float(truth.std())
    assert noise_of_states(truth + sigma * noise(truth.shape, 4, 1)[0]) == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("truth", [SMOOTH, FRONT, ROUGH, torch.zeros(N).double(), X, X[:9]])
def test_states_without_noise_tell_none(truth):
    assert noise_of_states(truth[None]) == 0.0


def random_fields(cells, dimensions, amplitude, count=4):
    """Periodic fields `[count, *space]` whose amplitudes are a function of |k|, none of k = 0."""
    k = torch.meshgrid(*[torch.fft.fftfreq(cells, dtype=torch.float64) * cells] * dimensions, indexing="ij")
    size = torch.stack(k).square().sum(dim=0).sqrt()
    space = tuple(range(1, dimensions + 1))
    spectrum = torch.fft.fftn(noise((cells,) * dimensions, 6, count), dim=space)
    return torch.fft.ifftn(spectrum * amplitude(size) * (size > 0), dim=space).real


@pytest.mark.parametrize(("cells", "dimensions"), [(64, 1), (128, 1), (256, 1), (64, 2)])
@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 2.5])
def test_rough_states_without_noise_tell_none(cells, dimensions, power):
    for scale in (0.0, 5.0):
        states = random_fields(cells, dimensions, lambda k, s=scale: (k.clamp_min(1) ** 2 + s**2) ** (-power / 2))
        assert noise_of_states(states) == 0.0


@pytest.mark.parametrize("length", [3.0, 20.0])
def test_states_of_exponential_covariance_tell_no_noise(length):
    covariance = torch.exp(-(torch.arange(128)[:, None] - torch.arange(128)).abs() / length).double()
    assert noise_of_states(noise((128,), 7, 8) @ torch.linalg.cholesky(covariance).T) == 0.0


def test_noise_is_told_in_two_dimensions_where_both_axes_agree():
    truth = random_fields(48, 2, lambda k: torch.exp(-((k / 2) ** 2)))
    sigma = 0.02 * float(truth.std())
    found = noise_of_states(truth + sigma * noise(truth.shape[1:], 8, 4))
    assert found == pytest.approx(sigma, rel=0.1)
    rough_along_x = random_fields(48, 1, lambda k: k.clamp_min(1) ** -1.0)[:, :, None].expand(-1, -1, 48)
    assert noise_of_states(rough_along_x + sigma * noise(truth.shape[1:], 8, 4)) == 0.0
