"""Bounds for which steps can be stable in a number of sub-steps that a fit can afford."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

from hyco.drafts.coefficients import Coefficient

# Sub-steps of a simulation, and the factor between a guess and the nearest that a bound gets to it.
_MOST, _NEAREST = 8000, 10.0


def affordable(coefficients: Sequence[Coefficient], config: Any, largest: float, duration: float) -> list[Coefficient]:
    """Coefficients with narrower bounds where these ask for too many sub-steps, those first that save most of them.

    Those of derivatives alone, whose unit has a length: of the others sub-steps tell less than the data do.

    Args:
        config: of the equation by formulas.
        largest: |value| of the states.
        duration: of a simulation [time].
    """
    found = {c.name: c for c in coefficients}

    def steps(changed: Coefficient | None = None) -> int:
        bounds = {name: c.bounds for name, c in found.items()}
        number: int = config.steps_for(
            largest, bounds if changed is None else {**bounds, changed.name: changed.bounds}
        )[0]
        return number

    count = before = steps()
    while count * duration / config.dt > _MOST:
        options = [
            (steps(c), i, c)
            for i, c in enumerate(each for c in found.values() if "L" in c.unit for each in _narrower(c))
        ]
        if not options or min(options)[0] >= count:
            break
        count, _, best = min(options)
        found[best.name] = best
    return [
        c
        if c.bounds == given.bounds
        else replace(c, reason=f"{c.reason}; wider bounds ask for {before} sub-steps each")
        for given, c in zip(coefficients, found.values(), strict=True)
    ]


def _narrower(c: Coefficient) -> list[Coefficient]:
    """With a lower or an upper bound nearer to the guess, of positive ones."""
    (low, high), options = c.bounds, []
    nearest = float(f"{c.guess / _NEAREST:.2g}"), float(f"{c.guess * _NEAREST:.2g}")
    if 0 < low < nearest[0]:
        options.append(replace(c, bounds=(min(float(f"{low * sqrt(10):.2g}"), nearest[0]), high)))
    if low >= 0 and high > nearest[1]:
        options.append(replace(c, bounds=(low, max(float(f"{high / sqrt(10):.2g}"), nearest[1]))))
    return options
