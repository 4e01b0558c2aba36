"""A table with a column for each sensor: the positions stand in the configuration, or in the names of the columns."""

import numpy as np
import pandas as pd
import pytest
import torch

import hyco

EQUATION = hyco.equation(
    {
        "name": "heat",
        "domain": {"x": {"size": 1.0, "resolution": 8}},
        "boundary": "neumann",
        "dt": 0.2,
        "parameters": {"diffusivity": 0.05},
    }
)
PLACES = [0.07, 0.31, 0.9]
SECTION = {"time": "t", "axes": {"x": PLACES}, "fields": {"temperature": ["a", "b", "c"]}, "std": 0.1}


@pytest.fixture
def wide():
    """A row for each time; one value is missing."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"t": [0.0, 0.2, 0.35, 0.8]} | {name: 20 + random.standard_normal(4) for name in "abc"})
    table.loc[2, "b"] = np.nan
    return table


@pytest.fixture
def read(tmp_path):
    def function(table, **section):
        table.to_csv(tmp_path / "mine.csv", index=False)
        return hyco.read_measurements(tmp_path / "mine.csv", EQUATION, SECTION | section, {"train_sim": [0]})

    return function


def test_a_column_for_each_sensor_is_a_row_for_each_measurement(read, wide):
    places = dict(zip("abc", PLACES, strict=True))
    tall = wide.melt("t", var_name="x", value_name="u").replace({"x": places}).sort_values(["t", "x"])
    of_columns, of_rows = read(wide), read(tall.infer_objects(), axes={"x": "x"}, fields={"temperature": "u"})
    assert int(of_columns.mask.sum()) == 11
    for name in ("values", "mask", "positions"):
        assert torch.equal(getattr(of_columns, name), getattr(of_rows, name))


def test_positions_of_columns_are_scaled_as_those_of_a_column(read, wide):
    assert torch.equal(read(wide, axes={"x": [7, 31, 90]}, scale={"x": 0.01}).positions, read(wide).positions)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"axes": {"x": PLACES[:2]}}, "axes.x has 2 positions, fields.temperature 3 column"),
        ({"axes": {"x": []}}, "axes.x"),
        ({"axes": {"x": [0.1, 0.2, 1.3]}}, "axes.x, row 2, column c: positions: "),
        ({"std": "replicates"}, "nothing was measured twice at one place and time"),
    ],
)
def test_positions_that_do_not_fit_are_refused(section, message, read, wide):
    with pytest.raises(ValueError, match=r"mine|axes|std") as refused:
        read(wide, **section)
    assert message in str(refused.value)
