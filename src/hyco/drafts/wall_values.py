"""Values that walls hold, as numbers to learn."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from hyco.drafts.coefficients import Coefficient


def learnt_values(boundary: Any, field: str, taken: Collection[str]) -> tuple[Any, dict[str, float]]:
    """The walls with a name for each value but 0, and what these names stand for.

    Args:
        boundary: by axis, one condition or one per end.
        field: whose values these are.
        taken: other names.
    """
    if not isinstance(boundary, Mapping):
        return boundary, {}
    held: dict[str, float] = {}

    def named(wall: Any, axis: str, where: str) -> Any:
        if isinstance(wall, Mapping) and where == "wall" and set(wall) == {"lower", "upper"}:
            return {end: named(each, axis, end) for end, each in wall.items()}
        name = f"{field}_{where}" if len(boundary) == 1 else f"{field}_{axis}_{where}"
        if not isinstance(wall, float) or wall == 0 or name in taken:
            return wall
        held[name] = wall
        return name

    return {axis: named(wall, axis, "wall") for axis, wall in boundary.items()}, held


def wall_value(
    name: str, value: float, ranges: Mapping[str, tuple[float, float]], positive: Collection[str]
) -> Coefficient:
    """The value of a wall: as far from the guess as the field's values are from each other, at most."""
    ((field, (low, high)),) = ranges.items()
    span = high - low or abs(high) or 1.0
    digits = 1 - math.floor(math.log10(span))
    bounds = round(value - span, digits), round(value + span, digits)
    if field in positive:
        bounds = max(bounds[0], 0.0), bounds[1]
    return Coefficient(name, field, value, bounds, f"the values of {field} beside the wall")
