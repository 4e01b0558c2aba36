"""What guarding a run against faults costs: its share of the CPU time of the default experiment, command and all.

    python benchmarks/faults_cost.py [arguments of kedro run]

Runs `kedro run --pipelines hybrid` with a clock around all that only guards: locks, checksums, finiteness, histories'
checks, space and plain files, the thread that sends to MLflow, provenance, and the comparison of checkpoints.
"""

from __future__ import annotations

import functools
import importlib
import os
import resource
import runpy
import sys
import threading
import time
from collections import Counter
from typing import Any

# Module, class where there is one, and function.
GUARDS = (
    ("hyco.runtime.locks", "FileLock", "acquire"),
    ("hyco.runtime.locks", "FileLock", "release"),
    ("hyco.runtime.storage", "", "_checksum"),
    ("hyco.runtime.storage", "", "_checksum_of_json"),
    ("hyco.runtime.storage", "", "_in_order"),
    ("hyco.datasets.checkpoint", "CheckpointDataset", "_keep_previous"),
    ("hyco.datasets.metrics", "", "_line"),
    ("hyco.datasets.metrics", "", "_record"),
    ("hyco.training.finite", "FiniteState", "copy"),
    ("hyco.training.finite", "FiniteState", "end_epoch"),
    ("hyco.hooks.outbox", "Outbox", "put"),
    ("hyco.hooks.outbox", "Outbox", "_work"),
    ("hyco.hooks.outbox", "Outbox", "close"),
    ("hyco.hooks.database", "", "_mistake"),
    ("hyco.hooks.tracking", "", "close_left"),
    ("hyco.hooks.tracking", "", "git_state"),
    ("hyco.hooks.reporting", "", "provenance"),
    ("hyco.hooks.ownership", "OwnershipHooks", "before_pipeline_run"),
    ("hyco.hooks.resuming", "ResumeHooks", "before_pipeline_run"),
    ("hyco.hooks.resuming", "ResumeHooks", "after_dataset_loaded"),
    ("hyco.hooks.resuming", "ResumeHooks", "before_dataset_saved"),
    ("hyco.hooks.configuration", "", "require_plain"),
    ("hyco.hooks.configuration", "", "require_inside"),
    ("hyco.hooks.configuration", "", "require_space"),
)


def main() -> int:
    """A run, and the table of what guarded it."""
    spent: Counter[str] = Counter()
    calls, waited = Counter[str](), Counter[str]()
    for module, owner, name in GUARDS:
        holder: Any = importlib.import_module(module)
        holder = getattr(holder, owner) if owner else holder
        setattr(holder, name, timed(getattr(holder, name), f"{owner or module}.{name}", spent, calls, waited))
    begin, code = time.perf_counter(), 0
    sys.argv = ["kedro", "run", *(sys.argv[1:] or ("--pipelines", "hybrid"))]
    try:
        runpy.run_module("kedro", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = int(error.code or 0)
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # git
    spent["git"] = children.ru_utime + children.ru_stime
    total, wall = own.ru_utime + own.ru_stime, time.perf_counter() - begin
    for name in sorted(spent, key=spent.__getitem__, reverse=True):
        print(f"{name:60} {calls[name]:6d} calls {spent[name]:8.4f} s of CPU {waited[name]:8.4f} s")
    print(f"all: {sum(spent.values()):.3f} s of CPU, {sum(spent.values()) / total:.2%} of {total:.1f} s ({wall:.1f} s)")
    return code


_inside = threading.local()


def timed(function: Any, name: str, spent: Counter[str], calls: Counter[str], waited: Counter[str]) -> Any:
    """A function whose time is added up, but inside of another such function."""

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        if getattr(_inside, "guard", False):
            return function(*arguments, **options)
        _inside.guard, cpu, wall = True, time.thread_time(), time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            _inside.guard = False
            spent[name] += time.thread_time() - cpu
            waited[name] += time.perf_counter() - wall
            calls[name] += 1

    return wrapper


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
