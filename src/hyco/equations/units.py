"""Units of an equation's parameters: those of its model's fields, with the units of the data put in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hyco.equations.equation import EquationConfig

# The unit that ends the description of a field: `diffusivity a [length²/time]`.
_UNIT = re.compile(r"\[([^\]]+)\]\s*$")
_DIMENSIONLESS = "1"


def parameter_units(config: EquationConfig, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The unit of each parameter that states one, by name; `1` is left out.

    Args:
        config: of the equation.
        known: units of the data, of `time`, of the axes and of the channels; where they are known, they stand for
            *time* and *length*.
    """
    known = known or {}
    lengths = {known.get(axis, "") for axis in config.domain}
    words = {"time": known.get("time", ""), "length": lengths.pop() if len(lengths) == 1 else ""}
    units = {}
    for name, field in type(config.parameters).model_fields.items():
        found = _UNIT.search(field.description or "")
        if found is None or found[1] == _DIMENSIONLESS:
            continue
        unit = found[1]
        for word, own in words.items():
            # A raised digit counts as a letter of a word.
            unit = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", own, unit) if own else unit
        units[name] = unit
    return units
