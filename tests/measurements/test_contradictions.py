"""Values of one place and time that cannot be of one state, by trajectories of a solver that is not hyco's."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def two(tools, run):
    """Two trajectories, one a third of the period behind the other, under each other, told apart by `n`."""
    x, t, u = run
    other = tools.burgers(x, t, shift=2.0) + tools.NOISE * np.random.default_rng(2).standard_normal((len(t), len(x)))
    frames = [tools.table(x, t, values) for values in (u, other)]
    return pd.concat([frame.assign(n=n) for n, frame in enumerate(frames)], ignore_index=True)


def lines(caplog):
    return [text for text in caplog.messages if "of the same place and time" in text]


@pytest.mark.parametrize("std", [0.01, "s", "estimate"])
def test_trajectories_that_nothing_tells_apart_are_warned_of_with_both_rows(two, std, read, caplog):
    read(two.assign(s=0.01), std=std)
    (line,) = lines(caplog)
    assert "mine.csv: u: " in line
    assert "measurements.simulation" in line
    rows = [
        int(word.strip("(),")) for before, word in zip(line.split(), line.split()[1:], strict=False) if before == "row"
    ]
    first, second = (two.iloc[row - 2] for row in rows)  # the line of the names is the first
    assert (first.t, first.x, first.n, second.n) == (second.t, second.x, 0, 1)
    gap = two.u[: len(two) // 2].to_numpy() - two.u[len(two) // 2 :].to_numpy()
    assert abs(first.u - second.u) == pytest.approx(np.nanmax(np.abs(gap)))


def test_trajectories_that_are_told_apart_are_not(two, read, caplog):
    read(two, simulation="n", observation={"train_sim": [0, 1]})
    assert not lines(caplog)


@pytest.mark.parametrize("std", [0.05, "estimate"])
def test_sensors_that_measure_twice_are_not(run, tools, std, read, caplog):
    x, t, u = run
    random = np.random.default_rng(3)
    noisy = [tools.table(x, t, u + 0.05 * random.standard_normal(u.shape)) for _ in range(3)]
    read(pd.concat(noisy), std=std)
    assert not lines(caplog)


def test_copies_are_named_as_such_and_not_as_contradictions(run, tools, read, caplog):
    frame = tools.table(*run).dropna()
    read(pd.concat([frame, frame.iloc[:7]]))
    assert not lines(caplog)
    (line,) = [text for text in caplog.messages if "repeat" in text]
    assert f"row {len(frame) + 2}: 7 measurements repeat earlier ones to the last digit" in line
