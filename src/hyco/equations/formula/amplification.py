"""What exponential steps make of small waves: how long steps may be before one of them grows.

The coefficients are held where they are (von Neumann): a wave exp(ikx) decays by the terms that are integrated exactly
and is carried, and damped, by the others. Coefficients that vary are looked at by their largest and smallest values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial, inf
from typing import Any

import numpy as np
import sympy as sp
import torch
from numpy.typing import NDArray

from hyco.equations.formula.linear import Orders, linearised
from hyco.equations.formula.stability import Samples, finite, on_samples

# By which a step is longer than the one that is to be stable, and rounding.
_ROOM, _ROUNDING = 1.1, 1e-9

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Symbols:
    """What differences make of waves of some lengths, times the width h of a cell.

    Attributes:
        first, second: eigenvalues of first and of (minus) second derivatives, times h and h².
        upwind: what upwind differences add to the first: a decay.
    """

    first: Array
    second: Array
    upwind: Array

    @classmethod
    def of(cls, spectral: bool, order: int, upwind: bool, kept: float) -> Symbols:
        """Those of Fourier coefficients up to `kept` of all, or of differences of an order."""
        wave = np.linspace(0.0, np.pi, 33)[1:] * (kept if spectral else 1.0)
        if spectral:
            return cls(wave, wave**2, 0 * wave)
        cosine, twice = np.cos(wave), np.cos(2 * wave)
        second = 2 - 2 * cosine if order == 2 else (30 - 32 * cosine + 2 * twice) / 12
        first = (8 * np.sin(wave) - np.sin(2 * wave)) / 6
        return cls(first, second, (6 - 8 * cosine + 2 * twice) / 12 * upwind)

    def derivative(self, orders: int) -> Array:
        """|Eigenvalues| of a derivative, times h to its order."""
        return self.second ** (orders // 2) * self.first ** (orders % 2)


@dataclass(frozen=True)
class SmallWaves:
    """The rates at which small waves decay exactly, are carried, and decay otherwise, `[K]` each [1/time]."""

    exact: Array
    carried: Array
    lost: Array

    def stable(self, length: float) -> bool:
        """Whether no wave grows in a step."""
        h = _ROOM * length
        growth = np.abs(amplification(-h * self.exact, h * (1j * self.carried - self.lost)))
        return bool(growth.max(initial=0.0) <= 1 + _ROUNDING)


def small_waves(
    terms: Mapping[str, sp.Expr],
    axes: Sequence[str],
    spacing: Sequence[float],
    samples: Samples,
    slopes: Callable[[Orders], float],
    exact: Mapping[str, Mapping[Orders, sp.Expr]],
    symbols: Symbols,
    decay: float,
) -> SmallWaves | None:
    """Those of all fields, each by itself; None where that says nothing.

    That is where fields act on each other by derivatives, where others than the exact terms hold derivatives of even
    order, and where exact ones do not damp but carry: then steps of some lengths let waves grow a little.

    Args:
        decay: the largest rate at which reactions let fields decay; others: see `largest_rates`.
    """
    rows: list[Array] = []
    for name, rate in terms.items():
        own = {key: c for key, c in linearised(rate, list(terms), axes).items() if any(key[1])}
        held = exact.get(name, {})
        others = any(other != name or sum(orders) % 2 == 0 for other, orders in own)
        if others or any(m % 2 for orders in held for m in orders):
            return None

        def on(coefficient: sp.Expr) -> torch.Tensor:
            return finite(on_samples(coefficient, samples.possible, axes, slopes))

        damping = {o: on(c) * -((-1.0) ** (sum(o) // 2)) for o, c in held.items()}
        carrying = {orders: float(on(c).abs().max()) for (_, orders), c in own.items()}
        for active in product((False, True), repeat=len(axes)):
            along = [o for o in damping if all(a or not m for a, m in zip(active, o, strict=True))]
            loss = sum((float(damping[o].min()) * _size(symbols, o, spacing) for o in along), start=0 * symbols.first)
            here = {o: v for o, v in carrying.items() if all(a or not m for a, m in zip(active, o, strict=True))}
            wave = sum((v * _size(symbols, o, spacing) for o, v in here.items()), start=0 * symbols.first)
            first = {o: v for o, v in here.items() if sum(o) == 1}
            upwind = sum((v * symbols.upwind / spacing[o.index(1)] for o, v in first.items()), start=0 * symbols.first)
            for a, b in product((0.0, 1.0), repeat=2):
                rows.append(np.stack([np.maximum(loss, 0.0), wave, a * upwind + b * decay]))
    if decay == inf or not rows:
        return None
    return SmallWaves(*np.concatenate(rows, axis=1))


def _size(symbols: Symbols, orders: Orders, spacing: Sequence[float]) -> Array:
    """|Eigenvalues| of a derivative of waves as long along each axis."""
    size = np.ones_like(symbols.first)
    for m, h in zip(orders, spacing, strict=True):
        size = size * symbols.derivative(m) / h**m
    return size


def amplification(exact: Array, others: NDArray[Any]) -> NDArray[Any]:
    """What a step of `hyco.schemes.exponential.etdrk4` multiplies u by, for du/dt = (λ + μ) u.

    Args:
        exact: λ times the step, real and ≤ 0.
        others: μ times the step.
    """
    one, two, three = _phi(exact)
    stage, half_two, _ = _phi(exact / 2)
    half, whole = np.exp(exact / 2), np.exp(exact)
    second = others * (half + stage / 2 * others)
    third = others * (half + (stage / 2 - half_two) * others + half_two * second)
    fourth = others * (whole + (one - 2 * two) * others + 2 * two * third)
    last = (one - 3 * two + 4 * three) * others + 2 * (two - 2 * three) * (second + third)
    found: NDArray[Any] = whole + last + (4 * three - two) * fourth
    return found


def _phi(z: Array) -> tuple[Array, Array, Array]:
    """φ₁, φ₂ and φ₃ of real numbers."""
    near = np.abs(z) < 0.5
    away = np.where(near, 1.0, z)
    one = np.expm1(away) / away
    two = (one - 1) / away
    three = (two - 0.5) / away
    small = np.where(near, z, 0.0)
    series = [np.zeros_like(small)] * 3
    factor = np.ones_like(small)
    for j in range(12):
        series = [s + factor / factorial(j + k) for k, s in enumerate(series, start=1)]
        factor = factor * small
    return tuple(np.where(near, s, v) for s, v in zip(series, (one, two, three), strict=True))  # type: ignore[return-value]
