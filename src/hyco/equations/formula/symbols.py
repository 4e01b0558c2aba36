"""The pieces that rates of change are made of, as SymPy expressions: fields, derivatives, functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import sympy as sp
import torch

AXES = ("x", "y", "z")
TIME = sp.Symbol("t", real=True)


class Sigmoid(sp.Function):  # type: ignore[misc]  # SymPy has no types
    """1/(1 + exp(-a)), which no a overflows."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Its derivative."""
        return self * (1 - self)


class Softplus(sp.Function):  # type: ignore[misc]
    """log(1 + exp(a))."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Its derivative."""
        return Sigmoid(self.args[0])


class Slope(sp.Function):  # type: ignore[misc]
    """∂(a)/∂(axis) of something that varies in space; use `derivative` to make one."""

    nargs = 2
    is_commutative = True
    is_real = True

    def _sympystr(self, printer: Any) -> str:
        """As it is written in a formula."""
        return f"d{self.args[1]}({printer.doprint(self.args[0])})"

    def fdiff(self, argindex: int = 1) -> Any:
        """None: a derivative in space is a variable of its own where functions of states are differentiated."""
        return sp.Integer(0)


# By name, as `hyco.expressions.FUNCTIONS` has them: what they are in SymPy.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": sp.Abs,
    "cos": sp.cos,
    "cosh": sp.cosh,
    "exp": sp.exp,
    "log": sp.log,
    "max": sp.Max,
    "min": sp.Min,
    "sigmoid": Sigmoid,
    "sign": sp.sign,
    "sin": sp.sin,
    "sinh": sp.sinh,
    "softplus": Softplus,
    "sqrt": sp.sqrt,
    "tan": sp.tan,
    "tanh": sp.tanh,
}


def symbol(name: str) -> sp.Symbol:
    """The symbol of a field, parameter, axis or of t."""
    return sp.Symbol(name, real=True)


def derivative(expression: sp.Expr, axis: str, uniform: frozenset[sp.Symbol]) -> sp.Expr:
    """∂/∂axis, linear: of each term by itself, factors that do not vary in space before it.

    Args:
        uniform: symbols that have the same value everywhere.
    """
    expression = sp.sympify(expression)
    if expression.is_Add:
        return sp.Add(*(derivative(term, axis, uniform) for term in expression.args))
    factors = sp.Mul.make_args(expression)
    outside = [f for f in factors if f.free_symbols <= uniform]
    inside = sp.Mul(*(f for f in factors if not f.free_symbols <= uniform))
    if inside == 1:
        return sp.Integer(0)
    places = {symbol(a) for a in AXES}
    if inside.free_symbols <= places | uniform and not inside.has(Slope):
        return sp.Mul(*outside, sp.diff(inside, symbol(axis)))
    if inside.is_Mul and any(f.is_Add and f.has(Slope) for f in inside.args):
        # A sum with derivatives is taken apart: its terms have schemes of their own.
        return sp.Mul(*outside, derivative(sp.expand_mul(inside), axis, uniform))
    return sp.Mul(*outside, Slope(inside, symbol(axis)))


def terms_of(expression: sp.Expr) -> list[sp.Expr]:
    """The terms of a sum; products with a sum that holds derivatives are multiplied out, others stay."""
    terms: list[sp.Expr] = []
    for term in sp.Add.make_args(expression):
        if term.is_Mul and any(f.is_Add and f.has(Slope) for f in term.args):
            sums = [f for f in term.args if f.is_Add and f.has(Slope)]
            rest = sp.Mul(*(f for f in term.args if f is not sums[0]))
            for part in sums[0].args:
                terms += terms_of(rest * part)
        else:
            terms.append(term)
    return terms


_ON_TORCH: dict[Any, Callable[..., Any]] = {
    sp.Abs: torch.abs,
    sp.cos: torch.cos,
    sp.cosh: torch.cosh,
    sp.exp: torch.exp,
    sp.log: torch.log,
    Sigmoid: torch.sigmoid,
    sp.sign: torch.sign,
    sp.sin: torch.sin,
    sp.sinh: torch.sinh,
    Softplus: torch.nn.functional.softplus,
    sp.tan: torch.tan,
    sp.tanh: torch.tanh,
    sp.Heaviside: lambda a, *_: 0.5 * (torch.sign(a) + 1),
    sp.DiracDelta: lambda a, *_: torch.zeros_like(a),
}


def on_torch(expression: sp.Expr, values: dict[sp.Expr, torch.Tensor]) -> torch.Tensor:
    """The value for samples of its symbols and derivatives, `[samples]` each.

    Args:
        values: by symbol, and by derivative.
    """
    if expression in values:
        return values[expression]
    if expression.is_number:
        return torch.tensor(float(expression), dtype=torch.float64)
    arguments = [on_torch(a, values) for a in expression.args]
    if expression.is_Add:
        return reduce(torch.add, arguments)
    if expression.is_Mul:
        return reduce(torch.mul, arguments)
    if expression.is_Pow:
        return torch.pow(arguments[0], arguments[1])
    if isinstance(expression, sp.Max | sp.Min):
        combine = torch.maximum if isinstance(expression, sp.Max) else torch.minimum
        return reduce(combine, arguments)
    result: torch.Tensor = _ON_TORCH[expression.func](*arguments)
    return result
