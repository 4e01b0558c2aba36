"""Damaged and altered files, of every format: refused in one line, or read as what is in them, never anything else.

What is in a file is told by the libraries of the formats, without any code of hyco. A bit that flips in a number and
leaves a number cannot be noticed where the format has no checksum: it is another good file, and read as such.
"""

import csv
import math
import warnings

import h5py
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import scipy.io
import xarray as xr
import zarr

import hyco

DT, CELLS = 0.1, 8
ROD = {
    "name": "heat",
    "domain": {"x": {"size": 1.0, "resolution": CELLS}},
    "boundary": "neumann",
    "dt": DT,
    "max_diffusivity": 0.1,
    "parameters": {"diffusivity": 0.01},
}
NAMES = {
    "h5": ("run/t", "run/x", "run/u"),
    "pdebench": ("t-coordinate", "x-coordinate", "tensor"),
    "groups": ("grid/t", "grid/x", "data"),
    "well": ("time", "x", "temperature"),
}
ENDINGS = {"pdebench": "hdf5", "groups": "hdf5", "well": "hdf5"}
TABLES = ("csv", "parquet", "npy")
FORMATS = ("csv", "parquet", "npy", "npz", "mat", "h5", "nc", "zarr", "pdebench", "groups", "well")


def table(t, x, u):
    times, places = np.meshgrid(t, x, indexing="ij")
    u = np.asarray(u)
    return pd.DataFrame({"t": times.ravel(), "x": places.ravel(), "u": u.reshape(times.shape).ravel()})


def write(kind, path, t, x, u):
    """A good file of times `[T]`, positions `[X]` and values `[T, X]`."""
    if kind == "csv":
        table(t, x, u).to_csv(path, index=False)
    elif kind == "parquet":
        table(t, x, u).to_parquet(path)
    elif kind == "npy":
        np.save(path, table(t, x, u).to_records(index=False))
    elif kind == "npz":
        np.savez(path, t=t, x=x, u=u)
    elif kind == "mat":
        scipy.io.savemat(path, {"t": t, "x": x, "u": u})
    elif kind in ("nc", "zarr"):
        dataset = xr.Dataset({"u": (("t", "x"), u)}, coords={"t": t, "x": x})
        dataset.to_netcdf(path, engine="h5netcdf") if kind == "nc" else dataset.to_zarr(path, mode="w")
    else:
        with h5py.File(path, "w") as file:
            _write_hdf5(kind, file, t, x, u)


def _write_hdf5(kind, file, t, x, u):
    if kind == "h5":
        file["run/t"], file["run/x"], file["run/u"] = t, x, u
    elif kind == "pdebench":
        file["t-coordinate"], file["x-coordinate"], file["tensor"] = t, x, u[None]
    elif kind == "groups":
        file["0000/data"], file["0000/grid/t"], file["0000/grid/x"] = u[..., None], t, x
    else:
        file.attrs["n_trajectories"] = 1
        file["dimensions/time"], file["dimensions/x"], file["t0_fields/temperature"] = t, x, u[None]
        file["dimensions"].attrs["spatial_dims"] = ["x"]


def content(kind, path):
    """Times, positions and values `[n]` as the library of the format reads them."""
    if kind == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        t, x, u = ([float(row[name] or "nan") for row in rows] for name in "txu")
    elif kind in ("parquet", "npy"):
        columns = pyarrow.parquet.read_table(path).to_pydict() if kind == "parquet" else np.load(path)
        t, x, u = (columns[name] for name in "txu")
    else:
        t, x, u = _arrays(kind, path)
        t = t[: len(u)] if len(t) == len(u) + 1 and kind in ("pdebench", "groups") else t  # edges
        u = np.asarray(u).reshape(-1) if np.shape(u) != (len(x), len(t)) else np.asarray(u).T.reshape(-1)
        t, x = np.repeat(t, len(x)), np.tile(x, len(t))
    return (np.array([math.nan if v is None else v for v in part], dtype=np.float64) for part in (t, x, u))


def _arrays(kind, path):
    if kind == "npz":
        arrays = np.load(path)
        return [np.ravel(arrays[name]) if name != "u" else arrays[name] for name in "txu"]
    if kind == "mat":
        arrays = scipy.io.loadmat(path)
        return [arrays[name].ravel() if name != "u" else arrays[name] for name in "txu"]
    if kind == "zarr":
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        return [group[name][...] for name in "txu"]
    names = {"nc": ("t", "x", "u"), "groups": ("0000/grid/t", "0000/grid/x", "0000/data")}
    names |= {"well": ("dimensions/time", "dimensions/x", "t0_fields/temperature")}
    with h5py.File(path) as file:
        return [np.squeeze(file[name][()]) for name in names.get(kind, NAMES.get(kind))]


def expected(t, x, u):
    """The states `[T+1, X]` that values in cells at multiples of dt are, NaN where there is none."""
    given = np.isfinite(u)
    start = np.nanmin(t)
    step, cell = np.rint((t - start) / DT)[given].astype(int), np.rint(x * CELLS - 0.5)[given].astype(int)
    states = np.full((step.max() + 1, CELLS), np.nan)
    states[step, cell] = u[given]
    return states


# What is done to arrays before a file is written.


def _entry(part, value):
    def change(random, data):
        data[part] = np.array(data[part])
        data[part].flat[random.integers(data[part].size)] = value

    return change


def _as(part, kind):
    def change(random, data):
        data[part] = np.round(data[part] * 4).astype(kind) if kind != "U" else np.char.mod("%r", data[part])

    return change


def _factor(part, factor):
    def change(random, data):
        data[part] = factor * data[part]

    return change


def _shuffled(part):
    def change(random, data):
        data[part] = random.permutation(data[part])

    return change


ALTERED = {
    "position_nan": _entry("x", np.nan),
    "time_nan": _entry("t", np.nan),
    "position_infinite": _entry("x", np.inf),
    "value_infinite": _entry("u", -np.inf),
    "value_nan": _entry("u", np.nan),
    "millimetres": _factor("x", 1000),
    "kilometres": _factor("x", 0.001),
    "times_negative": _factor("t", -1),
    "milliseconds": _factor("t", 1000),
    "all_missing": _factor("u", np.nan),
    "times_shuffled": _shuffled("t"),
    "positions_shuffled": _shuffled("x"),
    "position_outside": _entry("x", 1.5),
    "single_precision": lambda random, data: data.update({name: v.astype(np.float32) for name, v in data.items()}),
    "whole_numbers": _as("u", "i4"),
    "complex": _as("u", "c16"),
    "true_or_false": _as("u", "?"),
    "numbers_as_text": _as("u", "U"),
    "axes_swapped": lambda random, data: data.update(u=data["u"].T),
    "a_time_too_many": lambda random, data: data.update(t=np.append(data["t"], 9.0)),
    "a_place_too_few": lambda random, data: data.update(x=data["x"][:-1]),
}


# What is done to a file.


def _bytes_flipped(random, path):
    raw = bytearray(path.read_bytes())
    for place in random.integers(len(raw), size=4):
        raw[place] ^= 1 << random.integers(8)
    path.write_bytes(raw)


def _beginning_flipped(random, path):
    raw = bytearray(path.read_bytes())
    for place in random.integers(min(len(raw), 600), size=3):
        raw[place] = random.integers(256)
    path.write_bytes(raw)


def _cut_short(random, path):
    raw = path.read_bytes()
    path.write_bytes(raw[: random.integers(len(raw))])


def _empty(random, path):
    path.write_bytes(b"")


def _zeroed(random, path):
    raw = bytearray(path.read_bytes())
    first = random.integers(len(raw))
    raw[first : first + 64] = bytes(len(raw[first : first + 64]))
    path.write_bytes(raw)


DAMAGED = {
    "bytes_flipped": _bytes_flipped,
    "beginning_flipped": _beginning_flipped,
    "cut_short": _cut_short,
    "empty": _empty,
    "zeroed": _zeroed,
}


def _text_in_table(random, path):
    rows = path.read_text().splitlines()
    fields = rows[i := random.integers(1, len(rows))].split(",")
    fields[random.integers(3)] = random.choice(["fast", "1,5", "--", "0.1.2", "1e", "0x1F", "1 000", "None!"])
    rows[i] = ",".join(fields)
    path.write_text("\n".join(rows) + "\n")


def _renamed(random, path):
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"t,x,u", b"t,X,v"))


CASES = [(kind, name, 0) for kind in FORMATS for name in ALTERED]
CASES += [(kind, name, seed) for kind in FORMATS for name in DAMAGED for seed in range(1 if name == "empty" else 4)]
CASES += [("csv", name, seed) for name in ("text", "renamed") for seed in range(8 if name == "text" else 1)]
FAST = {(kind, name, 0) for kind, name in zip(FORMATS, [*DAMAGED, *ALTERED], strict=False)}
FAST |= {("csv", "text", 0), ("nc", "millimetres", 0), ("well", "axes_swapped", 0), ("zarr", "cut_short", 0)}


@pytest.fixture(scope="module")
def rod():
    return hyco.equation(ROD)


def test_there_are_two_hundred_mutations():
    assert len(CASES) >= 200


@pytest.mark.parametrize(
    ("kind", "name", "seed"),
    [
        pytest.param(*case, marks=[] if case in FAST else pytest.mark.study if case[-1] else pytest.mark.slow)
        for case in CASES
    ],
)
def test_a_mutation_is_refused_or_read_as_what_is_in_the_file(kind, name, seed, rod, tmp_path):
    random = np.random.default_rng([seed, *map(ord, kind + name)])
    data = {"t": DT * np.arange(5), "x": (np.arange(CELLS) + 0.5) / CELLS, "u": 1 + random.random((5, CELLS))}
    if name in ALTERED:
        ALTERED[name](random, data)
    path = tmp_path / f"mine.{ENDINGS.get(kind, kind)}"
    try:
        write(kind, path, **data)
    except (ValueError, TypeError, IndexError, pyarrow.ArrowException) as error:
        pytest.skip(f"no such file can be written: {error}")
    if name in DAMAGED:
        target = path
        if kind == "zarr":  # one of its files
            target = random.choice(sorted(part for part in path.rglob("*") if part.is_file()))
        DAMAGED[name](random, target)
    elif name not in ALTERED:
        {"text": _text_in_table, "renamed": _renamed}[name](random, path)
    time, place, value = NAMES.get(kind, ("t", "x", "u"))
    section = {"time": time, "axes": {"x": place}, "fields": {"temperature": value}, "std": 0.1}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            observations = hyco.read_measurements(path, rod, section, {"train_sim": [0]})
    except (hyco.MeasurementError, hyco.ConfigurationError) as refusal:
        lines = str(refusal).splitlines()
        assert len(lines) <= 3, lines
        assert all(line.startswith(f"{path}: ") and len(line) < 500 for line in lines), lines
        return
    t, x, u = content(kind, path)
    np.testing.assert_array_equal(np.sort(observations.values[observations.mask].numpy()), np.sort(u[np.isfinite(u)]))
    if observations.on_grid:
        states = np.where(observations.mask, observations.values, np.nan)[0, :, 0]
        np.testing.assert_array_equal(states, expected(t, x, u))
