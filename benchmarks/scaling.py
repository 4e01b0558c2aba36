"""What it costs to have a piece of work done: a thousand tiny ones through each engine of `hyco.compute`.

    python benchmarks/scaling.py --pieces 1000

Engines: this process, two processes of this machine, and a Dask cluster of a scheduler and two workers of one thread
each on the loopback interface. A piece is one draw of a seed, some 20 µs. "First" is the time until the first result,
with the start of the processes (of Dask, that of the client alone: scheduler and workers run before). "Each" is the
time of all pieces after that by their number, without and with a file for each result.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyco.compute import ComputeConfig, Piece, open_engine, outcomes


def tiny(count: int) -> list[Piece]:
    """So many tiny pieces, all different."""
    return [Piece("hyco.runtime.random_streams:stream_seed", {"seed": i}, f"seed {i}") for i in range(count)]


def measured(config: ComputeConfig, count: int, folder: Path | None) -> tuple[float, float]:
    """Seconds to the first result, and of each piece after that."""
    begin = time.perf_counter()
    with open_engine(config) as engine:
        list(outcomes(engine, tiny(1)))
        first = time.perf_counter()
        assert len(dict(outcomes(engine, tiny(count), folder=folder))) == count
        return first - begin, (time.perf_counter() - first) / count


@contextmanager
def cluster(workers: int) -> Iterator[Path]:
    """The scheduler file of a Dask cluster on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        path, begun = Path(folder) / "scheduler.json", []
        own = ["--host", "127.0.0.1", "--scheduler-file", str(path), "--no-dashboard"]
        try:
            for arguments in (["scheduler", "--port", "0"], *([["worker", "--nthreads", "1"]] * workers)):
                command = [sys.executable, "-m", "dask", *arguments, *own]
                begun.append(subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL))
                while not path.exists():
                    time.sleep(0.05)
            yield path
        finally:
            for process in reversed(begun):
                process.terminate()
            for process in begun:
                process.wait()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=1000)
    count = parser.parse_args().pieces
    print("| engine | first [s] | each [ms] | each, with its file [ms] |\n| --- | --- | --- | --- |")
    with cluster(2) as path:
        for name, config in (
            ("this process", ComputeConfig()),
            ("two processes", ComputeConfig(workers=2)),
            ("Dask, two workers", ComputeConfig(scheduler=str(path))),
        ):
            with tempfile.TemporaryDirectory() as folder:
                first, each = measured(config, count, None)
                _, kept = measured(config, count, Path(folder))
            print(f"| {name} | {first:.2f} | {1e3 * each:.2f} | {1e3 * kept:.2f} |", flush=True)


if __name__ == "__main__":
    main()
