"""Walls by name, those of this package and those of others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import isabstract
from typing import Any

from pydantic import ValidationError

from hyco.walls.wall import Wall

WALLS = {
    "neumann": "hyco.walls.neumann:Neumann",
    "periodic": "hyco.walls.periodic:Periodic",
    "value": "hyco.walls.value:Value",
}


def names_a_wall(name: Any) -> bool:
    """Whether this is the name of a wall, or has the form `package.module:Class`."""
    return isinstance(name, str) and (name in WALLS or ":" in name)


def wall_class(name: str) -> type[Wall]:
    """The class of a wall.

    Args:
        name: one of `WALLS`, or `package.module:Class` for a class anywhere on Python's path.

    Raises:
        ValueError: there is none of this name, or it is no wall; the message says what is wrong with it.
    """
    if not names_a_wall(name):
        raise ValueError(f"there is no wall {name!r}; there are {', '.join(WALLS)}, or package.module:Class")
    module_name, _, attribute = WALLS.get(name, name).partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:  # a module of someone else may fail in any way
        raise ValueError(
            f"{name}: the module {module_name!r} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    result = getattr(module, attribute, None)
    if not isinstance(result, type):
        wrong = "has no" if result is None else "is no class: its"
        raise ValueError(f"{name}: the module {module_name!r} {wrong} {attribute!r}; name a class")
    if not issubclass(result, Wall):
        raise ValueError(f"{name}: {attribute} is no wall; derive it from hyco.walls.wall.Wall")
    if isabstract(result):
        missing = ", ".join(sorted(result.__abstractmethods__))
        raise ValueError(f"{name}: {attribute} does not say its {missing}")
    return result


def build_wall(name: str, arguments: Any = None) -> Wall:
    """A wall from its name and its arguments: by name, or the only one of a wall that has one.

    Raises:
        ValueError: see `wall_class`, or the arguments are not those of this wall.
    """
    wall = wall_class(name)
    takes = ", ".join(wall.model_fields) or "none"
    if isinstance(arguments, Mapping):
        values = dict(arguments)
    elif arguments is None:
        values = {}
    elif len(wall.model_fields) == 1:
        values = dict.fromkeys(wall.model_fields, arguments)
    else:
        raise ValueError(f"{name}: got {arguments!r}; its arguments by name: {takes}")
    try:
        result = wall.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, p['loc'])) or 'all'}: {p['msg']}" for p in error.errors()]
        raise ValueError(f"{name}: {'; '.join(problems)} (its arguments: {takes})") from None
    if not result.periodic and not any(result.condition[:2]):
        raise ValueError(f"{name}: with a = b = 0 the condition a u + b ∂u/∂n = c says nothing")
    return result
