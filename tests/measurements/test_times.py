"""Times of measurements: at states, between them, and steps that are chosen by them."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

import hyco
from hyco.measurements.automatic_dt import automatic_dt
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.source import load
from hyco.measurements.survey import survey
from hyco.observations.checks import MeasurementError

HEAD = "t,x,u\n"


def test_a_time_between_states_belongs_to_the_next_one(read):
    """At a state is what is a millionth of dt (0.1) off; the order of the file does not matter."""
    rows = "0.33,2.0,0.7\n0.0,1.0,0.5\n0.301,1.5,0.6\n0.2,1.0,0.4\n0.10000001,1.0,0.3\n"
    observations = read(HEAD + rows)
    assert observations.steps == 4
    measured = observations.mask[0, :, 0]
    assert measured.sum(dim=1).tolist() == [1, 1, 1, 0, 2]
    assert observations.offsets[0, 4].tolist() == pytest.approx([-0.99, -0.7])
    assert not observations.offsets[0, :4].any()
    assert observations.values[0, 4, 0].tolist() == [0.6, 0.7]
    assert observations.positions[0, 4, :, 0].tolist() == [1.5, 2.0]


def test_rounding_of_single_precision_is_no_time_between_states(tools, run, equation, tmp_path):

    x, t, u = run
    np.savez(tmp_path / "mine.npz", t=t.astype(np.float32), x=x, u=u)
    observations = hyco.read_measurements(tmp_path / "mine.npz", equation, tools.SECTION, tools.TRAIN)
    assert observations.offsets is None
    assert observations.on_grid


def test_a_grid_of_values_between_states_becomes_points(tools, run, read):
    x, t, u = run
    frame = tools.table(x, t, u)
    observations = read(frame.assign(t=frame.t.where(frame.t == 0, frame.t - 0.03)))
    assert observations.initial_state == "full"
    assert not observations.on_grid
    assert observations.mask.sum() == np.isfinite(u).sum()
    later = observations.offsets[:, 1:][observations.mask[:, 1:, 0, : observations.positions.shape[2]]]
    assert torch.allclose(later, torch.tensor(-0.3).double())
    state = torch.from_numpy(tools.burgers(x, np.append(0.0, t[1:])))[None, :, None]
    read_back = observations.operator([0], 0, tools.STEPS)(state)
    exact = tools.burgers(x, np.append(0.0, t[1:] - 0.03))
    assert observations.mask[0, 5, 0].sum() == np.isfinite(u[5]).sum()
    at_cells = torch.from_numpy(exact[5][np.isfinite(u[5])])
    assert (read_back[0, 5, 0][observations.mask[0, 5, 0]] - at_cells).abs().max() < 0.1 * tools.NOISE


def test_the_step_that_fits_all_times_is_named(read, caplog):
    caplog.set_level(logging.INFO, logger="hyco")
    for rows, told in (
        ("0.0,1,1\n0.15,1,1\n0.4,1,2\n", "1 of 3 measurements are between states, which are read by cubic"),
        ("0.0,1,1\n0.15,1,1\n0.4,1,2\n", "with equation.dt: 0.05 all would be at states"),
        ("0.0,1,1\n0.33,1,1\n0.12,1,2\n", "with equation.dt: 0.03 all would be at states"),
    ):
        caplog.clear()
        read(HEAD + rows)
        assert told in caplog.text
    caplog.clear()
    read(HEAD + "".join(f"{t!r},1,{t!r}\n" for t in np.random.default_rng(0).random(20).tolist()))
    assert "measurements are between states" in caplog.text
    assert "equation.dt" not in caplog.text


def test_too_few_states_to_read_between_are_warned_of(read, caplog):
    read(HEAD + "0.0,1,1\n0.05,1,1\n0.17,1,2\n")
    assert "end after 2 step(s) of equation.dt = 0.1" in caplog.text
    assert "Make equation.dt smaller (0.0085, for instance)" in caplog.text
    caplog.clear()
    read(HEAD + "0.0,1,1\n0.1,1,1\n0.2,1,2\n")
    assert "equation.dt" not in caplog.text, "all are at states"


def test_a_test_trajectory_may_have_times_between_states(tools, run, read):
    x, t, u = run
    frames = [tools.table(x, t + 0.04 * (t > 0), u + shift).assign(run=shift) for shift in (0, 1)]
    observations = read(pd.concat(frames), {"train_sim": [0], "test_sim": [1]}, simulation="run")
    assert torch.equal(observations.values[1, 0, 0, : len(x)], torch.from_numpy(u[0] + 1))
    assert (observations.test_initial_states[0, 0] - torch.from_numpy(u[0] + 1)).abs().max() < 0.05  # less its noise


@pytest.mark.parametrize(
    ("times", "dt"),
    [
        (np.arange(0, 101) * 0.01, 0.01),  # states at all times
        ([0.0, 2.0], 0.1),  # a step of 2 is cut in 20
        ([0.0, 0.3, 0.5, 0.9], 0.1 / 3),  # nine steps of 0.1 are cut in three each: 27
        (np.arange(19) / 18, 1 / 36),  # 18 steps are too few
        (np.array([0.0, 0.3, 0.6, 0.9], dtype=np.float32), 0.3 / 7),  # rounding is none of a time: 3 steps, cut in 7
        ([0.0, *np.sqrt([2.0, 3.0, 5.0])], np.sqrt(5.0) / 50),  # no common divisor: 50 steps at least
        (np.sqrt(np.arange(0, 61)), np.sqrt(60.0) / 240),  # four for each of 60
        (np.random.default_rng(0).random(5000).cumsum(), None),  # 400 at most
        (np.arange(0, 2001) * 0.5, 2.5),  # a divisor, but 2000 steps
    ],
)
def test_a_step_is_chosen_by_the_times(times, dt):
    times = np.asarray(times)
    chosen = automatic_dt(times)
    assert chosen == pytest.approx(times.max() / 400 if dt is None else dt, rel=1e-6)
    assert automatic_dt(np.tile(times, 3)[::-1]) == chosen, "neither order nor replicates matter"


def test_a_step_for_nothing():
    assert automatic_dt(np.empty(0)) == 1.0
    with pytest.raises(MeasurementError, match=r"nothing was measured after t = 0, so that equation\.dt"):
        automatic_dt(np.zeros(3))


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz", "npy", "mat", "h5", "nc"])
def test_a_look_at_a_file_says_what_a_configuration_depends_on(ending, tools, run, tmp_path):
    path, (x, t, u) = tmp_path / f"mine.{ending}", run
    tools.WRITERS[ending](path, x, t + 5.0, u)
    prefix = "run/" if ending == "h5" else ""
    names = {"time": f"{prefix}t", "axes": {"x": f"{prefix}x"}, "fields": {"velocity x": f"{prefix}u"}}
    config = MeasurementsConfig.model_validate(names | {"file": str(path), "scale": {"time": 60.0, "velocity x": -2.0}})
    seen = survey(load(path, config), config)
    np.testing.assert_allclose(seen.times, 60 * t[1:], atol=1e-9)
    assert seen.simulations == 1
    assert seen.largest == pytest.approx(2 * np.nanmax(np.abs(u)))
    assert automatic_dt(seen.times) == pytest.approx(60 * tools.DT / 2)


def test_times_that_cannot_be_meant_are_refused(tmp_path):
    section = {"file": str(tmp_path / "mine.csv"), "time": "minutes", "axes": {"x": "x"}, "fields": {"u": "u"}}
    config = MeasurementsConfig.model_validate(section)

    def look(content):
        (tmp_path / "mine.csv").write_text(content)
        return survey(load(tmp_path / "mine.csv", config), config)

    with pytest.raises(MeasurementError, match="minutes, row 2: 'soon' is neither a number nor a date"):
        look("minutes,x,u\nsoon,1,1\n")
    with pytest.raises(MeasurementError, match=r"minutes: nothing was measured after t = 0"):
        look("minutes,x,u\n3,1,1\n3,2,1\n")


def test_only_what_was_measured_of_the_trajectories_asked_for_counts(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("run,t,x,u\n0,0,1,1\n0,2,1,3\n0,5,1,\n1,0,1,1\n1,9,1,2\n")
    section = {"file": str(file), "time": "t", "axes": {"x": "x"}, "fields": {"u": "u"}, "simulation": "run"}
    config = MeasurementsConfig.model_validate(section)
    content = load(file, config)
    assert survey(content, config, [0]).times.tolist() == [2.0]
    assert survey(content, config).times.tolist() == [2.0, 9.0]


def test_a_field_on_a_grid_is_looked_at_too(tmp_path):
    values = np.full((4, 3), np.nan)
    values[:3] = 1.0
    np.savez(tmp_path / "mine.npz", t=np.arange(4.0), x=np.arange(3.0), u=values)
    section = {"file": str(tmp_path / "mine.npz"), "time": "t", "axes": {"x": "x"}, "fields": {"u": "u"}}
    config = MeasurementsConfig.model_validate(section)
    assert survey(load(tmp_path / "mine.npz", config), config).times.tolist() == [1.0, 2.0]


DAY = 0.1 / 86400  # a day is a step


def test_dates_that_are_left_out_need_not_be_clear(read, refusal):
    rows = [("05/06/2024", 1, 9), ("06/06/2024", 1, 2), ("07/06/2024", 1, 3)]
    table = pd.DataFrame(rows, columns=["t", "x", "u"])
    keep = {"u": [0, 5]}
    assert "t, row 3: '06/06/2024' does not tell day from month" in refusal(table, scale={"time": DAY}, keep=keep)
    for first in ("garbage", "05/06/2024"):
        table["t"] = [first, "2024-06-06", "2024-06-07"]
        kept = read(table, scale={"time": DAY}, keep=keep)
        assert (kept.steps, int(kept.mask.sum())) == (1, 2)


def test_a_start_has_day_and_month_in_the_order_of_the_dates(read):
    table = pd.DataFrame({"t": ["5/31/2024", "6/1/2024", "6/2/2024"], "x": 1.0, "u": [1.0, 2.0, 3.0]})
    late = read(table, scale={"time": DAY}, keep={"t": ["6/1/2024", None]}, start="6/1/2024")
    assert late.steps == 1
    assert late.values[0, :, 0, 0].tolist() == [2.0, 3.0]
