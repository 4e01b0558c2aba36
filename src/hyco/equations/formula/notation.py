"""Derivatives as they are written elsewhere, u_xx and dxx(u), in the notation of formulas."""

from __future__ import annotations

import re
from collections.abc import Collection

_SUBSCRIPT = re.compile(r"(\w*[A-Za-z0-9])_([xyz]+)")
_OPERATOR = re.compile(r"[dD]_?([xyz]{2,})|d_d([xyz])|d(\d)_d([xyz])\d?")
_OTHERS = {"ln": "log", "lap": "laplace", "laplacian": "laplace", "gradient": "grad", "divergence": "div"}


def subscript(name: str, fields: Collection[str]) -> str | None:
    """A derivative with its axes as a subscript, of one of the fields: u_xx is dx(dx(u)); None: it is none."""
    found = _SUBSCRIPT.fullmatch(name)
    if found is None or found[1] not in fields or name in fields:
        return None
    return _nested(found[2], found[1])


def operator(name: str) -> str | None:
    """A function of other notations: dxx is dx(dx(…)), d2_dx2 too, ln is log(…); None: nothing like it is known.

    Of an axis with another name, as in dr, it is said that there are only x, y and z.
    """
    if name.lower() in _OTHERS:
        return f"{_OTHERS[name.lower()]}(…)"
    found = _OPERATOR.fullmatch(name)
    if found is None:
        return "axes are x, y and z, whatever a file calls them" if re.fullmatch("d[a-s]", name) else None
    together, one, count, axis = found.groups()
    return _nested(together or one or axis * int(count), "…")


def _nested(axes: str, argument: str) -> str:
    """The first axis innermost."""
    for axis in axes:
        argument = f"d{axis}({argument})"
    return argument
