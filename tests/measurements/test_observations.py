"""What becomes of measurements: places, times, replicates, noise, and the state at t = 0."""

import numpy as np
import pandas as pd
import pytest
import torch

import hyco

HEAD = "t,x,u\n"


def test_a_missing_row_and_an_empty_cell_are_the_same(tools, run, read):
    frame = tools.table(*run)
    empty, left_out = read(frame), read(frame.dropna())
    assert torch.equal(empty.values, left_out.values)
    assert torch.equal(empty.mask, left_out.mask)


def test_places_between_cells_are_points_of_each_time(read):
    rows = "0.0,1.0,0.5\n0.0,2.2,0.6\n0.2,4.1,0.7\n0.2,3.3,0.8\n0.2,0.1,0.9\n"
    observations = read(HEAD + rows, {"train_sim": [0], "interpolation": "cubic"})
    assert observations.interpolation == "cubic"
    assert observations.initial_state == "observed"
    assert observations.values.shape == (1, 3, 1, 3)
    assert observations.values[0, :, 0].tolist() == [[0.5, 0.6, 0.0], [0.0, 0.0, 0.0], [0.9, 0.8, 0.7]]
    assert observations.mask.sum(dim=-1).flatten().tolist() == [2, 0, 3]
    assert observations.positions[0, 2, :, 0].tolist() == [0.1, 3.3, 4.1]


def test_replicates_are_several_measurements(tools, run, read):
    x, t, u = run
    single = tools.table(x, t, u)
    twice = read(pd.concat([single, single]))
    assert not twice.on_grid
    assert twice.mask.sum() == 2 * np.isfinite(u).sum()
    state = torch.from_numpy(tools.burgers(x, t))[None, :, None]
    read_back = twice.operator([0], 0, tools.STEPS)(state)
    residuals = (read_back - twice.values)[twice.mask]
    assert residuals.std() == pytest.approx(tools.NOISE, rel=0.1)


def test_a_start_measured_whole_is_whole_beside_points_between_cells(tools, run, read):
    x, t, u = run
    later = tools.table(x, t[1:], u[1:]).dropna().sample(50, random_state=0).assign(x=lambda rows: rows.x + 0.01)
    observations = read(pd.concat([tools.table(x, t[:1], u[:1]), later]))
    assert observations.initial_state == "full"
    assert torch.equal(observations.initial_states[0, 0], torch.from_numpy(u[0]))
    state = torch.from_numpy(tools.burgers(x, t))[None, :, None]
    difference = (observations.operator([0], 0, tools.STEPS)(state) - observations.values)[observations.mask]
    assert len(difference) == 114
    assert difference.std() < 2 * tools.NOISE


def test_an_observed_start_is_filled_from_its_neighbours(tools, run, read):
    x, t, u = run
    frame = tools.table(x, t, u)
    observations = read(frame[(frame.t > 0) | (frame.index % 2 == 0)])
    assert observations.initial_state == "observed"
    assert observations.on_grid
    assert observations.initial_mask[0, 0].tolist() == [True, False] * 32
    np.testing.assert_allclose(observations.initial_states[0, 0].numpy(), u[0], atol=0.15)


def test_a_known_start_is_exact(tools, run, read, equation):
    observations = read(tools.table(*run), initial={"velocity x": "0.5 + sin(pi*x/3)"})
    expected = 0.5 + np.sin(np.pi * equation.layout.grid.centers("x") / 3)
    assert observations.initial_state == "exact"
    np.testing.assert_allclose(observations.initial_states[0, 0].numpy(), expected)


def test_units_and_the_start_are_those_of_the_section(tools, run, read):
    x, t, u = run
    plain = read(tools.table(x, t, u))
    scale = {"time": 60.0, "x": 0.01, "velocity x": 0.5}
    other = read(tools.table(100 * x, (t + 7) / 60, 2 * u), scale=scale, start=7 / 60)
    assert torch.equal(plain.mask, other.mask)
    torch.testing.assert_close(plain.values, other.values, rtol=1e-14, atol=0)


def test_a_column_of_equal_standard_deviations_is_their_number_in_the_same_units(tools, run, read):
    frame = tools.table(*run).assign(s=0.2)
    assert read(frame, std="s", scale={"velocity x": 0.1}).noise_std.tolist() == pytest.approx([0.02])
    assert read(frame, std={"velocity x": 0.3}).noise_std.tolist() == [0.3]


def test_noise_to_be_estimated_is_not_known(tools, run, read):
    assert not read(tools.table(*run), std="estimate").noise_known


def test_a_test_trajectory_begins_where_it_was_measured(tools, run, read):
    x, t, u = run
    frames = [tools.table(x, t, u + shift).assign(run=shift) for shift in (0, 1)]
    observations = read(pd.concat(frames), {"train_sim": [0], "test_sim": [1]}, simulation="run")
    assert (observations.train, observations.test) == ([0], [1])
    assert torch.equal(observations.mask[1], observations.mask[0])
    assert torch.equal(observations.values[1, 0, 0], torch.from_numpy(u[0] + 1))
    assert (observations.test_initial_states[0, 0] - torch.from_numpy(u[0] + 1)).abs().max() < 0.05  # less its noise


def test_dates_are_seconds_and_time_zones_do_not_matter(read):
    rows = "2024-05-31T13:00:00+02:00,1.0,0.5\n2024-05-31T11:06:00Z,1.0,0.6\n2024-05-31T11:12:00Z,1.1,0.7\n"
    assert read(HEAD + rows, scale={"time": 1 / 3600}).steps == 2


@pytest.mark.parametrize(
    "dates",
    [
        ("31.05.2024 12:00", "31.5.2024 12:06:00", "31.05.2024 12:12"),
        ("31/05/2024 12:00", "31/05/2024 12:06", "31/05/2024 12:12"),
        ("5/31/2024 12:00 PM", "5/31/2024 12:06 pm", "05/31/2024 12:12 PM"),
        ("31-05-2024", "31-05-2024 0:06", "31-05-2024 0:12:00.0"),
        ("5/31/2024 12:00 AM", "5/31/2024 12:06 am", "05/31/2024 12:12 AM"),
    ],
)
def test_dates_have_the_day_first_or_the_month_as_their_numbers_tell(dates, read):
    rows = "".join(f"{date},1.0,0.{i}\n" for i, date in enumerate(dates, 1))
    assert read(HEAD + rows, scale={"time": 1 / 3600}).steps == 2


def test_points_between_the_numbers_of_a_date_say_that_the_day_is_first(read):
    """A month lies between these."""
    rows = "01.05.2024,1.0,0.5\n01.06.2024,1.0,0.6\n"
    observations = read(HEAD + rows, scale={"time": 0.1 / (31 * 24 * 3600)})
    assert observations.steps == 1


def test_a_static_problem_has_no_time(tmp_path):
    darcy = hyco.equation(
        {
            "name": "darcy",
            "domain": {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.0, "resolution": 8}},
            "dt": 1.0,
            "parameters": {"permeability": 1.0, "source": 1.0},
        }
    )
    (channel,) = darcy.layout.channels
    section = {"time": None, "axes": {"x": "x", "y": "y"}, "fields": {channel: "p"}, "std": 0.01}
    (tmp_path / "mine.csv").write_text("x,y,p\n0.3,0.4,0.1\n0.6,0.2,0.2\n")
    observations = hyco.read_measurements(tmp_path / "mine.csv", darcy, section, {"train_sim": [0]})
    assert observations.mask[0, :, 0].tolist() == [[False, False], [True, True]]
    with pytest.raises(ValueError, match="time: the problem is static: set it to null"):
        hyco.read_measurements(tmp_path / "mine.csv", darcy, section | {"time": "t"}, {"train_sim": [0]})
    with pytest.raises(ValueError, match="start: a static problem has neither time nor a state at t = 0"):
        hyco.read_measurements(tmp_path / "mine.csv", darcy, section | {"start": 0.0}, {"train_sim": [0]})


def test_single_precision_may_round_a_place_beyond_its_wall(tmp_path):
    rod = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 0.3, "resolution": 8}},
            "boundary": "neumann",
            "dt": 0.1,
            "max_diffusivity": 0.01,
            "parameters": {"diffusivity": 0.001},
        }
    )
    x = np.array([0.1, 0.3], dtype=np.float32)
    assert float(x[1]) > 0.3
    np.savez(tmp_path / "mine.npz", time=[0.0, 0.1], x=x, T=np.eye(2))
    section = {"axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": 0.1}
    observations = hyco.read_measurements(tmp_path / "mine.npz", rod, section, {"train_sim": [0]})
    assert observations.positions.max() == 0.3


def test_velocities_on_faces_are_measured_at_points(tmp_path):
    room = hyco.equation(
        {
            "name": "smoke",
            "domain": {"x": {"size": 1.0, "resolution": 8}, "y": {"size": 1.0, "resolution": 8}},
            "boundary": {"x": "closed", "y": {"lower": "closed", "upper": "open"}},
            "dt": 0.1,
            "max_speed": 1.0,
            "max_viscosity": 0.002,
            "parameters": {"buoyancy": 0.5, "inflow_rate": 1.0, "viscosity": 0.001, "diffusivity": 0.0005},
        }
    )
    channels = room.layout.channels
    known = dict.fromkeys(channels, 0.0) | {"velocity_x": "x*(1 - x)"}
    section = {"axes": {"x": "x", "y": "y"}, "fields": {"velocity x": "u"}, "std": 0.1, "initial": known}
    centres = room.layout.grid.centers("x")
    u = np.random.default_rng(0).random((2, 8, 8))
    np.savez(tmp_path / "mine.npz", time=[0.0, 0.1], x=centres, y=centres, u=u)
    linear = {"train_sim": [0], "interpolation": "linear"}
    observations = hyco.read_measurements(tmp_path / "mine.npz", room, section, linear)
    assert not observations.on_grid
    velocity = channels.index("velocity_x")
    assert observations.mask.sum(dim=(0, 1, 3)).tolist() == [128 * (c == velocity) for c in range(len(channels))]
    read_back = observations.operator([0], 0, 0)(observations.initial_states[:, None])[0, 0, velocity]
    expected = 0.5 * sum((centres + side / 16) * (1 - centres - side / 16) for side in (-1, 1))
    np.testing.assert_allclose(read_back.reshape(8, 8).numpy(), np.repeat(expected[:, None], 8, axis=1))


def with_sigma(frame):
    """A column of standard deviations that says which row it is of."""
    return frame.assign(s=0.01 * (1 + np.arange(len(frame))))


@pytest.mark.parametrize("where", ["cells", "points", "cells with gaps"])
def test_each_value_keeps_its_own_standard_deviation(where, tools, run, read):
    x, t, u = run
    if where == "points":
        x = x + 0.01 * np.sin(np.arange(len(x)))
    frame = with_sigma(tools.table(x, t, u))
    if where == "cells with gaps":
        frame = frame[frame.t > 0.05]
    shuffled = frame.sample(len(frame), random_state=0)
    seen = read(shuffled, std="s")
    assert seen.initial_state == ("full" if where == "cells" else "observed")
    of_value = dict(zip(frame.u, frame.s, strict=True))
    measured = seen.values[seen.mask].tolist()
    assert len(measured) == int(np.isfinite(frame.u).sum())
    assert seen.sigma_of_values[seen.mask].tolist() == pytest.approx([of_value[v] for v in measured], rel=1e-12)
    s = frame.s[np.isfinite(frame.u)]
    assert float(seen.noise_std) == pytest.approx(float(np.sqrt((s**2).mean())), rel=1e-12)


def test_equal_standard_deviations_are_that_of_the_channel(tools, run, read):
    seen = read(tools.table(*run).assign(s=0.02), std="s")
    assert seen.sigma_of_values is None
    assert seen.noise_std.tolist() == [0.02]


def test_standard_deviations_of_measurements_are_scaled_as_their_values(tools, run, read):
    seen = read(with_sigma(tools.table(*run)), std="s", scale={"velocity x": -2.0})
    plain = read(with_sigma(tools.table(*run)), std="s")
    assert torch.allclose(seen.sigma_of_values, 2 * plain.sigma_of_values)


@pytest.mark.parametrize("observation", [{"train_sim": [0], "test_sim": [1]}, {"train_sim": [0], "holdout": {}}])
def test_no_guess_of_a_start_knows_what_is_not_trained_on(read, observation):
    """At t = 0 one place was measured: elsewhere the guess is a mean, which only training data may move."""

    def starts(factor):
        rows = [(0, 0.0, 1.0, 0.5), *((0, 0.1 * k, 2.0 + 0.1 * k, 0.5) for k in range(1, 9))]
        rows += [(1, 0.0, 1.0, factor), (1, 0.1, 2.0, factor)]
        frame = pd.DataFrame(rows, columns=["run", "t", "x", "u"])
        seen = read(frame, observation, simulation="run")
        if seen.heldout is not None:
            place = seen.heldout[0, :, 0].nonzero()[0]
            frame.loc[int(place[0]), "u"] *= factor
            seen = read(frame, observation, simulation="run")
        return seen.initial_states[0]

    assert torch.equal(starts(1.0), starts(100.0))
