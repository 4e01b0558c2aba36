"""Ranges that nobody should have to guess: `auto` keys of an equation, and the numbers that they become.

A step is cut into as many sub-steps as the largest speed and the largest coefficients need. The keys that say how large
they are (`max_speed`, `max_diffusivity`, …) may be `auto`: they are *open* until it is known what the equation is for,
the states of a simulation or what was measured, and what is learnt. Each equation has the rule for its own keys in
`EquationConfig.ranges`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PositiveFloat, PositiveInt

from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.registry import equation_config, model_equation


def _or_auto(value: Any) -> Any:
    """Refuse what is neither a number above 0 nor `auto` in one line, not in one for each."""
    try:
        wrong = value != "auto" and not float(value) > 0
    except (TypeError, ValueError):
        wrong = True
    if wrong:
        raise ValueError(f"{value!r} is not allowed; allowed: a number above 0, or auto")
    return value


def _whole_or_auto(value: Any) -> Any:
    """The same of a whole number."""
    if _or_auto(value) != "auto" and float(value) % 1:
        raise ValueError(f"{value!r} is not allowed; allowed: a whole number above 0, or auto")
    return value


# A key that says how far the step reaches.
Range = Annotated[PositiveFloat | Literal["auto"], BeforeValidator(_or_auto)]
Steps = Annotated[PositiveInt | Literal["auto"], BeforeValidator(_whole_or_auto)]
Bounds = Mapping[str, tuple[float, float]]

# Room above the largest speed that is known: for speeds between the states, and of trial parameters.
ROOM = 1.2


def with_ranges(section: Mapping[str, Any], *, largest: float | None, bounds: Bounds) -> dict[str, Any]:
    """A section `equation` with a number for each of its keys that is `auto`; others stay as they are.

    Args:
        section: the section, valid.
        largest: what states reach: the largest speed or, where speeds are no question, the largest absolute value, see
            `Equation.reach`; None: not known.
        bounds: smallest and largest value of each parameter that is learnt, in its units.

    Raises:
        PluginError: there is no equation of this name.
        pydantic.ValidationError: a wrong key or value.
    """
    return {**section, **equation_config(dict(section)).ranges(largest, bounds)}


def covering(equation: Equation, largest: float | None, bounds: Bounds | None = None) -> Equation:
    """An equation with numbers for its open ranges; one without any is returned as it is. Arguments: `with_ranges`."""
    return model_equation(equation, equation.config.ranges(largest, bounds or {}))


def with_room(speed: float) -> float:
    """The range for states that reach a speed: a fifth more, rounded up to two digits."""
    return rounded_up(ROOM * speed)


def rounded_up(value: float) -> float:
    """The next number of two digits above a positive one: the same where the last bits differ."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    digits = math.ceil(value / unit * (1 - 1e-9))
    # Division by a power of ten, not multiplication: 4.8, not 4.800000000000001.
    return digits * unit if unit >= 1 else digits / round(1 / unit)


def too_fast(config: EquationConfig, largest: float, lower: str) -> str | None:
    """Why a speed is beyond `max_speed`, or None; an open range has no end.

    Args:
        config: of an equation that has this key.
        largest: the speed.
        lower: what else may be changed.
    """
    limit = getattr(config, "max_speed")  # noqa: B009  # not every equation has it
    if limit == "auto" or largest <= limit:
        return None
    return (
        f"the velocity reaches {largest:.3g}, but equation.max_speed is {limit:.3g}: "
        f"set equation.max_speed above it (more sub-steps) or to auto, or {lower} lower"
    )
