"""Ten million measurements from a table, to observations: how long it takes, and how much memory.

    python benchmarks/read_measurements.py --rows 10000000 --write docs/studies/read_measurements.md

A table of 1000 times and rows / 1000 places has the columns sensor, t, x, T and humidity, of which t, x and T are
needed. Places are the centres of the cells of a grid, or arbitrary points. In the mixed table the rows are in random
order, of three trajectories that a column of words tells apart, times are dates, and 30 % of the values are missing.
Each table is read in a process of its own by `hyco.read_measurements`. The seconds are those of reading; the peak of
the resident set is that of the whole process, with what `import hyco` and PyTorch take themselves beside it. The row
with `kedro run` is of `kedro run --pipelines physical --tags train --to-nodes data.make_observations`, all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from study import described, write_page

TIMES = 1000
KINDS = ("cells", "points", "mixed")


def table(rows: int, kind: str) -> pyarrow.Table:
    """The measurements, a row for each time and place."""
    random = np.random.default_rng(0)
    places = rows // TIMES
    x = np.sort(random.random(places)) if kind != "cells" else (np.arange(places) + 0.5) / places
    step, where = np.repeat(np.arange(TIMES), places), np.tile(np.arange(places), TIMES)
    columns: dict[str, Any] = {"sensor": where, "t": step / 100, "x": x[where]}
    columns["T"] = np.round(20 + random.standard_normal(rows), 4)
    columns["humidity"] = np.round(random.random(rows), 3)
    if kind != "mixed":
        return pyarrow.table(columns)
    order = random.permutation(rows)
    columns = {name: values[order] for name, values in columns.items()}
    dates = (pd.Timestamp("2024-05-31 13:00") + pd.to_timedelta(np.arange(TIMES) * 36, "s")).strftime(
        "%Y-%m-%d %H:%M:%S"
    )
    columns["t"] = pyarrow.DictionaryArray.from_arrays(step[order], pyarrow.array(dates.tolist())).cast("string")
    columns["T"] = pyarrow.array(columns["T"], mask=random.random(rows) < 0.3)
    sites = pyarrow.array(["north", "south", "west"])
    columns["site"] = pyarrow.DictionaryArray.from_arrays(random.integers(0, 3, rows), sites).cast("string")
    return pyarrow.table(columns)


def read(path: str, rows: int, kind: str) -> dict[str, float]:
    """Seconds, and MB at most before and after, of this process."""
    import hyco

    cells = rows // TIMES if kind == "cells" else 256
    equation = hyco.equation(
        {
            "name": "heat",
            "order": 2,
            "domain": {"x": {"size": 1.0, "resolution": cells}},
            "boundary": "neumann",
            "dt": 0.01,
            "max_diffusivity": 1e-3,
            "parameters": {"diffusivity": 1e-4},
        }
    )
    section: dict[str, Any] = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": 0.01}
    observation: dict[str, Any] = {"train_sim": [0], "interpolation": "linear"}
    if kind == "mixed":
        section |= {"simulation": "site", "scale": {"time": 1 / 3600}}
        observation |= {"train_sim": [0, 1], "val_sim": [2]}
    before, begin = peak(), time.perf_counter()
    observations = hyco.read_measurements(path, equation, section, observation)
    seconds = time.perf_counter() - begin
    return {"values": int(observations.mask.sum()), "seconds": seconds, "before": before, "peak": peak()}


def peak() -> float:
    """MB that this process has had at most."""
    status = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1000


def measured(path: Path, rows: int, kind: str) -> dict[str, float]:
    """What `read` says in a process of its own."""
    code = f"import json, read_measurements as r; print(json.dumps(r.read({str(path)!r}, {rows}, {kind!r})))"
    here = Path(__file__).parent
    run = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


PROJECT = Path(__file__).parents[1]
# The experiment of a table with points, without a fit.
EXPERIMENT = """
equation:
  name: heat
  order: 2
  domain: {{x: {{size: 1.0, resolution: 256}}}}
  boundary: neumann
  dt: 0.01
  max_diffusivity: 1.0e-3
measurements: {{file: {file}, time: t, axes: {{x: x}}, fields: {{temperature: T}}, std: 0.01}}
observation: {{interpolation: linear}}
physical:
  method: Levenberg-Marquardt
  learnable_parameters: [{{name: diffusivity, initial_guess: 1.0e-4, bounds: [1.0e-5, 1.0e-3]}}]
"""


def through_pipeline(path: Path, project: Path) -> dict[str, float]:
    """Seconds and peak, in MB, of the pipeline up to the observations of a table with points.

    Args:
        path: of the table.
        project: an empty folder, which becomes a project.
    """
    shutil.copytree(PROJECT / "conf" / "base", project / "conf" / "base")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(PROJECT / name, project / name)
    (project / "src").mkdir()
    (project / "conf" / "large").mkdir()
    (project / "conf" / "large" / "parameters.yml").write_text(EXPERIMENT.format(file=path))
    nodes = ("--pipelines", "physical", "--tags", "train", "--to-nodes", "data.make_observations")
    command = [sys.executable, "-m", "kedro", "run", "--env", "large", *nodes]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} has failed")
    return {"seconds": time.perf_counter() - begin, "peak": used.ru_maxrss / 1000}


def main() -> None:
    """Write tables, read them, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    lines = [
        "| table | MB of file | values | seconds | peak, GB | of which before reading |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for ending in ("csv", "parquet"):
                path = Path(folder) / f"mine.{ending}"
                write = pyarrow.csv.write_csv if ending == "csv" else pyarrow.parquet.write_table
                write(table(arguments.rows, kind), path)
                found = measured(path, arguments.rows, kind)
                size, gigabytes = path.stat().st_size / 1e6, [found[key] / 1000 for key in ("peak", "before")]
                what = f"| {kind}, .{ending} | {size:.0f} | {found['values']} | {found['seconds']:.1f} |"
                lines.append(f"{what} {gigabytes[0]:.2f} | {gigabytes[1]:.2f} |")
                print(lines[-1], flush=True)
                if (kind, ending) == ("points", "csv"):
                    found = through_pipeline(path, Path(folder) / "project")
                    what = f"| {kind}, .{ending}, `kedro run` | {size:.0f} | {arguments.rows} |"
                    lines.append(f"{what} {found['seconds']:.1f} | {found['peak'] / 1000:.2f} | |")
                    print(lines[-1], flush=True)
                path.unlink()
    if arguments.write:
        machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        words = f"{described(__doc__)}\n\nMachine: {machine}."
        command = f"python benchmarks/read_measurements.py --rows {arguments.rows}"
        write_page(arguments.write, "Reading measurements", words, [command], "\n".join(lines))


if __name__ == "__main__":
    main()
