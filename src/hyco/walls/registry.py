"""Walls by name, those of this package and those of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hyco.runtime.plugins import Registry
from hyco.walls.wall import Wall

WALLS: Registry[type[Wall]] = Registry(
    kind="wall",
    built_in={
        "column": "hyco.walls.column:Column",
        "flux": "hyco.walls.flux:Flux",
        "neumann": "hyco.walls.neumann:Neumann",
        "periodic": "hyco.walls.periodic:Periodic",
        "robin": "hyco.walls.robin:Robin",
        "sensor": "hyco.walls.sensor:Sensor",
        "table": "hyco.walls.table:Table",
        "value": "hyco.walls.value:Value",
    },
    group="hyco.walls",
    base="hyco.walls.wall:Wall",
)


def names_a_wall(name: Any) -> bool:
    """Whether this is the name of a wall, or has the form `package.module:Class`."""
    return isinstance(name, str) and (name in WALLS.built_in or ":" in name or name in WALLS.available())


def build_wall(name: str, arguments: Any = None) -> Wall:
    """A wall from its name and its arguments: by name, or the only one of a wall that has, or needs, one.

    Raises:
        ValueError: no wall of this name can be used, or the arguments are not those of this wall.
    """
    wall = WALLS.load(name)
    takes = ", ".join(wall.model_fields) or "none"
    needed = [key for key, field in wall.model_fields.items() if field.is_required()] or list(wall.model_fields)
    if isinstance(arguments, Mapping):
        values = dict(arguments)
    elif arguments is None:
        values = {}
    elif len(needed) == 1:
        values = dict.fromkeys(needed, arguments)
    else:
        raise ValueError(f"{name}: got {arguments!r}; its arguments by name: {takes}")
    try:
        result = wall.model_validate(values)
    except ValidationError as error:
        found = [(".".join(map(str, p["loc"])), p["msg"].removeprefix("Value error, ")) for p in error.errors()]
        mistakes = [f"{where}: {text}" if where else text for where, text in found]
        raise ValueError(f"{name}: {'; '.join(mistakes)} (its arguments: {takes})") from None
    if not result.periodic and not any(result.condition[:2]):
        raise ValueError(f"{name}: with a = b = 0 the condition a u + b ∂u/∂n = c says nothing")
    return result
