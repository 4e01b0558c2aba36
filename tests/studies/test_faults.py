"""A short version of benchmarks/faults.py: of every kind of fault a few, and none with a bad end."""

import random

import pytest

import faults


@pytest.mark.parametrize(("part", "count"), [("files", 84), ("configurations", 60), ("numbers", 12), ("disks", 8)])
def test_no_fault_is_lost_or_silent(part, count):
    outcomes = faults.PARTS[part][0](count, random.Random(1))
    assert {outcome: n for outcome, n in outcomes.items() if outcome.startswith(faults.FAILURES) and n} == {}
    assert sum(n for outcome, n in outcomes.items() if outcome != "slower than 1 s") == count
