"""Marks of tests, and the commands that choose by them."""

import re
import subprocess
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

MAKEFILE = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")


def recipe(target):
    """The lines below a target, those that go on joined."""
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return lines.replace("\\\n", "")


def chosen(target):
    """What each call of pytest below a target of the Makefile chooses by."""
    calls = recipe(target).split("-m pytest ")[1:]
    return [Expression.compile(re.search(r'-m ("[^"]+"|\w+)', call)[1].strip('"')) for call in calls]


@pytest.mark.parametrize("marks", [set(), {"slow"}, {"slow", "study"}], ids=["fast", "slow", "study"])
def test_every_test_is_in_one_part_of_make_test_or_in_what_test_all_adds(marks):
    def runs(target):
        return [part.evaluate(lambda name, **_: name in marks) for part in chosen(target)]

    assert sum(runs("test")) == ("study" not in marks)
    assert sum(runs("test-all")) == ("study" in marks)
    assert sum(runs("test-fast")) == (not marks)


@pytest.mark.parametrize(("fast", "slow"), [(0, 0), (1, 0), (0, 1), (1, 2)])
def test_slow_tests_run_where_fast_ones_fail_and_either_fails_the_command(tmp_path, fast, slow):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@"\ncase "$*" in *"not slow"*) exit {fast};; esac; exit {slow}\n')
    python.chmod(0o755)
    (line,) = recipe("test").splitlines()
    shell = line.replace("$(PY)", str(python)).replace("$$", "$")
    done = subprocess.run(["sh", "-ec", shell], capture_output=True, text=True)
    assert [" slow and" in call for call in done.stdout.splitlines()] == [False, True]
    assert done.returncode == max(fast, slow)


def test_a_study_is_a_slow_test_too(request):
    studies = [item for item in request.session.items if item.get_closest_marker("study")]
    assert all(item.get_closest_marker("slow") for item in studies)
