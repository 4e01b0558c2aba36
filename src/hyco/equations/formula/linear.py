"""What a small wave does to a rate of change: the coefficients of fields and their derivatives, linearised."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from hyco.equations.formula.symbols import Slope, symbol, terms_of

# How often a field is differentiated along each axis.
Orders = tuple[int, ...]
Linear = dict[tuple[str, Orders], sp.Expr]


def linearised(expression: sp.Expr, fields: Sequence[str], axes: Sequence[str]) -> Linear:
    """The coefficients c of δ(rate) = Σ c ∂^orders δu, by field u and orders; zero ones are left out.

    Slopes of coefficients count as zero: exact for the shortest waves, which decide on stability.
    """
    zero = (0,) * len(axes)
    slopes = outer_slopes(expression)
    stand_in = {slope: sp.Dummy(real=True) for slope in slopes}
    plain = expression.xreplace(stand_in)
    back = {dummy: slope for slope, dummy in stand_in.items()}
    result: Linear = {}

    def add(key: tuple[str, Orders], value: sp.Expr) -> None:
        total = result.get(key, sp.Integer(0)) + value
        result[key] = total
        if total == 0:
            del result[key]

    for name in fields:
        add((name, zero), sp.diff(plain, symbol(name)).xreplace(back)) if symbol(name) in plain.free_symbols else None
    for slope, dummy in stand_in.items():
        factor = sp.diff(plain, dummy).xreplace(back)
        inner, axis = slope.args
        place = axes.index(axis.name)
        for (name, orders), value in linearised(inner, fields, axes).items():
            moved = tuple(m + (i == place) for i, m in enumerate(orders))
            add((name, moved), factor * value)
    return result


def outer_slopes(expression: sp.Expr) -> list[Slope]:
    """The slopes in an expression that are in no other of them."""
    if isinstance(expression, Slope):
        return [expression]
    found: dict[Slope, None] = {}
    for part in expression.args:
        found.update(dict.fromkeys(outer_slopes(part)))
    return list(found)


def chain(expression: sp.Expr, axes: Sequence[str]) -> tuple[sp.Expr, Orders]:
    """What a chain of slopes is of, and how often along each axis."""
    orders = [0] * len(axes)
    while isinstance(expression, Slope):
        orders[axes.index(expression.args[1].name)] += 1
        expression = expression.args[0]
    return expression, tuple(orders)


def split_term(term: sp.Expr) -> tuple[sp.Expr, sp.Expr] | None:
    """A term as coefficient and slope, where it is such a product of one slope and nothing else with a slope."""
    slopes = [f for f in sp.Mul.make_args(term) if isinstance(f, Slope)]
    if len(slopes) != 1:
        return None
    rest = sp.Mul(*(f for f in sp.Mul.make_args(term) if f is not slopes[0]))
    return None if rest.has(Slope) else (rest, slopes[0])


def linear_part(
    rate: sp.Expr, name: str, axes: Sequence[str], uniform: frozenset[sp.Symbol]
) -> tuple[dict[Orders, sp.Expr], list[sp.Expr]]:
    """Terms c ∂^orders u of the field itself with c the same everywhere and at all times, by orders; and all others."""
    steady = uniform - {symbol("t")}
    own: dict[Orders, sp.Expr] = {}
    others: list[sp.Expr] = []
    for term in _opened(rate, steady):
        pair = split_term(term)
        factors = sp.Mul.make_args(term)
        if pair is None and not term.has(Slope) and symbol(name) in factors:
            pair = sp.Mul(*(f for f in factors if f != symbol(name))), symbol(name)
        base, orders = chain(pair[1], axes) if pair else (None, ())
        if pair is None or base != symbol(name) or not pair[0].free_symbols <= steady:
            others.append(term)
            continue
        own[orders] = own.get(orders, sp.Integer(0)) + pair[0]
    return own, others


def _opened(rate: sp.Expr, uniform: frozenset[sp.Symbol]) -> list[sp.Expr]:
    """The terms of a rate; products that are affine in all that varies, as F (1 - u), are multiplied out."""
    terms: list[sp.Expr] = []
    for term in terms_of(rate):
        parts = sp.Add.make_args(sp.expand(term)) if term.is_Mul and not term.has(Slope) else ()
        varying = [[f for f in sp.Mul.make_args(part) if not f.free_symbols <= uniform] for part in parts]
        affine = len(parts) > 1 and all(len(v) <= 1 and all(f.is_Symbol for f in v) for v in varying)
        terms += parts if affine else [term]
    return terms
