"""The network of the form of a semilinear equation: its step, its scales and what it refuses."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.integrate import solve_ivp

from hyco.networks.network import SeesValues, build, network_config

CELLS = 48


def network(axes=1, channels=1, **keys):
    boundaries = ("periodic",) * axes
    module = build(
        {"name": "pseudospectral", **keys}, in_channels=channels, out_channels=channels, boundaries=boundaries, seed=0
    )
    return module.double()


def awake(module, size=0.02):
    generator = torch.Generator().manual_seed(1)
    for weight in module.parameters():
        weight.data.normal_(std=size, generator=generator)
    return module


def wave(cells=CELLS):
    """A smooth state without any symmetry, `[1, 1, cells]`."""
    x = 2 * math.pi * torch.arange(cells, dtype=torch.float64) / cells
    return (0.3 + torch.sin(x) + 0.5 * torch.cos(2 * x + 0.4)).view(1, 1, -1)


def numbers(cells=CELLS):
    """Wave numbers of the real transform [1/cell]; the last has no sign, and here no derivative of odd order."""
    k = 2 * math.pi * np.fft.rfftfreq(cells)
    return k, np.where(np.arange(len(k)) == cells / 2, 0.0, k)


@pytest.mark.parametrize("cells", [48, 47])
def test_the_linear_part_of_a_step_is_exact(cells):
    module, u = network(substeps=3), torch.randn(2, 1, cells, generator=torch.Generator().manual_seed(3)).double()
    advection, diffusion, dispersion, damping = 1.5, 0.75, 0.25, 0.125
    module.linear.data[0, 0] = torch.tensor([advection, diffusion, dispersion, damping])
    even, odd = numbers(cells)
    symbol = (
        -1j * (advection * odd + dispersion * odd**3 / math.pi) - diffusion * even**2 - damping * even**4 / math.pi**2
    )
    wanted = np.fft.irfft(np.exp(symbol) * np.fft.rfft(u.numpy()), n=cells)
    np.testing.assert_allclose((u + module(u)).detach().numpy(), wanted, atol=1e-13)


def test_each_axis_and_channel_has_its_own_linear_part():
    module, u = network(2, 2), torch.randn(1, 2, 8, 12, generator=torch.Generator().manual_seed(3)).double()
    module.linear.data[1, 0, 0] = 3.0  # channel 1 moves three cells along the first axis
    u = torch.fft.irfft2(torch.fft.rfft2(u) * (torch.arange(8) != 4)[:, None], s=(8, 12))
    moved = u + module(u).detach()
    torch.testing.assert_close(moved[:, 0], u[:, 0])
    torch.testing.assert_close(moved[:, 1], u[:, 1].roll(3, 1))


def test_a_step_with_flux_and_reaction_is_of_second_order():
    """u_t = .5 u_xx - (1.5 u²)_x + .05 - .1 u², by SciPy."""
    module, u = network(degree=2), wave()
    module.linear.data[0, 0, 1] = 0.5
    module.fluxes.data[0, 0] = torch.tensor([0.0, 1.5])
    module.reactions.data[0] = torch.tensor([0.05, 0.0, -0.1])
    even, odd = numbers()

    def rate(_time, state):
        transformed = np.fft.rfft(state)
        seen = np.fft.irfft(np.where(even < 2 / 3 * math.pi - 1e-9, transformed, 0), n=CELLS)
        linear_and_flux = -0.5 * even**2 * transformed - 1j * odd * np.fft.rfft(1.5 * seen**2)
        return np.fft.irfft(linear_and_flux, n=CELLS) + 0.05 - 0.1 * seen**2

    wanted = solve_ivp(rate, (0, 1), u.numpy().ravel(), rtol=1e-11, atol=1e-12).y[:, -1]
    found = []
    for module.substeps in (16, 32, 64):
        found.append(float(np.abs((u + module(u)).detach().numpy().ravel() - wanted).max()))
    assert found[0] < 0.01
    np.testing.assert_allclose(np.log2(np.divide(found[:-1], found[1:])), 2, atol=0.2)


@pytest.mark.parametrize(("degree", "cutoff", "kept"), [(2, None, 15), (3, None, 11), (3, 0.25, 5), (2, 1.0, 23)])
def test_polynomials_see_waves_below_the_cutoff_alone(degree, cutoff, kept):
    """By default all whose products are no other waves on this grid; of the highest there is none here."""
    module = awake(network(degree=degree, cutoff=cutoff, fluxes=False, substeps=1))
    x = 2 * math.pi * torch.arange(CELLS, dtype=torch.float64) / CELLS
    module.linear.data.zero_()
    nothing = module(torch.zeros(1, 1, CELLS).double())
    felt = [k for k in range(1, 24) if (module(torch.cos(k * x).view(1, 1, -1)) - nothing).abs().max() > 1e-9]
    assert felt == list(range(1, kept + 1))


def test_the_weights_are_of_uncorrelated_monomials_of_what_is_to_be_learnt():
    module = network(channels=2)
    values = torch.randn(4000, 2, generator=torch.Generator().manual_seed(4)).double()
    values = torch.stack([values[:, 0] + 1, values[:, 0] + 0.5 * values[:, 1]], dim=1)
    module.see(values, values.abs().amax(dim=0), torch.tensor([0.5, 0.25]))
    combined = module.basis @ module._monomials(values.T[None])[0]
    correlations = combined @ combined.T / len(values)
    raw = torch.corrcoef(module._monomials(values.T[None])[0][1:])
    assert raw.triu(1).max() > 0.9
    assert (correlations - torch.eye(10)).abs().max() < 0.05
    assert module.gain.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("values", [torch.ones(50, 2), torch.zeros(50, 2), torch.randn(3, 2), torch.zeros(0, 2)])
def test_scales_of_values_that_tell_little_are_finite(values):
    module = network(channels=2)
    module.see(values, torch.ones(2), torch.ones(2))
    assert bool(torch.isfinite(module.basis).all())


def test_states_far_beyond_what_was_seen_do_not_run_away():
    module, u = awake(network(substeps=4), size=0.3), 1e4 * wave()
    module.linear.data.zero_()
    module.see(wave().view(-1, 1), torch.tensor([1.5]), torch.ones(1))
    once, twice = module(u), module(2 * u)
    assert bool(torch.isfinite(twice).all())
    assert twice.abs().max() < 1e3 * once.abs().max().clamp_max(100)


def test_states_somewhat_beyond_what_was_seen_follow_the_same_equation():
    """u_t = -u³/100 where u is the same everywhere, u(t) = u₀ / sqrt(1 + u₀² t / 50): seen up to 1, asked at 4."""
    module = network()
    module.see(wave().view(-1, 1), torch.ones(1), torch.ones(1))
    module.basis.copy_(torch.eye(len(module.monomials)))
    with torch.no_grad():
        module.reactions[0, -1] = -0.01
    u = torch.full((1, 1, CELLS), 4.0, dtype=torch.float64)
    torch.testing.assert_close(u + module(u), u / math.sqrt(1 + 16 / 50), rtol=1e-3, atol=0)


def test_it_learns_a_step_from_a_few_states_of_another_solver():
    """u_t = .4 u_xx - (.5 u²)_x - .2 u³ on states with waves of random sizes, by SciPy; other states tell the error."""
    generator = np.random.default_rng(5)
    x, (even, odd) = 2 * math.pi * np.arange(CELLS) / CELLS, numbers()
    sizes = generator.normal(size=(12, 3, 2)) / np.arange(1, 4)[:, None]
    waves = np.stack([[np.cos(k * x), np.sin(k * x)] for k in (1, 2, 3)])
    u = np.einsum("ska,kax->sx", sizes, waves)

    def rate(_time, flat):
        state = flat.reshape(-1, CELLS)
        carried = np.fft.irfft(-0.4 * even**2 * np.fft.rfft(state) - 1j * odd * np.fft.rfft(state**2), n=CELLS)
        return (carried - 0.2 * state**3).ravel()

    after = solve_ivp(rate, (0, 1), u.ravel(), rtol=1e-9, atol=1e-10).y[:, -1].reshape(u.shape)
    states, changes = (torch.from_numpy(a)[:, None].float() for a in (u, after - u))
    module = network(substeps=4, cutoff=1.0).float()
    module.see(states[:8].reshape(-1, 1), states[:8].abs().amax()[None], changes[:8].std()[None])
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 200)
    for _ in range(200):
        loss = (module(states[:8]) - changes[:8] / changes[:8].std()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    error = module(states[8:]).detach() * changes[:8].std() - changes[8:]
    assert error.norm() < 0.04 * changes[8:].norm()


def test_at_first_nothing_changes_and_every_weight_has_a_gradient():
    module, x = network(2, 2).float(), torch.randn(2, 2, 12, 10, generator=torch.Generator().manual_seed(6))
    assert isinstance(module, SeesValues)
    assert module(x).abs().max() < 1e-5
    module(x).square().sum().backward()
    awake(module)(x).square().sum().backward()
    assert all(bool(weight.grad.any()) for weight in module.parameters())


@pytest.mark.parametrize("shape", [(13,), (1,), (2,), (9, 14), (5, 8, 7)])
def test_a_shift_shifts_the_answer_in_both_precisions(shape):
    module = awake(network(len(shape), 2)).float()
    x = torch.randn(2, 2, *shape, generator=torch.Generator().manual_seed(7))
    shift, axes = (1, 5, -2)[: len(shape)], tuple(range(2, 2 + len(shape)))
    out = module(x)
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    torch.testing.assert_close(module(x.roll(shift, axes)), out.roll(shift, axes), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module.double()(x.double()).float(), out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rest", [0.0, 1e-16])
def test_a_constant_channel_leaves_all_numbers_finite(rest):
    module, values = awake(network(1, 2)).float(), torch.randn(500, 2, generator=torch.Generator().manual_seed(8))
    values[:, 1] = rest
    module.see(values, values.abs().amax(dim=0), torch.ones(2))
    assert bool(module.basis.isfinite().all())
    assert bool(module(values[:32].T[None]).isfinite().all())


def test_a_channel_without_values_enters_the_polynomials():
    module = network(1, 2, cutoff=1.0)
    module.see(torch.zeros(0, 2).double(), torch.tensor([3.0, 0.0]).double(), torch.ones(2).double())
    assert module.bound.flatten().tolist() == [30.0, 30.0]


def test_walls_positions_and_wrong_keys_are_refused():
    config = network_config({"name": "pseudospectral"})
    assert config.check((16, 16), ("periodic", "periodic")) is None
    key, text = config.check((16, 16), ("periodic", "neumann"))
    assert (key, text) == (
        "name",
        "pseudospectral needs periodic axes, these are periodic, neumann: take fno or resnet",
    )
    assert (
        network_config({"name": "pseudospectral", "coordinates": True}).check((16,), ("periodic",))[0] == "coordinates"
    )
    with pytest.raises(ValueError, match="needs periodic axes, and no coordinates"):
        build(config, in_channels=1, out_channels=1, boundaries=("neumann",), seed=0)
    for keys in ({"degree": 0}, {"degree": 5}, {"substeps": 0}, {"cutoff": 0}, {"cutoff": 1.5}, {"filters": 8}):
        with pytest.raises(ValidationError):
            network_config({"name": "pseudospectral", **keys})
