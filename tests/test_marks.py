"""Marks of tests, and the commands that choose by them."""

import re
from pathlib import Path
from types import SimpleNamespace

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


def test_a_study_is_a_slow_test_too(request):
    studies = [item for item in request.session.items if item.get_closest_marker("study")]
    assert all(item.get_closest_marker("slow") for item in studies)


class Item:
    """A test that has marks, as pytest's items have them."""

    def __init__(self, name, *marks):
        self.nodeid, self.marks, self.stash = name, {*marks}, pytest.Stash()

    def get_closest_marker(self, name):
        return name if name in self.marks else None

    def add_marker(self, name):
        self.marks.add(name)


def test_of_every_second_fast_test_one_case_is_watched(request):
    hooks = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    items = [Item("a[0]"), Item("a[1]"), Item("b"), Item("c", "slow"), Item("d", "study"), Item("e[x]"), Item("e[y]")]
    for half in (False, True):
        hooks.pytest_collection_modifyitems(SimpleNamespace(getoption={"cov_half": half}.get), items)
        watched = [item.nodeid for item in items if hooks.WATCHED in item.stash]
        assert watched == (["a[0]", "e[x]"] if half else [])


def test_half_of_the_coverage_without_coverage_is_refused_in_a_line(request):
    hooks = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))

    def begun(**options):
        hooks.pytest_configure(SimpleNamespace(getoption=lambda name, default=None: options.get(name, default)))

    with pytest.raises(pytest.UsageError, match=r"^--cov-half .*give --cov, too, or leave it out$"):
        begun(cov_half=True, cov_source=[])
    begun(cov_half=True, cov_source=[True])
    begun(cov_half=False)


def test_half_of_a_coverage_that_is_turned_off_watches_nothing(request):
    hooks = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    plugins = SimpleNamespace(get_plugin={"_cov": SimpleNamespace(cov_controller=None)}.get)  # as with --no-cov
    item = Item("a")
    item.config = SimpleNamespace(getoption={"cov_half": True}.get, pluginmanager=plugins)
    protocol = hooks.pytest_runtest_protocol(item)
    next(protocol)
    with pytest.raises(StopIteration) as ended:
        protocol.send("done")
    assert ended.value.value == "done"
