"""The picture of where and when was measured: what models are trained on, and what is held back."""

import numpy as np
import pandas as pd
import pytest

import hyco
from hyco.observations.places import measured_places
from hyco.plots import measurements


def rod(axes, holdout):
    domain = {axis: {"size": 2.0, "resolution": 16} for axis in axes}
    equation = hyco.equation(
        {"name": "heat", "domain": domain, "boundary": "neumann", "dt": 0.1, "parameters": {"diffusivity": 0.1}}
    )
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        [(t, *place) for t in (0.0, 0.1, 0.3) for place in random.random((10, len(axes)))], columns=["t", *axes]
    )
    names = {"time": "t", "axes": {axis: axis for axis in axes}, "fields": {"temperature": "T"}, "std": 0.1}
    observation = {"train_sim": [0], "initial_state": "observed"} | ({"holdout": holdout} if holdout else {})
    return equation, table.assign(T=20.0 + random.random(len(table))), names, observation


@pytest.mark.parametrize("axes", ["x", "xy"])
@pytest.mark.parametrize("holdout", [None, {"fraction": 0.2}])
def test_every_measurement_is_there_once_as_trained_on_or_held_back(axes, holdout, tmp_path):
    equation, table, names, observation = rod(axes, holdout)
    table.to_csv(tmp_path / "rod.csv", index=False)
    seen = hyco.read_measurements(tmp_path / "rod.csv", equation, names, observation)
    kept = None if seen.heldout is None else measured_places(seen, seen.heldout)
    figure = measurements(seen.layout.grid, measured_places(seen, seen.mask), kept)
    count = {line.get_label(): len(line.get_xdata()) for line in figure.axes[0].lines}
    kept_back = int(seen.heldout.sum()) if holdout else 0
    assert (kept_back > 0) == bool(holdout)
    assert count == {"trained on": 30 - kept_back} | ({"held back": kept_back} if holdout else {})
    assert (figure.axes[0].get_legend() is not None) == bool(holdout)
