"""Derivatives as they are written elsewhere, u_xx and dxx(u), in the notation of formulas."""

from __future__ import annotations

import re
from collections.abc import Collection

_SUBSCRIPT = re.compile(r"(\w*[A-Za-z0-9])_([xyz]+)")
_OPERATOR = re.compile(r"[dD]_?([xyz]+)|d_d([xyz])|d([2-9])_d([xyz])\d?")
_OTHERS = {"ln": "log", "lap": "laplace", "laplacian": "laplace", "gradient": "grad", "divergence": "div"}
_OTHERS |= {name: name for name in ("laplace", "grad", "div", "dot", "sin", "cos", "exp", "log", "sqrt", "tanh", "abs")}


def subscript(name: str, fields: Collection[str]) -> str | None:
    """A derivative with its axes as a subscript, of one of the fields: u_xx is dx(dx(u)); None: it is none."""
    found = _SUBSCRIPT.fullmatch(name)
    if found is None or found[1] not in fields or name in fields:
        return None
    return _nested(found[2], found[1])


def operator(name: str) -> str | None:
    """What a function of other notations is here, in words; None: nothing like it is known.

    dxx and d2_dx2 are dx(dx(…)), ln is log(…); of an axis with another name, as in dr, there is none.
    """
    found = _OPERATOR.fullmatch(name)
    if found is not None:
        together, one, count, axis = found.groups()
        return f"here {_nested(together or one or axis * int(count), '…')}"
    if name.lower() in _OTHERS:
        return f"here {_OTHERS[name.lower()]}(…)"
    return "as axes are x, y and z, whatever a file calls them" if re.fullmatch("d(r|s|theta|phi)", name) else None


def _nested(axes: str, argument: str) -> str:
    """The first axis innermost."""
    for axis in axes:
        argument = f"d{axis}({argument})"
    return argument
