"""Conventions of CF in NetCDF and Zarr: what is missing, packed numbers, dates, units, and names by meaning."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import hyco
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.source import load, units

FILES = ("nc", "zarr")


def write(dataset, path, encoding=None):
    if path.suffix == ".zarr":
        dataset.to_zarr(path, encoding=encoding or {}, consolidated=False)
    else:
        dataset.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def observed(dataset, path, equation, tools, encoding=None, **changes):
    write(dataset, path, encoding)
    return hyco.read_measurements(path, equation, tools.SECTION | changes, tools.TRAIN)


@pytest.fixture
def dataset(run):
    x, t, u = run
    return xr.Dataset({"u": (("t", "x"), u)}, coords={"x": x, "t": t})


@pytest.mark.parametrize("ending", FILES)
@pytest.mark.parametrize(
    "packing",
    [
        {"dtype": "int16", "scale_factor": 2.0**-10, "add_offset": 0.5, "_FillValue": -32768},
        {"dtype": "float32", "_FillValue": -999.0},
        {"dtype": "float64", "missing_value": 1e20, "_FillValue": None},
        {"dtype": "float64", "missing_value": 1e20, "_FillValue": 1e20},
        {"dtype": "int32", "scale_factor": 2.0**-20, "missing_value": -1, "_FillValue": -1},
    ],
)
def test_packed_and_missing_values_are_decoded(packing, ending, dataset, run, equation, tools, tmp_path):
    rounded = dataset.copy()
    if "scale_factor" in packing:  # a whole number of steps from the offset, so that nothing is lost
        step, offset = packing["scale_factor"], packing.get("add_offset", 0.0)
        rounded["u"] = np.round((dataset.u - offset) / step) * step + offset
    elif packing["dtype"] == "float32":
        rounded["u"] = dataset.u.astype(np.float32).astype(np.float64)
    read = observed(rounded, tmp_path / f"mine.{ending}", equation, tools, {"u": packing})
    assert torch.equal(read.mask[0, :, 0], torch.from_numpy(np.isfinite(run[2])))
    assert torch.equal(read.values[0, :, 0], torch.from_numpy(np.nan_to_num(rounded.u.to_numpy())))


@pytest.mark.parametrize("ending", FILES)
@pytest.mark.parametrize(
    "units_",
    ["days since 2024-05-31", "hours since 2024-05-31 06:00", "seconds since 1970-01-01", "minutes since 1999-1-1"],
)
def test_times_since_a_date_and_dates_are_the_same(units_, ending, dataset, equation, tools, tmp_path):
    dates = pd.Timestamp("2024-05-31 13:00") + pd.to_timedelta(np.round(dataset.t.to_numpy() * 3600), "s")
    dated = dataset.assign_coords(t=dates)
    scale = {"time": 1 / 3600}
    encoding = {"t": {"units": units_, "dtype": "float64"}}
    read = observed(
        dated, tmp_path / f"mine.{ending}", equation, tools, encoding, scale=scale, start="2024-05-31 13:00"
    )
    plain = observed(dataset, tmp_path / f"plain.{ending}", equation, tools)
    assert torch.equal(read.values, plain.values)
    assert torch.equal(read.mask, plain.mask)


def test_times_that_no_dates_can_be_told_of_are_refused_by_their_units(dataset, equation, tools, tmp_path):
    for i, (units_, calendar) in enumerate((("months since 2024-01-01", "standard"), ("days since never", "standard"))):
        odd = dataset.copy()
        odd["t"].attrs.update(units=units_, calendar=calendar)
        with pytest.raises(
            hyco.MeasurementError, match=rf"t \(units '{units_}', calendar '{calendar}'\) cannot be read"
        ):
            observed(odd, tmp_path / f"{i}.nc", equation, tools)


def test_times_in_units_alone_are_numbers(dataset, equation, tools, tmp_path):
    timed = dataset.copy()
    timed["t"].attrs["units"] = "hours"
    read = observed(timed, tmp_path / "mine.nc", equation, tools)
    assert torch.equal(read.values, observed(dataset, tmp_path / "plain.nc", equation, tools).values)


def test_what_is_not_asked_for_may_be_damaged(dataset, equation, tools, tmp_path):
    odd = dataset.assign(other=("t", dataset.t.to_numpy(), {"units": "days since never"}))
    assert observed(odd, tmp_path / "mine.nc", equation, tools).mask.any()


@pytest.mark.parametrize("ending", FILES)
def test_a_variable_is_found_by_what_it_means(ending, dataset, equation, tools, tmp_path, caplog):
    caplog.set_level("INFO")
    meant = dataset.rename(u="field_7")
    meant["field_7"].attrs["standard_name"] = "eastward_wind"
    meant["x"].attrs["long_name"] = "distance along the rod"
    path = tmp_path / f"mine.{ending}"
    names = {"fields": {"velocity x": "eastward_wind"}, "axes": {"x": "distance along the rod"}}
    read = observed(meant, path, equation, tools, **names)
    assert "eastward_wind is the standard_name of the variable field_7, which is read" in caplog.text
    assert torch.equal(read.values, observed(dataset, tmp_path / f"plain.{ending}", equation, tools).values)
    with pytest.raises(hyco.MeasurementError, match=r"no variable 'eastward_winds'.*did you mean eastward_wind\?"):
        hyco.read_measurements(
            path, equation, tools.SECTION | {"fields": {"velocity x": "eastward_winds"}}, tools.TRAIN
        )
    twice = meant.assign(field_8=meant.field_7)
    with pytest.raises(hyco.MeasurementError, match="eastward_wind is the standard_name of field_7, field_8: name the"):
        observed(twice, tmp_path / f"twice.{ending}", equation, tools, fields={"velocity x": "eastward_wind"})


def test_units_of_the_file_are_told_where_they_are_those_of_the_equation(dataset, run, tools, tmp_path):
    for name, unit in (("u", "m s-1"), ("x", "km"), ("t", "h")):
        dataset[name].attrs["units"] = unit
    path = tmp_path / "mine.nc"
    write(dataset, path)

    def told(file=path, **changes):
        config = MeasurementsConfig.model_validate(tools.SECTION | {"file": str(file)} | changes)
        return units(load(file, config), config)

    assert told() == {"time": "h", "x": "km", "velocity_x": "m s-1"}
    assert told(scale={"x": 1000.0}) == {"time": "h", "velocity_x": "m s-1"}
    dates = pd.Timestamp("2024-05-31") + pd.to_timedelta(np.arange(len(run[1])), "h")
    write(dataset.assign_coords(t=dates), tmp_path / "dates.nc")
    assert told(tmp_path / "dates.nc") == {"time": "s", "x": "km", "velocity_x": "m s-1"}
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        for name in ("t", "x", "u"):
            file[name] = dataset[name].to_numpy()
        file["u"].attrs["units"] = "m s-1"
    assert told(tmp_path / "mine.h5") == {"velocity_x": "m s-1"}
    tools.WRITERS["csv"](tmp_path / "mine.csv", *run)
    assert told(tmp_path / "mine.csv") == {}


def test_a_tables_columns_have_their_units_in_brackets(tmp_path):
    path = tmp_path / "rod.csv"
    path.write_text("t [min],x (m),temperature [degC] \n0,0.1,20\n1,0.1,21\n2,0.3,22\n", encoding="utf-8")
    names = path.read_text(encoding="utf-8").split("\n")[0].split(",")
    section = {"file": str(path), "time": names[0], "axes": {"x": names[1]}, "fields": {"T": names[2].strip()}}
    config = MeasurementsConfig.model_validate(section)
    assert units(load(path, config), config) == {"time": "min", "T": "degC"}
    scaled = MeasurementsConfig.model_validate(section | {"scale": {"time": 60.0}})
    assert units(load(path, scaled), scaled) == {"T": "degC"}


@pytest.mark.parametrize(
    ("time", "first", "columns", "expected"),
    [
        ("time [UTC]", "2024-05-31 13:00", ["T [K]"], {"time": "s", "T": "K"}),
        ("t [days since start]", "0.5", ["T [1/s]"], {"time": "days", "T": "1/s"}),
        ("t [h]", "0.5", ["T [5cm]", "T [10cm]"], {"time": "h"}),
        ("t [h]", "0.5", ["T [degC]", "T2 [K]"], {"time": "h"}),
        ("t [h]", "0.5", ["T1 [degC]", "T2 [degC]"], {"time": "h", "T": "degC"}),
    ],
)
def test_what_stands_in_brackets_may_be_no_unit(time, first, columns, expected, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(",".join([time, "x", *columns]) + "\n" + ",".join([first, "1", *["2"] * len(columns)]) + "\n")
    section = {"file": str(path), "time": time, "axes": {"x": "x"}, "fields": {"T": columns}}
    config = MeasurementsConfig.model_validate(section)
    assert units(load(path, config), config) == expected
