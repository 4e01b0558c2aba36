"""Derivatives by Fourier coefficients on a periodic box, and rates of change by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp
from phi import math
from phi.math import spatial

from hyco.equations.formula.evaluation import Evaluation
from hyco.equations.formula.linear import Orders, chain, split_term
from hyco.equations.formula.symbols import Slope
from hyco.grid import Grid
from hyco.schemes.stencils import varies

# The part of the wavenumbers that products keep, so that no product of two is aliased.
KEPT = 2 / 3


class Fourier:
    """Fourier coefficients of fields on a periodic grid, and the eigenvalues of derivatives.

    Args:
        grid: with every axis periodic.
    """

    def __init__(self, grid: Grid) -> None:
        self._axes = grid.axes
        self._space = spatial(",".join(grid.axes))
        self._numbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        self._resolution = grid.resolution
        kept = [np.abs(k) * h < KEPT * np.pi for k, h in zip(self._numbers, grid.spacing, strict=True)]
        self.kept = self._wrapped(kept)
        self._eigenvalues: dict[Orders, Any] = {}

    def _wrapped(self, factors: list[Any]) -> Any:
        product: Any = np.ones(self._resolution)
        for i, factor in enumerate(factors):
            product = product * np.expand_dims(factor, [j for j in range(len(factors)) if j != i])
        return math.wrap(np.ascontiguousarray(product), self._space)

    def forward(self, values: Any) -> Any:
        """Fourier coefficients of real values."""
        return math.fft(values)

    def backward(self, coefficients: Any) -> Any:
        """The real values of Fourier coefficients."""
        return math.real(math.ifft(coefficients))

    def eigenvalues(self, orders: Orders) -> Any:
        """Those of a derivative: Π (ik)^m over the axes; real where the sum of the orders is even."""
        if orders not in self._eigenvalues:
            factors: list[Any] = []
            for k, n, m in zip(self._numbers, self._resolution, orders, strict=True):
                factor = k**m
                if m % 2 and n % 2 == 0:
                    factor[n // 2] = 0.0  # of the highest wave no cell sees the slope
                factors.append(factor)
            total = sum(orders)
            sign = -1.0 if total % 4 in (2, 3) else 1.0
            factors[0] = factors[0] * (sign if total % 2 == 0 else sign * 1j)
            self._eigenvalues[orders] = self._wrapped(factors)
        return self._eigenvalues[orders]


class SpectralRates:
    """Rates of change as Fourier coefficients: products in space, derivatives by coefficients.

    Args:
        terms: by field, without those that the step integrates exactly.
        uniform: symbols with the same value everywhere.
        places: coordinates by axis, as PhiML tensors.
    """

    def __init__(
        self,
        fourier: Fourier,
        terms: Mapping[str, Sequence[sp.Expr]],
        uniform: frozenset[sp.Symbol],
        places: Mapping[str, Any],
    ) -> None:
        self._fourier, self._axes, self._places = fourier, tuple(places), places
        self._groups = {name: _grouped(own, self._axes, terms, uniform) for name, own in terms.items()}

    def __call__(self, state: Mapping[str, Any], parameters: Mapping[str, Any], now: Any) -> dict[str, Any]:
        """The rates' Fourier coefficients from those of the fields, which have none but `kept` ones."""
        fourier, axes, places = self._fourier, self._axes, self._places

        def leaf(node: sp.Expr) -> Any:
            base, orders = chain(node, axes)
            if base.is_Symbol and base.name in state:
                coefficients = state[base.name]
                return fourier.backward(coefficients * fourier.eigenvalues(orders) if any(orders) else coefficients)
            if any(orders):
                return fourier.backward(fourier.forward(in_space(base)) * (fourier.eigenvalues(orders) * fourier.kept))
            return now if node.name == "t" else parameters.get(node.name, places.get(node.name))

        evaluate = Evaluation(leaf)

        def in_space(expression: sp.Expr) -> Any:
            value = evaluate(expression)
            return value if varies(value) else value + 0 * next(iter(state.values())).real

        rates = {}
        for name, (direct, groups) in self._groups.items():
            parts = [
                state[other] * (fourier.eigenvalues(orders) * evaluate(factor))
                for (other, orders), factor in direct.items()
            ]
            for (orders, common), expression in groups.items():
                factor = fourier.eigenvalues(orders) * fourier.kept if any(orders) else fourier.kept
                parts.append(fourier.forward(in_space(expression)) * (factor * evaluate(common)))
            rates[name] = sum(parts[1:], start=parts[0]) if parts else 0 * state[name]
        return rates


def _grouped(
    terms: Sequence[sp.Expr], axes: tuple[str, ...], fields: Collection[str], uniform: frozenset[sp.Symbol]
) -> tuple[dict[tuple[str, Orders], sp.Expr], dict[tuple[Orders, sp.Expr], sp.Expr]]:
    """Terms that are a factor times a derivative of a field; of the others, what is differentiated how often outside.

    So there are fewer transforms than a slope for each term would take. With the orders goes a factor that all of it
    has and that is the same everywhere: it costs nothing where it multiplies the eigenvalues.
    """
    direct: dict[tuple[str, Orders], sp.Expr] = {}
    groups: dict[Orders, list[tuple[sp.Expr, sp.Expr]]] = {}
    for term in terms:
        pair = split_term(conserved(term))
        factor, base, orders = sp.Integer(1), term, (0,) * len(axes)
        if pair is not None and pair[0].free_symbols <= uniform:
            inner, outer = chain(pair[1], axes)
            if inner.is_Symbol and inner.name in fields:
                key = inner.name, outer
                direct[key] = direct.get(key, sp.Integer(0)) + pair[0]
                continue
            factor, base, orders = pair[0], inner, outer
        groups.setdefault(orders, []).append((factor, base))
    joined = {}
    for orders, parts in groups.items():
        factors = {factor for factor, _ in parts}
        common = factors.pop() if len(factors) == 1 else sp.Integer(1)
        joined[orders, common] = sp.Add(*(base if common == factor else factor * base for factor, base in parts))
    return direct, joined


def conserved(term: sp.Expr) -> sp.Expr:
    """A term c u^n ∂u as c/(n + 1) ∂(u^(n + 1)), which takes one transform less; others as they are."""
    pair = split_term(term)
    if pair is None or not pair[1].args[0].is_Symbol:
        return term
    field, axis = pair[1].args
    powers = [f for f in sp.Mul.make_args(pair[0]) if field in f.free_symbols]
    if len(powers) != 1:
        return term
    base, exponent = powers[0].as_base_exp()
    if base != field or not exponent.is_Integer or exponent < 1:
        return term
    rest = pair[0] / powers[0]
    return rest / (exponent + 1) * Slope(field ** (exponent + 1), axis)
