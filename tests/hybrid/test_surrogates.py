"""States with the spectra of states that were seen: against the distribution that those were drawn from."""

from dataclasses import replace

import pytest
import torch

from hyco.equations.initial_states import random_smooth_states
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.hybrid.surrogates import Spectra, has_spectra

QUIET = torch.zeros(64, 1, dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def layout(boundary, *others, axes=("x",), size=(5.0,), resolution=(48,)):
    lower = tuple(-1.0 for _ in axes)
    fields = [FieldSpec(f"u{i}", boundary=b) for i, b in enumerate((boundary, *others))]
    return Layout(Grid(axes=axes, lower=lower, size=size, resolution=resolution), tuple(fields))


def seen(where, count=64, length=0.7, amplitude=2.0, channels=1):
    return random_smooth_states(where.grid, channels, count, length, amplitude, generator(), where.fields[0].boundary)


def drawn(where, states, groups=None, noise=QUIET, count=400, **options):
    groups = torch.zeros(len(states), dtype=torch.long) if groups is None else groups
    return Spectra.of(states, groups, where, noise[: len(states)]).draw(count, generator(1), **options)


def correlation(states, apart):
    """Of values so many cells apart, over states and places."""
    return float((states[..., :-apart] * states[..., apart:]).mean() / states.square().mean())


@pytest.mark.parametrize("boundary", ["periodic", "neumann", 0.0, {"lower": 0.0, "upper": "neumann"}])
def test_draws_have_the_amplitude_and_the_correlation_of_the_distribution(boundary):
    where = layout(boundary if isinstance(boundary, str | float) else {"x": boundary})
    states = seen(where)
    new, _ = drawn(where, states)
    assert new.shape == (400, 1, 48)
    assert float(new.std()) == pytest.approx(float(states.std()), rel=0.1)
    for apart in (3, 8):
        assert correlation(new, apart) == pytest.approx(correlation(states, apart), abs=0.1)
    # They have other phases and signs: none of them is one that was seen.
    alike = torch.nn.functional.normalize(new[:, 0], dim=1) @ torch.nn.functional.normalize(states[:, 0], dim=1).T
    assert float(alike.abs().max()) < 0.999


def test_draws_keep_the_values_of_walls():
    where = layout({"x": {"lower": 3.0, "upper": "neumann"}})
    states = 3.0 + seen(where)
    new, _ = drawn(where, states)
    extrapolated = 1.5 * new[..., 0] - 0.5 * new[..., 1]
    assert float((extrapolated - 3.0).abs().max()) < 0.3 < float((new - 3.0).abs().max())
    assert float((new[..., -1] - new[..., -2]).abs().max()) < 0.3


def test_the_mean_of_a_warm_plate_is_not_taken_for_a_wave():
    where = layout("neumann", axes=("x", "y"), size=(3.0, 2.0), resolution=(24, 16))
    states = 20.0 + seen(where, count=1, amplitude=1.5)
    new, _ = drawn(where, states)
    assert float(new.mean()) == pytest.approx(float(states.mean()), abs=0.2)
    assert 0.5 < float((new - new.mean(dim=(2, 3), keepdim=True)).std()) / float(states.std()) < 1.5


def test_channels_go_together_as_they_did():
    where = layout("periodic", "periodic")
    one, other = seen(where, channels=2).unbind(dim=1)
    states = torch.stack([one, 0.5 - 0.8 * one + 0.6 * other], dim=1)
    new, _ = drawn(where, states, noise=QUIET.expand(-1, 2))
    expected = torch.corrcoef(states.transpose(0, 1).flatten(1))[0, 1]
    assert float(torch.corrcoef(new.transpose(0, 1).flatten(1))[0, 1]) == pytest.approx(float(expected), abs=0.05)
    assert float(new[:, 1].mean()) == pytest.approx(0.5, abs=0.1)


def test_noise_is_no_part_of_the_states():
    where = layout("periodic")
    states, sigma = seen(where), 0.5
    noisy = states + sigma * torch.randn(states.shape, generator=generator(3), dtype=torch.float64)
    new, _ = drawn(where, noisy, noise=QUIET + sigma**2)
    assert float((new[..., 1:] - new[..., :-1]).std()) < 1.3 * float((states[..., 1:] - states[..., :-1]).std())
    rough, _ = drawn(where, noisy)
    assert float((rough[..., 1:] - rough[..., :-1]).std()) > 1.5 * float((states[..., 1:] - states[..., :-1]).std())


def test_each_draw_has_the_spectrum_of_its_time_and_half_of_them_that_of_the_first():
    where = layout("periodic")
    states = seen(where, count=60)
    groups = torch.arange(60) % 3
    states = states * torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64)[groups][:, None, None]
    new, group = drawn(where, states, groups, count=900)
    for number, size in enumerate((2.0, 1.0, 0.2)):
        assert float(new[group == number].std()) == pytest.approx(size, rel=0.2)
    assert float((group == 0).double().mean()) == pytest.approx(0.5 + 0.5 / 3, abs=0.06)


def test_no_value_is_far_beyond_those_that_were_seen():
    where = layout("neumann")
    states = seen(where, count=5, amplitude=1.0).exp()
    new, _ = drawn(where, states, count=2000)
    reach = 0.25 * float(states.max() - states.min())
    assert float(new.min()) >= 0.0, "what was never negative does not become so"
    assert 0.5 * float(states.max()) < float(new.max()) <= float(states.max()) + reach + 1e-9


def test_a_scale_is_one_of_the_deviations_from_the_mean():
    where = layout("periodic")
    states = 7.0 + seen(where)
    plain, _ = drawn(where, states)
    scaled, _ = drawn(where, states, scale=(0.5, 0.5))
    assert float(scaled.std()) == pytest.approx(0.5 * float(plain.std()), rel=0.05)
    assert float(scaled.mean()) == pytest.approx(7.0, abs=0.05)


def test_few_states_leave_the_amplitude_open():
    """A spectrum that one state tells is off by a factor from state to state; draws are as unsure of it."""
    where = layout("periodic", size=(3.0,))
    few = Spectra.of(seen(where, count=1, length=1.0), torch.zeros(1, dtype=torch.long), where, QUIET[:1])
    assert few.freedom.max() == 2, "a cosine and a sine"
    sure = replace(few, freedom=1e9 * few.freedom)
    new = [spectra.draw(2000, generator())[0].flatten(1) for spectra in (few, sure)]
    spread = [float(states.norm(dim=1).log().std()) for states in new]
    assert spread[0] > 1.1 * spread[1]


def test_staggered_fields_and_channels_with_walls_of_their_own_have_no_such_spectra():
    assert has_spectra(layout("periodic", "periodic"))
    assert not has_spectra(layout("neumann", 0.0))
    grid = Grid(axes=("x", "y"), lower=(0.0, 0.0), size=(1.0, 1.0), resolution=(4, 4))
    assert not has_spectra(Layout(grid, (FieldSpec("v", ("x", "y"), staggered=True, boundary=0.0),)))
