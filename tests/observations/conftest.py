"""Layouts, smooth trajectories and observations that the tests of this folder share."""

import math

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations import ObservationConfig, observe
from hyco.observations.filling import positions_of_entries
from hyco.runtime.storage import Bundle


def grid(*resolution, lower=(-0.5, 0.25), size=(1.5, 1.0)):
    d = len(resolution)
    return Grid(("x", "y")[:d], lower[:d], size[:d], resolution)


def layout(resolution=(12, 8), boundary="periodic", staggered=False):
    where = grid(*resolution)
    return Layout(where, (FieldSpec("u", where.axes if staggered else (), staggered, boundary),))


def on_entries(where, function):
    """A state `[C, *space]` with the values of `function(positions, channel)`, padding zero."""
    states = [function(positions_of_entries(where, c), c) for c in range(len(where.channels))]
    return torch.stack(states) * where.valid


def waves(where, t):
    """A smooth periodic state that moves with time."""
    lower, size = torch.tensor(where.grid.lower).double(), torch.tensor(where.grid.size).double()

    def function(x, channel):
        z = 2 * math.pi * (x - lower) / size
        return 1 + channel + torch.sin(z[..., 0] - t) * torch.cos(z[..., -1] + 0.3)

    return on_entries(where, function)


def measure(where, *, simulations=4, steps=6, noise=0.1, seed=0, **changes):
    """Trajectories of waves, and observations of them."""
    states = torch.stack(
        [torch.stack([waves(where, 0.3 * t + s) for t in range(steps + 1)]) for s in range(simulations)]
    )
    bundle = Bundle({"trajectories": states}, {"layout": where.to_dict(), "dt": 0.25})
    given = {"train_sim": [2, 0], "val_sim": [1], "test_sim": [3], "noise": noise} | changes
    return states, observe(bundle, ObservationConfig.model_validate(given), seed)


@pytest.fixture(scope="session")
def tools():
    """The functions of this file."""
    from types import SimpleNamespace

    return SimpleNamespace(grid=grid, layout=layout, on_entries=on_entries, waves=waves, measure=measure)
