"""Whole commands that are killed, interrupted, started twice, or lose MLflow; in a copy of the project.

    python benchmarks/faults_commands.py kills|interrupts|pairs|mlflow [--count N] [--seed 0]

- kills: a first run is killed (SIGKILL) at a random instant, while MLflow's database is made too, up to three times,
  and resumed. The report must be that of a run that was not killed, to the bit, and MLflow must have every epoch once.
- interrupts: SIGINT, SIGTERM and SIGHUP at random instants. The run must end within five seconds, with its last
  finished epoch kept, and be killed in MLflow.
- pairs: two first runs at once, in one experiment or in two. One of the former must be refused, both of the latter end.
- mlflow: the server refuses, hangs, goes away and comes back; the database is locked, deleted or cannot be written.
  Every metric must arrive, at the latest by `hyco mlflow-sync`; no password may be printed.

Each prints its counts, and ends with exit code 1 where one that must be zero is not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from hyco.runtime.storage import read_bundle

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 30
SMALL = (
    "equation.domain.x.resolution=32,equation.domain.x.size=4.0,generation.steps=15,generation.length_scale=0.8,"
    "synthetic.network.filters=8,synthetic.network.blocks=1,hybrid.warmup_epochs=2,hybrid.interleave_frequency=1"
)
FAILURES = ("wrong", "traceback", "lost", "broken", "late")
_SECRET = "open-sesame"


class Project:
    """A copy of the project without its results."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp())
        for name in ("conf", "src"):
            shutil.copytree(ROOT / name, self.path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("pyproject.toml", ".kedro.yml", ".telemetry"):
            shutil.copy(ROOT / name, self.path / name)

    def start(self, experiment: str, epochs: int = EPOCHS, uri: str | None = None, more: str = "") -> Any:
        """A run of the hybrid pipeline, in a process of its own."""
        params = f"{SMALL},hybrid.epochs={epochs},experiment={experiment}{more}"
        command = [sys.executable, "-m", "kedro", "run", "--pipelines", "hybrid", "--params", params]
        return subprocess.Popen(
            command,
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(uri),
        )

    def environment(self, uri: str | None = None) -> dict[str, str]:
        """Of a process in it."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
        quiet = {"KEDRO_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
        return {**kept, **quiet, "PYTHONPATH": str(self.path / "src"), **({"MLFLOW_TRACKING_URI": uri} if uri else {})}

    def epochs(self, experiment: str) -> int:
        """How many lines the live metrics have."""
        path = self.path / "data" / "08_reporting" / experiment / "hybrid_metrics.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def kept(self, experiment: str) -> int:
        """The epoch of the last checkpoint."""
        path = self.path / "data" / "06_models" / experiment / "hybrid_checkpoints" / "last.safetensors"
        return int(read_bundle(path).metadata["epoch"]) if path.exists() else 0

    def report(self, experiment: str) -> Any:
        """The numbers of a report that are repeatable."""
        path = self.path / "data" / "08_reporting" / experiment / "report.json"
        methods = json.loads(path.read_text())["methods"]
        for entry in methods.values():
            entry.pop("training_seconds", None)
        return methods

    def steps(self, experiment: str, database: Path | None = None) -> dict[str, list[int]]:
        """Epochs of the network's loss in MLflow, by the status of the run."""
        found: dict[str, list[int]] = {}
        with closing(sqlite3.connect(database or self.path / "mlflow.db")) as connection:
            runs = "select r.run_uuid, r.status from runs r join tags t on t.run_uuid = r.run_uuid"
            which = "where t.key = 'experiment' and t.value = ?"
            for run, status in connection.execute(f"{runs} {which}", (experiment,)).fetchall():
                rows = connection.execute(
                    "select step from metrics where run_uuid = ? and key like '%synthetic_loss' order by step", (run,)
                )
                found.setdefault(status, []).extend(step for (step,) in rows)
        return found


def wait_for(condition: Callable[[], bool], seconds: float = 300.0) -> bool:
    """Whether a condition holds before the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def output_of(process: Any, outcomes: Counter[str]) -> str:
    """All that a process has printed, which must have no traceback."""
    text, _ = process.communicate()
    outcomes["traceback"] += "Traceback" in text
    return str(text)


def kills(count: int, chance: random.Random) -> Counter[str]:
    """See the top of this file."""
    outcomes, project = Counter[str](), Project()
    whole = project.start("whole")
    output_of(whole, outcomes)
    for i in range(count):
        if i % 4 == 0:  # a first run in a fresh project makes MLflow's database
            kept, project = project, Project()
            shutil.copytree(kept.path / "data", project.path / "data")
        name, more, killed = f"killed{i}", "", 0
        for _ in range(chance.randrange(1, 4)):
            process = project.start(name, more=more)
            if chance.random() < 0.5:
                time.sleep(chance.uniform(1.0, 25.0))
            else:
                wanted = min(EPOCHS, project.epochs(name) + chance.randrange(1, 12))
                wait_for(lambda p=process, n=name, w=wanted, q=project: p.poll() is not None or q.epochs(n) >= w)
                time.sleep(chance.uniform(0, 0.3))
            process.kill()
            process.communicate()
            killed, more = killed + 1, ",resume=true"
        last = project.start(name, more=",resume=true")
        text = output_of(last, outcomes)
        outcomes["kills"] += killed
        if last.returncode != 0:
            outcomes["broken"] += 1
            print(text[-3000:], file=sys.stderr)
            continue
        outcomes["wrong report"] += project.report(name) != project.report("whole")
        outcomes["resumed"] += 1
        finished = project.steps(name).get("FINISHED", [])[-EPOCHS:]
        outcomes["wrong history in MLflow"] += finished != list(range(1, EPOCHS + 1))
        outcomes["wrong: left running"] += "RUNNING" in project.steps(name)
    return outcomes


def interrupts(count: int, chance: random.Random) -> Counter[str]:
    """See the top of this file."""
    outcomes, project, slowest = Counter[str](), Project(), 0.0
    for i in range(count):
        number, name = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[i % 3], f"interrupted{i}"
        process = project.start(name, epochs=3000)
        first = chance.randrange(1, 40)
        wait_for(lambda p=process, n=name, f=first: p.poll() is not None or project.epochs(n) >= f)
        time.sleep(chance.uniform(0, 0.5))
        begin = time.monotonic()
        process.send_signal(number)
        text = output_of(process, outcomes)
        seconds = time.monotonic() - begin
        slowest = max(slowest, seconds)
        outcomes[number.name] += 1
        outcomes["late"] += seconds > 5
        outcomes["wrong exit code"] += process.returncode != 128 + number
        outcomes["lost epochs"] += project.epochs(name) - project.kept(name) != 0
        outcomes["wrong last line"] += "--params resume=true goes on from there" not in text.splitlines()[-1]
        outcomes["wrong status in MLflow"] += set(project.steps(name)) != {"KILLED"}
    print(f"  the slowest ended after {slowest:.1f} s")
    return outcomes


def pairs(count: int, chance: random.Random) -> Counter[str]:
    """See the top of this file."""
    outcomes = Counter[str]()
    for i in range(count):
        project, same = Project(), i % 2 == 0
        names = ("one", "one") if same else ("one", "two")
        processes = [project.start(names[0])]
        time.sleep(chance.uniform(0, 3.0))
        processes.append(project.start(names[1]))
        texts = [output_of(process, outcomes) for process in processes]
        codes = sorted(process.returncode for process in processes)
        if same:
            refused = [text for text, p in zip(texts, processes, strict=True) if p.returncode == 1]
            good = codes == [0, 1] and "is being run by process" in refused[0].splitlines()[-1]
            outcomes["one of two refused" if good else f"wrong: {codes}"] += 1
        else:
            outcomes["both ended" if codes == [0, 0] else f"wrong: {codes}"] += 1
        for name in set(names):
            steps = project.steps(name).get("FINISHED", [])
            outcomes["wrong history in MLflow"] += steps != list(range(1, EPOCHS + 1))
    return outcomes


def mlflow(count: int, chance: random.Random) -> Counter[str]:
    """See the top of this file."""
    outcomes = Counter[str]()
    faults = (refused, hangs, locked, deleted, gone)
    for i in range(count):
        faults[i % len(faults)](Project(), outcomes, chance)
        outcomes[faults[i % len(faults)].__name__] += 1
    return outcomes


def refused(project: Project, outcomes: Counter[str], _: random.Random, port: int = 9) -> None:
    """A server that is not there, with a password."""
    process = project.start("away", uri=f"http://me:{_SECRET}@127.0.0.1:{port}")
    text = output_of(process, outcomes)
    outcomes["wrong: password told"] += _SECRET in text
    outcomes["wrong: not refused"] += process.returncode != 1 or "MLflow takes no run at" not in text.splitlines()[-1]
    outcomes["wrong: something was computed"] += (project.path / "data" / "05_model_input").exists()


def hangs(project: Project, outcomes: Counter[str], chance: random.Random) -> None:
    """A server that takes a connection and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        refused(project, outcomes, chance, server.getsockname()[1])


def during(project: Project, outcomes: Counter[str], spoil: Callable[[], None], mend: Callable[[], None]) -> None:
    """A fault of the project's own database from epoch 5 on; then everything has to arrive."""
    process = project.start("away", epochs=3 * EPOCHS)
    wait_for(lambda: process.poll() is not None or project.epochs("away") >= 5)
    spoil()
    output_of(process, outcomes)
    mend()
    outcomes["broken"] += process.returncode != 0
    done = subprocess.run(
        (sys.executable, "-m", "hyco", "mlflow-sync"), cwd=project.path, capture_output=True, text=True,
        env=project.environment(), check=False,
    )  # fmt: skip
    outcomes["broken"] += done.returncode != 0
    arrived = sorted(step for steps in project.steps("away").values() for step in steps)
    outcomes["lost metrics"] += 3 * EPOCHS - len(set(arrived))
    outcomes["wrong: twice"] += len(arrived) - len(set(arrived))


def locked(project: Project, outcomes: Counter[str], _: random.Random) -> None:
    """Another program holds the database."""
    held: list[sqlite3.Connection] = []

    def spoil() -> None:
        held.append(sqlite3.connect(project.path / "mlflow.db", isolation_level=None, timeout=60))
        held[0].execute("begin exclusive")

    during(project, outcomes, spoil, lambda: held[0].close())


def deleted(project: Project, outcomes: Counter[str], _: random.Random) -> None:
    """Somebody removes the database, and puts it back."""
    path = project.path / "mlflow.db"
    during(project, outcomes, lambda: path.rename(f"{path}.away"), lambda: Path(f"{path}.away").replace(path) and None)


def gone(project: Project, outcomes: Counter[str], _: random.Random) -> None:
    """A server goes away, and comes back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database, uri = project.path / "served.db", f"http://127.0.0.1:{port}"

    def serve() -> Any:
        command = (
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        )
        store = (
            "--backend-store-uri",
            f"sqlite:///{database}",
            "--artifacts-destination",
            str(project.path / "served"),
        )
        server = subprocess.Popen(
            (*command, *store), cwd=project.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**project.environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: answers(port), 120)
        return server

    server = serve()
    process = project.start("away", epochs=3 * EPOCHS, uri=uri)
    wait_for(lambda: process.poll() is not None or project.epochs("away") >= 5)
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    output_of(process, outcomes)
    outcomes["broken"] += process.returncode != 0
    server = serve()
    subprocess.run(
        (sys.executable, "-m", "hyco", "mlflow-sync"), cwd=project.path, capture_output=True,
        env=project.environment(uri), check=False,
    )  # fmt: skip
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    arrived = sorted(step for steps in project.steps("away", database).values() for step in steps)
    outcomes["lost metrics"] += 3 * EPOCHS - len(set(arrived))
    outcomes["wrong: twice"] += len(arrived) - len(set(arrived))


def answers(port: int) -> bool:
    """Whether a server listens."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


PARTS: dict[str, tuple[Callable[[int, random.Random], Counter[str]], int]] = {
    "kills": (kills, 100),
    "interrupts": (interrupts, 60),
    "pairs": (pairs, 20),
    "mlflow": (mlflow, 20),
}


def main() -> int:
    """The parts that are asked for; 1 where something happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--count", type=int, help="of each part; without it as many as the part has by itself")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    bad = 0
    for name in arguments.parts:
        part, usual = PARTS[name]
        begin = time.perf_counter()
        outcomes = part(arguments.count or usual, random.Random(arguments.seed))
        print(f"{name} ({time.perf_counter() - begin:.0f} s)", flush=True)
        for outcome, number in sorted(outcomes.items()):
            wrong = outcome.startswith(FAILURES) and number > 0
            bad += wrong
            print(f"  {number:6d}  {outcome}{'  <-- must not be' if wrong else ''}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
