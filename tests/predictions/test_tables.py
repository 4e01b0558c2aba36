"""States from tables: every row in its cell, whatever the order and the names of the columns."""

import numpy as np
import pandas as pd
import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.measurements.config import MeasurementsConfig
from hyco.predictions.files import PredictionError, read_states_file
from hyco.predictions.states import states_of
from hyco.predictions.tables import with_names_of

GRID = Grid(("x", "y"), (0.0, -1.0), (2.0, 3.0), (4, 6))
LAYOUT = Layout(GRID, (FieldSpec("u"), FieldSpec("v")))
U, V = (np.random.default_rng(i).normal(size=(3, 4, 6)) for i in (0, 1))
STATES = torch.from_numpy(np.stack([U, V], axis=1))


def table(simulations=3, **columns):
    which, x, y = np.meshgrid(np.arange(simulations), GRID.centers("x"), GRID.centers("y"), indexing="ij")
    values = {"u": U[:simulations], "v": V[:simulations]}
    frame = pd.DataFrame({k: a.ravel() for k, a in {"simulation": which, "x": x, "y": y, **values}.items()})
    return frame.assign(**columns)


def read(path, frame, layout=LAYOUT):
    frame.to_csv(path, index=False)
    return states_of(read_states_file(path), layout, path.name)


def test_rows_in_any_order_are_put_in_their_cells(tmp_path):
    mixed = table(note="dry").sample(frac=1.0, random_state=0)[["v", "note", "y", "u", "simulation", "x"]]
    assert torch.equal(read(tmp_path / "states.csv", mixed), STATES)
    named = mixed.assign(simulation=mixed.simulation.map(["s2", "s1", "s10"].__getitem__))
    appearing = torch.from_numpy(mixed.simulation.unique())
    assert torch.equal(read(tmp_path / "states.csv", named), STATES[appearing])
    one = table(1).drop(columns="simulation").assign(time=0.5)
    assert torch.equal(read(tmp_path / "states.txt", one), STATES[:1])


def test_empty_rows_and_rounded_positions_are_no_matter(tmp_path):
    path = tmp_path / "states.csv"
    rounded = table()
    rounded["x"] += np.random.default_rng(2).uniform(-4e-4, 4e-4, len(rounded))
    rounded.to_csv(path, index=False)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], ",,,,", *lines[5:], "", ",,,,", " , , , , ", ""]) + "\n")
    assert torch.equal(states_of(read_states_file(path), LAYOUT, "states.csv"), STATES)


def test_columns_may_be_called_as_in_the_file_of_measurements(tmp_path, caplog):
    theirs = {"x": "across / mm", "y": "along", "u": "temp", "simulation": "plate"}
    frame = table()
    frame["x"] *= 1000.0
    path = tmp_path / "states.csv"
    frame.rename(columns=theirs).to_csv(path, index=False)
    section = {"file": "a.csv", "axes": {"x": "across / mm", "y": "along"}, "simulation": "plate", "time": None}
    section |= {"fields": {"u": "temp", "v": ["v", "v2"]}, "scale": {"x": 1e-3}}
    config = MeasurementsConfig.model_validate(section)
    caplog.set_level("INFO")
    assert torch.equal(taken(path, config), STATES)
    assert "it is taken in their units, x × 0.001" in caplog.text
    # With the names of the equation they have its units.
    table().to_csv(path, index=False)
    assert torch.equal(taken(path, config), STATES)
    # A name that both have does not say so, another does.
    both = MeasurementsConfig.model_validate(section | {"fields": {"u": "u", "v": "v"}, "scale": {"u": 0.5}})
    assert torch.equal(taken(path, both), STATES)
    frame.rename(columns={"x": "across / mm", "y": "along"}).assign(x=0).to_csv(path, index=False)
    with pytest.raises(PredictionError, match="there is no column y"):
        taken(path, both)
    frame.rename(columns=theirs).assign(**{"across / mm": "dry"}).to_csv(path, index=False)
    with pytest.raises(PredictionError, match=r"states\.csv: x, row 2: 'dry' is not a number"):
        taken(path, config)


def test_factors_hold_where_both_have_the_same_names(tmp_path, caplog):
    caplog.set_level("INFO")
    section = {"file": "a.csv", "axes": {"x": "x", "y": "y"}, "fields": {"u": "u", "v": "v"}, "scale": {"v": 2.0}}
    table().to_csv(path := tmp_path / "states.csv", index=False)
    expected = STATES * torch.tensor([1.0, 2.0])[:, None, None]
    assert torch.equal(taken(path, MeasurementsConfig.model_validate(section | {"time": "time"})), expected)
    assert "in their units, v × 2." in caplog.text


def taken(path, config):
    return states_of(with_names_of(config, read_states_file(path), path.name), LAYOUT, path.name)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().drop(columns="y"), "there is no column y; there are simulation, x, u, v"),
        (table().drop(columns="v"), "there is no column v; there are simulation, x, y, u"),
        (table().drop(columns="simulation"), "two rows of one place: a row is needed for each cell, 4 of x × 6 of y"),
        (table()[1:], "places without a row: a row is needed for each cell, 4 of x × 6 of y, for 3 states"),
        (table(time=np.arange(72)), "time has several values, and a state has one"),
        (table(u=np.where(np.arange(72) == 30, np.nan, 1.0)), "u is not finite in 1 entries"),
        (table(u="dry"), "u, row 2: 'dry' is not a number"),
        (table().assign(x=lambda f: f.x * 1000), "x, row 2: 250 is not the centre of a cell; x goes from 250 to 1750"),
        (table().assign(x=lambda f: f.x + 0.01), "0.5 apart: interpolate to them (scipy.interpolate.griddata, say)"),
        (table(x=np.where(np.arange(72) == 30, np.nan, table().x)), "x, row 32: it is empty; each row needs its posi"),
        (table(simulation=[0] * 24 + [None] + [1] * 47), "simulation, row 26: it is empty; say which state the row is"),
        (table().drop(index=[30, 50]), "for 3 states; the first is x = 0.75, y = -0.75, simulation = 1"),
        (table(simulation=["s"] * 72), "4 of x × 6 of y; the first is x = 0.25, y = -0.75, simulation = s"),
        (table()[:0], "it has no rows"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(frame, message, tmp_path):
    with pytest.raises(PredictionError, match=r"^states\.csv: ") as caught:
        read(tmp_path / "states.csv", frame)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_faces_have_positions_of_their_own(tmp_path):
    staggered = Layout(GRID, (FieldSpec("velocity", ("x", "y"), staggered=True),))
    with pytest.raises(PredictionError, match="components on faces have positions of their own"):
        read(tmp_path / "states.csv", table(), staggered)
