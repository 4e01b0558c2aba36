"""Mixtures of states: what is moved, what is mixed, and what stays."""

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.hybrid.mixtures import mixing_weights, mixtures, shifted


def layout(boundary, *, staggered=False):
    components = ("x", "y") if staggered else ()
    grid = Grid(axes=("x", "y"), lower=(0.0, 0.0), size=(2.0, 1.0), resolution=(6, 5))
    return Layout(grid, (FieldSpec("u", components, staggered, boundary),))


def numbered(where):
    """Asymmetric states on a layout, `[6, C, *space]`: every entry is another number."""
    shape = (6, len(where.channels), *where.shape)
    numbers = torch.randperm(torch.Size(shape).numel(), generator=torch.Generator().manual_seed(3)).reshape(shape)
    return numbers * where.valid.double()


def generator():
    return torch.Generator().manual_seed(0)


def test_states_are_moved_along_periodic_axes_only_and_all_channels_together():
    where = layout({"x": "periodic", "y": 0.0})
    states = numbered(where)
    amounts = []
    for before, after in zip(states, shifted(states, where, generator()), strict=True):
        amounts += [n for n in range(6) if torch.equal(before.roll(n, dims=1), after)]
    assert len(amounts) == len(states), "each is a roll along x, the same in every row"
    assert len(set(amounts)) > 1


@pytest.mark.parametrize("where", [layout("neumann"), layout("periodic", staggered=True)])
def test_walls_and_padding_are_not_moved(where):
    states = numbered(where)
    assert torch.equal(shifted(states, where, generator()), states)


def test_a_staggered_mixture_has_one_weight_for_all_components_and_keeps_its_padding():
    where = layout("neumann", staggered=True)
    weights = mixing_weights(12, where, None, generator())
    assert weights.shape == (12, 1, 1, 1)
    assert ((weights >= 0) & (weights <= 1)).all()
    states = numbered(where)
    times = torch.arange(len(states), dtype=torch.float64)
    mixed, _ = mixtures(states, times, 12, where, generator(), shift=True, length=None, scale=(1.0, 1.0))
    assert (mixed[:, ~where.valid] == 0).all()


def test_a_mixture_stands_for_a_time_between_those_of_its_states():
    where = layout("periodic")
    times = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    # Each state is its own time everywhere, so that the mean of a mixture is its time.
    states = times.reshape(-1, 1, 1, 1).expand(3, 1, *where.shape)
    mixed, found = mixtures(states, times, 40, where, generator(), shift=True, length=None, scale=(1.0, 1.0))
    assert torch.allclose(found, mixed.flatten(1).mean(dim=1), rtol=0, atol=1e-12)
    assert len(set(found.tolist())) > 20
