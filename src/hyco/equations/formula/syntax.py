"""Formulas of rates of change as text: read without `eval`, and what is wrong named with its place.

A formula holds numbers, fields, parameters, `x`, `y`, `z`, `t`, `pi`, `e`, `+ - * / **`, parentheses, the functions of
`hyco.expressions.FUNCTIONS`, and the operators dx, dy, dz (∂/∂axis), grad (of a number: a vector), div (of a vector),
laplace (of a number), dot (of two vectors); a vector is also written `[a, b]`, with a component for each axis.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sympy as sp

from hyco.equations.formula.notation import operator, subscript
from hyco.equations.formula.symbols import AXES, FUNCTIONS, derivative, symbol
from hyco.expressions import CONSTANTS, DEEPEST, ExpressionError, depth
from hyco.expressions import FUNCTIONS as ARGUMENTS

_LONGEST, _SHOWN = 2000, 200
# Powers beyond these are slips, or ask for numbers that nothing can hold.
_HIGHEST, _MOST_DIGITS = 64, 300
_OPERATORS = {"grad": 1, "div": 1, "laplace": 1, "dot": 2}
_WORDS = "fields, parameters, x, y, z, t, pi, e, numbers, + - * / **, functions, dx, dy, dz, grad, div, laplace, dot"

Vector = tuple[sp.Expr, ...]


@dataclass(frozen=True)
class Names:
    """What a formula may name.

    Attributes:
        axes: of the domain.
        fields: of the equation.
        parameters: of the equation.
        varying: those of them that vary in space.
    """

    axes: tuple[str, ...]
    fields: tuple[str, ...]
    parameters: tuple[str, ...]
    varying: frozenset[str] = frozenset()

    @property
    def allowed(self) -> tuple[str, ...]:
        """All names, in the order in which they are told."""
        return (*self.fields, *self.parameters, *self.axes, "t", *CONSTANTS)

    @property
    def uniform(self) -> frozenset[sp.Symbol]:
        """Symbols with the same value everywhere in space."""
        return frozenset({symbol("t"), *(symbol(p) for p in self.parameters if p not in self.varying)})


class FormulaError(ExpressionError):
    """A formula cannot be read, or means nothing; says where.

    Args:
        text: the formula.
        place: of the first wrong character, from 0; None: all of it.
        reason: what is wrong, and what is allowed.
        field: whose rate of change it is, if that is known.
    """

    def __init__(self, text: str, place: int | None, reason: str, field: str | None = None) -> None:
        self.text, self.place, self.reason = text, place, reason
        where = repr(_short(text)) if place is None else f"{_short(text)!r}, character {place + 1}"
        super().__init__(f"rates{f'.{field}' if field else ''}: {where}: {reason}")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@contextmanager
def rate_of(field: str) -> Iterator[None]:
    """Mistakes in a formula say that it is the rate of this field."""
    try:
        yield
    except FormulaError as error:
        raise FormulaError(error.text, error.place, error.reason, field) from error


def names_in(text: str) -> frozenset[str]:
    """The names that a formula uses, functions and operators left out.

    Raises:
        FormulaError: it is none.
    """
    return _plain_names(text).difference(CONSTANTS)


def constants_in(text: str) -> frozenset[str]:
    """The constants that a formula uses.

    Raises:
        FormulaError: it is none.
    """
    return _plain_names(text).intersection(CONSTANTS)


def _plain_names(text: str) -> frozenset[str]:
    tree = _parsed(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called)


def read(text: str, names: Names) -> sp.Expr:
    """A rate of change as an expression, its derivatives in the form of `symbols.derivative`.

    Raises:
        FormulaError: it cannot be read, a name is unknown, or a number stands where a vector should or the other way.
    """
    tree = _parsed(text)
    try:
        result = _Reader(text, names).read(tree)
    except RecursionError as error:
        raise FormulaError(text, None, "the formula is nested too deeply") from error
    if isinstance(result, tuple):
        raise FormulaError(text, 0, "a rate of change is a number in each cell, this is a vector (take div or dot)")
    if result.has(sp.zoo, sp.oo, -sp.oo, sp.nan):
        raise FormulaError(text, None, "the formula divides by zero")
    if result.has(sp.I):
        raise FormulaError(text, None, "the formula takes a root or logarithm of a negative number")
    return result


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise FormulaError(text, None, f"a formula has at most {_LONGEST} characters, this one {len(text)}")
    if not text.isascii():
        place = next(i for i, c in enumerate(text) if not c.isascii())
        raise FormulaError(text, place, f"{text[place]!r} is not allowed; allowed: {_WORDS}")
    if not text.strip():
        raise FormulaError(text, None, "the formula is empty")
    _require_balance(text)
    # Within parentheses Python does not mind line ends, which YAML may leave.
    try:
        tree = ast.parse("(" + text + "\n)", mode="eval").body
    except SyntaxError as error:
        place = min(max((error.offset or 2) - 2, 0), max(len(text.rstrip()) - 1, 0))
        advice = "products are written with *"
        if (sign := text.find("=")) >= 0:
            place, advice = sign, "a rate is the right-hand side alone, without ="
        raise FormulaError(text, place, f"this cannot be read; {advice}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(text, None, "this cannot be read") from error
    if depth(tree) > DEEPEST:
        raise FormulaError(text, None, f"a formula is nested at most {DEEPEST} deep")
    return tree


def _require_balance(text: str) -> None:
    """Refuse parentheses that do not close, where they stand."""
    pairs, opened = {")": "(", "]": "["}, []
    for place, character in enumerate(text):
        if character in "([":
            opened.append((character, place))
        elif character in pairs:
            if not opened or opened[-1][0] != pairs[character]:
                raise FormulaError(text, place, f"{character!r} closes nothing")
            opened.pop()
    if opened:
        raise FormulaError(text, opened[-1][1], f"{opened[-1][0]!r} is not closed")


class _Reader:
    """From Python's tree to an expression, or a vector of them."""

    def __init__(self, text: str, names: Names) -> None:
        self.text, self.names = text, names

    def _place(self, node: ast.AST) -> int:
        lines = self.text.split("\n")
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 1)
        return max(sum(len(row) + 1 for row in lines[: line - 1]) + column - (1 if line == 1 else 0), 0)

    def _error(self, node: ast.AST, reason: str) -> FormulaError:
        return FormulaError(self.text, self._place(node), reason)

    def read(self, node: ast.expr) -> Any:
        """A number of SymPy, or a tuple of them."""
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            value = self.read(node.operand)
            return value if isinstance(node.op, ast.UAdd) else _each(value, lambda v: -v)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.List):
            return self._vector(node)
        if isinstance(node, ast.Tuple) and node.elts:
            comma = self.text.find(",", self._place(node.elts[0]))
            raise FormulaError(self.text, comma, "a comma; numbers have a decimal point, vectors are [a, b]")
        raise self._error(node, f"this is not allowed in a formula; allowed: {_WORDS}")

    def _constant(self, node: ast.Constant) -> sp.Expr:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error(node, f"{value!r} is not a number")
        if abs(value) > 10.0**_MOST_DIGITS:
            raise self._error(node, f"a number beyond 1e±{_MOST_DIGITS}")
        return sp.Integer(value) if isinstance(value, int) else sp.Float(value)

    def _name(self, node: ast.Name) -> sp.Expr:
        name = node.id
        if name in self.names.fields or name in self.names.parameters:
            return symbol(name)
        if name in AXES and name not in self.names.axes:
            raise self._error(node, f"the domain has no axis {name}; it has {', '.join(self.names.axes)}")
        if name in self.names.axes or name == "t":
            return symbol(name)
        if name in CONSTANTS:
            return {"pi": sp.pi, "e": sp.E}[name]
        if name in FUNCTIONS or name in _OPERATORS or (name[:1] == "d" and name[1:] in AXES):
            raise self._error(node, f"{name} needs an argument: {name}(…)")
        here = subscript(name, self.names.fields)
        raise self._error(
            node,
            f"unknown name {name!r}{f', here {here}' if here else ''}; allowed: {', '.join(self.names.allowed)} "
            f"(a parameter has a value in equation.parameters, or is learnt)",
        )

    def _binary(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.BitXor):
            raise self._error(node, "a power is written **, not ^")
        left, right = self.read(node.left), self.read(node.right)
        vectors = isinstance(left, tuple), isinstance(right, tuple)
        if isinstance(node.op, ast.Add | ast.Sub):
            if any(vectors) and not all(vectors):
                raise self._error(node, "a number and a vector cannot be added")
            sign = 1 if isinstance(node.op, ast.Add) else -1
            if all(vectors):
                return tuple(a + sign * b for a, b in zip(left, right, strict=True))
            return left + sign * right
        if isinstance(node.op, ast.Mult):
            if all(vectors):
                raise self._error(node, "two vectors are multiplied by dot(…, …)")
            vector, factor = (left, right) if vectors[0] else (right, left)
            return _each(vector, lambda v: factor * v)
        if isinstance(node.op, ast.Div):
            if vectors[1]:
                raise self._error(node.right, "nothing can be divided by a vector")
            if right == 0:
                raise self._error(node.right, "a division by zero")
            return _each(left, lambda v: v / right)
        if isinstance(node.op, ast.Pow):
            if any(vectors):
                raise self._error(node, "a vector has no power; dot(a, a) is its square")
            return self._power(node, left, right)
        raise self._error(node, "only + - * / ** are allowed")

    def _power(self, node: ast.BinOp, base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
        if exponent.is_number and abs(float(exponent)) > _HIGHEST:
            raise self._error(node.right, f"an exponent of {float(exponent):.3g}; allowed: -{_HIGHEST} to {_HIGHEST}")
        if base == 0 and exponent.is_number and exponent.is_negative:
            raise self._error(node.left, "a division by zero")
        if base.is_number and exponent.is_number and base != 0:
            size = abs(complex(base))
            if abs(math.log10(size) * float(exponent)) > _MOST_DIGITS:
                raise self._error(node, f"a number beyond 1e±{_MOST_DIGITS}")
        result = base**exponent
        if result.is_Pow and result.exp.is_number and abs(float(result.exp)) > _HIGHEST:
            raise self._error(node, f"an exponent of {float(result.exp):.3g}; allowed: -{_HIGHEST} to {_HIGHEST}")
        return result

    def _call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        axis = name[1:] if name is not None and name[:1] == "d" and name[1:] in AXES else None
        if name is None or (name not in FUNCTIONS and name not in _OPERATORS and axis is None):
            if name in self.names.allowed:
                raise self._error(node, f"{name} is no function: a product is written {name}*(…)")
            if name is None:
                raise self._error(node, "this is no function: products are written with *")
            functions = ", ".join(["dx", "dy", "dz", *_OPERATORS, *FUNCTIONS])
            here = operator(name)
            raise self._error(
                node, f"unknown function {name!r}" + (f", {here}" if here else "") + f"; allowed: {functions}"
            )
        if node.keywords:
            raise self._error(node, f"{name} takes no arguments by name")
        count = 1 if axis is not None else _OPERATORS.get(name) or ARGUMENTS[name][1]
        if len(node.args) != count:
            raise self._error(node, f"{name} takes {count} argument{'s' * (count > 1)}, not {len(node.args)}")
        arguments = [self.read(a) for a in node.args]
        if axis is not None and axis not in self.names.axes:
            raise self._error(node, f"the domain has no axis {axis}; it has {', '.join(self.names.axes)}")
        for argument, part in zip(arguments, node.args, strict=True):
            if name in ("div", "dot") and not isinstance(argument, tuple):
                raise self._error(part, f"{name} takes {'a vector' if name == 'div' else 'vectors'}, this is a number")
            if name not in ("div", "dot") and isinstance(argument, tuple):
                raise self._error(part, f"{name} takes a number, this is a vector")
        return self._applied(name, axis, arguments)

    def _applied(self, name: str, axis: str | None, arguments: Sequence[Any]) -> Any:
        uniform, axes = self.names.uniform, self.names.axes
        if axis is not None:
            return derivative(arguments[0], axis, uniform)
        if name == "grad":
            return tuple(derivative(arguments[0], a, uniform) for a in axes)
        if name == "div":
            return sp.Add(*(derivative(v, a, uniform) for v, a in zip(arguments[0], axes, strict=True)))
        if name == "laplace":
            return sp.Add(*(derivative(derivative(arguments[0], a, uniform), a, uniform) for a in axes))
        if name == "dot":
            return sp.Add(*(a * b for a, b in zip(*arguments, strict=True)))
        return FUNCTIONS[name](*arguments)

    def _vector(self, node: ast.List) -> Vector:
        components = tuple(self.read(part) for part in node.elts)
        if any(isinstance(c, tuple) for c in components):
            raise self._error(node, "the components of a vector are numbers")
        if len(components) != len(self.names.axes):
            raise self._error(
                node, f"a vector has one component for each axis ({', '.join(self.names.axes)}), not {len(components)}"
            )
        return components


def _each(value: Any, change: Any) -> Any:
    """A change of a number, or of each component of a vector."""
    return tuple(change(v) for v in value) if isinstance(value, tuple) else change(value)
