"""Explicit Runge-Kutta methods for du/dt = F(u) on PhiML tensors."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from typing import Any

# Largest |z| for which `ssp_rk3` is stable on the imaginary and on the negative real axis; it is inside the rhombus
# between them too.
RK3_IMAGINARY, RK3_REAL = 1.73, 2.51


def ssp_rk3(u: Any, time: float, rate: Callable[[Any], Any]) -> Any:
    """One step of the three-stage, third-order, strong-stability-preserving method (Shu and Osher 1988, eq. 2.18)."""
    first = u + time * rate(u)
    second = 0.75 * u + 0.25 * (first + time * rate(first))
    return u / 3 + 2 / 3 * (second + time * rate(second))


def rkl2_reach(stages: int) -> float:
    """The largest time × stiffness that so many stages of `rkl2` are stable for."""
    return (stages * stages + stages - 2) / 2


def rkl2_stages(time: float, stiffness: float) -> int:
    """Stages that make `rkl2` stable for real eigenvalues of F between -stiffness and 0."""
    # The inverse of the reach. Odd numbers damp the stiffest waves better, and three is the fewest that does.
    stages = max(3, ceil((sqrt(9 + 8 * time * stiffness) - 1) / 2))
    return stages + (stages + 1) % 2


def rkl2(u: Any, time: float, rate: Callable[[Any], Any], stages: int) -> Any:
    """One step of the second-order Runge-Kutta-Legendre method, for F with real eigenvalues ≤ 0.

    Its stability polynomial is (1 - b) + b P(1 + w z) with the Legendre polynomial P of degree s, so that s stages go
    as far as about s²/4 explicit Euler steps. The stages follow the three-term recurrence of P and need the two before
    them only. Where F is affine, as for the heat equation, the step is that of the source, whose stages hold a part of
    the first state and of F there each; for other F it is another method with this polynomial, of second order too.

    C. D. Meyer, D. S. Balsara and T. D. Aslam, J. Comput. Phys. 257 (2014) 594, doi:10.1016/j.jcp.2013.08.021.
    """
    reach = stages * stages + stages - 2
    w, b = 4 / reach, reach / (2 * stages * (stages + 1))
    older, state = u, u + w * time * rate(u)
    for j in range(2, stages + 1):
        moved = state + w * time * rate(state)
        older, state = state, (2 * j - 1) / j * moved + (1 - j) / j * older
    return (1 - b) * u + b * state
