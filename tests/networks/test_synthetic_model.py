"""The synthetic model: units, rollouts, padding of staggered states, and its file."""

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.networks.synthetic import Base, SyntheticModel
from hyco.runtime.storage import Bundle, read_bundle, write_bundle

SMALL = {
    "dilated_resnet": {"name": "dilated_resnet", "filters": 8, "blocks": 1},
    "fno": {"name": "fno", "filters": 8, "modes": 3, "blocks": 2},
    "gated": {"name": "gated", "filters": 8},
    "resnet": {"name": "resnet", "filters": 8},
    "unet": {"name": "unet", "filters": 8, "levels": 1},
}


def layout(*resolution, staggered=False, boundary="periodic"):
    axes = ("x", "y")[: len(resolution)]
    grid = Grid(axes, (0.0,) * len(axes), (1.0,) * len(axes), resolution)
    return Layout(grid, (FieldSpec("velocity", axes, staggered, boundary),))


def model(where, name="resnet", awake=True, seed=0, **keys):
    channels = len(where.channels)
    created = SyntheticModel.create(
        {**SMALL[name], **keys},
        where,
        mean=torch.arange(1.0, channels + 1),
        std=torch.arange(2.0, channels + 2),
        change_std=torch.full((channels,), 0.1),
        seed=seed,
    )
    if awake:
        generator = torch.Generator().manual_seed(1)
        for p in created.parameters():
            if not p.detach().any():
                p.data.normal_(std=0.1, generator=generator)
    return created


def states(where, batch=3):
    generator = torch.Generator().manual_seed(2)
    shape = (batch, len(where.channels), *where.shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * where.valid


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("resolution", [(16,), (15,), (12, 8), (9, 11)])
def test_synthetic_rollout_has_shape_batch_time_channels_space_and_changes_over_time(name, resolution):
    where = layout(*resolution)
    rollout = model(where, name).rollout(states(where), 4)
    assert rollout.shape == (3, 4, len(resolution), *resolution)
    assert all((rollout[:, t + 1] - rollout[:, t]).abs().max() > 1e-4 for t in range(3))


@pytest.mark.parametrize("name", SMALL)
def test_a_new_model_predicts_that_nothing_changes(name):
    where = layout(10, 6)
    start = states(where)
    rollout = model(where, name, awake=False).rollout(start, 3)
    torch.testing.assert_close(rollout, start[:, None].expand_as(rollout), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rollout_has_the_dtype_of_its_initial_state(dtype):
    where = layout(16)
    assert model(where).rollout(states(where).to(dtype), 2).dtype == dtype
    assert model(where)(states(where).to(dtype)).dtype == dtype


def test_a_rollout_is_the_repetition_of_single_steps():
    where = layout(8, 12)
    stepper, state = model(where), states(where)
    rollout = stepper.rollout(state, 3)
    for t in range(3):
        state = stepper(state)
        torch.testing.assert_close(rollout[:, t], state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_rollout_has_no_gradient_and_leaves_the_mode_of_the_network_as_it_was(training):
    where = layout(12, 8)
    stepper = model(where, "unet").train(training)
    modes = []
    stepper.network.register_forward_pre_hook(lambda *_: modes.append(stepper.training))
    rollout = stepper.rollout(states(where).requires_grad_(), 3)
    assert not rollout.requires_grad
    assert modes == [False] * 3
    assert stepper.training == training
    assert torch.equal(rollout, stepper.rollout_with_gradient(states(where), 3))


class Shift(Base):
    """Along x by a cell."""

    def forward(self, z, time, number):
        return z.roll(1, 2)

    def describe(self):
        return {"cells": 1}


def test_a_correction_is_added_to_a_step_until_it_is_taken_back():
    where = layout(12)
    stepper, start = model(where, awake=False), states(where)
    stepper.correct(Shift())
    torch.testing.assert_close(stepper.rollout(start, 2)[:, 1], start.roll(2, 2), rtol=0, atol=1e-6)
    assert stepper.describe()["base"] == {"cells": 1}
    stepper.correct(None)
    torch.testing.assert_close(stepper.rollout(start, 2)[:, 1], start, rtol=0, atol=1e-6)
    assert "base" not in stepper.describe()


def test_normalised_and_physical_rollouts_agree():
    where = layout(8, 12)
    stepper, state = model(where), states(where)
    normalised = stepper.rollout_normalised(stepper.normalise(state), 3)
    assert normalised.dtype == torch.float32
    assert torch.equal(stepper.denormalise(normalised), stepper.rollout(state, 3))


def test_normalising_is_per_channel_and_takes_any_leading_dimensions():
    where = layout(4, 6)
    stepper, x = model(where), torch.randn(2, 5, 2, 4, 6, dtype=torch.float64)
    z = stepper.normalise(x)
    torch.testing.assert_close(z[:, :, 1].double(), (x[:, :, 1] - 2) / 3, rtol=0, atol=1e-6)
    torch.testing.assert_close(stepper.denormalise(z), x, rtol=0, atol=1e-6)


def test_a_constant_that_is_large_beside_the_variation_is_taken_off_in_double_precision():
    where = layout(8)
    stepper = SyntheticModel.create(
        SMALL["resnet"],
        where,
        mean=torch.tensor([1e5], dtype=torch.float64),
        std=torch.tensor([1e-4]),
        change_std=torch.tensor([1e-5]),
        seed=0,
    )
    x = 1e5 + 1e-4 * states(where)
    torch.testing.assert_close(stepper.normalise(x).double(), (x - 1e5) / 1e-4, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(stepper.denormalise(stepper.normalise(x)), x, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_one_batch_can_be_learnt_by_heart(name):
    torch.manual_seed(0)
    where = layout(16)
    # Noise has every mode.
    stepper = model(where, name, awake=False, **({"modes": 8} if name == "fno" else {}))
    start = torch.randn(2, 1, 16)
    target = torch.stack([start.roll(t, 2) * 0.9**t for t in (1, 2)], dim=1)
    optimizer = torch.optim.Adam(stepper.parameters(), lr=1e-2)
    losses = []
    for _ in range(100):
        loss = (stepper.rollout_normalised(start, 2) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses) < 0.05 * losses[0]


def test_gradients_reach_the_weights_and_the_initial_state_through_all_steps():
    where = layout(12)
    stepper, start = model(where), states(where).requires_grad_()
    stepper.rollout_with_gradient(start, 4)[:, -1].square().sum().backward()
    assert start.grad is not None
    assert bool(start.grad.abs().min() > 0)
    assert all(p.grad is not None for p in stepper.parameters())


def test_a_model_with_coordinates_sees_where_it_is():
    where = layout(8, 12)
    x = states(where)
    for coordinates in (False, True):
        stepper = model(where, coordinates=coordinates)
        shifted = (stepper(x.roll(3, 3)) - stepper(x).roll(3, 3)).abs().max()
        assert bool(shifted > 1e-4) == coordinates


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("boundary", ["periodic", "neumann", 0.0])
def test_the_padding_of_staggered_states_is_zero_and_does_not_matter(name, boundary):
    where = layout(8, 6, staggered=True, boundary=boundary)
    stepper, clean = model(where, name), states(where)
    dirty = torch.where(where.valid, clean, torch.nan)
    assert not where.valid.all()
    rollout = stepper.rollout(dirty, 3)
    assert bool((rollout[:, :, ~where.valid] == 0).all())
    assert torch.equal(rollout, stepper.rollout(clean, 3))


def test_a_staggered_periodic_state_is_shifted_as_if_it_had_no_padding():
    where = layout(8, 6, staggered=True)
    stepper, x = model(where), states(where)

    def shift(state):
        shifted = state.clone()
        shifted[..., :8, :6] = state[..., :8, :6].roll((3, 2), (-2, -1))
        return shifted

    torch.testing.assert_close(stepper(shift(x)), shift(stepper(x)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_a_model_comes_back_from_its_file_bit_for_bit(name, tmp_path):
    where = layout(9, 6, staggered=True, boundary="neumann")
    stepper = model(where, name, coordinates=True)
    bundle = stepper.to_bundle()
    bundle.metadata["training"] = {"epochs": 3}
    write_bundle(tmp_path / "model.safetensors", bundle)
    again = SyntheticModel.from_bundle(read_bundle(tmp_path / "model.safetensors"))
    assert again.config == stepper.config
    assert again.layout == where
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in stepper.state_dict().items())
    assert torch.equal(again.rollout(states(where), 3), stepper.rollout(states(where), 3))


def test_a_file_of_something_else_is_refused():
    with pytest.raises(ValueError, match="the file holds 'trajectories', not a 'synthetic_model'"):
        SyntheticModel.from_bundle(Bundle(metadata={"kind": "trajectories"}))


def test_weights_are_a_stream_of_the_seed():
    where = layout(8)
    first, again, other = (model(where, awake=False, seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_statistics_are_saved_and_not_trained():
    stepper = model(layout(8))
    assert {"mean", "std", "change_std"} <= set(stepper.state_dict())
    assert stepper.weight_count == sum(p.numel() for p in stepper.network.parameters())


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mean": [0.0]}, "mean needs one entry for each of velocity_x, velocity_y"),
        ({"std": [1.0, 0.0]}, "std must be finite and positive"),
        ({"change_std": [1.0, float("nan")]}, "change_std must be finite and positive"),
        ({"mean": [float("inf"), 0.0]}, "mean must be finite, got"),
    ],
)
def test_statistics_that_cannot_be_are_refused(statistics, message):
    given = {"mean": [0.0, 0.0], "std": [1.0, 1.0], "change_std": [1.0, 1.0], **statistics}
    with pytest.raises(ValueError, match=message):
        SyntheticModel.create(SMALL["resnet"], layout(8, 8), **{k: torch.tensor(v) for k, v in given.items()}, seed=0)


def test_a_state_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"the model steps states \[B\] \+ \[1, 8\], got \[3, 1, 9\]"):
        model(layout(8)).rollout(states(layout(9)), 1)
    with pytest.raises(ValueError, match="at least one step"):
        model(layout(8)).rollout(states(layout(8)), 0)
