"""First guesses of unknown coefficients, by their units and the size and duration of what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from hyco.drafts.variation import Variation
from hyco.equations.equation import EquationConfig

_POWERS = {"²": 2, "³": 3}
_FACTOR = re.compile(r"([A-Za-z]+|1)([²³]?)")
# Four decades about the middle.
_BELOW, _ABOVE = 1e-2, 1e2
# What spreads over the domain in the time measured has a diffusivity of L²/T; the middle is this part of it, by itself
# and where a flow carries it away.
_SPREADING, _CARRIED = 1e-2, 1e-3
# Coefficients with a sign are this many times L/T, or the like, at most.
SIGNED = 3.0
# The same, of speeds and of what spreads, in the distances and times over which the data vary.
SPEED, SPREAD = 10.0, 2.0


@dataclass(frozen=True)
class Coefficient:
    """An unknown number.

    Attributes:
        name, unit: as the equation has them.
        guess: the first one.
        bounds: smallest and largest value.
        reason: for a comment.
    """

    name: str
    unit: str
    guess: float
    bounds: tuple[float, float]
    reason: str


def coefficient(
    name: str, field: FieldInfo, scales: Mapping[str, float], variation: Variation | None = None, *, flows: bool
) -> Coefficient:
    """Guess a coefficient.

    Args:
        name: in the equation.
        field: its description ends with its unit in brackets.
        scales: of `length` and `time`; everything else counts as `value`.
        variation: over what the data vary; they may do so faster than once in the time measured.
        flows: whether the equation has a speed.
    """
    found = re.search(r"\[([^\]]*)\]\s*$", field.description or "")
    unit = found[1] if found else "1"
    size, formula = _size_of(unit, scales)
    if unit.startswith("length²/time") and "²" not in unit.removeprefix("length²"):
        part = _CARRIED if flows else _SPREADING
        size, formula = part * size, f"{part:g} {formula}"
    size = float(f"{size:.1g}")
    signed = bool(re.search(r"velocity|acceleration|force|curl", field.description or ""))
    most = SIGNED * size if signed else _ABOVE * size
    if variation is not None and unit == "length/time":
        most = max(most, SPEED * variation.length / variation.time)
    elif variation is not None and unit == "length²/time":
        most = max(most, SPREAD * variation.length**2 / variation.time)
    bounds = (-most if signed else _BELOW * size, most)
    what = "a tenth of it" if signed else "its middle"
    guess = 0.1 * size if signed else size
    rounded = (float(f"{bounds[0]:.2g}"), float(f"{bounds[1]:.2g}"))
    return Coefficient(name, unit, float(f"{guess:.2g}"), rounded, f"{unit}: about {formula}; the guess is {what}")


def _size_of(unit: str, scales: Mapping[str, float]) -> tuple[float, str]:
    """A unit such as `length²/time` in numbers, and as a formula in L and T."""
    top, _, bottom = unit.replace("unit of u", "value").partition("/")
    size = _product(top, scales) / _product(bottom.replace("/", " "), scales)
    formula = unit.replace("length", "L").replace("time", "T")
    return (size if math.isfinite(size) and size > 0 else 1.0), formula


def _product(text: str, scales: Mapping[str, float]) -> float:
    size = 1.0
    for word, power in _FACTOR.findall(text):
        if word != "1":
            size *= scales.get(word, scales["value"]) ** _POWERS.get(power, 1)
    return size


def unknowns(config: type[EquationConfig], axes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The parameters of an equation that have to be given, or that stand for an axis; and those that may be.

    Where all have a default, the first of them is the unknown one.
    """
    fields: Mapping[str, FieldInfo] = config.model_fields["parameters"].annotation.model_fields  # type: ignore[union-attr]
    along = {name: name.rpartition("_")[2] for name in fields if name.rpartition("_")[2] in ("x", "y", "z")}
    there = [name for name in fields if name not in along or along[name] in axes]
    needed = [name for name in there if fields[name].is_required() or name in along]
    if not needed:
        needed = there[:1]
    return needed, [name for name in there if name not in needed]
