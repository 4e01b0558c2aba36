"""The classical Runge-Kutta method for du/dt = F(u, t) on PhiML tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def rk4(u: Any, time: float, rate: Callable[[Any, Any], Any], start: Any = None) -> Any:
    """One step of four stages, of fourth order.

    Args:
        time: length of the step.
        rate: F(u, t).
        start: t at the start of the step, a number or PhiML tensor; None: F does not depend on it, and gets None.
    """
    middle, end = (None, None) if start is None else (start + time / 2, start + time)
    first = rate(u, start)
    second = rate(u + (time / 2) * first, middle)
    third = rate(u + (time / 2) * second, middle)
    fourth = rate(u + time * third, end)
    return u + (first + 2 * (second + third) + fourth) * (time / 6)
