"""A table of classes by name, for any kind of class."""

import pytest

from hyco.runtime.plugins import PluginError, Registry, takes
from hyco.walls.boundary import Boundary


def registry(**keys):
    return Registry(kind="clock", built_in={"memory": "hyco.runtime.plugins:PluginError"}, group="hyco.clocks", **keys)


def test_a_class_of_this_package_is_taken_as_it_is():
    assert registry(base="builtins:int").load("memory") is PluginError
    assert registry().available() == ["memory"]


def test_a_class_from_outside_is_checked_for_its_base_its_keys_and_what_else_is_asked(write_module):
    write_module("my_clock", "class Clock:\n    pass\n")
    assert registry().load("my_clock:Clock").__name__ == "Clock"
    for keys, reason in (
        ({"base": "datetime:tzinfo"}, "Clock is no subclass of datetime.tzinfo"),
        ({"config": "pydantic:BaseModel"}, "Clock has no config_class: a subclass of pydantic.main.BaseModel with its"),
        ({"check": lambda found: f"{found.__name__} has no hands"}, "Clock has no hands"),
    ):
        with pytest.raises(PluginError, match=rf"^clock 'my_clock:Clock': {reason}"):
            registry(**keys).load("my_clock:Clock")


def test_a_module_that_failed_can_be_mended(write_module):
    write_module("my_clock", "clock = missing\n")
    with pytest.raises(PluginError, match=r"NameError: name 'missing' is not defined \(my_clock\.py, line 1\)$"):
        registry().load("my_clock:Clock")
    write_module("my_clock", "class Clock:\n    '''Mended, and of another length.'''\n")
    assert registry().load("my_clock:Clock").__name__ == "Clock"


def test_a_call_is_looked_at_without_being_made():
    assert takes(lambda a, b=1: None, 1)
    assert not takes(lambda a: None)


def test_what_is_installed_is_read_once_for_a_path(monkeypatch):
    """A walk through all packages takes a twentieth of a second or more, and walls are read again and again."""
    walks = []
    monkeypatch.setattr("hyco.runtime.plugins.metadata.entry_points", lambda **_: walks.append(1) or [])
    for count, path in enumerate((["one"], ["one", "two"]), start=1):
        monkeypatch.setattr("sys.path", path)
        for _ in range(3):
            Boundary.of({"x": {"lower": 0.0, "upper": "neumann"}}, ["x"])
        assert len(walks) == count
