"""`hyco check`: what an experiment trains on what, or what is wrong with it."""

import numpy as np
import pytest


@pytest.fixture
def sensed(project, hyco, made):
    """An experiment on a table with a gap and a trajectory of which nothing is asked for."""
    frame = made["sensors"](count=8, states=5)
    frame.loc[11, "T (degC)"] = np.nan
    frame.to_csv(project / "data" / "01_raw" / "plate.csv", index=False)
    assert hyco("new", "plate", "--from", "data/01_raw/plate.csv", "--equation", "heat").exit_code == 0
    return project / "conf" / "plate" / "parameters.yml"


def test_measurements_are_counted_what_is_unknown_is_said_and_nothing_is_written(sensed, project, hyco):
    before = sorted(project.rglob("*"))
    done = hyco("check", "--env", "plate")
    assert sorted(project.rglob("*")) == before
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert len(lines) <= 12
    assert lines[0] == "plate: measurements in data/01_raw/plate.csv"
    assert "temperature: 39 of 40 values of T (degC) used, 1 missing" in lines[1]
    assert "σ from the residuals" in lines[1]
    text = done.output
    assert "dt:        0.2, 20 steps" in text
    of_dt = "dt is 1/5 of the time between measurements, so that the states between have none"
    assert f"5 of 21 states have measurements, the last at t = 4; {of_dt}" in text
    # A fifth of what was measured after t = 0: 31.
    assert "7 values held back by points, 32 left" in text
    assert "unknown:   diffusivity, " in text
    assert "t = 0:     unknown, prior: length_scale " in text
    assert " weights" in text
    assert "cost:      about physical " in text
    assert "threads: 1\n" in sensed.read_text(encoding="utf-8")
    assert text.rstrip().endswith("on 1 CPU thread(s)")


@pytest.mark.slow
def test_changes_of_the_command_line_count(sensed, hyco):
    changes = "equation.dt=0.5,measurements.std=0.05,observation.holdout=null,hybrid.strategy=auto"
    done = hyco("check", "--env", "plate", "--params", changes)
    assert "dt:        0.5, 8 steps" in done.output
    # A search for terms makes many fits.
    assert " more if terms are missing on 1 CPU thread(s)" in done.output
    assert "5 of 9 states have measurements" in done.output
    assert "σ 0.05" in done.output
    assert "judged by that alone" in done.output


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("measurements.time=hours", "data/01_raw/plate.csv: time: there is no column 'hours'; there are time [h]"),
        ("synthetic.epochs=0", "--params: synthetic.epochs: 0"),
        ("equation.domain.x.size=1.0", "data/01_raw/plate.csv: x_m, row "),
    ],
    ids=["a column", "a key", "a domain"],
)
def test_what_a_run_refuses_is_refused_in_the_same_words(params, message, sensed, hyco):
    done = hyco("check", "--env", "plate", "--params", params)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {message}")


START = "20 + 2*cos(pi*x/3) + 1.5*cos(pi*y/2) + cos(pi*x/3)*cos(pi*y/2) + 0.8*cos(2*pi*x/3)*cos(pi*y/2) + 0.7*cos(pi*x)"
PLATE = """
equation:
  name: heat
  domain: {{x: {{size: 3.0, resolution: 15}}, y: {{size: 2.0, resolution: 10}}}}
  boundary: neumann
  dt: 0.25
  order: {order}
measurements:
  file: data/01_raw/plate.csv
  time: time [h]
  axes: {{x: x_m, y: y_m}}
  fields: {{temperature: T (degC)}}
  std: 0.05
  start: 0.0
  initial: {{temperature: "{start}"}}
observation: {{train_sim: [0], initial_state: exact}}
physical:
  learnable_parameters: [{{name: diffusivity, initial_guess: 0.06, bounds: [0.01, 0.2]}}]
"""


@pytest.mark.parametrize("order", [2, "auto"])
def test_how_many_cells_the_measurements_deserve_is_said(order, project, hyco, made):
    made["sensors"](count=60, states=17).to_csv(project / "data" / "01_raw" / "plate.csv", index=False)
    (project / "conf" / "plate").mkdir()
    (project / "conf" / "plate" / "parameters.yml").write_text(PLATE.format(order=order, start=START))
    done = hyco("check", "--env", "plate")
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("grid:")]
    assert line.startswith("grid:      at the first guess the error of 15 × 10 cells is ")
    times = float(line.split(" is ")[1].split()[0])
    if order == 2:
        assert 0.5 < times < 20
        cells = [int(n) for n in line.split("about ")[1].split(" cells")[0].split(" × ")]
        assert cells[0] == pytest.approx(15 * (times / 0.5) ** 0.5, rel=0.1)
        assert line.endswith("would make it half of one")
    else:
        assert times < 0.5
        assert line.endswith("in diffusivity: they are enough")


@pytest.mark.slow
def test_simulations_are_told_likewise(project, hyco):
    done = hyco("check", "--env", "heat")
    assert done.exit_code == 0, done.output
    for line in (
        "heat: 8 simulations of 20 steps",
        "noise:     0.01 of the standard deviation",
        "times:     3 of 21 states are measured, the last at t = 0.5",
        "places:    points, count 60",
        "unknown:   diffusivity, 0.005 to 0.4, first guess 0.3",
        "t = 0:     known exactly",
        "judged by: train on simulation 0, 1, 2, 3; validate on simulation 4; test on simulation 5, 6, 7",
    ):
        assert line in done.output
    assert hyco("check", "--env", "haet").output.startswith("Error: there is no experiment 'haet'")


@pytest.mark.parametrize("content", ["- no mapping\n", "other: ${oc.env:NOWHERE}\n", "a: [\n"])
def test_globals_that_cannot_be_read_are_told_in_a_line(project, hyco, content):
    (project / "conf" / "heat" / "globals.yml").write_text(content, encoding="utf-8")
    done = hyco("check", "--env", "heat")
    assert done.exit_code == 1
    assert done.output.startswith("Error: the parameters cannot be read: ")
    assert done.output.count("\n") == 1
