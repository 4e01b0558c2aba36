"""A terminal that is closed takes no program with it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from hyco.runtime.terminal import leave_closed_terminal
leave_closed_terminal()
print("there", flush=True)
print("ready", file=sys.stderr, flush=True)
sys.stdin.read(1)
leave_closed_terminal()
print("nobody reads this", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_what_is_written_to_a_closed_terminal_goes_nowhere():
    ours, its = os.openpty()
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=its, stderr=subprocess.PIPE)
    os.close(its)
    assert process.stderr.readline() == b"ready\n"
    assert b"there" in os.read(ours, 100)  # an open one is left as it is
    os.close(ours)
    _, errors = process.communicate(b"\n", timeout=60)
    assert (process.returncode, errors) == (0, b"")
