"""The study of the first guess: its states solve its equations, and what it tells is in its table."""

import numpy as np
import pytest

import first_guess
from first_guess import PROBLEMS, measured


@pytest.mark.parametrize("name", [*PROBLEMS])
def test_guesses_are_far_and_inside_their_bounds(name):
    problem = PROBLEMS[name]
    assert set(problem.off) == set(problem.true)
    for unknown in problem.learn:
        low, high = unknown["bounds"]
        guess, true = unknown["initial_guess"], problem.true[unknown["name"]]
        assert low < min(guess, true) < max(guess, true) < high
        assert abs(guess / true - 1) >= 0.5


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("Burgers", lambda u, d: 0.1 * d(d(u)) - d(u * u) / 2),
        ("Fisher-KPP", lambda u, d: 0.1 * d(d(u)) + u * (1 - u)),
    ],
)
def test_states_solve_the_equation(name, rate):
    states = PROBLEMS[name].states()[:, 0]
    waves = 2j * np.pi * np.fft.rfftfreq(first_guess.CELLS, first_guess.SIZE / first_guess.CELLS)
    middle = states[20]
    expected = rate(middle, lambda u: np.fft.irfft(waves * np.fft.rfft(u), first_guess.CELLS))
    slope = (8 * (states[21] - states[19]) - (states[22] - states[18])) / (12 * 0.1)
    assert slope == pytest.approx(expected, abs=2e-3 * np.abs(expected).max())


def test_all_states_are_measured_with_noise():
    seen, states = measured(PROBLEMS["Heat"], 0), PROBLEMS["Heat"].states()
    noise = seen.values[0].numpy() - states
    assert noise.std() == pytest.approx(0.01 * states.std(), rel=0.05)
    assert not seen.initial_known


def test_the_table_has_the_largest_distance_and_the_time_without_the_first_draw():
    lines = [
        {
            "problem": "Heat",
            "draw": draw,
            "distances": {"diffusivity": far},
            "errors": {"diffusivity": 1e-3},
            "seconds": s,
        }
        for draw, far, s in ((0, -0.02, 3.0), (1, 0.01, 0.5), (2, 0.005, 0.7))
    ]
    assert "| Heat | diffusivity 5 | diffusivity 2.00% | 3 | diffusivity 0.10% | 0.60 | 3.00 |" in first_guess.table(
        lines
    )


@pytest.mark.slow
def test_it_is_near_on_heat():
    line = first_guess.draw_line("Heat", 0)
    assert abs(line["distances"]["diffusivity"]) < 0.1
    assert line["seconds"] > 0
