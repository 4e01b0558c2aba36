"""Explicit Runge-Kutta methods for du/dt = F(u) on PhiML tensors."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from typing import Any

# Largest |z| for which `ssp_rk3` is stable on the imaginary and on the negative real axis; it is inside the rhombus
# between them too.
RK3_IMAGINARY, RK3_REAL = 1.73, 2.51


def ssp_rk3(u: Any, time: float, rate: Callable[..., Any], start: Any = None) -> Any:
    """One step of the three-stage, third-order, strong-stability-preserving method (Shu and Osher 1988, eq. 2.18).

    Walls whose value varies in time are taken at the times of the stages, which for a flow that enters by them leaves
    second order.

    Args:
        time: length of the step.
        rate: F(u), or F(u, t) where there is a `start`.
        start: t at the start of the step, a number or PhiML tensor.
    """
    f = _at_times(rate, start)
    first = u + time * f(u, 0.0)
    second = 0.75 * u + 0.25 * (first + time * f(first, time))
    return u / 3 + 2 / 3 * (second + time * f(second, time / 2))


def _at_times(rate: Callable[..., Any], start: Any) -> Callable[[Any, float], Any]:
    """The rate as a function of the state and the time since the start."""
    if start is None:
        return lambda u, _: rate(u)
    return lambda u, since: rate(u, start + since if since else start)


def rkl2_reach(stages: int) -> float:
    """The largest time × stiffness that so many stages of `rkl2` are stable for."""
    return (stages * stages + stages - 2) / 2


def rkl2_stages(time: float, stiffness: float) -> int:
    """Stages that make `rkl2` stable for real eigenvalues of F between -stiffness and 0."""
    # The inverse of the reach. Odd numbers damp the stiffest waves better, and three is the fewest that does.
    stages = max(3, ceil((sqrt(9 + 8 * time * stiffness) - 1) / 2))
    return stages + (stages + 1) % 2


def rkl2(u: Any, time: float, rate: Callable[..., Any], stages: int, start: Any = None) -> Any:
    """One step of the second-order Runge-Kutta-Legendre method, for F with real eigenvalues ≤ 0.

    Its stability polynomial is (1 - b) + b P(1 + w z) with the Legendre polynomial P of degree s, so that s stages go
    as far as about s²/4 explicit Euler steps. The stages follow the three-term recurrence of P and need the two before
    them only. Where F is affine, as for the heat equation, the step is that of the source, whose stages hold a part of
    the first state and of F there each; for other F it is another method with this polynomial, of second order too.
    With a `start` the step is that of the source, whose stages are states between start and end: F(u, t) is asked at no
    other times.

    Args:
        time: length of the step.
        rate: F(u), or F(u, t) where there is a `start`.
        stages: from `rkl2_stages`.
        start: t at the start of the step, a number or PhiML tensor.

    C. D. Meyer, D. S. Balsara and T. D. Aslam, J. Comput. Phys. 257 (2014) 594, doi:10.1016/j.jcp.2013.08.021.
    """
    if start is not None:
        return _rkl2_in_time(u, time, _at_times(rate, start), stages)
    reach = stages * stages + stages - 2
    w, b = 4 / reach, reach / (2 * stages * (stages + 1))
    older, state = u, u + w * time * rate(u)
    for j in range(2, stages + 1):
        moved = state + w * time * rate(state)
        older, state = state, (2 * j - 1) / j * moved + (1 - j) / j * older
    return (1 - b) * u + b * state


def _rkl2_in_time(u: Any, time: float, rate: Callable[[Any, float], Any], stages: int) -> Any:
    """The step of the source, eqs. 16 and 17, for rates that vary in time: stage j is at j² + j - 2 of s² + s - 2."""
    reach = stages * stages + stages - 2
    b = [1 / 3] * 3 + [(j * j + j - 2) / (2 * j * (j + 1)) for j in range(3, stages + 1)]
    at = [0.0, 4 / (3 * reach)] + [(j * j + j - 2) / reach for j in range(2, stages)]
    at_start = rate(u, 0.0)
    older, state = u, u + (b[1] * 4 / reach * time) * at_start
    for j in range(2, stages + 1):
        before, last = (1 - j) / j * b[j] / b[j - 2], (2 * j - 1) / j * b[j] / b[j - 1]
        step = last * 4 / reach * time
        first = (1 - before - last) * u - ((1 - b[j - 1]) * step) * at_start
        moved = last * state + step * rate(state, at[j - 1] * time)
        older, state = state, before * older + moved + first
    return state
