"""Mistakes in values of the equation that a first guess stands for: laid to what the user wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from hyco.config.errors import Key, Mistake
from hyco.equations.registry import EQUATIONS
from hyco.runtime.plugins import PluginError

_VALUES = ("equation", "parameters")
# How the equation says that a value is beyond its limits.
_BEYOND = re.compile(r"parameters\.(\w+) (.*)")


def laid_to_guesses(
    mistakes: Sequence[Mistake], parameters: Mapping[str, Any], sources: Iterable[Mapping[str, Any]]
) -> list[Mistake]:
    """The same mistakes, those of filled-in values of `equation.parameters` with the key of the first guess.

    Args:
        mistakes: of all parameters.
        parameters: as the run will see them, where a first guess is the value of what is learnt and left out.
        sources: what the user has written.
    """
    given = {str(name) for content in sources for name in _keys(_keys(content.get("equation")).get("parameters"))}
    learnt = {name: key for name, key in _learnt(parameters) if name not in given}
    laid: list[Mistake] = []
    for key, text in mistakes:
        value = _BEYOND.match(text) if key == ("equation",) else None
        name = str(key[2]) if key[:2] == _VALUES and len(key) > 2 else value[1] if value else ""
        if name not in learnt:
            laid.append((key, text))
        elif text.startswith("unknown key"):
            equation = _keys(parameters["equation"]).get("name")
            laid.append(((*learnt[name], "name"), f"{name!r} is no parameter of {equation}{_allowed(equation)}"))
        elif not any(other[: len(learnt[name])] == learnt[name] for other, _ in mistakes):  # else that says more
            laid.append(((*learnt[name], "initial_guess"), f"it {value[2]}" if value else text))
    # A parameter that is missing keeps the equation from saying that a name is none of its own.
    missing = any(key[:2] == _VALUES and text == "is missing" for key, text in laid)
    section = _keys(parameters.get("equation"))
    for name, key in learnt.items() if missing else ():
        allowed = _allowed(section.get("name"))
        if allowed and name not in _names(section.get("name")) and name not in str(_formulas(section)):
            laid.append(((*key, "name"), f"{name!r} is no parameter of {section.get('name')}{allowed}"))
    if any(key[-1] == "name" and "is no parameter of" in text for key, text in laid):
        # What is missing is what the wrong name was meant for.
        laid = [(key, text) for key, text in laid if key[:2] != _VALUES or text != "is missing"]
    return laid


def _learnt(parameters: Mapping[str, Any]) -> Iterable[tuple[str, Key]]:
    """Name and place of each learnable parameter; the section `physical` counts where both have one."""
    places: tuple[Key, ...] = (("hybrid", "physical"), ("physical",))
    for place in places:
        section: Any = parameters
        for part in place:
            section = _keys(section).get(str(part))
        for i, entry in enumerate(_keys(section).get("learnable_parameters") or []):
            if isinstance(entry, Mapping) and "name" in entry:
                yield str(entry["name"]), (*place, "learnable_parameters", i)


def _allowed(equation: Any) -> str:
    """The parameters of an equation, as the end of a message; nothing where they have no fixed names."""
    names = _names(equation)
    return f"; it has: {', '.join(names)}" if names else ""


def _names(equation: Any) -> list[str]:
    """The parameters of an equation; none where they have no fixed names."""
    try:
        model = EQUATIONS.load(str(equation)).config_class.model_fields["parameters"].annotation
    except PluginError:
        return []
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        return []
    return list(model.model_fields)


def _formulas(equation: Mapping[str, Any]) -> list[Any]:
    """Where formulas may name parameters of their own: walls and sources."""
    return [equation.get(key) for key in ("boundary", "source")]


def _keys(section: Any) -> Mapping[str, Any]:
    return section if isinstance(section, Mapping) else {}
