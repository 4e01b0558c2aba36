"""Walls with a series of values hold the last one after its end, which is said."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyco
from hyco.config.completion import measurements_section
from hyco.measurements.source import load
from hyco.training.measured import measured_observations, warn_of_walls

SERIES = {"table": {"times": [0.0, 1.0, 2.0], "values": [0.0, 1.0, 3.0]}}
LATER = {"table": {"times": [0.5, 3.0], "values": [7.0, 8.0]}}


def equation(lower, dt=0.5):
    return {
        "name": "heat",
        "domain": {"x": {"size": 1.0, "resolution": 8}},
        "boundary": {"x": {"lower": lower, "upper": "neumann"}},
        "dt": dt,
        "parameters": {"diffusivity": 0.1},
    }


@pytest.mark.parametrize(
    ("wall", "since", "until", "words"),
    [
        (SERIES, 0.0, 2.0, None),
        (SERIES, 0.0, 2.5, "lower wall of x .*from t = 0 to 2.5: after t = 2 it holds 3, "),
        (SERIES, 1.5, 2.5, "from t = 1.5 to 2.5: after t = 2 it holds 3, "),
        (LATER, 0.0, 2.0, "before t = 0.5 it holds 7, "),
        (LATER, 0.5, 2.0, None),
        (LATER, 1.0, 2.0, None),
        ({"table": {"times": [0.0], "values": [7.0]}}, 0.0, 2.0, None),
        (1.0, 0.0, 2.0, None),
    ],
)
def test_a_series_that_does_not_last_is_said(wall, since, until, words, caplog):
    warn_of_walls(hyco.equation(equation(wall)).layout, since, until)
    assert bool(caplog.records) == (words is not None)
    if words is not None:
        assert re.search(words, caplog.text)


def written(folder):
    """A file of measurements to t = 3, and what is in it."""
    t, x = np.meshgrid(0.5 * np.arange(7), [0.3, 0.6, 0.9], indexing="ij")
    frame = pd.DataFrame({"t": t.ravel(), "x": x.ravel(), "T": np.sin(t.ravel() + x.ravel())})
    frame.to_csv(folder / "mine.csv", index=False)
    return {"file": str(folder / "mine.csv"), "time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}}


def test_measurements_after_the_last_value_of_a_wall_are_said_before_a_training(tmp_path, caplog):
    section = written(tmp_path)
    config = measurements_section({"measurements": section | {"std": 0.1}})
    content = load(Path(config.file), config, [0])
    measured_observations(content, equation(SERIES), config.model_dump(), {"train_sim": [0]}, 0)
    assert "from t = 0 to 3: after t = 2 it holds 3" in caplog.text


def test_in_python_it_is_said_of_measurements_and_of_predictions(tmp_path, caplog):
    heat, section = hyco.equation(equation(SERIES)), written(tmp_path)
    seen = hyco.read_measurements(section["file"], heat, section | {"std": 0.1}, {"train_sim": [0]})
    assert "from t = 0 to 3: after t = 2 it holds 3" in caplog.text
    fit = hyco.fit(heat, seen, [{"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.01, 1.0]}])
    caplog.clear()
    fit.predict(steps=2)
    assert "from t = 0 to 4: after t = 2 it holds 3" in caplog.text
    caplog.clear()
    states = np.zeros((1, 1, 8))
    fit.predict(states, 2, time=1.0)
    assert "series of values" not in caplog.text
    fit.predict(states, 2, time=1.5)
    assert "from t = 1.5 to 2.5: after t = 2 it holds 3" in caplog.text
