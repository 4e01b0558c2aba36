"""The layouts of PDEBench and The Well: the same trajectories give the same observations as from plain arrays."""

import h5py
import numpy as np
import pytest
import torch

import hyco

SPACE = {"x": {"size": 2.0, "resolution": 6}, "y": {"size": 3.0, "resolution": 4}}
BOTH = {"train_sim": [0], "val_sim": [2]}
KNOWN = {"u": "1", "v": "1"}


@pytest.fixture(scope="module")
def plane():
    """Two channels in two dimensions."""
    parameters = {"feed": 0.04, "kill": 0.06, "diffusivity_u": 2e-5, "diffusivity_v": 1e-5}
    return hyco.equation({"name": "gray_scott", "domain": SPACE, "dt": 0.5, "parameters": parameters})


@pytest.fixture(scope="module")
def states(plane):
    """Times, positions, and values `[N, T, X, Y, 2]` of three trajectories, all numbers of single precision."""
    t = np.arange(5, dtype=np.float32) / 2
    x, y = (plane.layout.grid.centers(axis).astype(np.float32) for axis in ("x", "y"))
    return t, x, y, np.random.default_rng(0).random((3, 5, 6, 4, 2), dtype=np.float32)


@pytest.fixture(scope="module")
def expected(plane, states, tmp_path_factory):
    """The observations of plain arrays."""
    t, x, y, data = states
    path = tmp_path_factory.mktemp("plain") / "mine.npz"
    np.savez(path, t=t, x=x, y=y, u=data[..., 0], v=data[..., 1])
    section = {"time": "t", "axes": {"x": "x", "y": "y"}, "fields": {"u": "u", "v": "v"}, "simulation": "run"}
    return hyco.read_measurements(path, plane, section, BOTH)


def tensor(file, t, x, y, data):
    """`pdebench/data_gen/data_gen_NLE/Data_Merge.py`, with an axis of fields, and the edges of times."""
    file["tensor"] = data
    file["t-coordinate"] = np.append(t, t[-1] + 0.5)
    file["x-coordinate"], file["y-coordinate"] = x, y
    file.attrs["nu"] = 0.1


def one_array_each(file, t, x, y, data):
    """The same, of several fields."""
    for i, name in enumerate(("density", "Vx")):
        file[name] = data[..., i]
    file["t-coordinate"], file["x-coordinate"], file["y-coordinate"] = t, x, y


def groups(file, t, x, y, data):
    """`pdebench/data_gen/gen_diff_react.py`."""
    for i in (2, 0, 1):
        group = file.create_group(f"{i:04d}")
        group.create_dataset("data", data=data[i], dtype="float32", compression="lzf")
        for name, values in (("x", x), ("y", y), ("t", t)):
            group.create_dataset(f"grid/{name}", data=values, dtype="float32", compression="lzf")
        group.attrs["config"] = "sim: {}"


def well(file, t, x, y, data, varying=True, name="velocity"):
    """https://github.com/PolymathicAI/the_well, docs/data_format.md."""
    file.attrs["dataset_name"], file.attrs["grid_type"] = "mine", "cartesian"
    file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = 2, len(data)
    dimensions = file.create_group("dimensions")
    dimensions.attrs["spatial_dims"] = ["x", "y"]
    for axis, values in (("time", t), ("x", x), ("y", y)):
        dimensions[axis] = values
        dimensions[axis].attrs["sample_varying"] = False
        dimensions[axis].attrs["time_varying"] = False
    for axis in ("x", "y"):
        boundary = file.create_group(f"boundary_conditions/{axis}_periodic")
        boundary.attrs["associated_dims"], boundary.attrs["bc_type"] = [axis], "PERIODIC"
        boundary["mask"] = np.arange(len(dimensions[axis])) % (len(dimensions[axis]) - 1) == 0
    for group, field, values in (("t0_fields", "density", data[..., 0]), ("t1_fields", name, data)):
        file[f"{group}/{field}"] = values
        file[group].attrs["field_names"] = [field]
        attributes = file[f"{group}/{field}"].attrs
        attributes["dim_varying"], attributes["sample_varying"], attributes["time_varying"] = [True] * 2, True, True
    file.create_group("t2_fields").attrs["field_names"] = np.array([], dtype="S1")


def observed(tmp_path, write, states, plane, section, observation=BOTH, ending="hdf5", **changes):
    path = tmp_path / f"mine.{ending}"
    with h5py.File(path, "w") as file:
        write(file, *states, **changes)
    return hyco.read_measurements(path, plane, {"simulation": "run"} | section, observation)


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("values", "mask", "initial_states"))


@pytest.mark.parametrize("format_", ["auto", "named"])
@pytest.mark.parametrize(
    ("write", "layout", "names"),
    [
        (tensor, "pdebench", ("t-coordinate", "x-coordinate", "y-coordinate", "tensor:0", "tensor:1")),
        (one_array_each, "pdebench", ("t", "x", "y", "density", "Vx")),
        (groups, "pdebench", ("grid/t", "grid/x", "y", "data:0", "data:1")),
        (groups, "pdebench", ("time", "x", "y", "data:0", "data:1")),
        (well, "the_well", ("time", "x", "y", "density", "velocity y")),
        (well, "the_well", ("dimensions/time", "dimensions/x", "dimensions/y", "velocity:0", "t1_fields/velocity:1")),
    ],
)
def test_layouts_give_the_same_observations_as_plain_arrays(
    write, layout, names, format_, tmp_path, plane, states, expected
):
    time, x, y, u, v = names
    section = {"time": time, "axes": {"x": x, "y": y}, "fields": {"u": u, "v": v}}
    section["format"] = "auto" if format_ == "auto" else layout
    assert same(observed(tmp_path, write, states, plane, section), expected)


def test_a_layout_is_read_by_the_paths_of_its_arrays_where_the_section_has_those(
    tmp_path, plane, states, expected, caplog
):
    def spread(file, *parts):
        groups(file, *parts)
        for i, name in enumerate("uv"):
            file[f"0002/{name}"] = parts[-1][2, ..., i]

    names = {"time": "0002/grid/t", "axes": {"x": "0002/grid/x", "y": "0002/grid/y"}, "simulation": None}
    section = names | {"fields": {"u": "0002/u", "v": "0002/v"}}
    read = observed(tmp_path, spread, states, plane, section, {"train_sim": [0]})
    assert torch.equal(read.values[0], expected.values[1])
    assert "has the layout" not in caplog.text
    section = {"time": "t-coordinate", "axes": {"x": "x-coordinate", "y": "y-coordinate"}, "format": "array"}
    section["fields"] = {"u": "density", "v": "Vx"}
    assert same(observed(tmp_path, one_array_each, states, plane, section), expected)
    assert "has the layout" not in caplog.text


def test_one_dimension_and_one_field_need_no_index(tmp_path, states):
    t, x, _, data = states
    line = hyco.equation(
        {
            "name": "burgers",
            "domain": {"x": SPACE["x"]},
            "dt": 0.5,
            "max_speed": 2.0,
            "parameters": {"viscosity": 0.1},
        }
    )

    def one(file, t, x, data):
        file["tensor"], file["x-coordinate"], file["t-coordinate"] = data, x, np.append(t, 2.5)

    def grouped(file, t, x, data):
        for i, part in enumerate(data):
            file[f"{i:04d}/data"], file[f"{i:04d}/grid/x"], file[f"{i:04d}/grid/t"] = part[..., None], x, t

    for write, name in ((one, "tensor"), (grouped, "data")):
        section = {"axes": {"x": "x"}, "fields": {"velocity x": name}}
        read = observed(tmp_path, write, (t, x, data[:, :, :, 0, 0]), line, section)
        assert torch.equal(read.values[:, :, 0], torch.from_numpy(data[[0, 2], :, :, 0, 0]).double())


def test_what_does_not_vary_is_repeated_and_times_may_vary_by_trajectory(tmp_path, plane, states):
    data = states[-1]

    def constant(file, t, x, y, data):
        well(file, t, x, y, data)
        del file["t0_fields/density"], file["dimensions/time"]
        file["t0_fields/density"] = data[0, :, :, 0, 0]
        attributes = file["t0_fields/density"].attrs
        attributes["dim_varying"], attributes["sample_varying"], attributes["time_varying"] = [True, False], False, True
        file["dimensions/time"] = np.stack([t, t, 2 * t])
        file["dimensions/time"].attrs["sample_varying"] = True

    section = {"axes": {"x": "x", "y": "y"}, "fields": {"u": "density", "v": "velocity x"}}
    read = observed(tmp_path, constant, states, plane, section)
    assert read.values.shape == (2, 9, 2, 6, 4)
    assert torch.equal(read.values[1, ::2], read.values[1, ::2].where(read.mask[1, ::2], torch.nan))
    assert read.mask[1, ::2].all()
    assert not read.mask[1, 1::2].any()
    assert torch.equal(read.values[0, :5, 0], torch.from_numpy(data[0, :, :, :1, 0]).double().expand(5, 6, 4))
    assert torch.equal(read.values[1, ::2, 1], torch.from_numpy(data[2, ..., 0]).double())


@pytest.mark.parametrize(
    ("write", "change", "message"),
    [
        (tensor, lambda f: f.move("tensor", "u"), r"fields.u: there is no variable 'tensor:0'; there are u:0, u:1"),
        (tensor, lambda f: f.pop("x-coordinate"), "format is pdebench, but the file has not its layout; it has t-c"),
        (tensor, lambda f: f.pop("t-coordinate"), "time: there is no variable 'time'"),
        (tensor, lambda f: replaced(f, "x-coordinate", np.arange(5)), r"tensor has the shape \[3, 5, 6, 4, 2\], the"),
        (tensor, lambda f: replaced(f, "t-coordinate", np.arange(4)), r"the layout has the axes simulation \(any\), t"),
        (groups, lambda f: f["0002"].pop("data"), "there are no numbers 0002/data"),
        (groups, lambda f: f["0002/grid"].pop("t"), "there are no numbers 0002/grid/t"),
        (
            groups,
            lambda f: replaced(f, "0002/data", np.zeros((4, 6, 4, 2))),
            "data:0 has the shapes .4, 6, 4. and .5, 6, 4.",
        ),
        (well, lambda f: f["dimensions"].attrs.pop("spatial_dims"), "dimensions has no attribute spatial_dims"),
        (well, lambda f: f.attrs.modify("n_trajectories", 4), "different numbers of trajectories: t0_fields/density 3"),
        (well, lambda f: replaced(f, "dimensions/x", np.arange(5)), "t0_fields/density has the shape"),
    ],
)
def test_what_is_not_as_the_layout_says_is_named(write, change, message, tmp_path, plane, states):
    def changed(file, *parts):
        write(file, *parts)
        change(file)

    fields = {tensor: "tensor:{}", groups: "data:{}", well: "velocity:{}"}[write]
    section = {"axes": {"x": "x", "y": "y"}, "fields": {"u": fields.format(0), "v": fields.format(1)}}
    if write is well:
        section["fields"]["u"] = "density"
    section["format"] = "the_well" if write is well else "pdebench"
    with pytest.raises(hyco.MeasurementError, match=message):
        observed(tmp_path, changed, states, plane, section, {"train_sim": [0, 1, 2]})


def replaced(file, name, values):
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def test_trajectories_need_a_word_and_those_that_are_not_asked_for_are_not_read(
    tmp_path, plane, states, expected, caplog
):
    section = {"axes": {"x": "x", "y": "y"}, "fields": {"u": "data:0", "v": "data:1"}}
    with pytest.raises(
        hyco.MeasurementError, match="neither time nor axes depend on simulation: name it as simulation"
    ):
        observed(tmp_path, groups, states, plane, section | {"simulation": None}, {"train_sim": [0]})
    with pytest.raises(hyco.MeasurementError, match="asks for simulation 3, but the file has 3"):
        observed(tmp_path, groups, states, plane, section, {"train_sim": [3]})

    def damaged(file, *parts):
        groups(file, *parts)
        file.move("0001/data", "0001/lost")

    with pytest.raises(hyco.ConfigurationError, match=r"'data:0' is simulation and fields\.u"):
        observed(tmp_path, groups, states, plane, section | {"simulation": "data:0"})
    with pytest.raises(hyco.MeasurementError, match="simulation: 'data:1' is an array of the file"):
        observed(tmp_path, groups, states, plane, section | {"fields": {"u": "data:0"}, "simulation": "data:1"})
    assert same(observed(tmp_path, groups, states, plane, section), expected)
    assert "run: 1 of 3 simulations are in none of train_sim, val_sim and test_sim" in caplog.text


def test_another_boundary_than_the_files_is_told(tmp_path, states, caplog):
    box = {"name": "heat", "domain": SPACE, "boundary": "neumann", "dt": 0.5, "max_diffusivity": 0.1}
    plate = hyco.equation(box | {"parameters": {"diffusivity": 0.05}})
    section = {"axes": {"x": "x", "y": "y"}, "fields": {"temperature": "density"}}
    observed(tmp_path, well, states, plate, section)
    assert "the file says that x is periodic, the equation's boundary is not periodic" in caplog.text
