"""Marks of tests, and the commands that choose by them."""

import re
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

MAKEFILE = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")


def chosen(target):
    """What each call of pytest below a target of the Makefile chooses by."""
    (recipe,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return [Expression.compile(found.strip('"')) for found in re.findall(r'-m pytest .*-m ("[^"]+"|\w+)', recipe)]


@pytest.mark.parametrize("marks", [set(), {"slow"}, {"slow", "study"}], ids=["fast", "slow", "study"])
def test_every_test_is_in_one_part_of_make_test_or_in_what_test_all_adds(marks):
    def runs(target):
        return [part.evaluate(lambda name, **_: name in marks) for part in chosen(target)]

    assert sum(runs("test")) == ("study" not in marks)
    assert sum(runs("test-all")) == ("study" in marks)
    assert sum(runs("test-fast")) == (not marks)


def test_a_study_is_a_slow_test_too(request):
    studies = [item for item in request.session.items if item.get_closest_marker("study")]
    assert all(item.get_closest_marker("slow") for item in studies)
