"""Formulas of rates of change as they are set in print: LaTeX that matplotlib sets, too."""

from __future__ import annotations

import ast
import re

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "phi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Sigma",
    "Phi",
    "Psi",
    "Omega",
    "pi",
]
# How tightly an operator binds.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)
_DERIVATIVES = {"dx": "x", "dy": "y", "dz": "z"}


def rate_latex(field: str, text: str) -> str:
    r"""`u` and `D*laplace(u)` as `\partial_t u = D\,\Delta u`; the formula is known to be sound.

    Args:
        field: whose rate of change it is.
        text: see `hyco.equations.formula.syntax`.
    """
    words = " ".join(text.split()).replace("^", "**")
    return rf"\partial_t {_name(field)} = {_latex(ast.parse(words, mode='eval').body)[0]}"


def _latex(node: ast.expr) -> tuple[str, int]:
    """A part of a formula and how tightly it binds."""
    match node:
        case ast.Constant():
            return _number(node.value)
        case ast.Name():
            return _name(node.id), _ATOM
        case ast.UnaryOp():
            sign = "-" if isinstance(node.op, ast.USub) else ""
            return sign + _within(node.operand, _PRODUCT), _SUM
        case ast.BinOp():
            return _binary(node)
        case ast.Call(func=ast.Name(id=function)):
            return _call(function, node.args)
        case ast.List() | ast.Tuple():
            return rf"\left({', '.join(_latex(part)[0] for part in node.elts)}\right)", _ATOM
    return ast.unparse(node), _ATOM


def _binary(node: ast.BinOp) -> tuple[str, int]:
    left, right = node.left, node.right
    match node.op:
        case ast.Add():
            return f"{_latex(left)[0]} + {_within(right, _SUM)}", _SUM
        case ast.Sub():
            return f"{_latex(left)[0]} - {_within(right, _PRODUCT)}", _SUM
        case ast.Mult():
            # -a b, not (-a) b
            first = _latex(left)[0] if isinstance(left, ast.UnaryOp) else _within(left, _PRODUCT)
            return rf"{first}\,{_within(right, _PRODUCT)}", _PRODUCT
        case ast.Div():
            return rf"\frac{{{_latex(left)[0]}}}{{{_latex(right)[0]}}}", _PRODUCT
        case ast.Pow():
            return f"{_within(left, _ATOM)}^{{{_latex(right)[0]}}}", _POWER
    return ast.unparse(node), _SUM


def _call(function: str, arguments: list[ast.expr]) -> tuple[str, int]:
    if function == "dot":
        return r" \cdot ".join(_within(a, _ATOM) for a in arguments), _PRODUCT
    if function == "sqrt":
        return rf"\sqrt{{{_latex(arguments[0])[0]}}}", _ATOM
    if function in _DERIVATIVES:
        return rf"\partial_{{{_DERIVATIVES[function]}}} {_within(arguments[0], _ATOM)}", _PRODUCT
    operator = {"grad": r"\nabla ", "laplace": r"\Delta ", "div": r"\nabla \cdot "}.get(function)
    if operator is not None:
        return operator + _within(arguments[0], _ATOM), _PRODUCT
    inner = ", ".join(_latex(a)[0] for a in arguments)
    return rf"\mathrm{{{function}}}\left({inner}\right)", _ATOM


def _within(node: ast.expr, least: int) -> str:
    """In parentheses where it binds less tightly than what is around it."""
    text, bound = _latex(node)
    return text if bound >= least else rf"\left({text}\right)"


def _name(name: str) -> str:
    """`D_u` with a subscript, Greek letters as such, longer names upright."""
    head, _, tail = name.partition("_")
    if head in _GREEK:
        letter = rf"\{head}"
    elif len(head) == 1:
        letter = head
    elif found := re.fullmatch(r"([A-Za-z])(\d+)", head):
        return f"{found[1]}_{{{found[2]}}}"
    else:
        letter = rf"\mathrm{{{head}}}"
    subscript = tail.replace("_", r"\,")
    return rf"{letter}_{{\mathrm{{{subscript}}}}}" if tail else letter


def _number(value: object) -> tuple[str, int]:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    mantissa, _, exponent = text.partition("e")
    return (rf"{mantissa}\times 10^{{{int(exponent)}}}", _PRODUCT) if exponent else (text, _ATOM)
