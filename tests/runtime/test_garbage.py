"""Modules stay out of garbage collections."""

import gc
import subprocess
import sys

import pytest

from hyco.runtime.garbage import first_import


@pytest.fixture
def thawed():
    """The collector as it was, and whatever was kept out of it back in."""
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_during_a_first_import_and_leaves_alone_what_is_there(thawed):
    kept = gc.get_freeze_count()
    with first_import("a_module_that_nobody_has"):
        assert not gc.isenabled()
        found = [[]]
    assert gc.isenabled()
    assert gc.get_freeze_count() > kept
    assert not any(o is found for o in gc.get_objects())


def test_an_import_that_fails_leaves_the_collector_at_work(thawed):
    with pytest.raises(ImportError), first_import("a_module_that_nobody_has"):
        raise ImportError("not installed")
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off(thawed):
    gc.disable()
    with first_import("a_module_that_nobody_has"):
        pass
    assert not gc.isenabled()


def test_nothing_happens_where_the_module_is_there():
    kept = gc.get_freeze_count()
    with first_import("sys"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == kept


@pytest.mark.slow
@pytest.mark.parametrize("module", [pytest.param("hyco.config", marks=pytest.mark.slow), "mlflow"])
def test_the_modules_are_those_that_bring_the_large_packages(module):
    """Not imported by what comes before, and heavy: else nothing would be kept out, without a word."""
    code = (
        "import gc, sys, hyco.settings, hyco.hooks.tracking\n"
        "from hyco.runtime.garbage import first_import\n"
        f"with first_import('{module}'):\n    import {module}\n"
        "print(gc.get_freeze_count())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout.split()[-1]) > 100_000
