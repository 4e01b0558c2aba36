"""Exponential time differencing for du/dt = Λu + N(u, t) with Λ diagonal, on PhiML tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import factorial
from typing import Any

from phi import math

# Below this |z| the functions are taken from their series: there the formula loses digits.
_SERIES, _TERMS = 1.0, 17

State = Mapping[str, Any]


@dataclass(frozen=True)
class Factors:
    """What multiplies states and changes in a step of length h, for one field: depends on h Λ alone.

    Attributes:
        whole, half: exp(hΛ), exp(hΛ/2).
        stage: (h/2) φ₁(hΛ/2).
        first, middle, last: weights of N at the start, in both middle stages and at the end.
    """

    whole: Any
    half: Any
    stage: Any
    first: Any
    middle: Any
    last: Any


def factors(eigenvalues: Any, time: float) -> Factors:
    """The factors of a step.

    Args:
        eigenvalues: Λ, real or complex [1/time].
        time: h.
    """
    z = eigenvalues * time
    one, two, three = _phi(z)
    stage, _, _ = _phi(z / 2)
    half = math.exp(z / 2)
    return Factors(
        whole=half * half,
        half=half,
        stage=stage * (time / 2),
        first=(one - 3 * two + 4 * three) * time,
        middle=(two - 2 * three) * (2 * time),
        last=(4 * three - two) * time,
    )


def etdrk4(
    state: State, by_field: Mapping[str, Factors], rate: Callable[[State, Any], State], time: float, now: Any
) -> dict[str, Any]:
    """One step of the fourth-order method (Cox and Matthews 2002, eqs. 26-29).

    Where N = 0 it is exact.

    Args:
        state: coefficients of the eigenvectors, by field.
        by_field: see `factors`.
        rate: N as coefficients of the eigenvectors, of a state at a time.
        time: h.
        now: t at the start; None if N does not depend on it.

    Source: S. M. Cox and P. C. Matthews, J. Comput. Phys. 176 (2002) 430, doi:10.1006/jcph.2002.6995; the weights by
    the functions φ of A.-K. Kassam and L. N. Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214,
    doi:10.1137/S1064827502410633.
    """
    middle, end = (None, None) if now is None else (now + time / 2, now + time)
    names = list(state)
    f = by_field
    first = rate(state, now)
    moved = {n: f[n].half * state[n] for n in names}
    a = {n: moved[n] + f[n].stage * first[n] for n in names}
    second = rate(a, middle)
    b = {n: moved[n] + f[n].stage * second[n] for n in names}
    third = rate(b, middle)
    c = {n: f[n].half * a[n] + f[n].stage * (2 * third[n] - first[n]) for n in names}
    fourth = rate(c, end)
    return {
        n: f[n].whole * state[n] + f[n].first * first[n] + f[n].middle * (second[n] + third[n]) + f[n].last * fourth[n]
        for n in names
    }


def _phi(z: Any) -> tuple[Any, Any, Any]:
    """φ₁ = (e^z - 1)/z, φ₂ = (φ₁ - 1)/z and φ₃ = (φ₂ - 1/2)/z."""
    near = math.abs(z) < _SERIES
    small = math.where(near, z, 0 * z)
    series: Any = 1 / factorial(_TERMS + 2)
    for k in reversed(range(_TERMS - 1)):
        series = series * small + 1 / factorial(k + 3)
    away = math.where(near, 0 * z + 1, z)  # where the series holds nothing is divided by zero
    one = (math.exp(away) - 1) / away
    two = (one - 1) / away
    three = math.where(near, series, (two - 0.5) / away)
    two = math.where(near, small * series + 0.5, two)
    return math.where(near, small * (small * series + 0.5) + 1, one), two, three
