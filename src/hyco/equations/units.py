"""Units of an equation's parameters: those that it states, with the units of the data put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import singledispatch

from hyco.equations.equation import EquationConfig

# The unit that ends the description of a field: `diffusivity a [length²/time]`.
_UNIT = re.compile(r"\[([^\]]+)\]\s*$")
_DIMENSIONLESS = "1"


@singledispatch
def stated_units(config: EquationConfig) -> dict[str, str]:
    """The unit of each parameter that has one, in *length*, *time* and the channels.

    By default what stands behind the parameter's description; a kind of equations that knows better registers its own.
    """
    fields = type(config.parameters).model_fields
    found = {name: _UNIT.search(field.description or "") for name, field in fields.items()}
    return {name: unit[1] for name, unit in found.items() if unit is not None}


def parameter_units(config: EquationConfig, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The unit of each parameter that has one, by name; `1` is left out.

    Args:
        config: of the equation.
        known: units of the data, of `time`, of the axes and of the channels; where they are known, they stand for
            *time*, *length* and the channel.
    """
    known = known or {}
    lengths = {known.get(axis, "") for axis in config.domain}
    own = {**known, "length": lengths.pop() if len(lengths) == 1 else ""}
    words = "|".join(re.escape(word) for word, unit in own.items() if unit)
    # A raised digit is no part of a word here.
    word = re.compile(rf"(?<![A-Za-z0-9_])({words})(?![A-Za-z0-9_])") if words else None
    units = {name: unit for name, unit in stated_units(config).items() if unit != _DIMENSIONLESS}
    if word is None:
        return units
    return {name: word.sub(lambda match: _factor(match, own[match[1]]), unit) for name, unit in units.items()}


def _factor(word: re.Match[str], unit: str) -> str:
    """A unit in the place of a word: in brackets where a quotient or product is divided by, or has a power."""
    before, behind = word.string[: word.start()][-1:], word.string[word.end() :][:1]
    bound = before == "/" or (behind != "" and behind in "²³⁴^")
    return f"({unit})" if bound and re.search(r"[/ ·*]", unit) else unit
