"""Bounds for which steps can be stable in a number of sub-steps that a fit can afford."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

from hyco.drafts.coefficients import Coefficient

# Sub-steps of a simulation, and the factor between a guess and the nearest that a bound gets to it.
_MOST, _NEAREST = 8000, 10.0

# A bound nearer to the guess: the name, which end, and its value.
Bound = tuple[str, int, float]


def affordable(coefficients: Sequence[Coefficient], config: Any, largest: float, duration: float) -> list[Coefficient]:
    """Coefficients with narrower bounds where these ask for too many sub-steps, those first that save most of them.

    Those of derivatives alone, whose unit has a length: of the others sub-steps tell less than the data do. Where they
    cannot be narrowed that far, their reasons say so.

    Args:
        config: of the equation by formulas.
        largest: |value| of the states.
        duration: of a simulation [time].
    """
    found = {c.name: c for c in coefficients}

    def steps(narrower: Sequence[Bound] = ()) -> int:
        number: int = config.steps_for(largest, {c.name: c.bounds for c in _with(found, narrower).values()})[0]
        return number

    count = before = steps()
    while count * duration / config.dt > _MOST:
        options = [bound for c in found.values() if "L" in c.unit for bound in _narrower(c)]
        best = _fewest([[bound] for bound in options], steps)
        if best is None or best[0] >= count:
            best = _together(options, steps, count)
        if best is None:
            break
        count, found = best[0], _with(found, best[1])
    costly = count * duration / config.dt > _MOST
    reasons = {name: [c.reason] for name, c in found.items()}
    for given in coefficients:
        if found[given.name].bounds != given.bounds:
            reasons[given.name].append(f"wider bounds ask for {before} sub-steps each")
        if costly and ("L" in given.unit or not any("L" in c.unit for c in coefficients)):
            reasons[given.name].append(f"these still ask for {count}: a simulation takes more than {_MOST}")
    return [replace(c, reason="; ".join(reasons[name])) for name, c in found.items()]


def _fewest(
    groups: Sequence[Sequence[Bound]], steps: Callable[[Sequence[Bound]], int]
) -> tuple[int, list[Bound]] | None:
    """Those of all groups that ask for the fewest sub-steps, and how many these are."""
    return min(((steps(group), list(group)) for group in groups), key=lambda each: each[0], default=None)


def _together(
    options: Sequence[Bound], steps: Callable[[Sequence[Bound]], int], count: int
) -> tuple[int, list[Bound]] | None:
    """As few of them as it takes to need less than `count` sub-steps, where none is enough: fields that are alike."""
    best: tuple[int, list[Bound]] | None = (steps(options), list(options))
    taken = None
    while best is not None and best[0] < count:
        taken = best
        best = _fewest([[bound for bound in taken[1] if bound is not left] for left in taken[1]], steps)
    return taken


def _with(coefficients: Mapping[str, Coefficient], narrower: Sequence[Bound]) -> dict[str, Coefficient]:
    found = dict(coefficients)
    for name, end, value in narrower:
        low, high = found[name].bounds
        found[name] = replace(found[name], bounds=(low, value) if end else (value, high))
    return found


def _narrower(c: Coefficient) -> list[Bound]:
    """A lower and an upper bound nearer to the guess, of positive ones."""
    (low, high), options = c.bounds, []
    nearest = float(f"{c.guess / _NEAREST:.2g}"), float(f"{c.guess * _NEAREST:.2g}")
    if 0 < low < nearest[0]:
        options.append((c.name, 0, min(float(f"{low * sqrt(10):.2g}"), nearest[0])))
    if low >= 0 and high > nearest[1]:
        options.append((c.name, 1, max(float(f"{high / sqrt(10):.2g}"), nearest[1])))
    return options
