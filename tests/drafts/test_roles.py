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
        ({"elapsed": DAYS, "day": 12}, "elapsed"),
        ({"elapsed": DAYS, "day": [f"2024-01-0{1 + day // 3}" for day in DAYS], "hour": DAYS % 3}, "elapsed"),
        ({"elapsed": DAYS, "year": 2020 + DAYS // 3, "month": np.array(["jan", "feb", "mar"])[DAYS % 3]}, "elapsed"),
    ],
    ids=["decimal year", "dates", "the rest is constant", "beside a time", "constant", "parts of a date", "in words"],
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
