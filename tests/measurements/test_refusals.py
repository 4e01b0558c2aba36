"""What cannot be meant is refused before anything is computed, in a line with file, column, row and what to do."""

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.io

import hyco

HEAD = "t,x,u\n"
ROWS = "0.0,1.0,0.5\n0.1,1.0,0.6\n0.2,2.5,0.7\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "0.0,1.0,0.5\n0.1,1.0,fast\n", "u, row 3: 'fast' is not a number"),
        ("t;x;u\n0,0;1,0;0,5\n0.1;1.0;0.6\n", "t, row 2: '0,0' is not a number; decimals need a point"),
        (HEAD + "0.0,1.0,0.5\n\n0.1,1.0,inf\n", "u, row 4: the value is infinite; leave it empty"),
        (HEAD + "0.0,1.0,0.5\n,1.0,0.6\n", "t, row 3: a value was measured, but t is missing"),
        (HEAD + "0.0,1.0,0.5\n0.1,,0.6\n", "x, row 3: a value was measured, but x is missing"),
        (HEAD + "0.0,1.0,\n0.1,1.0,\n", "u: there is no value at all"),
        (HEAD, "u: there is no value at all"),
        (HEAD + "0.0,1.0,0.5\n0.0,2.0,0.5\n", "nothing was measured after t = 0"),
        (HEAD + "0.0,1.0,\n0.1,2.0,0.5\n", "u: 1 value in the simulations of train_sim, at least 2 are needed"),
        ("0.0,1.0,0.5\n0.1,1.0,0.6\n", "the first line has to name the columns, it has numbers: 0.0,1.0,0.5"),
        ("", "the first line has to name the columns, it is empty"),
        ("t,x,u,u\n" + "0.0,1.0,0.5,1\n", "2 columns have the name 'u'"),
        (
            HEAD + "0.0,1.0,0.5\n0.1,1.0,0.5,7,8\n",
            "it is no table: Error tokenizing data",
        ),
        (HEAD + "0,0,1,0,0,5\n0,1,1,0,0,5\n", "row 2 has more fields than the first line has names (3)"),
        ("t x u\n0.0 1.0\n", "row 2 has 2 values, but there are 3 names"),
        ("# t x\n0.0 1.0 0.5\n", "the line above the numbers has to name 3 columns: # t x"),
        (HEAD + "soon,1.0,0.5\n", "t, row 2: 'soon' is neither a number nor a date such as"),
        (HEAD + "3/6/2024,1.0,0.5\n", "t, row 2: '3/6/2024' does not tell day from month, nor does any other entry"),
        (HEAD + "31.12.2024,1.0,0.5\n32.12.2024,1.0,0.5\n", "t, row 3: '32.12.2024' is neither a number nor a date"),
    ],
)
def test_what_stands_in_a_table_is_named_by_column_and_row(text, message, refusal):
    told = refusal(text)
    assert message in told
    assert "mine.csv: " in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fields": {"velocity_x": "U"}},
            "fields.velocity_x: there is no column 'U'; there are t, x, u (did you mean u?)",
        ),
        ({"time": "tim"}, "time: there is no column 'tim'"),
        ({"axes": {"x": "pos"}}, "axes.x: there is no column 'pos'"),
        ({"simulation": "run"}, "simulation: there is no column 'run'"),
        ({"std": "u_std"}, "std (u_std): there is no column 'u_std'"),
        ({"fields": {"speed": "u"}}, "fields: the equation has no channel 'speed'; it has velocity_x"),
        ({"axes": {"x": "x", "y": "y"}}, "axes: the domain has no axis 'y'; it has x"),
        ({"axes": {"z": "x"}}, "axes: x is missing"),
        ({"std": {"pressure": 0.1}}, "std: the equation has no channel 'pressure'"),
        (
            {"scale": {"X": 2.0}},
            "'X' is no time, axis or channel; allowed: time, x, velocity_x (did you mean x?)",
        ),
        ({"time": None}, "time: name what holds the times"),
        ({"start": 0.1}, "t, row 2: this is 0.1 before start"),
        ({"start": "soon"}, "start: 'soon' is no number"),
        ({"format": "array"}, "format is array, but .csv is of kind table: say auto"),
        ({"format": "the_well"}, "format is the_well, a layout of files that end in .h5, .hdf5"),
        ({"initial": {"velocity_x": "sin(y)"}}, "initial.velocity_x: 'sin(y)': unknown name y"),
        ({"initial": {"velocity_x": "log(x - 3)"}}, "initial: the formulas are not finite everywhere"),
        ({"initial": {}}, "initial: formulas of velocity_x are missing"),
    ],
)
def test_a_section_that_does_not_fit_says_what_is_there(changes, message, refusal):
    assert message in refusal(HEAD + ROWS, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "measurements.colour: unknown key (value 'red'); allowed: axes, "),
        ({"std": -0.1}, "measurements.std"),
        ({"scale": {"time": -1.0}}, "scale.time must be positive, got -1"),
        ({"scale": {"velocity x": 0.0}}, "scale.velocity_x must be other than 0"),
        ({"initial": {"velocity_x": "sin(x"}}, "is not a formula"),
        ({"axes": {}}, "measurements.axes"),
        ({"file": "another.csv"}, "measurements.file: 'another.csv' is not the file"),
    ],
)
def test_a_wrong_key_is_an_error_of_the_configuration(changes, message, read):
    with pytest.raises(hyco.ConfigurationError) as error:
        read(HEAD + ROWS, **changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ({"train_sim": [0], "noise": 0.1}, "observation.noise is for simulations: measurements.std says it"),
        ({"train_sim": [0], "space": {"mode": "full"}}, "observation.space is for simulations: the file says where"),
        ({"train_sim": [1]}, "observation asks for simulation 1, but measurements.simulation is null"),
        ({"train_sim": [0], "initial_state": "exact"}, "initial_state: exact needs measurements.initial"),
        ({"train_sim": [0], "initial_state": "full"}, "full needs one value of each channel in every cell at t = 0"),
    ],
)
def test_what_the_observation_asks_must_be_in_the_file(observation, message, refusal):
    assert message in refusal(HEAD + ROWS, observation)


def test_every_problem_of_the_sections_has_its_line(refusal):
    told = refusal(HEAD + ROWS, {"train_sim": [0], "noise": 1.0}, fields={"speed": "u"}, scale={"q": 2.0})
    assert len(told.splitlines()) == 3
    assert all("mine.csv: " in line for line in told.splitlines())


def test_a_file_that_is_not_there_names_a_similar_one(tools, equation, tmp_path):
    (tmp_path / "mine.csv").write_text(HEAD + ROWS)
    for name, message in (
        ("mein.csv", r"there is no such file \(did you mean mine.csv\?\)"),
        ("mine.xls", "there is no such file"),
        ("", "is no file"),
    ):
        with pytest.raises(ValueError, match=message):
            hyco.read_measurements(tmp_path / name, equation, tools.SECTION, tools.TRAIN)
    (tmp_path / "mine.xls").write_text(HEAD)
    with pytest.raises(ValueError, match=r"files that end in '.xls' cannot be read; allowed: .csv, .parquet"):
        hyco.read_measurements(tmp_path / "mine.xls", equation, tools.SECTION, tools.TRAIN)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (["0.1", "0", "0.1"], "s, row 3: the standard deviation is 0, it must be positive"),
        (["0.1", "", "0.1"], "s, row 3: the standard deviation is missing where there is a value"),
        (["0.1", "-0.2", "0.1"], "s, row 3: the standard deviation is -0.2, it must be positive"),
    ],
)
def test_standard_deviations_must_be_positive(sigma, message, refusal):
    rows = "".join(f"{line},{s}\n" for line, s in zip(ROWS.splitlines(), sigma, strict=True))
    assert message in refusal("t,x,u,s\n" + rows, std="s")


def test_positions_beyond_a_wall_are_refused_with_a_guess_at_the_unit(tmp_path):
    heat = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 10.0, "resolution": 8}},
            "boundary": "neumann",
            "dt": 0.1,
            "max_diffusivity": 1.0,
            "parameters": {"diffusivity": 0.1},
        }
    )
    section = {"axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": 0.1}
    path = tmp_path / "mine.csv"
    path.write_text("time,x,T\n0.0,500,1\n0.1,9500,2\n")
    with pytest.raises(ValueError, match=r"x, row 2: positions: .* multiplied by 0.001 all lie inside: mm or m\?"):
        hyco.read_measurements(path, heat, section, {"train_sim": [0]})
    hyco.read_measurements(path, heat, section | {"scale": {"x": 1e-3}}, {"train_sim": [0]})


def test_positions_over_many_periods_are_refused_where_a_unit_explains_them(refusal, read, caplog):
    text = "x: positions reach over 5000, the period of x is 6; multiplied by 0.001 all lie inside: mm or m?"
    assert text in refusal(HEAD + "0.0,500,1\n0.1,5500,2\n")
    read(HEAD + "0.0,1,1\n0.1,8,2\n")
    assert "positions reach over 7, the period of x is 6; they are wrapped" in caplog.text


def test_zeros_that_look_like_missing_values_are_asked_about(tools, run, read, caplog):
    x, t, u = run
    read(tools.table(x, t, np.where(np.isnan(u), 0.0, u)))
    assert "values are exactly 0 and hardly any other is close to it: are they missing values?" in caplog.text
    caplog.clear()
    read(tools.table(*run))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_constant_channel_and_a_narrow_range_are_told(read, caplog):
    read(HEAD + "0.0,1.00,3\n0.1,1.01,3\n")
    assert "u: all 2 values are 3" in caplog.text
    assert "positions reach over 0.01 only, the domain over 6: is scale.x right?" in caplog.text


def test_rows_that_are_there_twice_are_told(tools, run, read, caplog):
    frame = tools.table(*run)
    read(pd.concat([frame, frame[3:5]]))
    assert "row 706: 2 measurements repeat earlier ones to the last digit" in caplog.text


def test_times_of_another_unit_do_not_fill_the_memory(refusal):
    assert "is scale.time right?" in refusal(HEAD + "0.0,1,1\n1e9,2,2\n")


def test_a_test_trajectory_needs_a_beginning(refusal):
    text = "run,t,x,u\n0,0.0,1,1\n0,0.1,1,2\n1,0.1,1,1\n"
    assert "nothing of simulation 1 was measured at t = 0" in refusal(
        text, {"train_sim": [0], "test_sim": [1]}, simulation="run"
    )


def test_trajectories_that_nobody_asked_for_are_told(read, refusal, caplog):
    text = "run,t,x,u\nA,0.0,1,1\nA,0.1,1,2\na,0.1,1,1\n"
    read(text, {"train_sim": [0]}, simulation="run")
    assert "run: 1 measurements of 1 of 2 simulations are in none of train_sim, val_sim and test_sim" in caplog.text
    assert "asks for simulation 2, but the file has 2, counted from 0" in refusal(
        text, {"train_sim": [0], "val_sim": [2]}, simulation="run"
    )


def test_noise_is_known_of_all_channels_or_of_none(tmp_path):
    gray_scott = hyco.equation(
        {
            "name": "gray_scott",
            "domain": {"x": {"size": 1.0, "resolution": 8}},
            "dt": 1.0,
            "parameters": {"feed": 0.04, "kill": 0.06, "diffusivity_u": 2e-5, "diffusivity_v": 1e-5},
        }
    )
    first, second = gray_scott.layout.channels
    path = tmp_path / "mine.csv"
    path.write_text("time,x,a,b\n0,0.1,1,0.5\n1,0.1,0.9,0.6\n")
    section = {"axes": {"x": "x"}, "fields": {first: "a", second: "b"}}
    with pytest.raises(ValueError, match=f"std: it is given for some channels but not for {second}"):
        hyco.read_measurements(path, gray_scott, section | {"std": {first: 0.1}}, {"train_sim": [0]})
    hidden = hyco.read_measurements(path, gray_scott, section | {"fields": {first: "a"}}, {"train_sim": [0]})
    assert hidden.initial_state == "observed"
    assert not hidden.initial_states[:, 1].any()
    known = {"fields": {first: "a"}, "std": 0.1, "initial": {first: "1", second: "0.5*exp(-x)"}}
    observations = hyco.read_measurements(path, gray_scott, section | known, {"train_sim": [0]})
    assert observations.noise_std.tolist() == [0.1, 0.0]
    assert not observations.mask[:, :, 1].any()


@pytest.mark.parametrize("kept", [0, 60, 130, 0.8, 0.99])
def test_a_file_of_matlab_that_is_cut_short_is_refused(kept, equation, tools, tmp_path):
    path = tmp_path / "mine.mat"
    scipy.io.savemat(path, {name: np.arange(1000.0) for name in ("t", "x", "u")})
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(hyco.MeasurementError, match=r"mine\.mat: it cannot be read as a file of MATLAB"):
        hyco.read_measurements(path, equation, tools.SECTION, tools.TRAIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": "u"}, "'u' is time and fields.velocity_x: a column or variable is one of them"),
        ({"axes": {"x": "t"}}, "'t' is time and axes.x"),
        ({"std": -1}, "-1 is not allowed; allowed: a positive number, a name, or estimate"),
        ({"std": {"velocity x": 0.0}}, "0.0 is not allowed; allowed: a positive number"),
        ({"std": True}, "true is not allowed"),
    ],
)
def test_a_section_that_cannot_be_meant_is_one_line(refusal, tools, run, changes, message):
    said = refusal(tools.table(*run), **changes)
    assert message in said
    assert len(said.splitlines()) == 1


def test_values_that_stand_for_missing_ones_are_asked_about(read, tools, run, caplog):
    frame = tools.table(*run)
    frame.loc[70, "u"] = -9999.0
    read(frame)
    assert "1 of" in caplog.text
    assert "values are -9999, far from all others: are they missing values?" in caplog.text
