"""Exponential time differencing for du/dt = Λu + N(u, t) with Λ diagonal, on PhiML tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import factorial
from typing import Any

from phi import math

# Below this |z| the functions are taken from their series: there the formula loses digits.
_SERIES, _TERMS = 0.5, 13
# Below this |z| the ratio tanh(z/2)/(z/2) is 1 - z²/12 + z⁴/120 to rounding.
_NEAR = 2e-3

State = Mapping[str, Any]


@dataclass(frozen=True)
class Factors:
    """What multiplies states and changes in a step of length h, for one field: depends on h Λ alone.

    Attributes:
        whole, half: exp(hΛ), exp(hΛ/2).
        stage: (h/2) φ₁(hΛ/2).
        third: weights of N at the start and in the second stage, in the third stage.
        fourth: weights of N at the start and in the third stage, in the fourth stage.
        first, middle, last: weights of N at the start, in both middle stages and at the end.
    """

    whole: Any
    half: Any
    stage: Any
    third: tuple[Any, Any]
    fourth: tuple[Any, Any]
    first: Any
    middle: Any
    last: Any

    def times(self, coefficient: Any) -> Factors:
        """The factors for a change that is `coefficient` times what the rate gives: it costs no product in a step."""
        (a, b), (c, d), e = self.third, self.fourth, coefficient
        return replace(
            self,
            stage=self.stage * e,
            third=(a * e, b * e),
            fourth=(c * e, d * e),
            first=self.first * e,
            middle=self.middle * e,
            last=self.last * e,
        )


def factors(eigenvalues: Any, time: float) -> Factors:
    """The factors of a step.

    Args:
        eigenvalues: Λ, real or complex [1/time].
        time: h.
    """
    z = eigenvalues * (time / 2)
    half = math.exp(z)
    one, two, three = [function * (time / 2) for function in phi(z, 3)]
    # What a step does from what half of it does: no digits are lost, and the series are summed once. With e = exp(z)
    # φ₁(2z) = (e + 1) φ₁/2, φ₂(2z) = ((e + 1) φ₂ + φ₁)/4 and φ₃(2z) = ((e + 1) φ₃ + φ₂ + φ₁/2)/8.
    twice = half + 1
    by_one, by_two, by_three = one * twice, two * twice, three * twice
    return Factors(
        whole=half * half,
        half=half,
        stage=one,
        third=(one - 2 * two, 2 * two),
        fourth=(by_one - by_two - one, by_two + one),
        first=by_one - 1.5 * by_two + by_three - one + two,
        middle=by_two - by_three - two + 0.5 * one,
        last=by_three + two - 0.5 * by_two,
    )


def etdrk4(
    state: State,
    by_field: Mapping[str, Factors],
    rate: Callable[[State, Any], State],
    time: float,
    now: Any,
    first: State | None = None,
) -> dict[str, Any]:
    """One step of the fourth-order method ETDRK4-B (Krogstad 2005, eq. 51).

    Where N = 0 it is exact. Where N does not vanish at walls, as of a flow through a wall whose value changes, the
    order falls to about three; that of the better known method of Cox and Matthews falls to one or two.

    Args:
        state: coefficients of the eigenvectors, by field.
        by_field: see `factors`.
        rate: N as coefficients of the eigenvectors, of a state at a time.
        time: h.
        now: t at the start; None if N does not depend on it.
        first: N at the start, if it is known.

    Sources: S. Krogstad, J. Comput. Phys. 203 (2005) 72, doi:10.1016/j.jcp.2004.08.006; order at walls: M. Hochbruck
    and A. Ostermann, Acta Numerica 19 (2010) 209, doi:10.1017/S0962492910000048.
    """
    middle, end = (None, None) if now is None else (now + time / 2, now + time)
    names = list(state)
    f = by_field
    first = rate(state, now) if first is None else first
    moved = {n: f[n].half * state[n] for n in names}
    second = rate({n: moved[n] + f[n].stage * first[n] for n in names}, middle)
    third = rate({n: moved[n] + f[n].third[0] * first[n] + f[n].third[1] * second[n] for n in names}, middle)
    moved = {n: f[n].whole * state[n] for n in names}
    fourth = rate({n: moved[n] + f[n].fourth[0] * first[n] + f[n].fourth[1] * third[n] for n in names}, end)
    return {
        n: moved[n] + f[n].first * first[n] + f[n].middle * (second[n] + third[n]) + f[n].last * fourth[n]
        for n in names
    }


def phi(z: Any, count: int) -> list[Any]:
    """φ₁ = (e^z - 1)/z, φ₂ = (φ₁ - 1)/z, φ₃ = (φ₂ - 1/2)/z and so on, so many of them."""
    if count == 1 and z.dtype.kind is float:
        return [_first(z)]
    near = math.abs(z) < _SERIES
    small = math.where(near, z, 0 * z)
    series: Any = 1 / factorial(_TERMS + count - 1)
    for k in reversed(range(_TERMS - 1)):
        series = series * small + 1 / factorial(k + count)
    away = math.where(near, 0 * z + 1, z)  # where the series holds nothing is divided by zero
    found = [(math.exp(away) - 1) / away]
    for k in range(1, count):
        found.append((found[-1] - 1 / factorial(k)) / away)
    for k in reversed(range(count)):
        found[k] = math.where(near, series, found[k])
        series = small * series + 1 / factorial(k) if k else None
    return found


def _first(z: Any) -> Any:
    """φ₁ of real z as (e^z + 1)/2 · tanh(z/2)/(z/2), in which nothing cancels: no long series is needed."""
    half = z / 2
    near = math.abs(z) < _NEAR
    away, square = math.where(near, 1.0, half), math.where(near, half * half, 0.0)
    ratio = math.where(near, 1 - square * (1 / 3 - 2 / 15 * square), math.tanh(away) / away)
    return 0.5 * (math.exp(z) + 1) * ratio
