"""What a run of the default experiment takes beside its training: start-up, training and evaluation, by its own log.

    python benchmarks/start_up.py [PROJECT ...] [--repeat 2] [--pipelines hybrid] [--params hybrid.epochs=3]

Each project is the folder of a copy of this repository (this one, if there is none); several are run in turn, so that
they see the same load. The training lasts from the line that introduces it to that of its last epoch. Times are by the
clock; beside each stands what the command's own process has computed, which depends less on what else the machine does:
what other processes do beside it is not in there. Linux only. Files of the runs are written into the projects.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_BEGIN, _EPOCH = re.compile(r"INFO +hybrid: "), re.compile(r"INFO +hybrid, epoch (\d+) of (\d+)")
PARTS = ("start-up", "training", "evaluation")

Moment = tuple[float, float]


def now(pid: int) -> Moment:
    """The clock, and the processor time of a process [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return time.monotonic(), (int(fields[11]) + int(fields[12])) / _TICK


def run(project: Path, options: list[str]) -> dict[str, Moment]:
    """One run: seconds of each part, by the clock and computed by its process.

    Raises:
        SystemExit: it failed.
    """
    env = {**os.environ, "PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1", "KEDRO_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "kedro", "run", *options]
    begin = time.monotonic()
    process = subprocess.Popen(
        command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    moments: list[Moment] = [(begin, 0.0)]
    last, lines = (begin, 0.0), []
    for line in process.stdout:
        lines.append(line)
        last = now(process.pid)
        epoch = _EPOCH.search(line)
        if _BEGIN.search(line) or (epoch is not None and epoch[1] == epoch[2]):
            moments.append(last)
    if process.wait() != 0 or len(moments) != 3:
        raise SystemExit("".join(lines))
    moments.append((time.monotonic(), last[1]))
    spans = zip(PARTS, pairwise(moments), strict=True)
    return {part: (b[0] - a[0], b[1] - a[1]) for part, (a, b) in spans}


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", type=Path, default=[ROOT])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--pipelines", default="hybrid")
    parser.add_argument("--params")
    given = parser.parse_args()
    options = ["--pipelines", given.pipelines, *(["--params", given.params] if given.params else [])]
    found: dict[Path, list[dict[str, Moment]]] = {project.resolve(): [] for project in given.projects}
    for _ in range(given.repeat):
        for project, runs in found.items():
            runs.append(run(project, options))
    print(
        f"{'seconds by the clock (of its process)':40}"
        + "".join(f"{part:>20}" for part in (*PARTS, "without training"))
    )
    for project, runs in found.items():
        for one in runs:
            rest = (one["start-up"][0] + one["evaluation"][0], one["start-up"][1] + one["evaluation"][1])
            cells = [*(one[part] for part in PARTS), rest]
            print(f"{project!s:40}" + "".join(f"{clock:11.2f} ({own:5.2f})" for clock, own in cells))
    if len(found) > 1:
        first, *others = (
            statistics.median(one["start-up"][1] + one["evaluation"][1] for one in runs) for runs in found.values()
        )
        print(
            "without training, computed by its process, over the first:", *(f"{other / first:.2f}" for other in others)
        )


if __name__ == "__main__":
    main()
