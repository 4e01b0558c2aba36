"""An equation from a Python function of its rates of change: called once with symbols, these become formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import sympy as sp
from pydantic import Field, model_validator
from sympy.printing.str import StrPrinter

from hyco.equations.formula.config import FormulaConfig
from hyco.equations.formula.equation import FormulaEquation
from hyco.equations.formula.symbols import AXES, FUNCTIONS, symbol
from hyco.runtime.plugins import PluginError, in_one_line, takes

_OPERATORS = ("dx", "dy", "dz", "grad", "div", "laplace", "dot", "vector")
_NAMES: dict[Any, str] = {made: name for name, made in FUNCTIONS.items() if isinstance(made, type)}


class Symbols(dict[str, Any]):
    """A symbol for each name that is asked for, `fields["u"]` or `fields.u`."""

    def __missing__(self, name: str) -> sp.Symbol:
        return self.setdefault(name, symbol(name))

    def __getattr__(self, name: str) -> sp.Symbol:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]


class Operators:
    """What rates are made of beside fields and parameters: `op.dx(u)`, `op.laplace(u)`, `op.exp(u)`, `op.x`, `op.pi`.

    dx, dy, dz, grad, div, laplace and dot are those of formulas, `op.vector(a, b)` is the vector `[a, b]`; functions
    are those of formulas too. x, y, z and t are the position and the time, pi and e numbers.
    """

    def __getattr__(self, name: str) -> Any:
        if name in _OPERATORS:
            return sp.Function(name)
        if name in FUNCTIONS:
            return FUNCTIONS[name]
        if name in (*AXES, "t"):
            return symbol(name)
        if name in ("pi", "e"):
            return sp.pi if name == "pi" else sp.E
        allowed = ", ".join([*_OPERATORS, *FUNCTIONS, *AXES, "t", "pi", "e"])
        raise AttributeError(f"there is no operator {name!r}; allowed: {allowed}")


class _Printer(StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """Expressions as formulas are written."""

    def _print_Float(self, number: sp.Float) -> str:  # noqa: N802  # SymPy's names
        return repr(float(number))

    def _print_Exp1(self, _: sp.Expr) -> str:  # noqa: N802  # SymPy's names
        return "e"

    def _print_Function(self, call: sp.Expr) -> str:  # noqa: N802  # SymPy's names
        arguments = [self._print(a) for a in call.args]
        if call.func.__name__ == "vector":
            return f"[{', '.join(arguments)}]"
        return f"{_NAMES.get(call.func, call.func.__name__)}({', '.join(arguments)})"

    def _print_Abs(self, call: sp.Expr) -> str:  # noqa: N802  # SymPy's names
        return f"abs({self._print(call.args[0])})"

    def _print_Max(self, call: sp.Expr) -> str:  # noqa: N802  # SymPy's names
        return self._nested("max", call)

    def _print_Min(self, call: sp.Expr) -> str:  # noqa: N802  # SymPy's names
        return self._nested("min", call)

    def _nested(self, name: str, call: sp.Expr) -> str:
        text, *others = [self._print(a) for a in call.args]
        for other in others:
            text = f"{name}({text}, {other})"
        return str(text)


def rates_of(function: Callable[..., Any], name: str) -> dict[str, str]:
    """The formulas by field that a function returns, called with symbols.

    Raises:
        PluginError: it does not take three arguments, fails, or returns no dictionary of expressions by field.
    """
    if not takes(function, {}, {}, None):
        raise PluginError(
            f"equation {name!r}: the function takes fields, parameters and operators: def {function.__name__}(fields, "
            "parameters, op)"
        )
    try:
        rates = function(Symbols(), Symbols(), Operators())
    except Exception as error:  # whatever a function of the user's raises
        raise PluginError(f"equation {name!r} fails when it is called with symbols: {in_one_line(error)}") from error
    if not isinstance(rates, Mapping) or not rates:
        raise PluginError(f"equation {name!r} returns {rates!r:.60}, not a rate of change for each field: {{'u': …}}")
    texts = {}
    for field, rate in rates.items():
        try:
            texts[str(field)] = _Printer().doprint(sp.sympify(rate, strict=True))
        except (sp.SympifyError, TypeError) as error:
            raise PluginError(
                f"equation {name!r}: the rate of {field} is {rate!r:.60}, no expression of fields, parameters and "
                "operators"
            ) from error
    return texts


@cache
def function_equation(function: Callable[..., Any], name: str) -> type[FormulaEquation]:
    """An equation by formula whose `rates` a function returns.

    Args:
        function: of fields, parameters and operators, see `Symbols` and `Operators`.
        name: `package.module:function`.

    Raises:
        PluginError: see `rates_of`.
    """
    texts, given_name = rates_of(function, name), name

    class FunctionConfig(FormulaConfig):
        """Keys of an equation by a function: those of `formula` without `rates`."""

        name: str = given_name  # type: ignore[assignment]  # that of the base is a literal
        rates: dict[str, str] = Field(default=texts, description="formulas that the function returns")

        @model_validator(mode="before")
        @classmethod
        def _rates_are_the_functions(cls, data: Any) -> Any:
            if isinstance(data, Mapping) and data.get("rates", texts) != texts:
                raise ValueError(f"rates: the function {given_name} returns them; leave them out")
            return data

    class FunctionEquation(FormulaEquation):
        __doc__ = function.__doc__ or f"Rates of change by {given_name}."
        config_class = FunctionConfig

    return FunctionEquation
