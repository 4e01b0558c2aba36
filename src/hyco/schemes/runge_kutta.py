"""The classical Runge-Kutta method, and Euler's, for du/dt = F(u, t) on PhiML tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def euler(u: Any, time: float, rate: Callable[[Any, Any], Any], at: Any = None) -> Any:
    """One step of one stage, of first order; arguments as of `rk4`, and what F is of at the start."""
    return u + time * rate(u, at)


def rk4(u: Any, time: float, rate: Callable[[Any, Any], Any], at: Sequence[Any] = (None,) * 4) -> Any:
    """One step of four stages, of fourth order.

    Args:
        time: length of the step.
        rate: F(u, what it is of).
        at: what F is of in each stage, such as the times at the start, twice in the middle and at the end.
    """
    first = rate(u, at[0])
    second = rate(u + (time / 2) * first, at[1])
    third = rate(u + (time / 2) * second, at[2])
    fourth = rate(u + time * third, at[3])
    return u + (first + 2 * (second + third) + fourth) * (time / 6)
