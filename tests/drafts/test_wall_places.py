"""Where the walls are beside a grid of positions, by values, else by the numbers of the positions."""

import numpy as np
import pytest

from hyco.drafts.geometry import Axis
from hyco.drafts.wall_places import wall_places
from hyco.drafts.walls import ends_of

TIMES = np.linspace(0, 2, 11)
CONDITIONS = {
    "cold": (np.sin, 0.0, (0.0, 0.0)),
    "held": (np.sin, 20.0, (20.0, 20.0)),
    "insulated": (np.cos, 20.0, None),
}


def rod(count, on_positions, kind, noise=0.01, size=1.0, seed=3):
    """Four waves that decay, `[T, x]`, and the axis; the lower wall is at 2."""
    wave, constant, _ = CONDITIONS[kind]
    x = np.linspace(0, size, count) if on_positions else (np.arange(count) + 0.5) * size / count
    random = np.random.default_rng(seed)
    waves = [(random.normal() / (1 + i / 2), (i + 1) * np.pi / size) for i in range(4)]
    decay = [np.exp(-0.02 * (size * k) ** 2 * TIMES)[:, None] for _, k in waves]
    values = sum(a * d * wave(k * x) for (a, k), d in zip(waves, decay, strict=True))
    values = values + constant + noise * values.std() * random.normal(size=values.shape)
    return values, Axis(2 + x[0] - x[1] / 2, count * (x[1] - x[0]), count, 2 + x, True, "")


def look(*keys):
    values, axis = rod(*keys)
    return wall_places(values, 0, axis)


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("on_positions", [True, False])
def test_values_tell_where_the_walls_are_and_what_happens_there(kind, on_positions):
    told = [look(31, on_positions, kind, 0.003, 1.2345678, seed) for seed in range(20)]
    certain = [each for each in told if "values beside" in each.reason]
    assert len(certain) >= 12
    assert all(each.on_positions is on_positions for each in certain)
    expected = CONDITIONS[kind][2] or ("neumann", "neumann")
    known = [each.conditions for each in certain if each.conditions is not None]
    assert len(known) >= 12
    # Values are rounded to a fiftieth of what the field does, or to what the noise leaves of them.
    held = expected if expected[0] == "neumann" else tuple(pytest.approx(value, abs=0.02) for value in expected)
    assert sum(each == held for each in known) >= 0.9 * len(known)


@pytest.mark.parametrize("on_positions", [True, False])
def test_where_values_do_not_tell_it_the_round_length_does(on_positions):
    values, axis = rod(21, on_positions, "cold")
    found = wall_places(np.random.default_rng(0).normal(size=values.shape), 0, axis)
    assert found.on_positions is on_positions
    assert "1 is a round length" in found.reason


def test_few_positions_of_no_round_length_tell_nothing():
    found = look(5, True, "cold", 0.01, 1.2345678)
    assert (found.on_positions, found.conditions) == (False, None)
    assert "may be on the walls" in found.reason


def guessed(values, axis):
    return ends_of(values, 0, wall_places(values, 0, axis)).condition


def ring(seed, count=32, noise=0.05):
    """Standing waves of a period that decay, `[T, x]`, and the axis."""
    random, x = np.random.default_rng(seed), np.arange(count) / count
    waves = [(random.normal() / m, 2 * np.pi * m, random.uniform(0, 6)) for m in (1, 2, 3)]
    values = sum(a * np.exp(-0.01 * k**2 * TIMES)[:, None] * np.cos(k * x + phase) for a, k, phase in waves)
    values = values + noise * values.std() * random.normal(size=values.shape)
    return values, Axis(-0.5 / count, 1.0, count, x, True, "")


def test_a_period_in_which_little_moves_has_no_walls_that_hold_values():
    found = [guessed(*ring(seed)) for seed in range(30)]
    assert sum(condition in ("periodic", "neumann") for condition in found) >= 27
    assert found.count("periodic") >= 20


def tracer(seed, *, ends, noise, count=32):
    """What is carried round a period of 2 and diffuses, with a source at one place, `[T, x]`, and the axis."""
    random, k = np.random.default_rng(seed), np.pi * np.arange(32)
    speed, diffusivity = random.uniform(0.1, 0.5) * random.choice([-1, 1]), random.uniform(0.005, 0.02)
    source = random.uniform(0.2, 0.6) * np.exp(-0.5 * (0.12 * k) ** 2 - 1j * k * random.uniform(0, 2))
    first = np.zeros(32, complex)
    first[1:4] = random.normal(size=3) / (1, 2, 3) * np.exp(1j * random.uniform(0, 6, 3))
    rate = -1j * k * speed - diffusivity * k**2
    grown = np.where(k == 0, TIMES[:, None], (np.exp(rate * TIMES[:, None]) - 1) / np.where(k == 0, 1, rate))
    waves = (np.exp(rate * TIMES[:, None]) * first + grown * source)[1:]
    x = np.arange(count + 1) * 2 / count if ends else (np.arange(count) + 0.5) * 2 / count
    values = (waves @ np.exp(1j * k[:, None] * x)).real
    values = values + noise * values.std() * random.normal(size=values.shape)
    return values, Axis(x[0] - 1 / count, len(x) * (x[1] - x[0]), len(x), x, True, "")


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_what_goes_on_beyond_an_end_has_a_period_where_no_wall_fits(ends, noise):
    found = []
    for seed in range(30):
        values, axis = tracer(seed, ends=ends, noise=noise)
        found.append(ends_of(values, 0, wall_places(values, 0, axis)))
    assert sum(each.condition == "periodic" for each in found) >= 29
    # One position more than the period has is no cell of it, whatever the noise.
    assert all(each.repeated is ends for each in found if each.condition == "periodic")


@pytest.mark.parametrize("count", [32, 64])
def test_walls_that_hold_a_value_fit_without_noise_too(count):
    """Waves that would do for a period as well: what a polynomial leaves of them is no other condition."""
    x = (np.arange(count) + 0.5) / count
    axis = Axis(0.0, 1.0, count, x, True, "")
    for seed in range(20):
        sizes = np.random.default_rng(seed).normal(size=(6, 4)) / np.arange(1, 5)
        values = sizes @ np.sin(2 * np.pi * np.arange(1, 5)[:, None] * x)
        assert not wall_places(values, 0, axis).excluded


@pytest.mark.parametrize("count", [16, 64])
def test_noise_makes_no_walls_that_hold_values_of_those_without_a_slope(count):
    found = [guessed(*rod(count, False, "insulated", 0.05, 1.2345678, seed)) for seed in range(30)]
    assert found.count("neumann") >= 27


@pytest.mark.filterwarnings("error")
def test_ends_that_were_never_measured_whole_tell_nothing_and_warn_of_nothing():
    values, axis = rod(31, True, "cold")
    values[:, [0, -2]] = np.nan
    found = wall_places(values, 0, axis)
    assert (found.conditions, found.joined) == (None, False)
