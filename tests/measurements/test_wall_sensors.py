"""What a wall holds was measured by a sensor there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hyco
from hyco.config.completion import complete, measurements_section
from hyco.measurements.sensor_series import (
    interpolation,
    require_at_walls,
    sensor_series,
    wall_sensors,
    warn_of_jumps,
    with_sensor_tables,
)
from hyco.measurements.source import load
from hyco.measurements.survey import Survey
from hyco.observations.checks import MeasurementError

EQUATION = {
    "name": "heat",
    "domain": {"x": {"lower": 0.2, "size": 0.8, "resolution": 8}},
    "boundary": {"x": {"lower": {"sensor": 0.2}, "upper": "neumann"}},
    "dt": 60.0,
    "parameters": {"diffusivity": 0.1},
}
TABLE = {"table": {"times": [0.0, 60.0, 120.0], "values": [20.5, 21.0, 19.0]}}


@pytest.fixture
def table(tmp_path):
    """Three sensors at three times, one of them twice in the beginning, in centimetres and minutes."""

    def write(**changes):
        frame = pd.DataFrame({"t": np.repeat([2.0, 3.0, 4.0], 3), "x": [20.0, 50.0, 90.0] * 3, "T": 10.0})
        frame.loc[frame["x"] == 20.0, "T"] = [20.0, 21.0, 19.0]
        frame = pd.concat([frame, pd.DataFrame({"t": [2.0], "x": [20.0], "T": [21.0]})], ignore_index=True)
        for key, value in changes.items():
            frame[key] = value
        frame.to_csv(tmp_path / "mine.csv", index=False)
        section = {"file": str(tmp_path / "mine.csv"), "time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}}
        if "trial" in changes:
            section["simulation"] = "trial"
        return {"equation": EQUATION, "measurements": section | {"scale": {"time": 60.0, "x": 0.01}, "std": 0.1}}

    return write


def series(parameters, needed=None):
    config = measurements_section(parameters)
    content = load(Path(config.file), config, needed)
    return sensor_series(content, config, wall_sensors(parameters["equation"]), needed)


def test_a_sensor_becomes_a_table_in_the_equations_units_with_the_means_of_replicates(table):
    found = series(given := table())
    assert found == {(None, 0.2): ([0.0, 60.0, 120.0], [20.5, 21.0, 19.0])}
    filled = complete(given, Survey(1, np.array([60.0, 120.0]), 0.0, 1.0, sensors=found))["equation"]
    table = {**TABLE["table"], "interpolation": "linear", "measured": True}
    assert filled["boundary"] == {"x": {"lower": {"table": table}, "upper": "neumann"}}


def test_a_field_may_have_its_own_sensors():
    own = {
        "fields": {"u": {"boundary": {"sensor": 1}}, "v": {"boundary": {"x": {"lower": {"sensor": {"position": 2}}}}}}
    }
    assert wall_sensors(own) == [("u", 1.0), ("v", 2.0)]


def test_what_comes_and_goes_is_a_cubic_between_its_times_what_jumps_is_not_nor_noise():
    times = np.arange(60.0)
    wave = np.sin(0.26 * times) + 0.01 * np.random.default_rng(0).normal(size=60)
    assert interpolation(times, wave) == "cubic"
    assert interpolation(times[:7], wave[:7]) == "linear"
    assert interpolation(times, 1.0 * (times > 33)) == "linear"
    assert interpolation(times, np.random.default_rng(1).normal(size=60)) == "linear"
    asked = {"boundary": {"sensor": {"position": 0.2, "interpolation": "linear"}}}
    found = with_sensor_tables(asked, {(None, 0.2): (times.tolist(), wave.tolist())})
    assert found["boundary"]["table"]["interpolation"] == "linear"


@pytest.mark.parametrize(
    ("boundary", "message"),
    [
        (
            {"x": {"lower": {"sensor": 0.3}, "upper": 0}},
            "lower wall of x is at 0.2, .* at 0.3.*lower 0.3, size 0.7",
        ),
        ({"x": {"lower": 0, "upper": {"sensor": 0.9}}}, "upper wall of x is at 1, .*lower 0.2, size 0.7"),
        (
            {"sensor": 0.2},
            "upper wall of x is at 1, .* measured at 0.2. Let the domain end there, ",
        ),
    ],
)
def test_a_sensor_that_is_not_at_its_wall_is_refused_with_the_domain_that_ends_there(boundary, message):
    require_at_walls(EQUATION)
    with pytest.raises(MeasurementError, match=message):
        require_at_walls(EQUATION | {"boundary": boundary})
    with pytest.raises(MeasurementError, match=f"equation.fields.u.boundary: the {message}"):
        require_at_walls(EQUATION | {"boundary": 0, "fields": {"u": {"boundary": boundary}}})


def test_what_is_on_such_a_wall_is_no_measurement_to_fit(table):
    section = {key: value for key, value in table()["measurements"].items() if key != "file"}
    built = hyco.equation(EQUATION | {"boundary": {"x": {"lower": TABLE, "upper": "neumann"}}})
    seen = hyco.read_measurements(table()["measurements"]["file"], built, section, {"train_sim": [0]})
    assert int(seen.mask.sum()) == 6
    assert float(seen.values[seen.mask].max()) == 10.0
    plain = hyco.equation(EQUATION | {"boundary": "neumann"})
    assert (
        int(hyco.read_measurements(table()["measurements"]["file"], plain, section, {"train_sim": [0]}).mask.sum())
        == 10
    )


@pytest.mark.parametrize(
    ("changes", "boundary", "message"),
    [
        ({}, {"sensor": 0.25}, "sensor 0.25: nothing was measured there; the nearest are 0.2, 0.5, 0.9"),
        ({"trial": ["a"] * 5 + ["b"] * 5}, {"sensor": 0.2}, "a wall holds the same in all simulations"),
    ],
)
def test_what_is_no_series_is_refused_in_one_line(changes, boundary, message, table):
    parameters = table(**changes)
    parameters["equation"] = EQUATION | {"boundary": boundary}
    with pytest.raises(MeasurementError, match=message):
        series(parameters)


def test_without_a_file_a_sensor_says_what_to_give():
    with pytest.raises(ValueError, match="give the series itself"):
        hyco.equation(EQUATION)


def test_a_series_that_changes_mostly_between_two_of_its_times_is_warned_of(caplog):
    times = np.linspace(0, 3, 13)
    noise = 0.002 * np.random.default_rng(0).normal(size=13)
    series = {
        0.1: np.where(times > 0, 0.95, 0.2) + noise,
        0.2: 0.2 + np.sin(times),
        0.3: 0.2 + noise,
        0.4: np.tanh(2 * times - 3),
    }
    warn_of_jumps({(None, at): (times.tolist(), values.tolist()) for at, values in series.items()})
    (record,) = caplog.records
    assert "at 0.1, a wall, goes from 0.2" in record.getMessage()
    assert "between t = 0 and 0.25" in record.getMessage()
