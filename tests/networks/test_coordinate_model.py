"""The coordinate network: where it looks, that it is periodic, and that a file gives it back bit for bit."""

import math

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.networks.coordinate_model import CoordinateModel, cell_centres
from hyco.networks.models import model_from_bundle
from hyco.networks.network import network_config
from hyco.networks.synthetic import SyntheticModel
from hyco.runtime.storage import Bundle, read_bundle, write_bundle

AXES = ("x", "y", "z")


def layout(boundary, dimensions=2, fields=("u",)):
    grid = Grid(AXES[:dimensions], (-1.0, 2.0, 0.0)[:dimensions], (2.0, 3.0, 1.0)[:dimensions], (6, 5, 4)[:dimensions])
    return Layout(grid, tuple(FieldSpec(name, boundary=boundary) for name in fields))


def model(where=None, steps=8, seed=0, **network):
    where = where or layout("periodic")
    one = torch.arange(1.0, len(where.channels) + 1)
    network = {"name": "mlp", "width": 16, "depth": 2} | network
    return CoordinateModel.create(network, where, dt=0.1, steps=steps, mean=10 * one, std=one, seed=seed)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["periodic", "neumann", 0.0])
def test_a_rollout_has_the_shape_of_the_states_and_forgets_its_start(dimensions, boundary):
    where = layout(boundary, dimensions, ("u", "v"))
    network = model(where)
    starts = torch.randn(3, 2, *where.shape, dtype=torch.float64)
    states = network.rollout(starts, 4)
    assert states.shape == (3, 4, 2, *where.shape)
    assert states.dtype == torch.float64
    assert torch.equal(states[0], states[2])
    assert (states[0, 1:] - states[0, :-1]).abs().flatten(1).max(dim=1).values.min() > 0, "time matters"


def test_a_state_is_the_network_at_each_cell_and_time():
    where = layout({"x": "periodic", "y": {"lower": 0.0, "upper": "neumann"}}, fields=("u", "v"))
    network = model(where)
    states = network.rollout(torch.zeros(1, 2, 6, 5, dtype=torch.float64), 3)
    x, y = (where.grid.centers(axis) for axis in where.grid.axes)
    for i, j, step in ((0, 0, 1), (4, 1, 3), (2, 4, 2)):
        angle = 2 * math.pi * (x[i] + 1.0) / 2.0
        inputs = torch.tensor([math.sin(angle), math.cos(angle), 2 * (y[j] - 2.0) / 3.0 - 1, 2 * step / 8 - 1])
        values = network.network(inputs.float()[None])[0]
        expected = torch.tensor([10.0, 20.0]) + torch.tensor([1.0, 2.0]) * values
        torch.testing.assert_close(states[0, step - 1, :, i, j].float(), expected, rtol=1e-5, atol=1e-5)


def test_it_is_periodic_along_periodic_axes_alone():
    network = model(layout({"x": "periodic", "y": "neumann"}), fourier_features=8)
    places = torch.rand(20, 2, dtype=torch.float64) + torch.tensor([-1.0, 2.0])

    def at(shift):
        inputs = network.space_inputs(places + torch.tensor(shift, dtype=torch.float64))
        return network.at(network.with_time(inputs, torch.full((20,), 3)))

    torch.testing.assert_close(at([2.0, 0.0]), at([0.0, 0.0]), rtol=1e-4, atol=1e-5)
    assert (at([0.0, 3.0]) - at([0.0, 0.0])).abs().max() > 1e-2


def test_a_static_problem_has_no_time():
    network = model(steps=1)
    assert network.network.layers[0].in_features == 4, "sin and cos along two axes"
    states = network.rollout(torch.zeros(1, 1, 6, 5), 3)
    assert torch.equal(states[:, 0], states[:, 2])


@pytest.mark.parametrize("features", [0, 5])
def test_a_file_gives_the_model_back_bit_for_bit(tmp_path, features):
    network = model(seed=3, fourier_features=features)
    path = tmp_path / "model.safetensors"
    write_bundle(path, network.to_bundle())
    again = model_from_bundle(read_bundle(path))
    assert isinstance(again, CoordinateModel)
    start = torch.zeros(1, 1, 6, 5, dtype=torch.float64)
    assert torch.equal(again.rollout(start, 8), network.rollout(start, 8))
    assert (again.dt, again.steps, again.config, again.layout) == (0.1, 8, network.config, network.layout)
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_stepping_network_comes_back_as_one_and_other_files_are_refused():
    one = torch.ones(1)
    stepping = {"name": "resnet", "filters": 4, "blocks": 1}
    network = SyntheticModel.create(stepping, layout("periodic"), mean=one, std=one, change_std=one, seed=0)
    assert isinstance(model_from_bundle(network.to_bundle()), SyntheticModel)
    with pytest.raises(ValueError, match="holds 'physical_model'; a network is one of: coordinate_model, synthetic"):
        model_from_bundle(Bundle(metadata={"kind": "physical_model"}))
    with pytest.raises(ValueError, match="holds 'synthetic_model', not a 'coordinate_model'"):
        CoordinateModel.from_bundle(network.to_bundle())


def test_networks_of_the_other_kind_are_refused():
    one = torch.ones(1)
    with pytest.raises(ValueError, match="resnet steps states"):
        CoordinateModel.create({"name": "resnet"}, layout("periodic"), dt=1.0, steps=2, mean=one, std=one, seed=0)
    with pytest.raises(ValueError, match="mlp maps coordinates"):
        SyntheticModel.create({"name": "mlp"}, layout("periodic"), mean=one, std=one, change_std=one, seed=0)


def test_a_rollout_without_steps_or_of_other_states_is_refused():
    network = model(layout("periodic"))
    states = torch.zeros((2, 1, *layout("periodic").shape))
    with pytest.raises(ValueError, match=r"got \[2, 1, \d+\]"):
        network.rollout_normalised(states[..., 0], 3)
    with pytest.raises(ValueError, match="at least one step"):
        network.rollout_normalised(states, 0)


def test_staggered_fields_are_refused():
    grid = layout("periodic").grid
    staggered = Layout(grid, (FieldSpec("velocity", ("x", "y"), staggered=True),))
    with pytest.raises(ValueError, match="a coordinate network is for centred fields"):
        model(staggered)


def test_the_keys_of_the_network_are_checked():
    for keys in ({"filters": 8}, {"width": 0}, {"depth": 0}, {"activation": "sine"}, {"coordinates": False}):
        with pytest.raises(ValueError, match=next(iter(keys))):
            network_config({"name": "mlp", **keys})


def test_statistics_are_undone_and_must_make_sense():
    network = model(layout("periodic", fields=("u", "v")))
    states = torch.randn(2, 3, 2, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(network.denormalise(network.normalise(states)), states, rtol=1e-6, atol=1e-5)
    keys = {"dt": 0.1, "steps": 4, "seed": 0}
    with pytest.raises(ValueError, match="std must be finite and positive, got"):
        CoordinateModel.create({"name": "mlp"}, layout(0.0), mean=torch.ones(1), std=torch.zeros(1), **keys)


def test_cell_centres_are_in_the_order_of_a_flattened_state():
    where = layout("periodic")
    centres = cell_centres(where).reshape(6, 5, 2)
    torch.testing.assert_close(centres[:, 2, 0], torch.from_numpy(where.grid.centers("x")))
    torch.testing.assert_close(centres[3, :, 1], torch.from_numpy(where.grid.centers("y")))


def test_the_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    one, other = model(seed=1, fourier_features=4), model(seed=1, fourier_features=4)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    assert not torch.equal(one.network.frequencies, model(seed=2, fourier_features=4).network.frequencies)
