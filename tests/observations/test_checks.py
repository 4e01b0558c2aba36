"""Measurements that cannot be meant are refused where they are handed over, in one line; other types are converted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations import Observations
from hyco.observations.checks import MeasurementError

LINE = Layout(Grid(("x",), (0.0,), (10.0,), (128,)), (FieldSpec("u"),))
PLANE = Layout(Grid(("x", "y"), (0.0, 0.0), (3.0, 2.0), (12, 8)), (FieldSpec("u", boundary=0.0),))


def given(layout=LINE, simulations=3, times=5, **changes):
    shape = (simulations, times, len(layout.channels), *layout.shape)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    arguments = {
        "values": values,
        "mask": torch.ones(shape, dtype=torch.bool),
        "initial_states": values[:, 0],
        "noise_std": torch.full((len(layout.channels),), 0.1, dtype=torch.float64),
        "train": [0, 1],
        "val": [2],
        "layout": layout,
        "dt": 0.1,
    }
    return arguments | changes


def at_points(positions, layout=PLANE, **changes):
    """One simulation, measured at points after t = 0."""
    positions = torch.as_tensor(positions, dtype=torch.float64).expand(1, 3, -1, -1)
    shape = (1, 3, len(layout.channels), positions.shape[2])
    mask = torch.ones(shape, dtype=torch.bool)
    mask[:, 0] = False
    initial = torch.zeros(1, len(layout.channels), *layout.shape)
    values = {"values": torch.zeros(shape), "mask": mask, "initial_states": initial, "train": [0], "val": []}
    return Observations(**given(layout, 1, 3, **values, positions=positions.clone(), **changes))


def put(tensor, value, *index):
    changed = tensor.clone()
    changed[index] = value
    return changed


GOOD = given()
WRONG = {
    "a value that is not finite where it was measured": (
        {"values": put(GOOD["values"], torch.nan, 1, 2, 0, 7)},
        r"values is not finite in 1 entries, first at \[1, 2, 0, 7\]: mask says that they were measured",
    ),
    "an initial state that is not finite": (
        {"initial_states": put(GOOD["initial_states"], torch.nan, 2, 0, 3)},
        r"initial_states is not finite in 1 entries, first at \[2, 0, 3\]",
    ),
    "axes in another order": (
        {"values": GOOD["values"].movedim(3, 2)},
        r"values must be \[simulations, times, 1, 128\] .* got \[3, 5, 128, 1\]: the axes are in another order",
    ),
    "no axis of channels": ({"values": GOOD["values"][:, :, 0]}, r"got \[3, 5, 128\]: an axis is missing"),
    "too few cells": ({"values": GOOD["values"][..., :100]}, r"\[simulations, times, 1, 128\] .*got \[3, 5, 1, 100\]"),
    "a single time": ({"values": GOOD["values"][:, :1]}, "at two times at least, the first t = 0"),
    "another mask": ({"mask": GOOD["mask"][:, 1:]}, r"mask must be as values = \[3, 5, 1, 128\], got \[3, 4, 1, 128\]"),
    "a mask of other numbers": ({"mask": 0.5 * GOOD["mask"]}, "mask must be true or false .* got 0.5"),
    "negative noise": ({"noise_std": torch.tensor([-0.1])}, "noise_std must be finite and at least 0"),
    "noise that is not finite": ({"noise_std": torch.tensor([torch.nan])}, "noise_std must be finite"),
    "noise of other channels": ({"noise_std": torch.ones(2)}, r"one number for each of u = \[1\], got \[2\]"),
    "a simulation that is not there": ({"train": [0, 9]}, r"train must hold numbers from 0 to 2 .*got 9"),
    "a simulation below zero": ({"val": [-1]}, r"val must hold numbers from 0 to 2 .*got -1"),
    "a simulation twice": ({"train": [0, 0]}, r"train names a simulation twice"),
    "no simulation to train on": ({"train": []}, "train must name at least one simulation"),
    "validation on training data": ({"val": [1]}, r"different simulations, both name \[1\]"),
    "a word that is none": ({"initial_state": "fully"}, "initial_state 'fully' is not allowed; allowed: exact, full"),
    "a word with a capital": ({"initial_state": "Exact"}, "initial_state 'Exact' is not allowed"),
    "a way of reading that is none": ({"interpolation": "nearest"}, "interpolation 'nearest' is not allowed"),
    "no time between states": ({"dt": 0.0}, "dt must be a positive time"),
    "other initial states": ({"initial_states": GOOD["initial_states"][:2]}, r"initial_states must be .*\[3, 1, 128\]"),
    "text": ({"values": [["a"]]}, "values must be a tensor or an array of numbers, got list"),
    "complex numbers": ({"values": GOOD["values"] + 0j}, "values must be real numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_meant_is_refused_in_one_line(case):
    changes, message = WRONG[case]
    with pytest.raises(MeasurementError, match=message) as error:
        Observations(**given(**changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_numbers_of_another_type_are_converted(dtype):
    values = (10 * GOOD["values"]).to(dtype)
    ours = Observations(**given(values=values, initial_states=values[:, 0], noise_std=torch.tensor([1], dtype=dtype)))
    assert ours.values.dtype == ours.initial_states.dtype == ours.noise_std.dtype == torch.float64
    assert torch.equal(ours.values, values.double())


def test_arrays_and_masks_of_ones_and_zeros_are_converted():
    mask = torch.rand(GOOD["mask"].shape, generator=torch.Generator().manual_seed(1)) > 0.3
    expected = Observations(**given(mask=mask))
    arrays = given(values=GOOD["values"].numpy(), mask=mask.double().numpy(), noise_std=np.array([0.1]))
    ours = Observations(**arrays)
    assert torch.equal(ours.mask, expected.mask)
    assert torch.equal(ours.values, expected.values)


def test_where_nothing_was_measured_a_value_may_be_anything_and_becomes_zero():
    values, mask = put(GOOD["values"], torch.nan, 0, 1), put(GOOD["mask"], False, 0, 1)
    assert not Observations(**given(values=values, mask=mask)).values[0, 1].any()


def test_a_copy_with_other_values_is_checked_too():
    with pytest.raises(MeasurementError, match="not finite"):
        replace(Observations(**given()), values=GOOD["values"] * torch.nan)


def test_positions_beyond_a_periodic_end_are_wrapped():
    layout = Layout(PLANE.grid, (FieldSpec("u"),))
    inside, beyond = [[0.5, 1.5], [2.9, 0.1]], [[0.5 - 3.0, 1.5 + 2.0], [2.9 + 6.0, 0.1]]
    assert torch.allclose(at_points(beyond, layout).positions, at_points(inside, layout).positions)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([[0.5, 1.0], [3.5, 1.0]], "positions: 2 lie outside of x = 0 to 3, for instance x = 3.5$"),
        ([[500.0, 1.0], [2900.0, 1.5]], "x = 500; multiplied by 0.001 all lie inside: mm or m?"),
        ([[0.5, 1.0], [torch.nan, 1.0]], "positions is not finite in 2 entries.*each measurement needs its place"),
        ([[0.5], [1.0]], r"positions must be .*\[1, 3, 2, 2\], got \[1, 3, 2, 1\]"),
    ],
)
def test_positions_beyond_a_wall_are_refused_with_a_guess_at_the_unit(positions, message):
    with pytest.raises(MeasurementError, match=message):
        at_points(positions)


def test_the_place_of_what_was_not_measured_may_be_anything():
    observations = at_points([[0.5, 1.0], [2.0, 1.5]])
    odd = put(observations.positions, torch.nan, 0, 0)
    assert bool(replace(observations, positions=odd).positions.isfinite().all())


def test_simulations_may_be_any_whole_numbers_and_become_those_of_python():
    for train, val in ((np.array([0, 1]), np.array([2])), (range(2), ()), ((np.int64(0), torch.tensor(1)), [2])):
        observations = Observations(**given(train=train, val=val))
        assert observations.train == [0, 1]
        assert all(type(i) is int for i in (*observations.train, *observations.val))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "01"}, "train must be a list of numbers of simulations, got '01'"),
        ({"train": 0}, "train must be a list of numbers of simulations, got 0"),
        ({"train": ["a"]}, r"train must hold numbers from 0 to 2 \(3 simulations\), got a"),
        ({"val": None}, "val must be a list of numbers of simulations, got None"),
        ({"layout": None}, r"layout must be that of an equation, equation\.layout, got NoneType"),
        ({"layout": LINE.to_dict()}, "layout must be that of an equation, .* got dict"),
        ({"dt": "0.1"}, "dt must be a positive time between two states, got '0.1'"),
        ({"dt": None}, "dt must be a positive time between two states, got None"),
        ({"test_initial_states": 1.0}, r"test_initial_states must be .*, got \[\]"),
    ],
)
def test_words_and_numbers_of_another_type_are_refused_by_name(changes, message):
    with pytest.raises(MeasurementError, match=f"^{message}$"):
        Observations(**given() | changes)


def test_initial_states_measured_in_full_are_measured_everywhere():
    mask = put(GOOD["mask"], False, 0, 0, 0, 3)
    with pytest.raises(MeasurementError, match=r"^initial_state full: 1 entries at t = 0 were not measured"):
        Observations(**given(mask=mask, initial_state="full"))
    assert Observations(**given(mask=mask, initial_state="observed")).initial_state == "observed"
