"""A project folder of its own for each test module, and the real commands in it.

Most commands are forks of one process that has imported everything, which is most of what a command takes: `forked.py`
in `benchmarks` says what is the same. `Project.shell` runs a command as a shell starts it.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
# A problem that trains in seconds.
SMALL = (
    "equation.domain.x.resolution=32,equation.domain.x.size=4.0,generation.steps=15,generation.length_scale=0.8,"
    "synthetic.network.filters=8,synthetic.network.blocks=1,synthetic.epochs=3,"
    "hybrid.epochs=5,hybrid.warmup_epochs=2,hybrid.interleave_frequency=1"
)


class Forks:
    """Runs commands, one after the other, in forks of a process (`forks.py`) that is started with the first one.

    Each has a number, which its answer repeats. After anything unexpected, as a test's timeout is, that process is
    ended with all below it, and the next command starts another.
    """

    def __init__(self, *options):
        self.server, self.number, self._options = None, 0, options

    def run(self, arguments, cwd, env, seconds=200):
        """Run `python -m MODULE …` to its end; exit code and output.

        Raises:
            TimeoutError: it has not ended in so many seconds.
            ChildProcessError: the process that forks has ended.
        """
        self.number += 1
        request = {"number": self.number, "arguments": arguments, "cwd": str(cwd), "env": env, "seconds": seconds}
        try:
            return SimpleNamespace(**self._answer(json.dumps(request)))
        except BaseException:
            self.close()
            raise

    def _answer(self, request):
        self.server = self.server or self._start()
        try:
            self.server.stdin.write(request + "\n")
            self.server.stdin.flush()
            line = self.server.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ChildProcessError(f"the process that forks has ended: {self.server.wait(10)}")
        answer = json.loads(line)
        if answer.pop("number") != self.number:
            raise RuntimeError(f"the answer is not that of command {self.number}: {line}")
        if "late" in answer:
            raise TimeoutError(answer["late"])
        return answer

    def _start(self):
        variables = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        script = [sys.executable, str(Path(__file__).with_name("forks.py")), *self._options]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return subprocess.Popen(script, env=variables, start_new_session=True, **pipes)

    def close(self):
        """End that process, and what runs below it."""
        server, self.server = self.server, None
        if server is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)
        server.stdout.close()
        with suppress(BrokenPipeError):  # what was not sent
            server.stdin.close()


@pytest.fixture(scope="session")
def forks():
    found = Forks()
    yield found
    found.close()


@pytest.fixture(scope="module")
def bare():
    """Of a process that has imported nothing, which starts at once."""
    found = Forks("bare")
    yield found
    found.close()


class Project:
    """A copy of the project without its results."""

    def __init__(self, path, forks):
        self.path, self.forks = path, forks
        for name in ("conf", "src"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("pyproject.toml", ".kedro.yml", ".telemetry"):
            shutil.copy(ROOT / name, path / name)

    def command(self, *arguments, params="", small=SMALL):
        return [sys.executable, "-m", "kedro", "run", *arguments, "--params", ",".join(p for p in (small, params) if p)]

    def run(self, *arguments, params="", small=SMALL, folder="."):
        """Run to the end; exit code and output."""
        if sys.platform != "linux":  # elsewhere libraries may not outlive a fork
            return self.shell(*arguments, params=params, small=small, folder=folder)
        _, _, *command = self.command(*arguments, params=params, small=small)
        return self.forks.run(command, self.path / folder, self.environment())

    def shell(self, *arguments, params="", small=SMALL, folder="."):
        """The same as a shell starts it."""
        command = self.command(*arguments, params=params, small=small)
        given = {"cwd": self.path / folder, "env": self.environment()}
        return subprocess.run(command, capture_output=True, text=True, timeout=200, **given)

    def environment(self):
        others = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
        return others | {"COLUMNS": "200"}

    def kill_after_epoch(self, epoch, *arguments, params="", experiment="burgers_1d"):
        """Start, and kill with SIGKILL as soon as the checkpoint of this epoch is on disk."""
        history = self.path / "data" / "08_reporting" / experiment / "hybrid_metrics.jsonl"
        process = subprocess.Popen(
            self.command(*arguments, params=params),
            cwd=self.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
        )
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and process.poll() is None:
            if history.exists() and len(history.read_text().splitlines()) >= epoch:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        return process.wait()

    def mlflow_statuses(self):
        with sqlite3.connect(self.path / "mlflow.db") as database:
            return {status for (status,) in database.execute("select status from runs")}

    def report(self, experiment="burgers_1d"):
        return json.loads((self.path / "data" / "08_reporting" / experiment / "report.json").read_text())


@pytest.fixture(scope="module")
def project(tmp_path_factory, forks):
    return Project(tmp_path_factory.mktemp("project"), forks)
