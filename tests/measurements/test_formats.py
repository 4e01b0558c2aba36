"""The same measurements are the same observations, whatever the format of their file."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
import xarray as xr
import zarr

import hyco
from hyco.measurements.formats import FORMATS

NAMES = {"h5": {"time": "run/t", "axes": {"x": "run/x"}, "fields": {"velocity_x": "run/u"}}}


def same(a, b):
    """Whether observations are the same to the bit."""
    parts = ("values", "mask", "initial_states", "noise_std", "positions")
    assert (a.train, a.val, a.dt, a.initial_state) == (b.train, b.val, b.dt, b.initial_state)
    for name in parts:
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None and right is None) or torch.equal(left, right), name
    return True


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz", "npy", "mat", "h5", "nc", "zarr"])
def test_every_format_gives_the_same_observations(ending, tools, run, equation, tmp_path):
    x, t, u = run
    path = tmp_path / f"mine.{ending}"
    tools.WRITERS[ending](path, x, t, u)
    observations = hyco.read_measurements(path, equation, tools.SECTION | NAMES.get(ending, {}), tools.TRAIN)
    expected = hyco.Observations(
        values=np.nan_to_num(u)[None, :, None],
        mask=np.isfinite(u)[None, :, None],
        initial_states=u[None, :1],
        noise_std=np.array([tools.NOISE]),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=tools.DT,
        initial_state="full",
    )
    assert same(observations, expected)


def test_there_is_a_test_of_every_format(tools):
    assert {f".{ending}" for ending in tools.WRITERS} | {".hdf5"} == set(FORMATS) - {".tsv", ".txt", ".dat"}


def test_order_of_rows_does_not_matter(tools, run, read):
    frame = tools.table(*run)
    assert same(read(frame), read(frame.sample(frac=1.0, random_state=0)))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_understood(separator, tools, run, read):
    frame = tools.table(*run)
    assert same(read(frame.to_csv(index=False, sep=separator)), read(frame))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_understood(separator, tools, run, read, equation, tmp_path):
    frame = tools.table(*run)
    frame.to_csv(tmp_path / "mine.csv", sep=separator, decimal=",", index=False)
    observations = hyco.read_measurements(tmp_path / "mine.csv", equation, tools.SECTION, tools.TRAIN)
    assert same(observations, read(frame))


@pytest.mark.parametrize("names", ["above", "in the comment"])
def test_columns_between_spaces_under_comments_are_understood(names, tools, run, read, equation, tmp_path):
    frame = tools.table(*run).dropna()
    heading = " ".join(frame.columns)
    comments = "logger 3\n" + (heading if names == "in the comment" else "probes in a row")
    with (tmp_path / "mine.txt").open("w") as file:
        np.savetxt(file, frame.to_numpy(), header=comments)
    if names == "above":
        lines = (tmp_path / "mine.txt").read_text().splitlines()
        (tmp_path / "mine.txt").write_text("\n".join([*lines[:2], heading, *lines[2:]]) + "\n")
    observations = hyco.read_measurements(tmp_path / "mine.txt", equation, tools.SECTION, tools.TRAIN)
    assert same(observations, read(frame))


def test_rows_are_numbered_as_they_stand_in_the_file(refusal):
    told = refusal("# logger 3\nt;x;u\n0,0;1,0;0,5\n0,1;1,0;fast\n")
    assert "u, row 4: 'fast' is not a number" in told


def test_packed_netcdf_with_dates_is_decoded(tools, run, equation, tmp_path):
    x, t, u = run
    dates = pd.Timestamp("2024-05-31 13:00") + pd.to_timedelta(np.round(t * 3600), "s")
    dataset = xr.Dataset({"u": (("t", "x"), u)}, coords={"x": 1000 * x, "t": dates})
    packing = {"dtype": "int16", "scale_factor": 1e-4, "add_offset": 0.5, "_FillValue": -32768}
    dataset.to_netcdf(tmp_path / "mine.nc", engine="h5netcdf", encoding={"u": packing})
    scale = {"time": 1 / 3600, "x": 1e-3}
    section = tools.SECTION | {"scale": scale}
    observations = hyco.read_measurements(tmp_path / "mine.nc", equation, section, tools.TRAIN)
    assert torch.equal(observations.mask[0, :, 0], torch.from_numpy(np.isfinite(u)))
    np.testing.assert_allclose(observations.values[0, :, 0].numpy(), np.nan_to_num(u), atol=0.6e-4)


def test_single_precision_times_and_positions_are_understood(tools, run, equation, tmp_path):
    x, t, u = run
    np.savez(tmp_path / "mine.npz", t=t.astype(np.float32) + 100, x=x.astype(np.float32), u=u)
    observations = hyco.read_measurements(tmp_path / "mine.npz", equation, tools.SECTION, tools.TRAIN)
    assert observations.on_grid
    assert observations.steps == tools.STEPS


def test_classic_netcdf_and_matlab_73_are_read(tools, run, equation, tmp_path):
    x, t, u = run
    xr.Dataset({"u": (("t", "x"), u)}, coords={"x": x, "t": t}).to_netcdf(tmp_path / "mine.nc", engine="scipy")
    with h5py.File(tmp_path / "mine.mat", "w") as file:
        file["t"], file["x"], file["u"] = t[None], x[None], u.T  # MATLAB's u[t, x] on disk
    nc, mat = (
        hyco.read_measurements(tmp_path / f"mine.{ending}", equation, tools.SECTION, tools.TRAIN)
        for ending in ("nc", "mat")
    )
    assert same(nc, mat)


def test_trajectories_are_told_apart_by_labels_a_dimension_or_a_free_axis(tools, run, equation, tmp_path):
    x, t, u = run
    both = np.stack([u, u + 1])
    frames = [tools.table(x, t, part).assign(run=label) for part, label in zip(both[::-1], ("b", "a"), strict=True)]
    pd.concat(frames).to_csv(tmp_path / "mine.csv", index=False)
    np.savez(tmp_path / "mine.npz", t=t, x=x, u=both)
    xr.Dataset({"u": (("run", "t", "x"), both)}, coords={"t": t, "x": x}).to_netcdf(
        tmp_path / "mine.nc", engine="h5netcdf"
    )
    section = tools.SECTION | {"simulation": "run"}
    csv, npz, nc = (
        hyco.read_measurements(tmp_path / f"mine.{ending}", equation, section, {"train_sim": [0], "val_sim": [1]})
        for ending in ("csv", "npz", "nc")
    )
    assert same(csv, npz)
    assert same(csv, nc)
    assert csv.initial_states[0, 0, 0] < csv.initial_states[1, 0, 0]


def test_lists_of_equal_length_are_measurements_one_by_one(tools, run, equation, tmp_path, read):
    frame = tools.table(*run)
    scipy.io.savemat(tmp_path / "mine.mat", {name: frame[name].to_numpy() for name in frame})
    listed = hyco.read_measurements(tmp_path / "mine.mat", equation, tools.SECTION, tools.TRAIN)
    assert same(listed, read(frame))


def test_no_pickled_object_is_read(tools, equation, tmp_path):
    np.savez(tmp_path / "mine.npz", t=np.arange(3.0), x=np.arange(2.0), u=np.array([{}, None], dtype=object))
    with pytest.raises(ValueError, match="Python objects, which are not read"):
        hyco.read_measurements(tmp_path / "mine.npz", equation, tools.SECTION, tools.TRAIN)


def test_arrays_whose_axes_cannot_be_told_are_refused(tools, run, equation, tmp_path):
    x, t, u = run
    np.savez(tmp_path / "mine.npz", t=t, x=x, u=u[:, :-1])
    with pytest.raises(ValueError, match=r"u has the shape \[11, 63\], expected are the axes t \(11\), x \(64\)"):
        hyco.read_measurements(tmp_path / "mine.npz", equation, tools.SECTION, tools.TRAIN)
    np.save(tmp_path / "mine.npy", u)
    with pytest.raises(ValueError, match="says neither when nor where"):
        hyco.read_measurements(tmp_path / "mine.npy", equation, tools.SECTION, tools.TRAIN)


def test_dimensions_that_nothing_explains_are_refused(tools, run, equation, tmp_path):
    x, t, u = run
    members = xr.Dataset({"u": (("member", "t", "x"), np.stack([u, u]))}, coords={"t": t, "x": x})
    members.to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="neither time nor axes depend on member: name it as simulation"):
        hyco.read_measurements(tmp_path / "mine.nc", equation, tools.SECTION, tools.TRAIN)
    xr.Dataset({"u": ("x", u[0])}, coords={"t": t, "x": x}).to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"u has the dimensions \(x\), but t depends on t"):
        hyco.read_measurements(tmp_path / "one.nc", equation, tools.SECTION, tools.TRAIN)
    xr.Dataset({"u": (("t", "x"), u)}, coords={"x": x}).to_netcdf(tmp_path / "bare.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="t is a dimension without coordinates"):
        hyco.read_measurements(tmp_path / "bare.nc", equation, tools.SECTION, tools.TRAIN)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz", "npy", "mat", "h5", "nc", "zarr"])
def test_a_file_that_is_no_such_file_is_refused_by_its_name(ending, tools, equation, tmp_path):
    path = tmp_path / f"mine.{ending}"
    path.write_bytes(b"\xff\xfe\x00 nothing of the kind")
    with pytest.raises(ValueError, match=f"mine.{ending}: "):
        hyco.read_measurements(path, equation, tools.SECTION, tools.TRAIN)


@pytest.mark.parametrize("version", [2, 3])
def test_stores_of_both_versions_of_zarr_are_read(version, tools, run, equation, tmp_path):
    x, t, u = run
    dataset = xr.Dataset({"u": (("t", "x"), u)}, coords={"x": x, "t": t})
    dataset.to_zarr(tmp_path / "mine.zarr", zarr_format=version, consolidated=False)
    tools.WRITERS["nc"](tmp_path / "mine.nc", x, t, u)
    zarr, nc = (
        hyco.read_measurements(tmp_path / f"mine.{ending}", equation, tools.SECTION, tools.TRAIN)
        for ending in ("zarr", "nc")
    )
    assert same(zarr, nc)


def test_a_store_that_lacks_something_is_refused_or_told(tools, run, equation, tmp_path, caplog):
    path = tmp_path / "mine.zarr"

    def read():
        return hyco.read_measurements(path, equation, tools.SECTION, tools.TRAIN)

    path.mkdir()
    with pytest.raises(hyco.MeasurementError, match=r"mine\.zarr: it cannot be read as Zarr"):
        read()
    x, t, u = run
    dataset = xr.Dataset({"u": (("t", "x"), u)}, coords={"x": x, "t": t})
    dataset.to_zarr(path, mode="w", encoding={"u": {"chunks": (6, 64), "_FillValue": 0.0}}, zarr_format=2)
    (path / "u" / "1.0").unlink()
    assert not read().mask[0, 6:].any()
    assert "u: 1 of 2 chunks are not in the store: their entries are the fill value, 0.0" in caplog.text
    first = path / "u" / "0.0"
    first.write_bytes(first.read_bytes()[:20])
    with pytest.raises(hyco.MeasurementError, match=r"mine\.zarr: u cannot be read"):
        read()


def test_a_folder_and_a_file_are_told_apart(tools, equation, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.zarr").write_bytes(b"PK")
    for name, message in (("mine", "a folder is read only as a store of Zarr"), ("mine.zarr", "is no folder")):
        with pytest.raises(hyco.MeasurementError, match=message):
            hyco.read_measurements(tmp_path / name, equation, tools.SECTION, tools.TRAIN)


def test_no_pickled_object_of_a_store_is_read(tools, equation, tmp_path):
    group = zarr.open_group(tmp_path / "mine.zarr", mode="w", zarr_format=2)
    for name in ("t", "x", "u"):
        group.create_array(name, shape=(3,), dtype="f8")[:] = 0.0
        group[name].attrs["_ARRAY_DIMENSIONS"] = ["row"]
    meta = tmp_path / "mine.zarr" / "u" / ".zarray"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"compressor": {"id": "pickle"}}))
    with pytest.raises(hyco.MeasurementError, match="pickle"):
        hyco.read_measurements(tmp_path / "mine.zarr", equation, tools.SECTION, tools.TRAIN)
