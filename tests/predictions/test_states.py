"""States from files: right in every format and order of axes, and refused in one line that names file and variable."""

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.numpy import save_file

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.predictions.files import PredictionError, read_states_file
from hyco.predictions.states import states_of

GRID = Grid(("x", "y"), (0.0, -1.0), (2.0, 3.0), (4, 6))
LAYOUT = Layout(GRID, (FieldSpec("velocity", ("x", "y")),))
X, Y = GRID.centers("x"), GRID.centers("y")
U, V = (np.random.default_rng(i).normal(size=(3, 4, 6)) for i in (0, 1))
STATES = torch.from_numpy(np.stack([U, V], axis=1))


def netcdf(path, transpose=(), scale=1.0, **changes):
    data = xr.Dataset(
        {"velocity_x": (("simulation", "x", "y"), U), "velocity_y": (("simulation", "x", "y"), V)},
        {"x": scale * X, "y": Y},
    )
    data = data.transpose(*transpose).assign(**changes)
    data.to_netcdf(path, engine="h5netcdf")


def read(path, layout=LAYOUT):
    return states_of(read_states_file(path), layout, path.name)


def test_channels_of_netcdf_may_have_their_axes_in_any_order(tmp_path):
    path = tmp_path / "states.nc"
    for order in ((), ("y", "simulation", "x"), ("x", "y", "simulation")):
        netcdf(path, order)
        assert torch.equal(read(path), STATES)


def test_positions_that_fall_are_turned_round(tmp_path):
    path = tmp_path / "states.nc"
    netcdf(path)
    xr.load_dataset(path, engine="h5netcdf").sortby("y", ascending=False).to_netcdf(tmp_path / "turned.nc")
    assert torch.equal(read(tmp_path / "turned.nc"), STATES)


def test_arrays_without_names_of_their_axes_are_read_by_their_shape(tmp_path):
    np.savez(tmp_path / "a.npz", velocity_x=U, velocity_y=V.astype(np.float32), x=X)
    assert torch.equal(read(tmp_path / "a.npz")[:, 0], STATES[:, 0])
    assert torch.allclose(read(tmp_path / "a.npz"), STATES, rtol=1e-6)
    np.savez(tmp_path / "one.npz", velocity_x=U[0], velocity_y=V[0])
    assert torch.equal(read(tmp_path / "one.npz"), STATES[:1])
    save_file({"anything": STATES.numpy()}, tmp_path / "b.safetensors")
    assert torch.equal(read(tmp_path / "b.safetensors"), STATES)
    save_file({"initial_states": STATES.numpy(), "others": np.ones(2)}, tmp_path / "c.safetensors")
    assert torch.equal(read(tmp_path / "c.safetensors"), STATES)


def test_staggered_components_have_their_own_faces(tmp_path):
    layout = Layout(GRID, (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=0.0), FieldSpec("smoke")))
    u, v, smoke = (np.random.default_rng(i).normal(size=shape) for i, shape in enumerate([(3, 6), (4, 5), (4, 6)]))
    data = xr.Dataset(
        {"velocity_x": (("x_face", "y"), u), "velocity_y": (("x", "y_face"), v), "smoke": (("y", "x"), smoke.T)},
        {"x_face": [0.5, 1.0, 1.5], "y_face": [-0.5, 0.0, 0.5, 1.0, 1.5], "x": X, "y": Y},
    )
    data.to_netcdf(tmp_path / "staggered.nc", engine="h5netcdf")
    states = read(tmp_path / "staggered.nc", layout)
    assert states.shape == (1, 3, 5, 7)
    for channel, values in enumerate((u, v, smoke)):
        assert np.array_equal(states[layout.index(channel, 1)][0], values)
    assert not states[:, ~layout.valid].any()


WRONG = {
    "no such file": (lambda p: None, "there is no file"),
    "ending": (lambda p: p.write_text("x"), "unknown ending; allowed: .nc, .npz, .safetensors, .csv"),
    "not netcdf": (lambda p: p.write_text("nothing"), "it cannot be read"),
    "objects": (lambda p: np.savez(p, velocity_x=np.array([{}], dtype=object)), "it cannot be read"),
    "channel missing": (lambda p: np.savez(p, velocity_x=U), "there is no variable velocity_y; there are velocity_x"),
    "no channel": (lambda p: np.savez(p, u=U, v=V), r"there is no variable velocity_x, velocity_y, nor a single"),
    "shape": (lambda p: np.savez(p, velocity_x=U[:, :3], velocity_y=V), r"velocity_x has the shape \[3, 3, 6\]"),
    "axes": (
        lambda p: np.savez(p, velocity_x=U.swapaxes(1, 2), velocity_y=V),
        r"expected is \[states, 4, 6\].*they are in another order",
    ),
    "counts": (lambda p: np.savez(p, velocity_x=U[:2], velocity_y=V), "velocity_x 2, velocity_y 3"),
    "not finite": (
        lambda p: np.savez(p, velocity_x=np.where(U.max() == U, np.nan, U), velocity_y=V),
        "velocity_x is not finite in 1 entries, first at",
    ),
    "complex": (lambda p: np.savez(p, velocity_x=1j * U, velocity_y=V), "velocity_x holds no real numbers"),
    "one array": (
        lambda p: np.savez(p, u=STATES.numpy()[:, :1]),
        r"no variable velocity_x, .*there are u \[3, 1, 4, 6\]",
    ),
    "order of one array": (
        lambda p: np.savez(p, u=STATES.numpy().transpose(0, 2, 3, 1)),
        r"u has the shape \[3, 4, 6, 2\], expected is .*they are in another order",
    ),
    "unit": (lambda p: netcdf(p, scale=1000.0), "mm or m"),
    "positions": (lambda p: netcdf(p, scale=1.1), "x goes from 0.275 to 1.925.*interpolate"),
    "count of positions": (lambda p: np.savez(p, velocity_x=U, velocity_y=V, x=X[:3]), "x has 3 positions, the grid"),
    "times": (
        lambda p: netcdf(p, velocity_x=(("time", "x", "y"), U)),
        r"velocity_x has the axes time, x, y: a state has one time, choose it",
    ),
    "infinite": (lambda p: save_file({"a": STATES.numpy() * np.inf}, p), "velocity_x is not finite"),
}
ENDINGS = {"ending": ".vtk", "not netcdf": ".nc", "unit": ".nc", "positions": ".nc", "times": ".nc"}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_meant_is_said_in_one_line(case, tmp_path):
    write, text = WRONG[case]
    ending = ".safetensors" if case == "infinite" else ENDINGS.get(case, ".npz")
    path = tmp_path / f"mine{ending}"
    write(path)
    with pytest.raises(PredictionError, match=text) as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert path.name in str(raised.value)


@pytest.mark.parametrize("ending", [".npz", ".nc", ".safetensors"])
@pytest.mark.parametrize("states", [1, 3])
def test_another_name_of_the_only_channel_is_answered_with_the_right_one(ending, states, tmp_path):
    layout = Layout(GRID, (FieldSpec("temperature"),))
    path = tmp_path / f"mine{ending}"
    values = U[:states] if states > 1 else U[0]
    if ending == ".nc":
        xr.Dataset({"temp": (("simulation", "x", "y")[-values.ndim :], values)}).to_netcdf(path, engine="h5netcdf")
    elif ending == ".npz":
        np.savez(path, temp=values)
    else:
        save_file({"temp": np.ascontiguousarray(values)}, path)
    with pytest.raises(PredictionError, match=r"there is no variable temperature, .*there are temp \[") as raised:
        read(path, layout)
    assert "shape" not in str(raised.value)


def test_positions_of_a_file_in_another_unit_are_said_without_a_warning_of_numpy(tmp_path, recwarn):
    netcdf(tmp_path / "mine.nc", scale=1000.0)
    with pytest.raises(PredictionError, match="mm or m"):
        read(tmp_path / "mine.nc")
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]
