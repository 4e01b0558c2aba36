"""A project folder of its own for each test module, and the real commands in it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A problem that trains in seconds.
SMALL = (
    "equation.domain.x.resolution=32,equation.domain.x.size=4.0,generation.steps=15,generation.length_scale=0.8,"
    "synthetic.network.filters=8,synthetic.network.blocks=1,synthetic.epochs=3,"
    "hybrid.epochs=5,hybrid.warmup_epochs=2,hybrid.interleave_frequency=1"
)


class Project:
    """A copy of the project without its results."""

    def __init__(self, path):
        self.path = path
        for name in ("conf", "src"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("pyproject.toml", ".kedro.yml", ".telemetry"):
            shutil.copy(ROOT / name, path / name)

    def command(self, *arguments, params="", small=SMALL):
        return [sys.executable, "-m", "kedro", "run", *arguments, "--params", ",".join(p for p in (small, params) if p)]

    def run(self, *arguments, params="", small=SMALL, folder=".", **options):
        """Run to the end; the finished process with its output."""
        return subprocess.run(
            self.command(*arguments, params=params, small=small),
            cwd=self.path / folder,
            capture_output=True,
            text=True,
            timeout=200,
            env=self.environment(),
            **options,
        )

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
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))
