"""What a wall holds stands in a column of the measurements."""

import numpy as np
import pandas as pd
import pytest

from hyco.config.completion import complete, measurements_section
from hyco.measurements.survey import Survey
from hyco.measurements.wall_series import wall_columns, wall_series
from hyco.observations.checks import MeasurementError

EQUATION = {
    "name": "heat",
    "domain": {"x": {"size": 1.0, "resolution": 8}},
    "boundary": {"x": {"lower": {"column": "T_wall"}, "upper": "neumann"}},
    "dt": 0.1,
    "parameters": {"diffusivity": 0.1},
}


@pytest.fixture
def table(tmp_path):
    """A table of two sensors at three times, with the wall's value in every row but one, and with changes."""

    def write(**changes):
        frame = pd.DataFrame({"t": np.repeat([2.0, 3.0, 4.0], 2), "x": [0.3, 0.7] * 3, "T": 1.0})
        frame["T_wall"] = [20.0, 20.0, 21.0, np.nan, 19.0, 19.0]
        for key, value in changes.items():
            frame[key] = value
        frame.to_csv(tmp_path / "mine.csv", index=False)
        section = {"file": str(tmp_path / "mine.csv"), "time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}}
        if "trial" in changes:
            section["simulation"] = "trial"
        return tmp_path / "mine.csv", {"equation": EQUATION, "measurements": section | {"scale": {"time": 60.0}}}

    return write


def series(file, parameters, needed=None):
    return wall_series(file, measurements_section(parameters), wall_columns(parameters["equation"]), needed)


def test_a_column_becomes_a_table_of_the_equations_times(table):
    found = series(*(given := table()))
    assert found == {"T_wall": ([0.0, 60.0, 120.0], [20.0, 21.0, 19.0])}
    survey = Survey(1, np.array([60.0, 120.0]), 0.0, 1.0, found)
    filled = complete(given[1], survey)["equation"]["boundary"]
    assert filled == {
        "x": {"lower": {"table": {"times": [0.0, 60.0, 120.0], "values": [20.0, 21.0, 19.0]}}, "upper": "neumann"}
    }


def test_simulations_that_are_not_needed_do_not_count(table):
    given = table(t=[2.0, 3.0, 4.0] * 2, trial=["a"] * 3 + ["b"] * 3, T_wall=[1.0, 2.0, 3.0, 1.0, 2.5, 3.0])
    assert series(*given, needed=[1])["T_wall"][1] == [1.0, 2.5, 3.0]
    with pytest.raises(MeasurementError, match=r"values 2 and 2.5 at t = 60 in different simulations"):
        series(*given)


def test_what_is_no_series_is_refused_in_one_line(table):
    with pytest.raises(MeasurementError, match=r"values 20 and 22 at t = 0: a wall holds one value at a time"):
        series(*table(T_wall=[20.0, 22.0, 21.0, 21.0, 19.0, 19.0]))
    with pytest.raises(MeasurementError, match="column T_wall has no values"):
        series(*table(T_wall=np.nan))
    with pytest.raises(MeasurementError, match=r"T_wall, row 3: .*not a number"):
        series(*table(T_wall=[20, "warm", 21, 21, 19, 19]))
    file, parameters = table()
    parameters["equation"] = EQUATION | {"boundary": {"column": "T_wal"}}
    with pytest.raises(
        MeasurementError, match=r"equation.boundary: column T_wal: there is no column .*did you mean T_wall"
    ):
        series(file, parameters)
