"""What sensors measured may be walls: their noise moves the estimate, and is in the interval."""

import numpy as np
import pytest

import hyco
from hyco.inversion.noise_of_walls import between
from hyco.report.misfit import noise_of_walls_words

TIMES = np.linspace(0, 2, 21)
NOISE = 0.02


def equation(lower, upper, **keys):
    tables = [{"table": {"times": TIMES.tolist(), "values": list(values), **keys}} for values in (lower, upper)]
    return hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 1.0, "resolution": 16}},
            "boundary": {"x": {"lower": tables[0], "upper": tables[1]}},
            "dt": 0.1,
            "parameters": {"diffusivity": 0.05},
        }
    )


CLEAN = np.sin(3 * TIMES), np.cos(2 * TIMES) - 1


def fit(lower, upper, options=None, **keys):
    """The diffusivity, of measurements whose noise is said."""
    truth = hyco.simulate(equation(*CLEAN), initial_states=np.zeros((1, 1, 16)), steps=20)
    seen = hyco.observe(truth, {"train_sim": [0], "noise": NOISE, "noise_reference": "absolute"}, seed=3)
    learn = [{"name": "diffusivity", "initial_guess": 0.06, "bounds": [1e-3, 0.5]}]
    options = {"method": "Levenberg-Marquardt"} | (options or {})
    return hyco.fit(equation(lower, upper, **keys), seen, learn, **options).estimate["diffusivity"]


@pytest.fixture(scope="module")
def number():
    """Where the walls were measured."""
    return fit(*CLEAN, measured=True)


@pytest.mark.slow
def test_the_spread_is_that_of_fits_with_other_noise_on_the_walls(number):
    random, found = np.random.default_rng(1), []
    for _ in range(10):
        walls = [wall + NOISE * random.normal(size=21) for wall in CLEAN]
        found.append(fit(*walls, {"discretisation": False}).value)
    assert 0.6 < number.std_walls / np.std(found, ddof=1) < 1.7


@pytest.mark.slow
def test_the_interval_has_it_where_the_walls_were_measured(number):
    plain = fit(*CLEAN)
    assert (plain.value, plain.std, plain.std_walls) == (number.value, number.std, None)
    half = [np.diff(each.interval)[0] / 2 for each in (plain, number)]
    assert half[1] == pytest.approx(np.hypot(half[0], 1.96 * number.std_walls), rel=0.1)
    assert type(number).from_json(number.to_json()) == number
    assert "std_walls" not in plain.to_json()


def test_it_is_said_where_it_is_much():
    entry = {"std": 0.1, "std_walls": 0.08}
    (words,) = noise_of_walls_words({"D": entry, "v": {"std": 0.1, "std_walls": 0.01}, "r": {"std": None}})
    assert "D 0.8. The interval has them" in words
    assert not list(noise_of_walls_words({"D": entry | {"std_walls": 0.02}}))


def test_between_its_times_a_series_is_unsure_where_it_jumps_and_sure_where_noise_alone_bends_it():
    assert between(range(5), [0.0, 1.0, 1.0, 1.0, 1.0], 0.01) == pytest.approx([12**-0.5, 12**-0.5, 0, 0])
    noise = 0.01 * np.random.default_rng(0).normal(size=201)
    assert np.mean(between(range(201), 0.3 + noise, 0.01) > 0) < 0.15
    times = np.linspace(0, 3, 31)
    wrong = np.abs(np.sin((times[1:] + times[:-1]) / 2) - (np.sin(times[1:]) + np.sin(times[:-1])) / 2)
    unsure = between(times, np.sin(times), 1e-6)
    assert np.all((wrong < unsure) & (unsure < 4 * wrong + 1e-3))


@pytest.mark.slow
def test_the_interval_holds_the_truth_where_a_wall_jumps_between_two_times():
    """The wall is at 1 from the first moment; every tenth of a unit it was measured, from 0 on."""
    section = equation(*CLEAN).config.model_dump() | {"dt": 0.05}
    jumps = {"x": {"lower": {"table": {"times": TIMES.tolist(), "values": [0.0] + 20 * [1.0]}}, "upper": "neumann"}}
    truth = hyco.simulate(
        hyco.equation(section | {"boundary": {"x": {"lower": 1.0, "upper": "neumann"}}}),
        initial_states=np.zeros((1, 1, 16)),
        steps=40,
    )
    seen = hyco.observe(truth, {"train_sim": [0], "noise": NOISE / 4, "noise_reference": "absolute"}, seed=3)
    jumps["x"]["lower"]["table"]["measured"] = True
    learn = [{"name": "diffusivity", "initial_guess": 0.06, "bounds": [1e-3, 0.5]}]
    number = hyco.fit(hyco.equation(section | {"boundary": jumps}), seen, learn, method="Levenberg-Marquardt")
    found = number.estimate["diffusivity"]
    assert found.interval[0] < 0.05 < found.interval[1]
    assert found.std_walls > abs(found.value - 0.05) / 3
