"""Whole commands that are killed, interrupted, started twice, or lose MLflow; in copies of the project.

    python benchmarks/faults_commands.py forks|kills|interrupts|terminals|repeats|pairs|mlflow [--count N] [--seed 0]
        [--minutes M]

- forks: commands as a shell starts them, and as `forked.py` does: exit code, output and files must be the same.
- kills: runs of all pipelines are killed (SIGKILL) up to five times, at random instants, while MLflow's database is
  made, and while a checkpoint is written; then resumed. All results must be those of a run that was not killed, to the
  bit, MLflow must have every epoch once, and every file must be whole at every time.
- interrupts: SIGINT, SIGTERM and SIGHUP at random instants. The run must end within five seconds, with its last
  finished epoch kept, and be killed in MLflow; then it is resumed as above.
- terminals: the terminal of a run is closed, with the signal that tells the run so, and without. It must end as it does
  on that signal, and go on to its end.
- repeats: other runners, several processes, another process: results must be the same to the bit.
- pairs: two first runs at once, in one experiment or in two. One of the former must be refused, both of the latter end.
- mlflow: the server refuses, hangs, goes away and comes back; the database is locked, deleted, or its disk is full.
  Every metric must arrive, at the latest by `hyco mlflow-sync`; no password may be printed; no epoch may wait.

Each prints its counts below a line that sums them up, and ends with exit code 1 where one that must be zero is not.
Commands that meet damaged files, configurations that nobody means and full disks are in `faults_inputs.py`.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import pty
import random
import re
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import forked
from faults_project import EPOCHS, PIPELINES, Project, arguments_of, differing, output_of, wait_for
from forked import Forked

FAILURES = ("wrong", "traceback", "lost", "broken", "late", "name missing", "silently different")
_SECRET = "open-sesame"  # noqa: S105  # that of a test


def forks(count: int, _: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    project = Project()
    commands = [
        ("kedro", ("run", "--env", "tiny", *arguments_of("hybrid with figures", "one"))),
        ("kedro", ("run", "--env", "tiny", *arguments_of("physical", "one"))),
        ("kedro", ("run", "--env", "nowhere")),
        ("kedro", ("run", "--env", "tiny", *arguments_of("physical", "one", "physical.max_iterations=none"))),
        ("kedro", ("run", "--env", "tiny", *arguments_of("compare", "one"))),
        ("hyco", ("check", "--env", "tiny")),
    ]
    for module, arguments in commands[:count]:
        seen = []
        for start in (shell, project.command):
            process = start(project, module, arguments) if start is shell else start(module, arguments)
            text, _ = process.communicate()
            files = sorted(str(p.relative_to(project.path)) for p in (project.path / "data").rglob("*") if p.is_file())
            results = project.results("one")
            shown = re.sub(r"\d\d:\d\d:\d\d|\d+(\.\d+)? s\b", "…", text)
            versions = [re.sub(r"\d{4}-[^/]*Z", "…", file) for file in files]
            seen.append((process.returncode, shown, sorted(set(versions)), results))
            for folder in ("data", "mlruns"):
                subprocess.run(("rm", "-rf", str(project.path / folder)), check=True)
        for name, here, there in zip(("exit code", "output", "files", "results"), *seen, strict=True):
            outcomes["same" if here == there else f"wrong: other {name}"] += 1
            if here != there:
                print(arguments, name, *(here, there) if name != "results" else differing(here, there), sep="\n")
        yield
    project.remove()


def shell(project: Project, module: str, arguments: tuple[str, ...]) -> Any:
    """A command as a shell starts it."""
    return subprocess.Popen(
        (sys.executable, "-m", module, *arguments), cwd=project.path, env=project.environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


class Wholes:
    """What runs come to that nothing happens to, and how long they take; each is made when it is asked for."""

    def __init__(self) -> None:
        self.project = Project()
        self._results: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}

    def results(self, pipeline: str) -> dict[str, Any]:
        """Of a pipeline."""
        if pipeline not in self._results:
            begin, name = time.monotonic(), "whole_" + pipeline.replace(" ", "_")
            process = self.project.start(pipeline, name)
            text = output_of(process, Counter())
            if process.returncode:
                raise RuntimeError(text)
            self.seconds[pipeline] = time.monotonic() - begin
            self._results[pipeline] = self.project.results(name)
        return self._results[pipeline]


@functools.cache
def wholes() -> Wholes:
    """Those that all parts share."""
    return Wholes()


# What takes long is killed more rarely.
_KILLED = (
    *("hybrid", "physical", "generation", "synthetic", "hybrid", "compare", "hybrid", "physical", "all", "hybrid"),
    *("synthetic", "hybrid", "generation", "physical", "compare", "hybrid with figures"),
)


def strike(project: Project, process: Forked, pipeline: str, name: str, seconds: float, chance: random.Random) -> str:
    """Wait for the instant of a fault; the kind of it."""
    trainings, kind = PIPELINES[pipeline][1], chance.random()
    if kind < 0.2 and not (project.path / "mlflow.db").exists():
        wait_for(lambda: process.poll() is not None or any(project.path.glob("mlflow.db.*part*")), pause=0.001)
        time.sleep(chance.uniform(0, 0.8))
        return "while MLflow's database is made"
    if kind < 0.45 and trainings:
        folder = project.models(name) / f"{chance.choice(trainings)}_checkpoints"
        after = chance.randrange(1, 25) if (folder / "last.safetensors").exists() else 0
        seen: set[int] = set()

        def writing() -> bool:
            seen.update(p.stat().st_ino for p in folder.glob(".*.part")) if folder.exists() else None
            return process.poll() is not None or len(seen) > after

        with suppress(FileNotFoundError):  # it is renamed meanwhile
            wait_for(writing, pause=0.0)
        time.sleep(chance.choice((0, 0, chance.uniform(0, 0.01))))
        return "while a checkpoint is written"
    if kind < 0.7 and trainings:
        training = chance.choice(trainings)
        wanted = min(EPOCHS, project.epochs(name, training) + chance.randrange(1, 20))
        wait_for(lambda: process.poll() is not None or project.epochs(name, training) >= wanted)
        time.sleep(chance.uniform(0, 0.1))
        return "while it trains"
    time.sleep(chance.uniform(0, seconds))
    return "at any time"


def kills(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    project, trial = Project(), 0
    while outcomes["kills"] < count:
        if trial % 3 == 0:  # a first run in a fresh project makes MLflow's database
            project.remove()
            project = Project()
        pipeline = _KILLED[trial % len(_KILLED)]
        name, more = f"killed{trial}", ""
        whole = wholes().results(pipeline)
        for _ in range(chance.randrange(1, 6)):
            process = project.start(pipeline, name, more)
            instant = strike(project, process, pipeline, name, 1.2 * wholes().seconds[pipeline], chance)
            process.kill()
            text = output_of(process, outcomes)
            outcomes["kills"] += process.returncode == -signal.SIGKILL
            outcomes[f"kills {instant}"] += process.returncode == -signal.SIGKILL
            outcomes["ended before"] += process.returncode == 0
            outcomes["broken: exit code"] += process.returncode not in (0, -signal.SIGKILL)
            broken = project.broken_files()
            outcomes["broken files"] += len(broken)
            if broken or process.returncode > 0:
                print(pipeline, instant, broken, text[-2000:], flush=True)
            more = "resume=true"
        resumed(project, pipeline, name, whole, outcomes)
        outcomes[f"runs of {pipeline}"] += 1
        trial += 1
        yield
    project.remove()


def resumed(project: Project, pipeline: str, name: str, whole: dict[str, Any], outcomes: Counter[str]) -> None:
    """Resume a run, and look at all that it leaves."""
    process = project.start(pipeline, name, "resume=true")
    text = output_of(process, outcomes)
    if process.returncode != 0:
        outcomes["broken projects"] += 1
        print(pipeline, name, text[-3000:], flush=True)
        return
    other = differing(project.results(name), whole)
    runs = project.runs(name)
    finished = [run for run, status in runs.items() if status == "FINISHED"]
    mistakes = project.mistakes_in_history(name, PIPELINES[pipeline][1], finished[-1]) if finished else -1
    broken, left = project.broken_files(), [p for p in project.leftovers() if "mlflow.db.broken" not in p]
    outcomes["resumed"] += 1
    outcomes["wrong results"] += bool(other)
    outcomes["wrong history in MLflow"] += mistakes != 0
    outcomes["wrong: left running"] += "RUNNING" in runs.values()
    outcomes["broken files"] += len(broken)
    outcomes["left temporary files"] += len(left)
    with closing(sqlite3.connect(project.path / "mlflow.db")) as database:
        outcomes["broken databases"] += database.execute("pragma integrity_check").fetchone() != ("ok",)
    if other or mistakes or broken or left or "RUNNING" in runs.values():
        print(pipeline, name, f"{other=} {mistakes=} {runs=} {broken=} {left=}", text[-1500:], flush=True)


def interrupts(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    project, slowest = Project(), 0.0
    kinds = ("hybrid", "physical", "synthetic", "hybrid", "all", "compare", "hybrid with figures")
    for i in itertools.count():
        if sum(outcomes[one.name] for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)) >= count:
            break
        number, name = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[i % 3], f"interrupted{i}"
        pipeline = kinds[i % len(kinds)]
        whole, trainings = wholes().results(pipeline), PIPELINES[pipeline][1]
        process = project.start(pipeline, name)
        # Before, Python and Kedro start: a signal ends them as it ends any program.
        wait_for(lambda p=process: p.poll() is not None or "pipeline" in p.output())
        instant = strike(project, process, pipeline, name, wholes().seconds[pipeline], chance)
        begin = time.monotonic()
        process.send_signal(number)
        text = output_of(process, outcomes)
        seconds = time.monotonic() - begin
        last, statuses = text.splitlines()[-1], set(project.runs(name).values())
        # All was computed: MLflow was being told so, or Python was on its way out.
        leaving = process.returncode in (-number, 128 + number) and statuses == {"FINISHED"}
        if process.returncode == 0 or leaving:
            outcomes["ended before"] += 1
            yield
            continue
        if seconds > slowest:
            slowest = seconds
            print(f"  {pipeline}, {number.name} {instant}: ended after {seconds:.2f} s", flush=True)
        # Below zero: it was ended before the line of the epoch that is kept, which the resumed run makes up for.
        lost = sum(project.epochs(name, t) - project.kept(name, t) for t in trainings)
        outcomes[number.name] += 1
        outcomes[instant] += 1
        wrong = {
            "late": seconds > 5,
            "wrong exit code": process.returncode != 128 + number,
            "lost epochs": lost > 0,
            "wrong last line": "resume=true goes on from there" not in last and "start the run again" not in last,
            "wrong status in MLflow": not statuses <= {"KILLED"},
            "broken files": bool(project.broken_files()),
        }
        outcomes.update({key: int(value) for key, value in wrong.items()})
        if any(wrong.values()):
            print(pipeline, number, instant, f"{seconds:.1f} s", lost, statuses, wrong, text[-2500:], flush=True)
        resumed(project, pipeline, name, whole, outcomes)
        yield
    project.remove()


def terminals(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    for i in range(count):
        project, told = Project(), i % 2 == 0
        command = ("-m", "kedro", "run", "--env", "tiny", *arguments_of("hybrid", "one", "hybrid.epochs=300"))
        pid, terminal = pty.fork()
        if pid == 0:  # the leader of a session of its own, with a terminal
            signal.signal(signal.SIGHUP, signal.SIG_DFL if told else signal.SIG_IGN)
            os.chdir(project.path)
            variables = {**project.environment(), "TERM": "xterm"}
            os.execve(sys.executable, (sys.executable, *command), variables)  # noqa: S606
        wanted = chance.randrange(1, 100)

        def trains(project: Project = project, terminal: int = terminal, wanted: int = wanted) -> bool:
            while select.select([terminal], [], [], 0)[0] and os.read(terminal, 65536):
                pass
            return project.epochs("one") >= wanted

        wait_for(trains)
        os.close(terminal)
        begin = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        outcomes["closed, with a signal" if told else "closed, without a signal"] += 1
        outcomes["wrong exit code"] += code != (129 if told else 0)
        outcomes["late"] += told and time.monotonic() - begin > 5
        outcomes["lost epochs"] += project.kept("one") < (project.epochs("one") if told else 300)
        outcomes["wrong status in MLflow"] += list(project.runs("one").values()) != ["KILLED" if told else "FINISHED"]
        outcomes["broken files"] += len(project.broken_files())
        project.remove()
        yield


# How else a pipeline may be run, without a difference in what comes of it.
_WAYS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("hybrid", ("--runner", "ThreadRunner"), ""),
    ("all", ("--runner", "ThreadRunner"), ""),
    ("all", ("--runner", "ParallelRunner"), ""),
    ("compare", (), "compute.workers=2"),
    ("hybrid", (), ""),  # by a shell: sets have another order in each process
)


def repeats(count: int, _: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    project = Project()
    for i, (pipeline, options, params) in enumerate(_WAYS[:count]):
        whole, name = wholes().results(pipeline), f"repeated{i}"
        arguments = ("run", "--env", "tiny", *options, *arguments_of(pipeline, name, params))
        process = project.command("kedro", arguments) if options or params else shell(project, "kedro", arguments)
        text = output_of(process, outcomes)
        other = differing(project.results(name), whole) if process.returncode == 0 else []
        outcome = "the same to the bit" if not other else "wrong: different"
        way = f"{pipeline} {' '.join(options)} {params}"
        outcomes[f"refused ({way})" if process.returncode else outcome] += 1
        if process.returncode or other:
            print(way, other, text[-1500:], flush=True)
        yield
    project.remove()


def pairs(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    for i in range(count):
        project, same = Project(), i % 2 == 0
        names = ("one", "one") if same else ("one", "two")
        long = f"hybrid.epochs={_LONG}"  # or the first may have ended before the second asks
        processes = [project.start("hybrid", names[0], long)]
        time.sleep(chance.choice((0.0, chance.uniform(0, 2.0))))
        processes.append(project.start("hybrid", names[1], long))
        texts = [output_of(process, outcomes) for process in processes]
        codes = sorted(process.returncode for process in processes)
        if same:
            refused = [text for text, p in zip(texts, processes, strict=True) if p.returncode == 1]
            good = codes == [0, 1] and "is being run by process" in refused[0].splitlines()[-1]
            outcomes["one of two refused" if good else f"wrong: {codes}"] += 1
        else:
            good = codes == [0, 0]
            outcomes["both ended" if good else f"wrong: {codes}"] += 1
        if not good:
            print(*(text[-1500:] for text in texts), sep="\n", flush=True)
        for name in set(names):
            finished = [run for run, status in project.runs(name).items() if status == "FINISHED"]
            good = len(finished) == 1 and not project.mistakes_in_history(name, ("hybrid",), finished[0])
            outcomes["wrong history in MLflow"] += not good
            outcomes["broken files"] += len(project.broken_files())
        project.remove()
        yield


def mlflow(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    interrupts = (locked_and_interrupted, interrupted_at_the_end)
    faults = (refused, hangs, locked, locked_before, *interrupts, deleted, full, gone)
    for i in range(count):
        project = Project()
        faults[i % len(faults)](project, outcomes, chance)
        outcomes[faults[i % len(faults)].__name__] += 1
        project.remove()
        yield


def refused(project: Project, outcomes: Counter[str], _: random.Random, port: int = 9) -> None:
    """A server that is not there, with a password."""
    process = project.start("hybrid", "away", uri=f"http://me:{_SECRET}@127.0.0.1:{port}")
    wait_for(lambda: process.poll() is not None or "pipeline" in process.output())
    begin = time.monotonic()
    text = output_of(process, outcomes)
    seconds = time.monotonic() - begin
    outcomes["wrong: password told"] += _SECRET in text
    outcomes["wrong: not refused"] += process.returncode != 1 or "MLflow takes no run at" not in text.splitlines()[-1]
    outcomes["wrong: something was computed"] += (project.path / "data" / "05_model_input").exists()
    outcomes["late: told after more than 10 s"] += seconds > 10
    print(f"  told {seconds:.1f} s after the run began", flush=True)


def hangs(project: Project, outcomes: Counter[str], chance: random.Random) -> None:
    """A server that takes a connection and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        refused(project, outcomes, chance, server.getsockname()[1])


# Epochs enough that MLflow is missed for some seconds.
_LONG = 400


def during(
    project: Project,
    outcomes: Counter[str],
    spoil: Callable[[Forked], None],
    mend: Callable[[], None],
    uri: str | None = None,
    database: Path | None = None,
    *,
    interrupted: bool = False,
) -> None:
    """A fault from epoch 5 on, until the run has ended or is told to; then everything has to arrive."""
    process = project.start("hybrid", "away", f"hybrid.epochs={_LONG}", uri=uri)
    wait_for(lambda: process.poll() is not None or project.epochs("away") >= 5)
    spoil(process)
    stall = longest_pause(process, project, 20 if interrupted else _LONG)
    begin = time.monotonic()
    if interrupted:
        process.send_signal(signal.SIGTERM)
    text = output_of(process, outcomes)
    seconds = time.monotonic() - begin
    mend()
    sync = project.command("hyco", ("mlflow-sync",), project.environment(uri))
    synced = output_of(sync, outcomes)
    runs = project.runs("away", database)
    lost = sum(project.mistakes_in_history("away", ("hybrid",), run, database) for run in runs)
    good = {
        "broken": process.returncode != (143 if interrupted else 0) or sync.returncode != 0,
        "lost metrics": lost,
        "wrong runs in MLflow": list(runs.values()) != ["KILLED" if interrupted else "FINISHED"],
        "late: more than 5 s after the signal": interrupted and seconds > 5,
        "late: an epoch waited more than 2 s": stall > 2,
        "wrong: lines that say it": not interrupted and text.count("MLflow did not take what was sent") != 1,
    }
    outcomes.update({key: int(value) for key, value in good.items()})
    said = f", {seconds:.2f} s after the signal" if interrupted else ""
    print(f"  longest pause between two epochs {stall:.2f} s{said}", flush=True)
    if any(good.values()):
        print(f"{good=} {runs=}", text[-2500:], synced, flush=True)


def longest_pause(process: Forked, project: Project, epochs: int) -> float:
    """The longest time in which no epoch ended, as seen from outside, until so many have."""
    seen, since, longest = project.epochs("away"), time.monotonic(), 0.0
    while process.poll() is None and seen < epochs:
        time.sleep(0.01)
        if (now := project.epochs("away")) > seen:
            longest, since, seen = max(longest, time.monotonic() - since), time.monotonic(), now
    return longest


def locked(project: Project, outcomes: Counter[str], _: random.Random, *, interrupted: bool = False) -> None:
    """Another program holds the database."""
    held: list[sqlite3.Connection] = []

    def spoil(_: Forked) -> None:
        held.append(sqlite3.connect(project.path / "mlflow.db", isolation_level=None, timeout=60))
        held[0].execute("begin exclusive")

    during(project, outcomes, spoil, lambda: held[0].close(), interrupted=interrupted)


def locked_before(project: Project, outcomes: Counter[str], chance: random.Random) -> None:
    """Another program holds it when the run begins; that is told, and the run goes on, or can be interrupted."""
    output_of(project.start("hybrid", "before"), outcomes)
    # Another process: one that is forked from its owner takes a lock for its own.
    hold = (
        "import sqlite3, sys, time; sqlite3.connect(sys.argv[1]).execute('begin exclusive'); print(); time.sleep(300)"
    )
    command = (sys.executable, "-c", hold, str(project.path / "mlflow.db"))
    with subprocess.Popen(command, env={"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        process = project.start("hybrid", "away")
        wait_for(lambda: process.poll() is not None or "pipeline" in process.output())
        begin = time.monotonic()
        wait_for(lambda: process.poll() is not None or "holds MLflow's database" in process.output(), 60)
        print(f"  told {time.monotonic() - begin:.1f} s after the run began", flush=True)
        outcomes["late: told after more than 10 s"] += time.monotonic() - begin > 10
        if interrupted := chance.random() < 0.5:
            begin = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait()
            outcomes["late: more than 5 s after the signal"] += time.monotonic() - begin > 5
        holder.kill()
    text = output_of(process, outcomes)
    if process.returncode != (130 if interrupted else 0):
        outcomes["broken"] += 1
        print(process.returncode, interrupted, text[-2500:], flush=True)
    for run in project.runs("away"):
        outcomes["lost metrics"] += project.mistakes_in_history("away", ("hybrid",), run)


def locked_and_interrupted(project: Project, outcomes: Counter[str], chance: random.Random) -> None:
    """The same, and the run is told to end."""
    locked(project, outcomes, chance, interrupted=True)


def interrupted_at_the_end(project: Project, outcomes: Counter[str], chance: random.Random) -> None:
    """The same when all is computed, and the run waits for MLflow at its end; it is told once or twice."""
    process = project.start("hybrid", "away")
    wait_for(lambda: process.poll() is not None or project.epochs("away") >= EPOCHS - 10)
    with closing(sqlite3.connect(project.path / "mlflow.db", isolation_level=None, timeout=60)) as held:
        held.execute("begin exclusive")
        wait_for(lambda: process.poll() is not None or (project.reporting("away") / "report.json").exists())
        time.sleep(chance.uniform(2, 4))
        begin, twice = time.monotonic(), chance.random() < 0.5
        process.send_signal(signal.SIGINT)
        if twice:
            time.sleep(chance.uniform(0, 1))
            process.send_signal(signal.SIGINT)
        text = output_of(process, outcomes)
        seconds = time.monotonic() - begin
    left = [p.name for p in (project.path / "data" / ".mlflow_queue").glob("*.lock")]
    sync = project.command("hyco", ("mlflow-sync",))
    synced = output_of(sync, outcomes)
    runs = project.runs("away")
    good = {
        "broken": process.returncode not in (130, -signal.SIGINT) or sync.returncode != 0,
        "lost metrics": sum(project.mistakes_in_history("away", ("hybrid",), run) for run in runs),
        "wrong runs in MLflow": list(runs.values()) not in (["FINISHED"], ["KILLED"]),
        "wrong: a lock is left": bool(left),
        "wrong: not said": "MLflow has not got all of this run" not in text,
        "late: more than 5 s after the signal": seconds > 5,
    }
    outcomes.update({key: int(value) for key, value in good.items()})
    print(f"  told {'twice' if twice else 'once'} at its end: {seconds:.2f} s", flush=True)
    if any(good.values()):
        print(f"{good=} {runs=} {process.returncode=}", text[-2500:], synced, flush=True)


def deleted(project: Project, outcomes: Counter[str], _: random.Random) -> None:
    """Somebody removes the database, and puts it back."""
    path = project.path / "mlflow.db"
    during(
        project, outcomes, lambda _: path.rename(f"{path}.away"), lambda: Path(f"{path}.away").replace(path) and None
    )


def full(project: Project, outcomes: Counter[str], _: random.Random) -> None:
    """The database cannot grow any more, nor can any other file as large."""

    def spoil(process: Forked) -> None:
        size = (project.path / "mlflow.db").stat().st_size
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))

    during(project, outcomes, spoil, lambda: None)


def gone(project: Project, outcomes: Counter[str], _: random.Random) -> None:
    """A server goes away, and comes back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database, uri = project.path / "served.db", f"http://127.0.0.1:{port}"
    servers: list[Any] = []

    def serve() -> None:
        where = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
        store = (
            "--backend-store-uri",
            f"sqlite:///{database}",
            "--artifacts-destination",
            str(project.path / "served"),
        )
        servers.append(
            subprocess.Popen(
                (sys.executable, "-m", "mlflow", "server", *where, *store),
                cwd=project.path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**project.environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )
        )
        wait_for(lambda: answers(port), 120)

    def end(_: Forked | None = None) -> None:
        os.killpg(servers[-1].pid, signal.SIGKILL)
        servers[-1].wait()

    serve()
    during(project, outcomes, end, serve, uri, database)
    end()


def answers(port: int) -> bool:
    """Whether a server listens."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


Part = Callable[[int, random.Random, Counter[str]], Iterator[None]]
PARTS: dict[str, tuple[Part, int]] = {
    "forks": (forks, 6),
    "kills": (kills, 200),
    "interrupts": (interrupts, 60),
    "terminals": (terminals, 4),
    "repeats": (repeats, 5),
    "pairs": (pairs, 20),
    "mlflow": (mlflow, 20),
}


def main(parts: dict[str, tuple[Part, int]], description: str) -> int:
    """The parts that are asked for; 1 where something happened that must not."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=list(parts), default=list(parts))
    parser.add_argument("--count", type=int, help="of each part; without it as many as the part has by itself")
    parser.add_argument("--minutes", type=float, default=1e9, help="at most, of each part")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    forked.import_everything()
    bad = 0
    for name in arguments.parts:
        part, usual = parts[name]
        outcomes, begin, done = Counter[str](), time.monotonic(), 0
        try:
            for _ in part(arguments.count or usual, random.Random(arguments.seed), outcomes):
                done += 1
                if time.monotonic() - begin > 60 * arguments.minutes:
                    break
        finally:
            for project in Project.made:
                project.remove()
            wholes.cache_clear()
        mistakes = sum(number for outcome, number in outcomes.items() if outcome.startswith(FAILURES))
        seconds = time.monotonic() - begin
        print(f"{name}, seed {arguments.seed}: {done} tries, {mistakes} that must not be ({seconds:.0f} s)", flush=True)
        for outcome, number in sorted(outcomes.items()):
            wrong = outcome.startswith(FAILURES) and number > 0
            bad += wrong
            print(f"  {number:6d}  {outcome}{'  <-- must not be' if wrong else ''}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(PARTS, __doc__))
