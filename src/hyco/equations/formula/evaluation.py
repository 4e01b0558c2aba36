"""Values of expressions on PhiML tensors, in few operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from phi import math

from hyco.equations.formula.symbols import Sigmoid, Slope, Softplus
from hyco.schemes.stencils import varies

_TINY = 1e-30
_FUNCTIONS: dict[Any, Callable[[Any], Any]] = {
    sp.Abs: math.abs,
    sp.cos: math.cos,
    sp.cosh: math.cosh,
    sp.exp: math.exp,
    sp.log: math.log,
    Sigmoid: math.sigmoid,
    sp.sign: math.sign,
    sp.sin: math.sin,
    sp.sinh: math.sinh,
    Softplus: math.soft_plus,
    sp.tan: math.tan,
    sp.tanh: math.tanh,
}


class Evaluation:
    """The values of expressions, each worked out once.

    Args:
        leaf: the value of a symbol or a `Slope`.
    """

    def __init__(self, leaf: Callable[[sp.Expr], Any]) -> None:
        self._leaf = leaf
        self._known: dict[sp.Expr, Any] = {}

    def __call__(self, expression: sp.Expr) -> Any:
        """A number, or a PhiML tensor."""
        if expression not in self._known:
            self._known[expression] = self._value(expression)
        return self._known[expression]

    def _value(self, expression: sp.Expr) -> Any:
        if expression.is_number:
            return float(expression)
        if expression.is_Symbol or isinstance(expression, Slope):
            return self._leaf(expression)
        if expression.is_Add:
            return self._sum(expression)
        if expression.is_Mul:
            return self._product(sp.Mul.make_args(expression))
        if expression.is_Pow:
            return self._power(*expression.args)
        if isinstance(expression, sp.Max | sp.Min):
            combine = math.maximum if isinstance(expression, sp.Max) else math.minimum
            first, *others = (self(a) for a in expression.args)
            for other in others:
                first = combine(first, other)
            return first
        if isinstance(expression, sp.Heaviside):
            return 0.5 * (math.sign(self(expression.args[0])) + 1)
        return _FUNCTIONS[expression.func](self(expression.args[0]))

    def _sum(self, expression: sp.Expr) -> Any:
        terms = sorted(expression.args, key=lambda term: term.could_extract_minus_sign())
        # What is the same everywhere first: it is worked out once for all cells.
        total: Any = None
        for term in terms:
            negative = total is not None and term.could_extract_minus_sign()
            value = self(-term if negative else term)
            total = value if total is None else total - value if negative else total + value
        return total

    def _product(self, factors: tuple[sp.Expr, ...]) -> Any:
        scale: Any = 1.0
        field: Any = None
        below: list[Any] = []
        for factor in factors:
            inverse = factor.is_Pow and factor.exp.is_number and factor.exp.could_extract_minus_sign()
            value = self(1 / factor) if inverse else self(factor)
            if not varies(value):
                scale = (
                    scale / value if inverse else value if isinstance(scale, float) and scale == 1 else scale * value
                )
            elif inverse:
                below.append(value)
            else:
                field = value if field is None else field * value
        if field is None:
            field = scale
        elif not (isinstance(scale, float) and scale == 1):
            field = -field if isinstance(scale, float) and scale == -1 else field * scale
        for value in below:
            field = field / value
        return field

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> Any:
        value = self(base)
        if exponent.is_Integer and 2 <= abs(int(exponent)) <= 4:
            power = value * value
            if abs(int(exponent)) == 3:
                power = power * value
            elif abs(int(exponent)) == 4:
                power = power * power
            return power if int(exponent) > 0 else 1 / power
        if exponent == -1:
            return 1 / value
        if not exponent.is_integer and base != sp.E and not base.is_positive:
            # States come a little below the end of their range, and powers of zero have no gradient.
            value = math.maximum(value, _TINY)
        if exponent == sp.Rational(1, 2):
            return math.sqrt(value)
        if exponent == -sp.Rational(1, 2):
            return 1 / math.sqrt(value)
        if base == sp.E:
            return math.exp(self(exponent))
        return value ** self(exponent)
