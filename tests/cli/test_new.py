"""`hyco new`: from a file to an experiment that runs as it is."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
import yaml


@pytest.fixture
def new(project, hyco):
    """Write a file, `hyco new` of it, and the sections that it wrote."""

    def function(name, *options, equation="heat"):
        chosen = () if equation is None else ("--equation", equation)
        done = hyco("new", "mine", "--from", f"data/01_raw/{name}", *chosen, *options)
        assert done.exit_code == 0, done.output
        sections = yaml.safe_load((project / "conf" / "mine" / "parameters.yml").read_text(encoding="utf-8"))
        return sections, done.output

    function.folder = project / "data" / "01_raw"
    return function


def test_scattered_sensors_are_understood(new, made):
    made["sensors"]().to_csv(new.folder / "plate.csv", index=False)
    sections, output = new("plate.csv")
    measurements = sections["measurements"]
    assert measurements["file"] == "data/01_raw/plate.csv"
    assert measurements["time"] == "time [h]"
    assert measurements["axes"] == {"x": "x_m", "y": "y_m"}
    assert measurements["fields"] == {"temperature": "T (degC)"}
    assert measurements["std"] == "estimate"
    equation = sections["equation"]
    assert equation["domain"]["x"] == {"lower": 0.0, "size": 3.0, "resolution": 32}
    assert equation["domain"]["y"] == {"lower": 0.0, "size": 2.0, "resolution": 20}
    assert (equation["dt"], equation["boundary"]) == ("auto", "neumann")
    assert sections["observation"]["initial_state"] == "observed"
    assert sections["observation"]["holdout"] == {"fraction": 0.2, "by": "points"}
    (learnt,) = sections["physical"]["learnable_parameters"]
    low, high = learnt["bounds"]
    # L²/T = 9/4, over four decades.
    assert high / low == pytest.approx(1e4)
    assert low < learnt["initial_guess"] < high
    assert high == pytest.approx(9 / 4, rel=0.2)
    assert "not used:   sensor" in output
    assert len(output.splitlines()) <= 15
    assert output.splitlines()[-1] == "hyco check --env mine; hyco --pipelines hybrid --env mine"


def test_every_guess_is_said_in_a_comment(new, made, project):
    made["sensors"]().to_csv(new.folder / "plate.csv", index=False)
    new("plate.csv")
    lines = (project / "conf" / "mine" / "parameters.yml").read_text().splitlines()
    for key in ("time:", "axes:", "fields:", "std:", "x: {lower", "boundary:", "- {name: diffusivity"):
        (line,) = (line for line in lines if line.strip().startswith(key))
        assert "check" in line.partition("#")[2], line


def test_positions_of_a_grid_are_the_centres_of_cells(new, made):
    made["flows"]().to_netcdf(new.folder / "flow.nc", engine="h5netcdf")
    sections, output = new("flow.nc", equation="burgers")
    assert sections["equation"]["domain"] == {"x": {"lower": 0.0, "size": 6.0, "resolution": 64}}
    assert sections["measurements"]["simulation"] == "run"
    assert sections["measurements"]["fields"] == {"velocity_x": "velocity"}
    observation = sections["observation"]
    assert (observation["train_sim"], observation["val_sim"], observation["test_sim"]) == ([0, 1], [2], [3])
    assert observation["initial_state"] == "full"
    assert "initial_state" not in sections["physical"]
    assert "values are missing" in output


def test_the_same_is_guessed_of_all_formats(new, made):
    one = made["flows"](simulations=1, missing=0.0).isel(run=0, drop=True)
    x, t, u = one["x"].to_numpy(), one["time"].to_numpy(), one["velocity"].to_numpy()
    one.to_dataframe().reset_index().to_csv(new.folder / "a.csv", index=False)
    one.to_dataframe().reset_index().to_parquet(new.folder / "a.parquet")
    one.to_netcdf(new.folder / "a.nc", engine="h5netcdf")
    one.to_netcdf(new.folder / "a.h5", engine="h5netcdf")
    np.savez(new.folder / "a.npz", time=t, x=x, velocity=u)
    scipy.io.savemat(new.folder / "a.mat", {"time": t[:, None], "x": x[:, None], "velocity": u})
    found = []
    for ending in ("csv", "parquet", "nc", "h5", "npz", "mat"):
        sections, _ = new(f"a.{ending}", "--force", equation="burgers")
        del sections["measurements"]["file"]
        found.append(sections)
    assert all(sections == found[0] for sections in found)
    assert found[0]["equation"]["domain"] == {"x": {"lower": 0.0, "size": 6.0, "resolution": 64}}


def grid(new, name, function, centres=True, **columns):
    """A table of a function of x and t on a grid, with a little noise."""
    n = 24
    x = (np.arange(n) + 0.5) / n if centres else np.linspace(0, 1, n + 1)
    t, x = np.meshgrid(np.linspace(0, 0.5, 6), x, indexing="ij")
    u = function(x, t) + 1e-3 * np.random.default_rng(0).standard_normal(x.shape)
    table = {"t": t.ravel(), "position": x.ravel(), "u": u.ravel()}
    pd.DataFrame(table | columns).to_csv(new.folder / name, index=False)


@pytest.mark.parametrize(
    ("function", "boundary"),
    [
        (lambda x, t: 4 + np.exp(-t) * np.cos(np.pi * x), "neumann"),
        (lambda x, t: np.exp(-t) * np.sin(2 * np.pi * x + 0.7), "periodic"),
        (lambda x, t: np.exp(-t) * np.sin(np.pi * x), {"x": 0.0}),
        (lambda x, t: 2 + 3 * x + 0.3 * np.exp(-t) * np.sin(np.pi * x), {"x": {"lower": 2.0, "upper": 5.0}}),
        (lambda x, t: np.exp(-t) * np.sin(np.pi * x / 2), {"x": {"lower": 0.0, "upper": "neumann"}}),
    ],
    ids=["insulated", "periodic", "cold", "held", "one of each"],
)
def test_walls_are_guessed_from_what_happens_at_the_ends(function, boundary, new):
    grid(new, "a.csv", function)
    assert new("a.csv")[0]["equation"]["boundary"] == boundary


@pytest.mark.parametrize("digits", [5, 6, 8])
def test_positions_rounded_as_they_were_written_are_centres_of_cells(new, hyco, digits):
    t, x = np.meshgrid(np.linspace(0, 1, 9), (np.arange(48) + 0.5) / 24, indexing="ij")
    u = np.exp(-t) * np.sin(np.pi * x + 0.7) + 1e-3 * np.random.default_rng(0).standard_normal(x.shape)
    frame = pd.DataFrame({"t": t.ravel(), "x": x.ravel(), "u": u.ravel()})
    frame.to_csv(new.folder / "a.csv", index=False, float_format=f"%.{digits}g")
    sections, output = new("a.csv")
    assert sections["equation"]["domain"]["x"] == {"lower": 0.0, "size": 2.0, "resolution": 48}
    assert (sections["equation"]["boundary"], sections["observation"]["initial_state"]) == ("periodic", "full"), output
    # What the draft says of the file is what a run finds there.
    checked = hyco("check", "--env", "mine")
    assert checked.exit_code == 0, checked.output


def test_where_both_ends_of_a_period_are_measured_it_is_one_distance_shorter(new):
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.sin(2 * np.pi * x + 0.7), centres=False)
    domain = new("a.csv", equation="burgers")[0]["equation"]["domain"]["x"]
    assert (domain["size"], domain["resolution"]) == (pytest.approx(1.0), 24 * 3)


@pytest.mark.parametrize(
    ("function", "boundary"),
    [
        (lambda x, t: np.exp(-t) * np.sin(np.pi * x) + 0.5 * np.exp(-9 * t) * np.sin(3 * np.pi * x), {"x": 0.0}),
        (lambda x, t: 4 + np.exp(-t) * np.cos(np.pi * x) + np.exp(-9 * t) * np.cos(3 * np.pi * x), "neumann"),
    ],
    ids=["cold", "insulated"],
)
def test_outermost_positions_on_the_walls_are_told_from_centres_of_cells(function, boundary, new):
    grid(new, "a.csv", function, centres=False)
    sections, output = new("a.csv")
    domain = {"lower": 0.0, "size": 1.0, "resolution": 48}
    assert (sections["equation"]["domain"]["x"], sections["equation"]["boundary"]) == (domain, boundary)
    assert "the outermost are on the walls" in output
    assert sections["observation"]["initial_state"] == "observed"


def test_columns_are_told_by_their_names(new):
    sigma = 0.01
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.cos(np.pi * x), u_std=sigma)
    frame = pd.read_csv(new.folder / "a.csv")
    frame.assign(number=frame.index, temperature=20 - frame["u"]).to_csv(new.folder / "a.csv", index=False)
    sections, _ = new("a.csv")
    assert sections["measurements"]["fields"] == {"temperature": "temperature"}
    frame.rename(columns={"t": "timestamp", "position": "lon"}).to_csv(new.folder / "b.csv", index=False)
    sections, _ = new("b.csv", "--force")
    assert sections["measurements"]["fields"] == {"temperature": "u"}
    assert sections["measurements"]["std"] == {"temperature": "u_std"}
    assert sections["measurements"]["axes"] == {"x": "lon"}


def test_columns_without_a_telling_name_are_told_by_their_numbers(new, project):
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.cos(np.pi * x))
    frame = pd.read_csv(new.folder / "a.csv")
    frame.columns = ["a", "b", "c"]
    frame.to_csv(new.folder / "a.csv", index=False)
    measurements = new("a.csv")[0]["measurements"]
    assert (measurements["time"], measurements["axes"], measurements["fields"]) == (
        "a",
        {"x": "b"},
        {"temperature": "c"},
    )
    assert "time: a   " in (project / "conf" / "mine" / "parameters.yml").read_text()
    assert "guessed from its values" in (project / "conf" / "mine" / "parameters.yml").read_text()


def test_sensors_that_have_a_column_each_stand_at_the_numbers_in_their_names(new):
    times = np.arange(6.0)
    random = np.random.default_rng(0)
    table = pd.DataFrame({"time": times} | {f"T_{d}cm": 12 + random.standard_normal(6) for d in (5, 12.5, 50)})
    table["humidity"] = 0.1 * times
    table.to_csv(new.folder / "logger.csv", index=False)
    sections, output = new("logger.csv")
    assert sections["measurements"]["axes"] == {"x": [5.0, 12.5, 50.0]}
    assert sections["measurements"]["fields"] == {"temperature": ["T_5cm", "T_12.5cm", "T_50cm"]}
    assert "not used:   humidity" in output


def logger(new, **columns):
    """`hyco new` with a formula of a table with a column for each sensor: its measurements, and what was said."""
    pd.DataFrame(columns).to_csv(new.folder / "logger.csv", index=False)
    sections, output = new("logger.csv", "--force", equation="T: D*laplace(T) - k*c; c: k*c")
    return sections["measurements"], output


def walk(count, seed):
    """Values that repeat, as they do with one decimal."""
    return np.round(12 + 0.1 * np.random.default_rng(seed).standard_normal(count).cumsum(), 1)


def test_sensors_whose_values_repeat_are_no_positions(new):
    columns = {f"T_{d}cm": walk(101, d) for d in (5, 10, 20)}
    found, _ = logger(new, time=np.arange(101.0), **columns)
    assert found["axes"] == {"x": [5.0, 10.0, 20.0]}
    assert found["fields"] == {"T": list(columns)}


def test_two_fields_of_sensors_in_columns_are_both_measured_where_their_places_are_the_same(new):
    columns = {f"{name} {d}": walk(9, 7) for name in "Tc" for d in (-10, -5, 0, 5)}
    found, _ = logger(new, time=np.arange(9.0), **columns)
    assert found["axes"] == {"x": [-10.0, -5.0, 0.0, 5.0]}
    assert found["fields"] == {"T": list(columns)[:4], "c": list(columns)[4:]}
    columns["c 6"] = columns.pop("c 5")
    found, output = logger(new, time=np.arange(9.0), **columns)
    assert list(found["fields"]) == ["T"]
    assert "hidden:     c, has other positions, unknown at t = 0" in output


def test_sensors_in_columns_may_be_of_several_trajectories(new):
    columns = {f"T-{d}": walk(18, d) for d in (5, 10)}
    for one, other in (("A", "B"), (3, 4)):
        found, _ = logger(new, tank=[one] * 9 + [other] * 9, time=[*range(9), *range(9)], **columns)
        assert (found["simulation"], found["axes"]) == ("tank", {"x": [5.0, 10.0]})
    found, output = logger(new, run=[1] * 18, time=np.arange(18), **columns)
    assert "simulation" not in found
    assert "not used:   run" in output


def test_a_column_without_a_value_was_not_measured(new):
    columns = {f"T_{d}": walk(9, d) for d in (5, 10)} | {"T_15": [np.nan] * 9}
    found, output = logger(new, time=np.arange(9.0), **columns)
    assert found["axes"] == {"x": [5.0, 10.0]}
    assert "not used:   T_15" in output
    found, output = logger(new, time=np.arange(9) // 3, x=np.arange(9) % 3, T=walk(9, 0), c=[np.nan] * 9)
    assert found["fields"] == {"T": "T"}
    assert "hidden:     c, never measured" in output


def test_neither_numbers_of_sensors_nor_positions_nor_the_only_values_tell_trajectories_apart(new):
    times, depths = (part.ravel() for part in np.meshgrid(np.arange(4.0), np.arange(8.0), indexing="ij"))
    for name in ("probe", "quantity", "below"):
        found, _ = logger(new, time=times, x=0 * times, T=walk(32, 1), **{name: depths})
        assert "simulation" not in found, name
    found, _ = logger(new, time=np.arange(8) // 4, x=np.arange(8) // 2 % 2, T=np.arange(8) % 2)
    assert found["fields"] == {"T": "T"}


def test_a_column_that_tells_repeated_places_and_times_apart_is_the_trajectory_whatever_it_is_called(new, project):
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.cos(np.pi * x))
    once = pd.read_csv(new.folder / "a.csv")
    dishes = [once.assign(dish=name, u=once["u"] * size) for name, size in (("left", 1.0), ("right", 2.0))]
    pd.concat(dishes).sample(frac=1.0, random_state=0).to_csv(new.folder / "a.csv", index=False)
    assert new("a.csv")[0]["measurements"]["simulation"] == "dish"
    assert "guessed from its values: tells 2" in (project / "conf" / "mine" / "parameters.yml").read_text()
    # Not where each place and time was measured once, whatever else there is.
    once.assign(dish=np.arange(len(once)) % 2).to_csv(new.folder / "a.csv", index=False)
    assert "simulation" not in new("a.csv", "--force")[0]["measurements"]


def test_a_week_is_a_time_beside_what_tells_trajectories_apart_and_the_parts_of_a_date_are_none(new):
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.cos(np.pi * x))
    once = pd.read_csv(new.folder / "a.csv").rename(columns={"t": "week"})
    plots = [once.assign(u=once["u"] * size).assign(plot=number) for number, size in enumerate((1.0, 2.0, 1.5), 1)]
    pd.concat(plots)[["plot", "week", "position", "u"]].to_csv(new.folder / "a.csv", index=False)
    measurements = new("a.csv")[0]["measurements"]
    assert (measurements["time"], measurements["simulation"]) == ("week", "plot")
    assert measurements["fields"] == {"temperature": "u"}
    # Told by the name of a time, not by the first column that has a name of a time.
    once.rename(columns={"week": "t"}).assign(day=1 + once.index % 3)[["day", "t", "position", "u"]].to_csv(
        new.folder / "a.csv", index=False
    )
    assert new("a.csv", "--force")[0]["measurements"]["time"] == "t"
    once.rename(columns={"week": "a"}).assign(month=3, day=1)[["a", "month", "day", "position", "u"]].to_csv(
        new.folder / "a.csv", index=False
    )
    assert new("a.csv", "--force")[0]["measurements"]["time"] == "a"


def test_values_that_stand_for_missing_ones_are_pointed_out(new):
    grid(new, "a.csv", lambda x, t: np.where((x > 0.9) & (t > 0.2), -999.0, np.cos(x)))
    frame = pd.read_csv(new.folder / "a.csv")
    frame["u"] = frame["u"].where(frame["u"] > -900, -999.0)
    frame.to_csv(new.folder / "a.csv", index=False)
    assert "u is -999 6 times: if these are missing values, leave them empty" in new("a.csv")[1]


def test_where_several_equations_fit_they_are_listed(project, hyco, new):
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.cos(np.pi * x))
    done = hyco("new", "mine", "--from", "data/01_raw/a.csv")
    assert done.exit_code == 2
    assert "--equation advection | advection_diffusion | burgers | heat | inviscid_burgers" in done.output
    assert not (project / "conf" / "mine").exists()


def test_one_that_fits_alone_is_taken(new):
    places = np.random.default_rng(0).uniform(-0.95, 0.95, (30, 2))
    frame = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "pressure": np.prod(1 - places**2, axis=1)})
    frame.to_csv(new.folder / "a.csv", index=False)
    sections, _ = new("a.csv", equation=None)
    assert sections["equation"]["name"] == "darcy"
    assert sections["measurements"]["time"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("../mine", "--from", "data/01_raw/a.csv"), "'../mine' is no name for an experiment"),
        (("base", "--from", "data/01_raw/a.csv"), "'base' is no name for an experiment"),
        (("heat", "--from", "data/01_raw/a.csv"), "conf/heat exists already: take another name, or --force"),
        (("mine", "--from", "data/01_raw/b.csv"), "data/01_raw/b.csv: there is no such file"),
        (("mine", "--from", "data/01_raw/a.xls"), "data/01_raw/a.xls: files that end in '.xls' cannot be read"),
        (("mine", "--from", "data/01_raw/bad.nc"), "data/01_raw/bad.nc: it cannot be read as NetCDF"),
        (("mine", "--from", "data/01_raw/words.csv"), "data/01_raw/words.csv: nothing looks like a position"),
        (("mine", "--from", "data/01_raw/a.csv", "--equation", "haet"), "unknown equation 'haet'; available: "),
        (("mine", "--from", "data/01_raw/a.csv", "--equation", "smoke"), "which equation smoke is not for"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, message, project, hyco, new):
    grid(new, "a.csv", lambda x, t: np.exp(-t) * np.cos(np.pi * x))
    (new.folder / "a.xls").write_text("t x u\n")
    (new.folder / "bad.nc").write_bytes(b"CDF\x01nothing")
    (new.folder / "words.csv").write_text("name,colour\nsand,red\nclay,blue\n")
    done = hyco("new", *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert sorted(p.name for p in (project / "conf").iterdir()) == ["base", "heat"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("plate", marks=pytest.mark.slow), "flow"])
def test_what_is_written_is_valid_and_reads_the_file(name, new, made, hyco):
    if name == "plate":
        made["sensors"](count=10, states=5).to_csv(new.folder / "a.csv", index=False)
        new("a.csv")
    else:
        made["flows"](simulations=3).to_netcdf(new.folder / "a.nc", engine="h5netcdf")
        new("a.nc", equation="burgers")
    done = hyco("check", "--env", "mine")
    assert done.exit_code == 0, done.output


def estimated(project, hyco, parameter):
    """`kedro run --pipelines physical` of what was written: value and standard deviation of a parameter."""
    done = hyco("--pipelines", "physical", "--env", "mine")
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads((project / "data" / "08_reporting" / "mine" / "report.json").read_text())
    entry = report["methods"]["physical"]["parameters"][parameter]
    assert entry["identifiable"]
    return entry["estimate"], entry["std"]


# A newcomer: one file written, no line edited, two commands.


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_diffusivity_is_recovered_from_a_table_of_sensors_without_an_edit(project, hyco, new, made):
    made["sensors"]().to_csv(new.folder / "plate.csv", index=False)
    new("plate.csv")
    value, std = estimated(project, hyco, "diffusivity")
    assert abs(value - 0.05) < 3 * std
    assert std < 0.05 * 0.05


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_viscosity_is_recovered_from_netcdf_with_gaps_without_an_edit(project, hyco, new, made):
    made["flows"]().to_netcdf(new.folder / "flow.nc", engine="h5netcdf")
    new("flow.nc", equation="burgers")
    value, std = estimated(project, hyco, "viscosity")
    assert abs(value - 0.07) < 3 * std
    assert std < 0.05 * 0.07


def test_netcdf_names_its_dimensions(new):
    x, t = (np.arange(16) + 0.5) / 4, np.linspace(0, 1, 5)
    u = np.random.default_rng(0).random((3, 16, 5))
    xr.Dataset({"c": (("probe", "x", "t"), u)}, coords={"x": x, "t": t}).to_netcdf(new.folder / "a.nc")
    sections, _ = new("a.nc", equation="advection")
    assert sections["measurements"]["simulation"] == "probe"
    assert sections["measurements"]["fields"] == {"concentration": "c"}


def pdebench(path, x, t, u):
    """All trajectories in one array, and the edges of the times."""
    with h5py.File(path, "w") as file:
        file["tensor"] = u.astype(np.float32)
        file["x-coordinate"], file["t-coordinate"] = x.astype(np.float32), np.append(t, 2 * t[-1] - t[-2])


def pdebench_groups(path, x, t, u):
    """A group for each trajectory, with an axis of fields."""
    with h5py.File(path, "w") as file:
        for i, values in enumerate(u):
            file[f"{i:04d}/data"], file[f"{i:04d}/grid/x"], file[f"{i:04d}/grid/t"] = values[..., None], x, t


def the_well(path, x, t, u):
    """A vector of one component."""
    with h5py.File(path, "w") as file:
        file.attrs["n_trajectories"] = len(u)
        file["dimensions/time"], file["dimensions/x"] = t, x
        file["dimensions"].attrs["spatial_dims"] = ["x"]
        file["t1_fields/velocity"] = u[..., None]


@pytest.mark.parametrize(
    ("write", "names"),
    [
        (pdebench, ("t-coordinate", "x-coordinate", "tensor")),
        (pdebench_groups, ("grid/t", "grid/x", "data")),
        (the_well, ("time", "x", "velocity x")),
    ],
)
def test_layouts_of_benchmarks_are_drafted_as_they_are_read(write, names, new, made, hyco):
    t = np.linspace(0, 1, 11)
    x, _ = made["burgers"](0.0, t)
    write(new.folder / "mine.hdf5", x, t, np.stack([made["burgers"](shift, t)[1] for shift in (0.0, 1.0, 2.5)]))
    sections, _ = new("mine.hdf5", equation="burgers")
    measurements = sections["measurements"]
    assert (measurements["time"], measurements["axes"], measurements["simulation"]) == (
        names[0],
        {"x": names[1]},
        "trajectory",
    )
    assert measurements["fields"] == {"velocity_x": names[2]}
    assert sections["observation"]["test_sim"] == [2]
    done = hyco("check", "--env", "mine")
    assert done.exit_code == 0, done.output
    assert f"{3 * 11 * len(x)} of {3 * 11 * len(x)} values of {names[2]} used" in done.output
    assert "places:    cells of the grid" in done.output
