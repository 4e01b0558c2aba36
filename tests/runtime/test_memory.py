"""Freed memory stays with the process."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from hyco.runtime.memory import keep_freed_memory

kept = keep_freed_memory()

def blocks():
    return [np.ones(2**20) for _ in range(8)]

blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    blocks()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(environment):
    """Whether memory was kept, and how many pages the system handed out in ten rounds of 64 MB."""
    found = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    kept, pages = map(int, found.stdout.split())
    return bool(kept), pages


@pytest.mark.slow
def test_what_is_freed_is_taken_again_where_the_library_can_be_told():
    kept, pages = faults({})
    told, taken = faults({"MALLOC_TRIM_THRESHOLD_": "131072"})
    assert kept == hasattr(ctypes.CDLL(None), "mallopt")
    assert not told  # what is set from outside stays
    if kept:
        assert pages < 100
        assert taken > pages
