"""A short version of benchmarks/faults.py: of every kind of fault a few, and none with a bad end."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import faults


@pytest.mark.parametrize(("part", "count"), [("files", 84), ("configurations", 60), ("numbers", 12), ("disks", 8)])
def test_no_fault_is_lost_or_silent(part, count):
    outcomes = faults.PARTS[part][0](count, random.Random(1))
    assert {outcome: n for outcome, n in outcomes.items() if outcome.startswith(faults.FAILURES) and n} == {}
    assert sum(n for outcome, n in outcomes.items() if outcome != "slower than 1 s") == count


@pytest.mark.study  # a run in tests/e2e is killed, too
def test_a_command_that_is_killed_is_resumed_to_the_bit():
    # In a process of its own: it forks, which one with threads must not.
    script = Path(faults.__file__).with_name("faults_commands.py")
    command = (sys.executable, str(script), "kills", "--count", "1", "--seed", "3")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1] / "src")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resumed" in done.stdout
