"""The Fourier neural operator: its convolution, its resolutions, its walls, and the grids that it refuses."""

import re

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.networks.fno import SpectralConvolution
from hyco.networks.network import build, network_config
from hyco.networks.synthetic import SyntheticModel


def network(boundaries, **keys):
    config = {"name": "fno", "filters": 6, "modes": 4, "blocks": 3, **keys}
    module = build(config, in_channels=1, out_channels=1, boundaries=boundaries, seed=0)
    last = module.head[-1].convolution
    last.weight.data.normal_(generator=torch.Generator().manual_seed(1))
    return module


def smooth(boundaries, *shape):
    """Few waves that keep the boundaries, at the centres of the cells."""
    u = torch.ones(shape, dtype=torch.float64)
    for axis, (n, boundary) in enumerate(zip(shape, boundaries, strict=True)):
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        wave = {
            "periodic": (2 * torch.pi * x + 1).sin() + 0.3,
            "neumann": (torch.pi * x).cos() + 0.5 * (2 * torch.pi * x).cos(),
            "dirichlet": (torch.pi * x).sin() ** 3,
            "dirichlet-neumann": (torch.pi * x / 2).sin() ** 3,
        }[boundary]
        u = u * wave.reshape([n if i == axis else 1 for i in range(len(shape))])
    return u.float()[None, None]


@pytest.mark.parametrize("shape", [(9,), (8,), (6, 7), (5, 6, 4)])
def test_the_spectral_convolution_is_the_sum_over_its_modes(shape):
    modes, axes = 2, tuple(range(2, 2 + len(shape)))
    layer = SpectralConvolution(3, 2, modes, ("periodic",) * len(shape))
    x = torch.randn(2, 3, *shape)
    spectrum = torch.fft.fftn(x, dim=axes, norm="forward")
    weight = torch.view_as_complex(layer.weight.detach())
    expected = torch.zeros(2, 2, *shape, dtype=torch.complex64)
    positions = torch.meshgrid(*[torch.arange(n) / n for n in shape], indexing="ij")
    for index in torch.cartesian_prod(*[torch.arange(s) for s in weight.shape[2:]]).reshape(-1, len(shape)).tolist():
        k = [i if i < modes else i - (2 * modes - 1) for i in index]
        wave = torch.exp(2j * torch.pi * sum(ki * p for ki, p in zip(k, positions, strict=True)))
        amplitude = spectrum[(..., *k)] @ weight[(..., *index)]
        # The modes of negative last wave number are the conjugates of those kept.
        expected += (1 if k[-1] == 0 else 2) * amplitude[(..., *[None] * len(shape))] * wave
    torch.testing.assert_close(layer(x), expected.real, rtol=1e-4, atol=1e-5)


def change_with_resolution(boundaries, n):
    """Largest difference of the answers on n and 3n cells, whose centres agree, in units of the answer's std."""
    module, d = network(boundaries), len(boundaries)
    with torch.no_grad():
        fine = module(smooth(boundaries, *[3 * n] * d))
        difference = module(smooth(boundaries, *[n] * d)) - fine[(..., *[slice(1, None, 3)] * d)]
        return float(difference.abs().max() / fine.std())


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_same_weights_on_a_finer_grid_give_the_same_answer_for_a_smooth_periodic_state(dimensions):
    assert change_with_resolution(("periodic",) * dimensions, 8 if dimensions == 3 else 16) < 1e-3


@pytest.mark.parametrize("boundaries", [("neumann",), ("dirichlet",), ("dirichlet-neumann",), ("periodic", "neumann")])
def test_with_walls_the_answer_changes_with_the_resolution_in_second_order(boundaries):
    first, second = (change_with_resolution(boundaries, n) for n in (16, 32))
    assert first < 0.02
    assert 3 < first / second < 5


def test_a_mirror_image_makes_the_convolution_along_an_axis_without_slope():
    layer, x = SpectralConvolution(2, 2, 4, ("neumann", "periodic")), torch.randn(1, 2, 7, 10)
    mirrored = SpectralConvolution(2, 2, 4, ("periodic", "periodic"))
    mirrored.load_state_dict(layer.state_dict())
    expected = mirrored(torch.cat([x, x.flip(2)], 2))[:, :, :7]
    torch.testing.assert_close(layer(x), expected)


def test_behind_a_wall_of_given_value_are_zeros():
    layer, x = SpectralConvolution(2, 2, 4, ("dirichlet",)), torch.randn(1, 2, 9)
    periodic = SpectralConvolution(2, 2, 4, ("periodic",))
    periodic.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), periodic(torch.cat([x, torch.zeros(1, 2, 9)], 2))[:, :, :9])


@pytest.mark.parametrize("boundary", ["dirichlet-neumann", "neumann-dirichlet"])
def test_walls_of_two_kinds_have_a_mirror_image_and_zeros_each_behind_its_own(boundary):
    """A bell-shaped kernel keeps a constant at the wall without slope, and loses half of it at the other one."""
    modes, width = 12, 0.15
    layer = SpectralConvolution(1, 1, modes, (boundary,))
    bell = torch.exp(-((2 * torch.pi * torch.arange(modes) * width / 3) ** 2) / 2)
    layer.weight.data = torch.stack([bell, torch.zeros(modes)], dim=-1)[None, None]
    answer = layer(torch.ones(1, 1, 40)).detach()[0, 0]
    at_value, at_slope = (answer[0], answer[-1]) if boundary.startswith("dirichlet") else (answer[-1], answer[0])
    assert abs(float(at_slope) - 1) < 0.01
    assert abs(float(at_value) - 0.5) < 0.05


def test_walls_of_two_kinds_beside_another_axis():
    layer, x = SpectralConvolution(2, 2, 4, ("periodic", "dirichlet-neumann")), torch.randn(1, 2, 10, 7)
    periodic = SpectralConvolution(2, 2, 4, ("periodic", "periodic"))
    periodic.load_state_dict(layer.state_dict())
    expected = periodic(torch.cat([x, x.flip(3), torch.zeros_like(x)], 3))[..., :7]
    torch.testing.assert_close(layer(x), expected)


def test_a_grid_too_coarse_leaves_out_the_modes_that_it_cannot_hold():
    large, small = (SpectralConvolution(1, 1, modes, ("periodic", "periodic")) for modes in (5, 2))
    small.weight.data = large.weight.data[:, :, [0, 1, -1], :2]
    x = torch.randn(1, 1, 4, 4)
    torch.testing.assert_close(large(x), small(x))


@pytest.mark.parametrize(
    ("shape", "boundaries", "most"),
    [
        ((8,), ("periodic",), 4),
        ((9,), ("periodic",), 5),
        ((8,), ("neumann",), 8),
        ((8,), ("neumann-dirichlet",), 12),
        ((16, 6), ("periodic",) * 2, 3),
    ],
)
def test_more_modes_than_the_grid_can_hold_are_refused(shape, boundaries, most):
    assert network_config({"name": "fno", "modes": most}).check(shape, boundaries) is None
    key, text = network_config({"name": "fno", "modes": most + 1}).check(shape, boundaries)
    assert key == "modes"
    assert text.startswith(f"{most + 1} is more than {' x '.join(map(str, shape))} cells (")
    assert text.endswith(f"can hold; allowed: 1 to {most}")


def test_a_model_with_more_modes_than_its_grid_can_hold_is_not_made():
    where = Layout(Grid(("x",), (0.0,), (1.0,), (10,)), (FieldSpec("u", (), False, "periodic"),))
    one = torch.ones(1)
    message = re.escape("network.modes: 6 is more than 10 cells (periodic) can hold; allowed: 1 to 5")
    with pytest.raises(ValueError, match=message):
        SyntheticModel.create({"name": "fno"}, where, mean=one, std=one, change_std=one, seed=0)


def test_weights_are_real_float32_numbers_so_that_any_optimiser_and_file_takes_them():
    assert {p.dtype for p in network(("periodic", "neumann")).parameters()} == {torch.float32}
