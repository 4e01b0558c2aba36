"""Several measurements at one place and time, ranges that leave measurements out, a start that is taken for exact."""

import numpy as np
import pandas as pd
import pytest

import hyco

CELLS, TIMES = 8, np.array([0.0, 0.2, 0.4, 0.6])
HEAT = hyco.equation(
    {
        "name": "heat",
        "domain": {"x": {"size": 1.0, "resolution": CELLS}},
        "boundary": "neumann",
        "dt": 0.2,
        "max_diffusivity": 0.1,
        "parameters": {"diffusivity": 0.05},
    }
)
SECTION = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": ["a", "b", "c"]}, "std": 0.1}


@pytest.fixture
def frame():
    """Three replicates at the centres of cells, `a` missing at one place after t = 0."""
    times, places = np.meshgrid(TIMES, (np.arange(CELLS) + 0.5) / CELLS, indexing="ij")
    random = np.random.default_rng(0)
    table = pd.DataFrame({"t": times.ravel(), "x": places.ravel()})
    for name in "abc":
        table[name] = 20 + np.cos(np.pi * table["x"]) + 0.1 * random.standard_normal(len(table))
    table["sd"] = 0.05 + 0.1 * table["x"]
    table.loc[CELLS + 2, "a"] = np.nan
    return table


@pytest.fixture
def read(tmp_path):
    """Write a table, and read it as measurements; further keys are those of the section."""

    def function(table, observation=None, **section):
        table.to_csv(tmp_path / "mine.csv", index=False, encoding="utf-8-sig")
        return hyco.read_measurements(
            tmp_path / "mine.csv", HEAT, SECTION | section, {"train_sim": [0]} | (observation or {})
        )

    return function


@pytest.fixture
def refusal(read):
    """What reading is refused with."""

    def function(table, **section):
        with pytest.raises(ValueError) as error:  # noqa: PT011  # its text is what is asked for
            read(table, **section)
        return str(error.value)

    return function


def test_each_replicate_is_a_measurement(read, frame):
    together = read(frame)
    alone = pd.concat([frame[["t", "x", n]].rename(columns={n: "u"}) for n in "abc"]).sample(frac=1, random_state=0)
    apart = read(alone, fields={"temperature": "u"})
    assert int(together.mask.sum()) == 3 * len(frame) - 1
    for each in (together, apart):
        assert each.values.shape == (1, 4, 1, 3 * CELLS)
    order = [np.sort(each.values[each.mask].numpy()) for each in (together, apart)]
    assert np.array_equal(*order)
    assert together.positions[0, 1, :6, 0].tolist() == pytest.approx([1 / 16] * 3 + [3 / 16] * 3)


def test_one_column_in_a_list_is_that_column(read, frame):
    one, same = read(frame, fields={"temperature": ["b"]}), read(frame, fields={"temperature": "b"})
    assert one.on_grid
    assert one.values.equal(same.values)


@pytest.mark.parametrize("std", ["sd", {"temperature": ["sd", "sd2", "sd3"]}])
def test_standard_deviations_are_those_of_each_replicate(std, read, frame):
    table = frame.assign(sd2=2 * frame["sd"], sd3=3 * frame["sd"])
    observations = read(table, std=std)
    known = observations.sigma_of_values[observations.mask].numpy()
    wanted = np.concatenate([factor * frame["sd"] for factor in (1, *((1, 1) if std == "sd" else (2, 3)))])
    wanted = np.delete(wanted, CELLS + 2)
    assert np.sort(known) == pytest.approx(np.sort(wanted))


def test_the_noise_may_be_told_by_the_replicates(read, refusal, frame):
    observations = read(frame, std="replicates")
    values = frame[["a", "b", "c"]].to_numpy()
    squares = np.nansum((values - np.nanmean(values, axis=1, keepdims=True)) ** 2)
    assert observations.noise_std[0].item() == pytest.approx(np.sqrt(squares / (2 * len(frame) - 1)))
    assert observations.noise_known
    assert observations.sigma_of_values is None
    message = refusal(frame, std="replicates", fields={"temperature": "b"})
    assert "std: replicates: b: nothing was measured twice at one place and time" in message


def test_equal_counts_of_replicates_are_no_copies(read, frame, caplog):
    read(frame.assign(b=frame["c"]))
    assert "copies" not in caplog.text
    read(pd.concat([frame, frame.iloc[:3]]))
    assert "9 measurements repeat earlier ones" in caplog.text


def test_zeros_among_counts_are_no_missing_values(read, frame, caplog):
    counts = np.random.default_rng(1).poisson(2.0, (len(frame), 3))
    read(frame.assign(**dict(zip("abc", (1.4e-5 * counts).round(6).T, strict=True))))
    assert "are they missing" not in caplog.text
    read(frame.assign(a=frame["a"].where(frame.index % 3 > 0, 0.0)))
    assert "are exactly 0 and hardly any other is close to it" in caplog.text


def test_what_is_beyond_a_range_is_left_out(read, frame):
    kept = read(frame, keep={"x": [0.1, None], "t": [None, 0.5], "sd": [None, 0.14]})
    there = frame[(frame["x"] > 0.1) & (frame["t"] < 0.5) & (frame["sd"] <= 0.14)]
    assert kept.steps == 2
    assert int(kept.mask.sum()) == int(there[["a", "b", "c"]].notna().to_numpy().sum())


def test_the_earliest_time_is_of_what_is_kept(read, frame):
    late = read(frame, keep={"t": [0.2, None]})
    assert late.steps == 2
    assert late.values[0, 0, 0, 2].item() == frame.loc[CELLS, "c"]
    dates = frame.assign(t=pd.Timestamp("2024-05-31") + pd.to_timedelta(frame["t"], unit="s"))
    again = read(dates, keep={"t": ["2024-05-31 00:00:00.2", None]})
    assert again.steps == 2
    assert int(again.mask.sum()) == int(late.mask.sum())


def test_ranges_of_arrays(tmp_path, frame):
    x, values = (np.arange(CELLS) + 0.5) / CELLS, frame["b"].to_numpy().reshape(len(TIMES), CELLS)
    np.savez(tmp_path / "mine.npz", t=TIMES, x=x, u=values)
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "u"}, "keep": {"x": [0.2, 0.9]}}
    kept = hyco.read_measurements(tmp_path / "mine.npz", HEAT, section, {"train_sim": [0]})
    assert kept.mask[0, :, 0].all(dim=0).tolist() == [False] * 2 + [True] * 5 + [False]


def test_a_measured_start_may_be_taken_for_exact(read, frame):
    observations = read(frame, initial="measured")
    assert observations.initial_known
    first = frame[frame["t"] == 0]
    assert observations.initial_states[0, 0].numpy() == pytest.approx(first[["a", "b", "c"]].mean(axis=1).to_numpy())
    same = read(frame, {"initial_state": "exact"}, initial="measured")
    assert same.initial_states.equal(observations.initial_states)


def test_the_place_of_a_replicate_is_told(refusal, frame):
    table = frame.assign(x=frame["x"].where(frame.index != 5))
    assert "x, row 7, replicate 1: a value was measured, but x is missing" in refusal(table)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"fields": {"temperature": []}}, "fields.temperature"),
        ({"fields": {"temperature": ["a", "a"]}}, "'a' is fields.temperature and fields.temperature"),
        ({"fields": {"temperature": ["a", "bb"]}}, "fields.temperature: there is no column 'bb'"),
        (
            {"std": {"temperature": ["sd", "sd"]}},
            "std.temperature names 2, fields.temperature 3: one for all, or one each",
        ),
        ({"keep": {"y": [0.1, None]}}, "keep: there is no column 'y'; there are t, x, a, b, c, sd"),
        ({"keep": {"x": [0.9, 0.1]}}, "keep.x: 0.9 is above 0.1; give the smallest value first"),
        ({"keep": {"x": [None, None]}}, "keep.x: [null, null] keeps all"),
        ({"keep": {"x": [2.0, None]}}, "keep.x: nothing lies within [2.0, null]"),
        ({"keep": {"x": ["soon", None]}}, "keep.x: 'soon' is no number"),
        (
            {"keep": {"x": [0.2, None]}, "initial": "measured"},
            "initial: measured needs a value of each channel in every",
        ),
        ({"initial": "guessed"}, "measured"),
    ],
)
def test_what_cannot_be_meant_is_refused(section, message, refusal, frame):
    assert message in refusal(frame, **section)


def test_measured_needs_centres_of_cells(refusal, frame):
    assert "initial: measured needs measurements in centres of cells" in refusal(
        frame.assign(x=frame["x"] + 0.01), initial="measured"
    )
