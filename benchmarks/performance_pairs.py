"""Processor times of two checkouts of hyco, for the rows of `performance.py`: whether a change has made one slower.

    python benchmarks/performance_pairs.py --against CHECKOUT --compiled --results build/pairs.jsonl --write PAGE
    python benchmarks/performance_pairs.py --against CHECKOUT --only "step_rows heat"    # some, again

Each checkout has a process of its own, in which its own `benchmarks/performance.py` prepares what hyco does in a row;
rows are those that have the same name in both. The two are measured in turn, one thread, the order changing from turn
to turn, each time for a twentieth of a second at least. A ratio is the processor time of this checkout over that of the
other: above 1 this one takes more. Given are the median of the turns and their quartiles.

Two processes with the same code differ by some percent, too: where their arrays lie in memory is decided once. What is
above 1.05 is measured again in several sets of new processes, each with one more process of the other checkout: the
median of these sets counts in place of the first measurement, and beside it is what the same code gives, the smallest
and the largest ratio of the two processes of the other checkout.

The other checkout is the commit d95294a, of 27 November 2026. Of whole trainings a short one is measured. Three sets,
but four of the first rows, and seven of advection and diffusion on 256² cells: with three its median was 1.12, though
its step has the same operations in both checkouts.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
LEAST_SECONDS, LIMIT = 0.05, 1.05
# What takes longer is done three times [s].
LONG = 2.0
# A function of `performance`, and its arguments.
Group = tuple[str, list[Any]]
Row = dict[str, Any]
Work = Callable[[], Any]


class Served:
    """The works of a checkout's `performance.py`, in the process that `Checkout` starts."""

    def __init__(self) -> None:
        import torch

        import performance

        torch.set_num_threads(1)
        performance.keep_freed_memory()
        self._module = performance
        self._works: dict[str, Work] = {}

    def names(self) -> list[str]:
        """Of the hand-written steps."""
        return list(self._module.HAND_WRITTEN)

    def make(self, function: str, arguments: list[Any]) -> list[str]:
        """Prepare what hyco does in the rows of a function: their names."""
        found: list[Work] = []

        def collect(ours: Work, *_: Any) -> dict[str, float]:
            found.append(ours)
            return dict.fromkeys(("median", "lower", "upper"), 1.0)

        self._works.clear()
        gc.collect()
        self._module.ratio = collect
        made = getattr(self._module, function)(*arguments)
        rows = [made] if isinstance(made, dict) else list(made)
        for row, work in zip(rows, found, strict=True):
            self._works.setdefault(row["what"], work)  # it may be there once for each thing that it is against
        return list(self._works)

    def hybrid(self, experiment: str, epochs: int) -> list[str]:
        """Prepare trainings of a hybrid as it is configured there."""
        training = self._module.performance_training
        sections = training.parameters(experiment)
        sections["hybrid"] |= {"epochs": epochs, "warmup_epochs": min(sections["hybrid"]["warmup_epochs"], epochs // 3)}

        def work() -> None:
            for _ in training.hybrid(sections).train():
                pass

        self._works = {f"hybrid, {epochs} epochs of {experiment} as it is configured": work}
        return list(self._works)

    def run(self, what: str, calls: int) -> float:
        """Processor time of so many calls."""
        work = self._works[what]
        begin = time.process_time()
        for _ in range(calls):
            work()
        return time.process_time() - begin


def serve(checkout: Path) -> None:
    """Answer questions, a line of JSON each, with what a checkout has."""
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.path[:1] = [str(checkout / "src"), str(checkout / "benchmarks")]
    served = Served()
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        answers.write(json.dumps(getattr(served, method)(*arguments)) + "\n")
        answers.flush()


class Checkout:
    """A process with the code of a checkout."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(folder.resolve())],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, method: str, *arguments: Any) -> Any:
        """What a method of `Served` gives there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of a checkout ended at {method} {arguments}: its error is above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compared(processes: Sequence[Checkout], what: str, turns: int) -> Row:
    """The ratio of the first to the second in turn, and of the third, where there is one, to the second: `same`."""
    first = max(process.ask("run", what, 1) for process in processes)  # what it makes only once is left out
    once = first if first > LONG else max(process.ask("run", what, 1) for process in processes)
    calls, found, same = max(1, math.ceil(LEAST_SECONDS / once)), [], []
    for turn in range(turns if once < LONG else 3):
        begin = turn % len(processes)
        times = {process: process.ask("run", what, calls) for process in (*processes[begin:], *processes[:begin])}
        ours, other, *more = (times[process] for process in processes)
        found.append(ours / other)
        same += [again / other for again in more]
    lower, median, upper = statistics.quantiles(found, n=4, method="inclusive")
    row = {"what": what, "median": median, "lower": lower, "upper": upper, "turns": len(found), "ms": 1e3 * once}
    return row | ({"same": statistics.median(same)} if same else {})


@contextmanager
def started(*folders: Path) -> Iterator[list[Checkout]]:
    """New processes of checkouts."""
    processes = [Checkout(folder) for folder in folders]
    try:
        yield processes
    finally:
        for process in processes:
            process.close()


def rows_of(group: Group, processes: list[Checkout], turns: int, wanted: set[str] | None = None) -> Iterator[Row]:
    """The rows of a group; None: all that both have."""
    function, arguments = group
    question = [function, *arguments] if function == "hybrid" else ["make", function, arguments]
    ours, other, *_ = (process.ask(*question) for process in processes)
    for what in ours:
        if what in other and (wanted is None or what in wanted):
            yield {"group": label(group), **compared(processes, what, turns)}


def label(group: Group) -> str:
    """A group in words, which `--only` begins."""
    return " ".join([group[0], *(str(argument) for argument in group[1])])


def groups(names: list[str], *, quick: bool, compiled: bool) -> Iterator[Group]:
    """All of them, with the sizes of `performance.measure`; `names` are those of the hand-written steps."""
    sizes, executions = [16] if quick else [64, 256], ["traced", "compiled"] if compiled else ["traced"]
    yield "epoch_row", [1]
    yield "batch_size_row", [20]
    yield "segments_row", [16, 40, 1] if quick else [128, 200, 1]
    yield from (("step_rows", [name, n, 1, executions]) for name in names for n in sizes)
    yield from (("phiflow_rows", [n, 1, executions]) for n in sizes)
    if compiled:
        yield "step_rows", ["heat", 12 if quick else 100, 1, ["compiled"]]
    yield "scaling_rows", [16, [32], 1] if quick else [64, [128, 256, 512], 1]
    yield "hybrid", ["burgers_1d", 6 if quick else 100]
    if not quick:
        yield "hybrid", ["heat", 30]
        yield "hybrid", ["burgers_2d", 3]


def measured(
    against: Path, known: list[Row], only: str, turns: int, sets: int, *, quick: bool, compiled: bool
) -> Iterator[Row]:
    """What there are no rows of yet, then again those above the limit, in as many sets of processes."""
    done, found = {row["group"] for row in known}, list(known)
    with started(HERE, against) as pair:
        names = [name for name in pair[0].ask("names") if name in pair[1].ask("names")]
        asked = [group for group in groups(names, quick=quick, compiled=compiled) if label(group).startswith(only)]
        for group in asked:
            for row in rows_of(group, pair, turns) if label(group) not in done else ():
                found.append(row)
                yield row
    slower = {row["what"] for row in found if row["median"] > LIMIT and "same" not in row}
    for group in asked:
        for number in range(sets):
            rows = [row for row in found if row["group"] == label(group) and row["what"] in slower]
            counts = Counter(row["what"] for row in rows)
            wanted = {what for what, count in counts.items() if count <= 1 + number}
            if wanted:
                with started(HERE, against, against) as processes:
                    for row in rows_of(group, processes, turns, wanted):
                        found.append(row)
                        yield row


def table(rows: list[Row]) -> str:
    """The rows as Markdown, the measurements in other processes beside the first."""
    lines, counted = ["| what | ratio | quartiles | again | same code |", "|---|---|---|---|---|"], []
    for what in dict.fromkeys(row["what"] for row in rows):
        first, *more = (row for row in rows if row["what"] == what)
        counted.append(statistics.median(row["median"] for row in more or [first]))
        again = ", ".join(f"{row['median']:.2f}" for row in more)
        same = [row["same"] for row in more if "same" in row]
        told = f"{min(same):.2f} to {max(same):.2f}" if same else ""
        quartiles = f"{first['lower']:.2f} to {first['upper']:.2f}"
        lines.append(f"| {what} | {first['median']:.2f} | {quartiles} | {again} | {told} |")
    count, mean = sum(ratio > LIMIT for ratio in counted), statistics.geometric_mean(counted)
    lines += ["", f"{count} of {len(counted)} rows are above {LIMIT}; geometric mean {mean:.2f}."]
    return "\n".join(lines)


def main() -> None:
    """Measure what there are no lines of, print, and write the page."""
    parser = argparse.ArgumentParser(description="the performance of two checkouts, in turn")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--against", type=Path, help="folder of the other checkout")
    parser.add_argument("--only", default="", help="groups whose name begins so")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--sets", type=int, default=3, help="of processes, for what is above the limit")
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too: minutes")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--results", type=Path, help="file that a line is appended to per row; these are not run again")
    parser.add_argument("--write", type=Path, help="write the page of the study")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    from study import add_line, described, read_lines, write_page

    rows = read_lines([arguments.results])
    how = {"quick": arguments.quick, "compiled": arguments.compiled}
    only, turns, sets = arguments.only, arguments.turns, arguments.sets
    for row in measured(arguments.against, list(rows), only, turns, sets, **how):
        rows.append(row)
        add_line(arguments.results, row)
        print(f"{row['what']}: {row['median']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})", flush=True)
    print(table(rows).splitlines()[-1])
    if arguments.write:
        more = "--compiled " * arguments.compiled
        command = (
            f"python benchmarks/performance_pairs.py --against CHECKOUT {more}--results build/pairs.jsonl --write PAGE"
        )
        write_page(arguments.write, "Performance of two checkouts", described(__doc__), [command], table(rows))


if __name__ == "__main__":
    main()
