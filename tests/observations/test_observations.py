"""What is measured, where, when, with how much noise; and what is made of it."""

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations import NOISE_FREE_SIGMA, ObservationConfig, Observations, observe
from hyco.observations.cells import CenterSpace, RangeSpace
from hyco.observations.changes import change_std
from hyco.runtime.storage import Bundle

GRID = Grid(axes=("x", "y"), lower=(0.0, -1.0), size=(6.0, 2.0), resolution=(12, 8))
LAYOUT = Layout(GRID, (FieldSpec("velocity", ("x", "y")),))


def trajectories(simulations=4, steps=6):
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(simulations, steps + 1, 2, *GRID.resolution, generator=generator, dtype=torch.float64)
    states[:, :, 1] *= 10.0
    return Bundle({"trajectories": states}, {"layout": LAYOUT.to_dict(), "dt": 0.1})


def config(**changes):
    return ObservationConfig.model_validate({"train_sim": [2, 0], "val_sim": [1], "test_sim": [3]} | changes)


def test_the_test_simulations_are_never_seen():
    data = trajectories()
    data.tensors["trajectories"][3] = torch.nan
    seen = observe(data, config(noise=0.1), seed=0)
    assert seen.values.shape[0] == 3
    assert (seen.train, seen.val) == ([0, 1], [2])
    assert torch.isfinite(seen.values).all()


def test_noise_has_the_level_of_each_channel():
    data = trajectories(steps=40)
    seen = observe(data, config(noise=0.1), seed=0)
    truth = data.tensors["trajectories"][[2, 0, 1]]
    std = truth[:2].transpose(0, 2).flatten(1).std(dim=1, correction=0)
    assert torch.allclose(seen.noise_std, 0.1 * std)
    measured = (seen.values - truth).transpose(0, 2).flatten(1).std(dim=1)
    assert torch.allclose(measured, seen.noise_std, rtol=0.03)


@pytest.mark.parametrize(("reference", "expected"), [("absolute", [0.1, 0.1]), ("max", None)])
def test_noise_can_be_absolute_or_relative_to_the_maximum(reference, expected):
    data = trajectories()
    seen = observe(data, config(noise=0.1, noise_reference=reference), seed=0)
    largest = data.tensors["trajectories"][[2, 0]].abs().amax(dim=(0, 1, 3, 4))
    assert torch.allclose(seen.noise_std, 0.1 * largest if expected is None else torch.tensor(expected).double())


def test_the_initial_state_is_exact():
    data = trajectories()
    seen = observe(data, config(noise=0.5, time={"mode": "custom", "indices": [3]}), seed=0)
    assert torch.equal(seen.initial_states, data.tensors["trajectories"][[2, 0, 1], 0])


def test_the_same_seed_measures_the_same_and_another_does_not():
    values = [observe(trajectories(), config(noise=0.1), seed=s).values for s in (0, 0, 1)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ({"mode": "full"}, 96),
        ({"mode": "range", "x": [0.0, 3.0]}, 6 * 8),
        ({"mode": "range", "x": [0.0, 3.0], "y": [0.5, 1.0]}, 6 * 2),
        ({"mode": "center", "fraction": 0.5}, 6 * 4),
        ({"mode": "points", "count": 7}, 7),
    ],
)
def test_space_masks_cover_the_cells_that_they_name(space, count):
    seen = observe(trajectories(), config(space=space), seed=0)
    per_state = seen.mask.flatten(3).sum(dim=3)
    assert (per_state == count).all()
    assert (seen.values[~seen.mask] == 0).all()


@pytest.mark.parametrize("mode", [RangeSpace(mode="range", x=(0.3, 0.7)), CenterSpace(mode="center", fraction=0.4)])
def test_a_cell_whose_centre_is_an_end_of_the_interval_is_observed_at_either_end(mode):
    """Of 0.3 and 0.7, both centres, one is rounded up and the other would be beyond its end."""
    where = Layout(Grid(("x",), (0.0,), (1.0,), (5,)), (FieldSpec("u"),))
    assert mode.cells(where, torch.Generator()).tolist() == [[False, True, True, True, False]]


def test_a_range_along_x_masks_rows_and_not_columns():
    seen = observe(trajectories(), config(space={"mode": "range", "x": [0.0, 3.0]}), seed=0)
    assert seen.mask[0, 0, 0, :6].all()
    assert not seen.mask[0, 0, 0, 6:].any()


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ({"mode": "full"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"mode": "endpoints"}, [0, 6]),
        ({"mode": "uniform", "every": 4}, [0, 4]),
        ({"mode": "custom", "indices": [5, 2]}, [2, 5]),
    ],
)
def test_time_masks_cover_the_states_that_they_name(time, expected):
    seen = observe(trajectories(), config(time=time), seed=0)
    assert seen.mask[0, :, 0, 0, 0].nonzero().flatten().tolist() == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"mode": "points", "count": 97}}, "count is 97, but the grid has 96 cells"),
        ({"space": {"mode": "range", "z": [0.0, 1.0]}}, "names the axis 'z'; the domain has x, y"),
        ({"space": {"mode": "range", "x": [7.0, 8.0]}}, "leave nothing observed after t = 0"),
        ({"time": {"mode": "custom", "indices": [0]}}, "leave nothing observed after t = 0"),
        ({"time": {"mode": "custom", "indices": [9]}}, "holds 9, the last state is 6"),
        ({"train_sim": [7]}, "asks for simulation 7, but generation.simulations is 4"),
    ],
)
def test_what_cannot_be_observed_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        observe(trajectories(), config(**changes), seed=0)


def test_observations_survive_the_catalog():
    seen = observe(trajectories(), config(noise=0.1, window_start="truth"), seed=0)
    back = Observations.from_bundle(seen.to_bundle())
    assert (back.train, back.val, back.dt, back.layout) == (seen.train, seen.val, seen.dt, seen.layout)
    for name in ("values", "mask", "initial_states", "noise_std", "window_states"):
        assert torch.equal(getattr(back, name), getattr(seen, name))


def test_the_truth_is_kept_only_for_the_comparison_that_asks_for_it():
    assert "window_states" not in observe(trajectories(), config(), seed=0).to_bundle().tensors


def test_statistics_are_those_of_what_was_observed_of_the_training_simulations():
    data = trajectories()
    data.tensors["trajectories"][1] += 1e6  # the validation simulation
    seen = observe(data, config(space={"mode": "points", "count": 20}), seed=0)
    mean, std = seen.statistics()
    values, mask = seen.training_states()
    for channel in range(2):
        chosen = values[:, :, channel][mask[:, :, channel]]
        assert mean[channel] == pytest.approx(float(chosen.mean()))
        assert std[channel] == pytest.approx(float(chosen.std(correction=0)))


def test_sigma_is_the_noise_or_a_small_part_of_the_spread():
    noisy, free = (observe(trajectories(), config(noise=n), seed=0) for n in (0.1, 0.0))
    assert torch.equal(noisy.sigma.flatten(), noisy.noise_std)
    assert torch.allclose(free.sigma.flatten(), NOISE_FREE_SIGMA * free.statistics()[1])


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_constant_channel_has_no_noise_and_says_nothing_of_it(value):
    data = trajectories()
    data.tensors["trajectories"][:, :, 1] = value
    noisy, free = (observe(data, config(noise=n), seed=0) for n in (0.1, 0.0))
    assert noisy.noise_std[0] > 0
    assert noisy.noise_std[1] == 0, "nor that of rounding"
    assert noisy.statistics()[1][1] == free.statistics()[1][1] == 1
    assert noisy.noise_known
    assert noisy.has_noise.tolist() == [True, False]
    assert not free.noise_known
    assert free.has_noise.tolist() == [True, True], "where none has noise all tell how well the model fits"


def test_the_size_of_changes_is_freed_of_noise():
    data = trajectories(steps=60)
    data.tensors["trajectories"] = data.tensors["trajectories"].cumsum(dim=1)
    clean, noisy = (change_std(observe(data, config(noise=n), seed=0)) for n in (0.0, 0.05))
    assert torch.allclose(clean, noisy, rtol=0.1)
    sparse = observe(data, config(time={"mode": "uniform", "every": 3}), seed=0)
    assert torch.isfinite(change_std(sparse)).all()
