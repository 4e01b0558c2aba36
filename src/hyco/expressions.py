"""Formulas in configuration files, such as `0.1 + A * exp(-(x - 1)**2)`, evaluated on tensors without `eval`.

A formula may hold numbers, names, `+ - * / **`, parentheses, the constants `pi` and `e`, and the functions of
`FUNCTIONS`. Everything else is refused when the formula is read, before anything is computed.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from hyco.grid import Grid

CONSTANTS = {"pi": math.pi, "e": math.e}

FUNCTIONS: dict[str, tuple[Callable[..., Tensor], int]] = {
    "abs": (torch.abs, 1),
    "cos": (torch.cos, 1),
    "cosh": (torch.cosh, 1),
    "exp": (torch.exp, 1),
    "log": (torch.log, 1),
    "max": (torch.maximum, 2),
    "min": (torch.minimum, 2),
    "sigmoid": (torch.sigmoid, 1),
    "sign": (torch.sign, 1),
    "sin": (torch.sin, 1),
    "sinh": (torch.sinh, 1),
    "softplus": (torch.nn.functional.softplus, 1),
    "sqrt": (torch.sqrt, 1),
    "tan": (torch.tan, 1),
    "tanh": (torch.tanh, 1),
}

# Functions that PhiML calls otherwise.
_PHIML = {"max": "maximum", "min": "minimum", "softplus": "soft_plus"}

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_LONGEST = 2000
# Characters of it in a message.
_SHOWN = 160
# How deep functions, signs and powers may stand in each other; sums and products count once, however many terms.
DEEPEST = 40


class ExpressionError(ValueError):
    """A formula cannot be read, or holds something that is not allowed."""


def depth(tree: ast.AST) -> int:
    """How deep functions, signs and powers stand in each other."""
    deepest, waiting = 0, [(tree, 0)]
    while waiting:
        node, above = waiting.pop()
        deepest = max(deepest, above)
        for child in ast.iter_child_nodes(node):
            # The terms of a sum are nested to the left, however many they are.
            goes_on = isinstance(node, ast.BinOp) and child is node.left and not isinstance(node.op, ast.Pow)
            waiting.append((child, above if goes_on else above + 1))
    return deepest


@dataclass(frozen=True)
class Expression:
    """A formula as a function of its names.

    Args:
        text: the formula.

    Raises:
        ExpressionError: it is not a formula; the message names what is wrong, and what is allowed.
    """

    text: str

    def __post_init__(self) -> None:
        _ = self._tree

    @cached_property
    def _tree(self) -> ast.expr:
        if len(self.text) > _LONGEST:
            raise ExpressionError(f"a formula has at most {_LONGEST} characters, this one {len(self.text)}")
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ExpressionError(f"{self._shown} is not a formula") from error
        if depth(tree) > DEEPEST:
            raise ExpressionError(f"{self._shown}: a formula is nested at most {DEEPEST} deep")
        for node in ast.walk(tree):
            self._check(node)
        return tree

    @property
    def _shown(self) -> str:
        """The formula in a message, with its middle left out where it is long."""
        text = repr(self.text)
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]} … {text[-16:]}"

    def _check(self, node: ast.AST) -> None:
        """Refuse what a formula may not hold."""
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else "?"
            if name not in FUNCTIONS or node.keywords:
                raise ExpressionError(f"{self._shown}: no function {name!r}; allowed: {', '.join(FUNCTIONS)}")
            if len(node.args) != FUNCTIONS[name][1]:
                raise ExpressionError(f"{self._shown}: {name} takes {FUNCTIONS[name][1]} argument(s)")
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, int | float):
                raise ExpressionError(f"{self._shown}: {node.value!r} is not a number")
        elif (isinstance(node, ast.BinOp) and type(node.op) not in _BINARY) or (
            isinstance(node, ast.UnaryOp) and type(node.op) not in _UNARY
        ):
            raise ExpressionError(f"{self._shown}: only + - * / ** are allowed")
        elif not isinstance(node, ast.Name | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop | ast.Load):
            raise ExpressionError(f"{self._shown}: a formula holds numbers, names, + - * / ** and functions only")

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that need a value."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        names = {n.id for n in ast.walk(self._tree) if isinstance(n, ast.Name) and id(n) not in called}
        return frozenset(names - CONSTANTS.keys())

    def require(self, allowed: Collection[str]) -> None:
        """Refuse names other than these.

        Raises:
            ExpressionError: there is another name.
        """
        unknown = sorted(self.names - set(allowed))
        if unknown:
            names = ", ".join([*allowed, *CONSTANTS])
            raise ExpressionError(f"{self._shown}: unknown name {', '.join(unknown)}; allowed: {names}")

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """The value, by the broadcasting rules of torch, differentiable.

        Args:
            values: a tensor for each name.

        Raises:
            ExpressionError: a name has no value, numbers overflow or are not real, or it is nested too deeply.
        """
        return torch.as_tensor(self._value(values, _of_torch), dtype=torch.float64)

    def on_phiml(self, values: Mapping[str, Any]) -> Any:
        """The value on PhiML tensors, whose dimensions match by name; a number where all values are numbers.

        Args:
            values: a number or a PhiML tensor for each name.

        Raises:
            ExpressionError: as above.
        """
        return self._value(values, _of_phiml)

    def _value(self, values: Mapping[str, Any], function: Callable[..., Any]) -> Any:
        self.require(values.keys())
        try:
            return self._evaluate(self._tree, values, function)
        except (OverflowError, ZeroDivisionError, RecursionError) as error:
            reason = error.args[-1] if error.args else error  # of an OverflowError the text, not its number
            raise ExpressionError(f"{self._shown}: {reason}") from error

    def _evaluate(self, node: ast.expr, values: Mapping[str, Any], function: Callable[..., Any]) -> Any:
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]  # checked when read
        if isinstance(node, ast.Name):
            return values[node.id] if node.id in values else CONSTANTS[node.id]
        if isinstance(node, ast.UnaryOp):
            return _UNARY[type(node.op)](self._evaluate(node.operand, values, function))
        if isinstance(node, ast.BinOp):
            left, right = (self._evaluate(side, values, function) for side in (node.left, node.right))
            value = _BINARY[type(node.op)](left, right)
            if isinstance(value, complex):
                raise ExpressionError(f"{self._shown}: a root of a negative number")
            return value
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        return function(node.func.id, *(self._evaluate(a, values, function) for a in node.args))

    def on_grid(self, grid: Grid, values: Mapping[str, Tensor] | None = None) -> Tensor:
        """The value in the centre of each cell, `[*batch, *space]` float64.

        Args:
            grid: its axes are names that the formula may use.
            values: further names, scalars `[]` or batches `[*batch]`.
        """
        ones = (1,) * grid.dimensions
        scalars = {name: v.reshape(*v.shape, *ones) for name, v in (values or {}).items()}
        device = next(iter(scalars.values())).device if scalars else None
        values_on_grid = self({axis: x.to(device) for axis, x in coordinates(grid).items()} | scalars)
        leading = torch.broadcast_shapes(*(v.shape for v in (values or {}).values()))  # type: ignore[no-untyped-call]
        return values_on_grid.expand(*leading, *grid.resolution)


def _of_torch(name: str, *arguments: Any) -> Tensor:
    return FUNCTIONS[name][0](*(torch.as_tensor(a, dtype=torch.float64) for a in arguments))


def _of_phiml(name: str, *arguments: Any) -> Any:
    """A function of `FUNCTIONS` on PhiML tensors; on numbers alone a number."""
    if all(isinstance(a, int | float) for a in arguments):
        return float(_of_torch(name, *arguments))
    from phi import math as math_of_phiml  # takes a second, and formulas of files need none

    return getattr(math_of_phiml, _PHIML.get(name, name))(*arguments)


def coordinates(grid: Grid) -> dict[str, Tensor]:
    """The coordinates of the cell centres by axis, each `[*space]` with extent 1 along the other axes."""
    by_axis = {}
    for i, axis in enumerate(grid.axes):
        shape = [1] * grid.dimensions
        shape[i] = -1
        by_axis[axis] = torch.from_numpy(grid.centers(axis)).reshape(shape)
    return by_axis
