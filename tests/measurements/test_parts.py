"""Tables are read in parts: what is in memory grows with what is needed, and a late error has its place."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch

import hyco
from hyco.measurements.formats import tables


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    """Parts of seven rows."""
    for module in ("delimited", "parquet"):
        monkeypatch.setattr(f"hyco.measurements.formats.{module}.PART", 7)


@pytest.mark.parametrize(
    ("row", "column", "text", "message"),
    [
        (700, "u", "fast", "u, row 700: 'fast' is not a number"),
        (700, "x", "1,5", "x, row 700: '1,5' is not a number; decimals need a point"),
        (700, "t", "soon", "t, row 700: 'soon' is not a number"),
        (701, "u", "inf", "u, row 701: the value is infinite"),
        (702, "t", "", "t, row 702: a value was measured, but t is missing"),
        (703, "u", "True", "u, row 703: 'True' is not a number"),
        (705, "u", "0.1,7,8", "Expected 3 fields in line 705, saw 5"),
    ],
)
def test_an_error_in_a_late_part_has_its_row(row, column, text, message, tools, run, refusal):
    frame = tools.table(*run).fillna(0.5)
    lines = ["t,x,u", *(",".join(map(repr, values)) for values in frame.to_numpy().tolist())]
    fields = lines[row - 1].split(",")
    fields[["t", "x", "u"].index(column)] = f'"{text}"' if text == "1,5" else text
    lines[row - 1] = ",".join(fields)
    if text == "True":  # all entries of a part
        at = (row - 2) // 7 * 7 + 1
        for i in range(at, min(at + 7, len(lines))):
            lines[i] = lines[i].rpartition(",")[0] + ",True"
        message = f"u, row {at + 1}: 'True' is not a number"
    assert message in refusal("\n".join(lines) + "\n")


@pytest.mark.slow
def test_parts_make_no_difference(tools, run, tmp_path, equation, read, monkeypatch):
    frame = pd.concat([tools.table(*run).assign(run=label) for label in ("2", "10", "b")])
    section, observation = {"simulation": "run"}, {"train_sim": [0, 1], "val_sim": [2]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame), tmp_path / "mine.parquet", row_group_size=50)
    parquet = hyco.read_measurements(tmp_path / "mine.parquet", equation, tools.SECTION | section, observation)
    parts = read(frame, observation, **section)
    for module in ("delimited", "parquet"):
        monkeypatch.setattr(f"hyco.measurements.formats.{module}.PART", tables.PART)
    whole = read(frame, observation, **section)
    for name in ("values", "mask", "initial_states"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))
        assert torch.equal(getattr(parquet, name), getattr(whole, name))
    assert torch.equal(parts.values[2, :, 0], torch.from_numpy(np.nan_to_num(run[2])))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_no_more_than_a_part_is_read_at_once(ending, tools, run, tmp_path, equation, monkeypatch):
    lengths, append = [], tables._Column.append
    monkeypatch.setattr(tables._Column, "append", lambda self, part: (lengths.append(len(part)), append(self, part)))
    frame = tools.table(*run)
    if ending == "csv":
        frame.to_csv(tmp_path / "mine.csv", index=False)
    else:
        frame.to_parquet(tmp_path / "mine.parquet")
    hyco.read_measurements(tmp_path / f"mine.{ending}", equation, tools.SECTION, {"train_sim": [0]})
    assert max(lengths) == 7
    assert sum(lengths) == 3 * len(frame)


def test_a_part_without_any_value_and_dates_are_read(tools, run, read):
    x, t, u = run
    frame = tools.table(x, t, u)
    frame.loc[10:40, "u"] = np.nan
    dates = frame.assign(t=(pd.Timestamp("2024-05-31") + pd.to_timedelta(np.round(frame.t * 60), "s")).astype(str))
    dates.loc[10:40, "t"] = None
    by_number, by_date = read(frame), read(dates, scale={"time": 1 / 60})
    assert torch.equal(by_number.mask, by_date.mask)
    assert torch.equal(by_number.values, by_date.values)
    labels = read(frame.assign(run=np.where(frame.index < 300, "1", "b")), {"train_sim": [0, 1]}, simulation="run")
    assert labels.mask.sum() == by_number.mask.sum()


PEAK = """
import sys, hyco
equation = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 100}}, "boundary": "neumann",
                          "dt": 0.01, "max_diffusivity": 1e-3, "parameters": {"diffusivity": 1e-4}})
section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": 0.01}
observations = hyco.read_measurements(sys.argv[1], equation, section, {"train_sim": [0]})
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(observations.mask.sum()), peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("places", ["cells", "points"])
def test_memory_grows_by_less_than_150_bytes_a_row(places, tmp_path):
    def peak(times):
        path = tmp_path / f"{times}.csv"
        if not path.exists():
            x = (np.arange(100) + 0.5) / 100 if places == "cells" else np.sort(np.random.default_rng(0).random(100))
            rows = {"sensor": np.tile(np.arange(100), times), "t": np.repeat(np.arange(times) / 100, 100)}
            rows |= {"x": np.tile(x, times), "T": np.random.default_rng(1).random(100 * times).round(4)}
            rows["humidity"] = np.full(100 * times, 0.5)
            pyarrow.csv.write_csv(pyarrow.Table.from_pydict(rows), path)
        told = subprocess.run([sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True).stdout
        count, found = map(int, told.split())
        assert count == 100 * times
        return 1024 * found

    # The least of three: what the allocator keeps for itself differs from run to run by some 20 bytes a row.
    few = min(peak(1000) for _ in range(3))
    assert any(peak(10_000) - few < 150 * 900_000 for _ in range(3))
