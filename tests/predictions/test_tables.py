"""States from tables: every row in its cell, whatever the order and the names of the columns."""

import numpy as np
import pandas as pd
import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.measurements import MeasurementsConfig
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
    named = mixed.assign(simulation=mixed.simulation.map(["a", "b", "c"].__getitem__))
    assert torch.equal(read(tmp_path / "states.csv", named), STATES)
    one = table(1).drop(columns="simulation").assign(time=0.5)
    assert torch.equal(read(tmp_path / "states.txt", one), STATES[:1])


def test_columns_may_be_called_as_in_the_file_of_measurements(tmp_path):
    theirs = {"x": "across / mm", "y": "along", "u": "temp", "simulation": "plate"}
    frame = table()
    frame["x"] *= 1000.0
    path = tmp_path / "states.csv"
    frame.rename(columns=theirs).to_csv(path, index=False)
    section = {"file": "a.csv", "axes": {"x": "across / mm", "y": "along"}, "simulation": "plate", "time": None}
    section |= {"fields": {"u": "temp", "v": ["v", "v2"]}, "scale": {"x": 1e-3}}
    config = MeasurementsConfig.model_validate(section)
    assert torch.equal(states_of(with_names_of(config, read_states_file(path)), LAYOUT, "states.csv"), STATES)
    # With the names of the equation they have its units.
    table().to_csv(path, index=False)
    assert torch.equal(states_of(with_names_of(config, read_states_file(path)), LAYOUT, "states.csv"), STATES)


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
        (table().assign(x=lambda f: f.x * 1000), "x goes from 250 to 1750"),
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
