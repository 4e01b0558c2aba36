"""The comparison as a command: killed, and gone on with."""

import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PARAMS = "experiment=table,compare.seeds=0-1,compare.methods=persistence+synthetic+hybrid,compute.workers=2"


def test_a_comparison_that_was_killed_goes_on_and_ends_with_all_its_files_and_nested_runs(project):
    folder = project.path / "data" / "08_reporting" / "table"
    process = subprocess.Popen(
        project.command("--pipelines", "compare", params=PARAMS),
        cwd=project.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=project.environment(),
    )
    path, deadline = folder / "comparison.json", time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and len(json.loads(path.read_text())["runs"]) >= 2:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    assert process.wait() == -signal.SIGKILL
    before = json.loads(path.read_text())["runs"]
    assert 2 <= len(before) < 8
    assert not (folder / "comparison.md").exists()

    done = project.run("--pipeline", "compare", params=f"{PARAMS},resume=true")
    assert done.returncode == 0, done.stderr
    assert "Going on with the comparison" in done.stderr + done.stdout
    comparison = json.loads(path.read_text())
    runs = {(r["method"], r["seed"]): r for r in comparison["runs"]}
    methods = ("persistence", "synthetic", "hybrid_synthetic", "hybrid_physical")
    assert set(runs) == {(method, seed) for method in methods for seed in (0, 1)}
    # What was there was not run again: its times are the same, too.
    assert all(runs[r["method"], r["seed"]] == r for r in before)
    assert {r["status"] for r in runs.values()} == {"finished"}
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "comparison.csv").read_text().count("\n") == 9
    assert "| hybrid_synthetic | synthetic | nrmse |" in (folder / "comparison.md").read_text()

    with sqlite3.connect(project.path / "mlflow.db") as database:
        tags = dict(database.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'"))
        names = dict(database.execute("select run_uuid, name from runs where status = 'FINISHED'"))
    parents = {parent for parent in tags.values() if parent in names}
    assert len(parents) == 1  # the other was killed
    children = sorted(names[run] for run, parent in tags.items() if parent in parents)
    assert children == sorted(f"{method} seed {seed}" for method in methods for seed in (0, 1))


def test_a_mistake_in_a_variant_ends_the_command_before_anything_runs(project):
    wrong = "experiment=wrong,compare.variants.mine.method=hybrid,compare.variants.mine.overrides.hybrid.alpa=1"
    done = project.run("--pipelines", "compare", params=wrong)
    assert done.returncode != 0
    assert "compare.variants.mine.overrides.hybrid.alpa: unknown key (value 1)" in done.stderr
    assert not (project.path / "data" / "08_reporting" / "wrong").exists()
