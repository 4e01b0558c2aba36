"""Elementwise operations as C++: from the parts of numbers, one of a real and two of a complex one, to such parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Parts = tuple[str, ...]


def literal(number: complex) -> Parts:
    """A number of a graph."""
    if isinstance(number, complex):
        return (*literal(number.real), *literal(number.imag))
    text = repr(float(number)).replace("inf", "INFINITY").replace("nan", "NAN")
    return (f"R({text})",)


def _is(part: Parts | None, number: float) -> bool:
    return part is None or part == literal(number)


def _sum(a: Parts, b: Parts, sign: str = "+") -> Parts:
    if len(a) == len(b):
        return tuple(f"{x} {sign} {y}" for x, y in zip(a, b, strict=True))
    if len(a) == 2:
        return f"{a[0]} {sign} {b[0]}", a[1]
    return f"{a[0]} {sign} {b[0]}", b[1] if sign == "+" else f"-{b[1]}"


def _times(a: Parts, b: Parts) -> Parts:
    if len(a) == len(b) == 2:
        return f"({a[0]} * {b[0]} - {a[1]} * {b[1]})", f"({a[0]} * {b[1]} + {a[1]} * {b[0]})"
    if len(a) == 2:
        return tuple(f"({x} * {b[0]})" for x in a)
    return tuple(f"({a[0]} * {x})" for x in b)


def _scaled(value: Parts, factor: Parts | None) -> Parts:
    return value if _is(factor, 1.0) or factor is None else _times(factor, value)


def _add(a: Parts, b: Parts, alpha: Parts | None = None) -> Parts:
    return _sum(a, _scaled(b, alpha))


def _sub(a: Parts, b: Parts, alpha: Parts | None = None) -> Parts:
    return _sum(a, _scaled(b, alpha), "-")


def _rsub(a: Parts, b: Parts, alpha: Parts | None = None) -> Parts:
    return _sum(b, _scaled(a, alpha), "-")


def _addcmul(a: Parts, b: Parts, c: Parts, value: Parts | None = None) -> Parts:
    return _sum(a, _scaled(_times(b, c), value))


def _div(a: Parts, b: Parts) -> Parts:
    if len(b) == 2:
        raise ValueError("a quotient of complex numbers")
    return tuple(f"({x} / {b[0]})" for x in a)


def _clamp(a: Parts, least: Parts | None = None, most: Parts | None = None) -> Parts:
    found = f"splat({a[0]})"
    if least is not None:
        found = f"larger({found}, splat({least[0]}))"
    if most is not None:
        found = f"smaller({found}, splat({most[0]}))"
    return (found,)


def _power(a: Parts, b: Parts) -> Parts:
    for exponent in (2, 3):
        if b == literal(exponent):
            return (" * ".join([a[0]] * exponent),)
    return (f"power(splat({a[0]}), splat({b[0]}))",)


def _function(name: str) -> Callable[..., Parts]:
    return lambda a: (f"{name}(splat({a[0]}))",)


def _compared(sign: str) -> Callable[..., Parts]:
    return lambda a, b: (f"(splat({a[0]}) {sign} splat({b[0]}))",)


def _where(condition: Parts, a: Parts, b: Parts) -> Parts:
    return (f"({condition[0]} ? splat({a[0]}) : splat({b[0]}))",)


def _copy(a: Parts, **_: Any) -> Parts:
    return a


ELEMENTWISE: dict[str, Callable[..., Parts]] = {
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "mul": _times,
    "div": _div,
    "addcmul": _addcmul,
    "neg": lambda a: tuple(f"-{x}" for x in a),
    "clamp": _clamp,
    "maximum": lambda a, b: (f"larger(splat({a[0]}), splat({b[0]}))",),
    "minimum": lambda a, b: (f"smaller(splat({a[0]}), splat({b[0]}))",),
    "pow": _power,
    "abs": _function("size_of"),
    "sign": _function("sign_of"),
    **{name: _function(f"each<std::{name}>") for name in ("exp", "log", "sqrt", "tanh", "sin", "cos")},
    "sgn": _function("sign_of"),
    "masked_fill": lambda a, mask, b: _where(mask, b, a),
    "gt": _compared(">"),
    "lt": _compared("<"),
    "ge": _compared(">="),
    "le": _compared("<="),
    "where": _where,
    "eq": _compared("=="),
    "ne": _compared("!="),
    "logical_and": lambda a, b: (f"({a[0]} & {b[0]})",),
    "logical_or": lambda a, b: (f"({a[0]} | {b[0]})",),
    "logical_not": lambda a: (f"(~{a[0]})",),
    "tanh_backward": lambda slope, a: (f"({slope[0]} * (R(1.0) - {a[0]} * {a[0]}))",),
    **{name: lambda a: (a[0], *(f"-{x}" for x in a[1:])) for name in ("_conj", "_conj_physical", "conj_physical")},
    "complex": lambda a, b: (a[0], b[0]),
    "_to_copy": _copy,
}
