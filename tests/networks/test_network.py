"""Networks by name: their keys, their weights, their symmetries."""

import math
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from hyco.networks.coordinates import coordinate_channels
from hyco.networks.network import NETWORKS, build, network_config

# Those that learn any map of states; `pseudospectral` has keys and tests of its own.
NAMES = [name for name in NETWORKS.built_in if NETWORKS.load(name).config_class.stepping and name != "pseudospectral"]
BOUNDARIES = ("periodic", "neumann", "dirichlet", "neumann-dirichlet")


def network(name, boundaries, channels=2, seed=0, **keys):
    module = build(
        {"name": name, **keys}, in_channels=channels, out_channels=channels, boundaries=boundaries, seed=seed
    )
    return awake(module)


def awake(module):
    """Give the layers that start at zero something to say."""
    generator = torch.Generator().manual_seed(1)
    for p in module.parameters():
        if not p.detach().any():
            p.data.normal_(std=0.1, generator=generator)
    return module


def test_the_networks_that_exist_are_listed_by_name():
    assert NETWORKS.available() == ["dilated_resnet", "fno", "gated", "mlp", "pseudospectral", "resnet", "unet"]


def test_an_unknown_network_says_which_exist():
    with pytest.raises(
        ValueError,
        match=r"^unknown network 'transformer'; available: dilated_.*, resnet, unet; or package\.module:Class$",
    ):
        network_config({"name": "transformer"})
    with pytest.raises(ValueError, match="a network needs a name; available: dilated_resnet, fno, gated, mlp, pseudos"):
        network_config({"filters": 8})


def test_listing_networks_does_not_import_torch():
    code = (
        "import sys; from hyco.networks.network import NETWORKS as n; n.available(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_wrong_keys_and_values_are_refused(name):
    for keys in (
        {"depth": 3},
        {"filters": 0},
        {"blocks" if name != "unet" else "levels": 0},
        {"kernel_size": 4},
        {"activation": "sine"},
    ):
        with pytest.raises(ValidationError):
            network_config({"name": name, **keys})


@pytest.mark.parametrize("boundaries", [("periodic",), ("neumann", "periodic")])
@pytest.mark.parametrize("name", NAMES)
def test_in_double_precision_a_network_says_the_same(name, boundaries):
    """Beside a physical model, whose derivatives are differences, corrections run in it."""
    module = network(name, boundaries)
    x = torch.randn(2, 2, *(24, 16)[: len(boundaries)], generator=torch.Generator().manual_seed(2))
    single, double = module(x), module.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_survives_json(name):
    config = network_config({"name": name, "filters": 6})
    assert network_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_default_networks_are_small(name, dimensions):
    count = sum(p.numel() for p in network(name, ("periodic",) * dimensions, dimensions).parameters())
    assert 5_000 < count < 100_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(16,), (13,), (3,), (12, 8), (11, 7), (1, 9), (5, 4, 3)])
def test_any_resolution_comes_out_as_it_went_in(name, boundary, shape):
    module = network(name, (boundary,) * len(shape), filters=4)
    out = module(torch.randn(2, 2, *shape))
    assert out.shape == (2, 2, *shape)
    assert out.dtype == torch.float32
    assert bool(torch.isfinite(out).all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keys", [{}, {"normalisation": "group"}, {"kernel_size": 5, "activation": "tanh"}])
@pytest.mark.parametrize(("shape", "shift"), [((32,), (8,)), ((16, 24), (4, -8))])
def test_a_shift_along_periodic_axes_shifts_the_answer(name, keys, shape, shift):
    module = network(name, ("periodic",) * len(shape), **keys)
    x, axes = torch.randn(2, 2, *shape), tuple(range(2, 2 + len(shape)))
    torch.testing.assert_close(module(x.roll(shift, axes)), module(x).roll(shift, axes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("resnet", {"dilations": (1, 2)}), ("dilated_resnet", {"blocks": 1}), ("fno", {"modes": 4}), ("gated", {})],
)
@pytest.mark.parametrize("shape", [(13,), (9, 14), (5, 8, 7)])
def test_all_but_the_unet_are_equivariant_under_shifts_by_any_number_of_cells(name, keys, shape):
    module, x = network(name, ("periodic",) * len(shape), filters=6, **keys), torch.randn(1, 2, *shape)
    shift, axes = (1, 5, -2)[: len(shape)], tuple(range(2, 2 + len(shape)))
    torch.testing.assert_close(module(x.roll(shift, axes)), module(x).roll(shift, axes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_wall_breaks_the_symmetry_of_its_own_axis_only(name):
    module, x = network(name, ("periodic", "dirichlet")), torch.randn(1, 2, 16, 16)
    torch.testing.assert_close(module(x.roll(4, 2)), module(x).roll(4, 2), rtol=1e-4, atol=1e-5)
    assert (module(x.roll(4, 3)) - module(x).roll(4, 3)).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_weights_depend_on_the_seed_and_on_nothing_else(name):
    torch.manual_seed(1)
    first = build({"name": name}, in_channels=1, out_channels=1, boundaries=("periodic",), seed=5).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = build({"name": name}, in_channels=1, out_channels=1, boundaries=("periodic",), seed=5).state_dict()
    other = build({"name": name}, in_channels=1, out_channels=1, boundaries=("periodic",), seed=6).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_network_learns_one_batch_of_changes(name):
    """Of Burgers' equation: -u u_x + u_xx / 10, on 32 cells."""
    generator = torch.Generator().manual_seed(3)
    k = torch.arange(1, 5)[:, None]
    modes = torch.randn(8, 1, 4, 2, generator=generator) / k
    angle = k * (torch.arange(32) + 0.5) * 2 * torch.pi / 32

    def wave(cos, sin):
        return modes[..., 0] @ cos + modes[..., 1] @ sin

    u = wave(angle.cos(), angle.sin())
    change = -u * wave(-k * angle.sin(), k * angle.cos()) + 0.1 * wave(-(k**2) * angle.cos(), -(k**2) * angle.sin())
    change = change / change.std()
    module = build({"name": name}, in_channels=1, out_channels=1, boundaries=("periodic",), seed=0)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    losses = []
    for _ in range(80):
        loss = (module(u) - change).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses) < 0.1 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name):
    module = network(name, ("periodic", "neumann"), normalisation="group")
    module(torch.randn(2, 2, 8, 12)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_the_dilated_resnet_sees_as_far_as_it_says_and_leaves_no_gap():
    module, x = network("dilated_resnet", ("dirichlet",), filters=8, blocks=1), torch.randn(1, 2, 101)
    x.requires_grad_()
    module(x)[0, :, 50].sum().backward()
    seen = x.grad[0].any(0).nonzero().flatten()
    assert seen.tolist() == list(range(50 - 24, 50 + 24 + 1))


def test_without_an_activation_a_residual_network_is_linear():
    module, x = network("resnet", ("periodic",), filters=6, activation="none").double(), torch.randn(3, 2, 24).double()
    nothing, first, second = module(0 * x), module(x), module(2 * x)
    torch.testing.assert_close(second - first, first - nothing)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_gated_network_is_a_polynomial_of_degree_two_per_block(blocks):
    """Differences of order n vanish for polynomials of a lower degree, and not for those of degree n."""
    module, x = network("gated", ("periodic",), filters=6, blocks=blocks).double(), torch.randn(1, 2, 24).double()
    degree = 2**blocks
    values = torch.cat([module(amplitude * x) for amplitude in range(degree + 2)])
    assert values.diff(n=degree + 1, dim=0).abs().max() < 1e-9 * values.abs().max()
    assert values.diff(n=degree, dim=0).abs().max() > 1e-4 * values.abs().max()


def test_the_gated_network_sees_as_far_as_it_says():
    module, x = network("gated", ("dirichlet",), filters=6), torch.randn(1, 2, 41, requires_grad=True)
    module(x)[0, :, 20].sum().backward()
    assert x.grad[0].any(0).nonzero().flatten().tolist() == list(range(20 - 8, 20 + 8 + 1))


def test_coordinates_agree_across_a_periodic_boundary_and_run_from_side_to_side_elsewhere():
    sin, cos, linear = coordinate_channels((8, 5), (True, False))
    torch.testing.assert_close(sin.square() + cos.square(), torch.ones(8, 5))
    torch.testing.assert_close(sin[0], -sin[-1])
    torch.testing.assert_close(cos[0], cos[-1])
    assert sin.std(1).max() == 0
    torch.testing.assert_close(linear[3], torch.tensor([-0.8, -0.4, 0.0, 0.4, 0.8]))


def test_coordinates_of_several_waves_say_a_force_of_a_third_of_the_domain_at_once():
    channels = coordinate_channels((24, 10), (True, False), 3)
    assert len(channels) == 6 + 3
    x, y = (torch.arange(24.0) + 0.5) / 24, (torch.arange(10.0) + 0.5) / 10
    wanted = [(2 * math.pi * 3 * x + 0.5).cos()[:, None].expand(24, 10), (3 * math.pi * y).cos().expand(24, 10)]
    for force in wanted:
        found = torch.linalg.lstsq(channels.flatten(1).T, force.flatten()[:, None]).solution
        torch.testing.assert_close(channels.flatten(1).T @ found, force.flatten()[:, None], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["resnet", "fno"])
def test_more_waves_than_cells_hold_are_refused(name):
    config = network_config({"name": name, "coordinates": 5})
    assert config.check((32, 10), ("periodic", "neumann")) is None
    text = "5 waves are more than 32 x 9 cells hold; allowed: up to 4"
    assert config.check((32, 9), ("periodic", "neumann")) == ("coordinates", text)
    assert network_config({"name": name, "coordinates": True}).check((32, 9), ("periodic", "neumann")) is None
