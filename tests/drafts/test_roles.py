"""What the columns of a table are, by their names."""

import numpy as np
import pandas as pd
import pytest

from hyco.drafts.contents import contents_of
from hyco.drafts.roles import roles_of
from hyco.observations.checks import MeasurementError

DAYS, X = (grid.ravel() for grid in np.meshgrid(np.arange(6), np.linspace(0, 1, 9), indexing="ij"))
VALUES = np.exp(-DAYS / 10) * np.cos(X)


def roles(tmp_path, **columns):
    """Of a table with positions and these columns."""
    pd.DataFrame(columns | {"x": X}).to_csv(tmp_path / "a.csv", index=False)
    return roles_of(contents_of(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("columns", "time"),
    [
        ({"year": 1990.5 + DAYS}, "year"),
        ({"day": [f"2024-01-{1 + day:02d}" for day in DAYS]}, "day"),
        ({"year": 2024, "month": 3, "day": 1 + DAYS}, "day"),
        ({"time": DAYS, "day": DAYS // 2}, "time"),
        ({"T": DAYS, "day": DAYS // 2, "hour": 12 * (DAYS % 2)}, "T"),
        ({"elapsed": DAYS, "day": 12}, "elapsed"),
        ({"elapsed": DAYS, "day": [f"2024-01-0{1 + day // 3}" for day in DAYS], "hour": DAYS % 3}, "elapsed"),
        ({"elapsed": DAYS, "year": 2020 + DAYS // 3, "month": np.array(["jan", "feb", "mar"])[DAYS % 3]}, "elapsed"),
    ],
    ids=[
        *("decimal year", "dates", "the rest is constant", "beside a time", "a time T", "constant"),
        *("parts of a date", "in words"),
    ],
)
def test_a_period_is_the_time_where_no_other_changes_and_nothing_is_called_a_time(columns, time, tmp_path):
    assert roles(tmp_path, **columns, u=VALUES).time == time


@pytest.mark.parametrize("name", ["T", "T (degC)"])
@pytest.mark.parametrize("time", ["week", "time [h]"])
def test_a_capital_t_beside_a_time_is_a_temperature(name, time, tmp_path):
    found = roles(tmp_path, **{name: VALUES, time: DAYS})
    assert (found.time, found.fields) == (time, (name,))


def test_a_time_that_cannot_be_read_is_told_where_there_is_a_day_too(tmp_path):
    with pytest.raises(MeasurementError, match=r"time, row 2: '00:30' is neither a number nor a date"):
        roles(tmp_path, day=1 + DAYS // 2, time=[f"{12 * (day % 2):02d}:30" for day in DAYS], u=VALUES)


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"year": 2023 + DAYS // 3, "month": 1 + DAYS % 3}, "year, month"),
        ({"day": 1 + DAYS % 2, "month": 1 + DAYS // 2 % 3, "year": 2024}, "year, month, day"),
        ({"Year": 2023 + DAYS // 4, "Month": 1 + DAYS // 2 % 2, "Day": 1 + DAYS % 2}, "Year, Month, Day"),
        ({"date": [f"2024-01-0{1 + day // 2}" for day in DAYS], "hour": 12 * (DAYS % 2)}, "date, hour"),
        ({"date": [f"2024-01-0{1 + day // 2}" for day in DAYS], "time": 12 * (DAYS % 2)}, "date, time"),
        (
            {"date": [f"2024-01-0{1 + day // 2}" for day in DAYS], "time": np.array(["9:00", "21:00"])[DAYS % 2]},
            "date, time",
        ),
        ({"days": DAYS // 2, "hours": 12 * (DAYS % 2)}, "days, hours"),
        ({"day": DAYS // 2, "hour": 12 * (DAYS % 2), "T": 20 + VALUES}, "day, hour"),
        ({"year": 2024, "month": 1 + DAYS // 3, "day": 1 + DAYS % 3, "T (degC)": 20 + VALUES}, "year, month, day"),
        ({"day": DAYS // 2, "hour": 12 * (DAYS % 2), "T": np.round(VALUES)}, "day, hour"),
    ],
)
def test_a_time_in_several_columns_is_refused_with_what_to_do(columns, parts, tmp_path):
    with pytest.raises(
        MeasurementError, match=rf"^its time stands in several columns \({parts}\): put it into one that"
    ):
        roles(tmp_path, **columns, u=VALUES)
    assert roles(tmp_path, **columns, timestamp=DAYS, u=VALUES).time == "timestamp"


@pytest.mark.parametrize("part", ["year", "month", "day"])
def test_a_year_beside_a_time_may_tell_trajectories_apart(part, tmp_path):
    found = roles(tmp_path, t=DAYS % 3, **{part: 1 + DAYS // 3}, u=VALUES)
    assert (found.time, found.simulation) == ("t", part)


def test_what_is_measured_is_no_part_of_a_time(tmp_path):
    assert roles(tmp_path, t=DAYS, hours=VALUES).fields == ("hours",)
