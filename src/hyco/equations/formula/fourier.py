"""Derivatives by Fourier coefficients on a periodic box, and rates of change by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import sympy as sp
import torch
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

    The last axis has the coefficients of wavenumbers ≥ 0 alone: those of real values say the others.

    Args:
        grid: with every axis periodic.
        order: 2 or 4: second derivatives are differences of this order; None: exact.
    """

    def __init__(self, grid: Grid, order: int | None = None) -> None:
        self._spacing, self._order = grid.spacing, order
        self._axes, self._resolution = grid.axes, grid.resolution
        self._space = spatial(",".join(grid.axes))
        self._full = spatial(**dict(zip(grid.axes, grid.resolution, strict=True)))
        numbers = [np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        numbers[-1] = np.fft.rfftfreq(grid.resolution[-1], grid.spacing[-1])
        self._numbers = [2 * np.pi * k for k in numbers]
        waves = list(zip(self._numbers, grid.spacing, grid.resolution, strict=True))
        # Differences are aliased as they are.
        self.kept = 1.0 if order else self._wrapped([np.abs(k) * h < KEPT * np.pi for k, h, _ in waves])
        self.mean = self._wrapped([(k == 0) * float(n) for k, _, n in waves])
        self._eigenvalues: dict[Orders, Any] = {}

    def _wrapped(self, factors: list[Any]) -> Any:
        product: Any = np.ones([len(k) for k in self._numbers])
        for i, factor in enumerate(factors):
            product = product * np.expand_dims(factor, [j for j in range(len(factors)) if j != i])
        return math.wrap(np.ascontiguousarray(product), self._space)

    def forward(self, values: Any) -> Any:
        """Fourier coefficients of real values; `mean` times a number are those of this number everywhere."""
        others = math.shape(values).without(self._axes)
        native = math.expand(values, self._full).native([*others.names, *self._axes])
        dims = [i - len(self._axes) for i in range(len(self._axes))]
        return math.wrap(torch.fft.rfftn(torch.as_tensor(native), dim=dims), others, self._space)

    def backward(self, coefficients: Any) -> Any:
        """The real values of Fourier coefficients."""
        others = math.shape(coefficients).without(self._axes)
        native = coefficients.native([*others.names, *self._axes])
        dims = [i - len(self._axes) for i in range(len(self._axes))]
        return math.wrap(torch.fft.irfftn(torch.as_tensor(native), self._resolution, dims), others, self._space)

    def eigenvalues(self, orders: Orders) -> Any:
        """Those of a derivative: Π (ik)^m over the axes; real where the sum of the orders is even.

        Those of differences are for even orders along each axis, powers of that of the second difference.
        """
        if orders not in self._eigenvalues:
            factors: list[Any] = []
            for k, n, h, m in zip(self._numbers, self._resolution, self._spacing, orders, strict=True):
                factor = self._wavenumber(k, h) ** m
                if m % 2 and n % 2 == 0:
                    factor[n // 2] = 0.0  # of the highest wave no cell sees the slope
                factors.append(factor)
            total = sum(orders)
            sign = -1.0 if total % 4 in (2, 3) else 1.0
            factors[0] = factors[0] * (sign if total % 2 == 0 else sign * 1j)
            self._eigenvalues[orders] = self._wrapped(factors)
        return self._eigenvalues[orders]

    def _wavenumber(self, k: Any, spacing: float) -> Any:
        """Waves have the second difference -k² times themselves."""
        if self._order is None:
            return k
        half = np.sin(k * spacing / 2) ** 2
        return 2 / spacing * np.sqrt(half + half**2 / 3 if self._order == 4 else half)


class Transform(Protocol):
    """To coefficients of the eigenvectors of derivatives, and back.

    Attributes:
        kept: which of the coefficients products keep.
        mean: those of 1 everywhere.
    """

    kept: Any
    mean: Any

    def forward(self, values: Any) -> Any:
        """Coefficients of values in the cells."""

    def backward(self, coefficients: Any) -> Any:
        """Values of coefficients."""

    def eigenvalues(self, orders: Orders) -> Any:
        """Those of a derivative."""


class SpectralRates:
    """Rates of change as coefficients of the eigenvectors of derivatives: products in space, derivatives by these.

    Args:
        transform: to Fourier coefficients, or to others of which the terms need no derivatives.
        terms: by field, without those that the step integrates exactly.
        uniform: symbols with the same value everywhere.
        places: coordinates by axis, as PhiML tensors.
    """

    def __init__(
        self,
        transform: Transform,
        terms: Mapping[str, Sequence[sp.Expr]],
        uniform: frozenset[sp.Symbol],
        places: Mapping[str, Any],
    ) -> None:
        self._transform, self._axes, self._places = transform, tuple(places), places
        ordered = {name: _ordered(own, self._axes, terms, uniform) for name, own in terms.items()}
        self._direct = {name: direct for name, (direct, _) in ordered.items()}
        self._products = _products({name: groups for name, (_, groups) in ordered.items()})

    def __call__(
        self, state: Mapping[str, Any], parameters: Mapping[str, Any], now: Any, values: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The rates' coefficients from those of the fields, which have none but `kept` ones.

        Args:
            state: coefficients by field.
            parameters: all of the equation's.
            now: t; None where nothing depends on it.
            values: the fields in space, if they are known.
        """
        modes, axes, places = self._transform, self._axes, self._places

        def leaf(node: sp.Expr) -> Any:
            base, orders = chain(node, axes)
            if base.is_Symbol and base.name in state:
                if values is not None and not any(orders):
                    return values[base.name]
                coefficients = state[base.name]
                return modes.backward(coefficients * modes.eigenvalues(orders) if any(orders) else coefficients)
            if any(orders):
                return modes.backward(transformed(base) * (modes.eigenvalues(orders) * modes.kept))
            return now if node.name == "t" else parameters.get(node.name, places.get(node.name))

        evaluate = Evaluation(leaf)
        known: dict[sp.Expr, Any] = {}

        def transformed(expression: sp.Expr) -> Any:
            if expression not in known:
                value = evaluate(expression)
                known[expression] = modes.forward(value) if varies(value) else modes.mean * value
            return known[expression]

        rates = {}
        for name, products in self._products.items():
            parts = [
                state[other] * (modes.eigenvalues(orders) * evaluate(factor))
                for (other, orders), factor in self._direct[name].items()
            ]
            for orders, factor, expression in products:
                kept = modes.eigenvalues(orders) * modes.kept if any(orders) else modes.kept
                parts.append(transformed(expression) * (kept * evaluate(factor)))
            rates[name] = sum(parts[1:], start=parts[0]) if parts else 0 * state[name]
        return rates


# Factors that are the same everywhere, by what they multiply and what is differentiated so often as a whole.
_Groups = dict[Orders, dict[sp.Expr, sp.Expr]]


def _ordered(
    terms: Sequence[sp.Expr], axes: tuple[str, ...], fields: Collection[str], uniform: frozenset[sp.Symbol]
) -> tuple[dict[tuple[str, Orders], sp.Expr], _Groups]:
    """Factors of the terms that are derivatives of fields; of the others, by what is differentiated how often outside.

    So there are fewer transforms than a slope for each term would take. Factors that are the same everywhere cost
    nothing where they multiply the eigenvalues.
    """
    direct: dict[tuple[str, Orders], sp.Expr] = {}
    groups: _Groups = {}
    for term in terms:
        pair = split_term(conserved(term))
        if pair is not None and pair[0].free_symbols <= uniform:
            factor, (base, orders) = pair[0], chain(pair[1], axes)
        else:
            same = [f for f in sp.Mul.make_args(term) if f.free_symbols <= uniform]
            factor, base, orders = sp.Mul(*same), term / sp.Mul(*same), (0,) * len(axes)
        if base.is_Symbol and base.name in fields:
            direct[base.name, orders] = direct.get((base.name, orders), sp.Integer(0)) + factor
        else:
            own = groups.setdefault(orders, {})
            own[base] = own.get(base, sp.Integer(0)) + factor
    return direct, groups


def _products(groups: Mapping[str, _Groups]) -> dict[str, list[tuple[Orders, sp.Expr, sp.Expr]]]:
    """Derivatives, their factors and what they are of, by field, with as few transforms as there can be.

    What is differentiated alike is transformed together. Where rates share products, as u v² that one substance loses
    and the other one gains, each is transformed by itself if that makes fewer.
    """
    together = {name: [(orders, *_joined(parts)) for orders, parts in own.items()] for name, own in groups.items()}
    apart = {name: [(o, f, e) for o, parts in own.items() for e, f in parts.items()] for name, own in groups.items()}

    def transforms(products: Mapping[str, list[tuple[Orders, sp.Expr, sp.Expr]]]) -> int:
        return len({e for own in products.values() for _, _, e in own if not e.is_number})

    return apart if transforms(apart) < transforms(together) else together


def _joined(parts: Mapping[sp.Expr, sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
    """A sum of products as a factor that is the same everywhere, and what it multiplies."""
    first = next(iter(parts.values()))
    common = first if all(factor == first for factor in parts.values()) else first.as_coeff_Mul()[0]
    return common, sp.Add(*(factor / common * base for base, factor in parts.items()))


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
