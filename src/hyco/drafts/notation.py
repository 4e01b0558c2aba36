"""Equations as people write them, u_t = -u*u_x + nu*u_xx, as rates of change by field in the notation of formulas."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hyco.equations.formula.notation import subscript
from hyco.equations.formula.syntax import FormulaError, names_in

_WORD = re.compile(r"[A-Za-z_]\w*")
_LABEL = re.compile(r"\s*([A-Za-z_]\w*)\s*:(?=\s)")
_LEFT = re.compile(r"\s*(?:([A-Za-z_]\w*?)_(t+)|d([A-Za-z_]\w*)/dt)\s*=(?!=)")
_EQUALS = re.compile(r"(?<![=<>!:])=(?!=)")
_OPERATORS = ("dx", "dy", "dz", "grad", "laplace")
_AXES = ("x", "y", "z", "t")


@dataclass(frozen=True)
class _Part:
    """A formula as it was given, and the field whose rate of change it is; None: not said."""

    text: str
    formula: str
    field: str | None


def rates_of(texts: Sequence[str], columns: Collection[str], axes: Mapping[str, str]) -> dict[str, str]:
    """Formulas by field, of `u: formula; v: formula`, of several such texts, or of one formula without a name.

    `u_t = …` and `du/dt = …` are read as `u: …`, and in formulas u_xx as dx(dx(u)) where u is a field. A name that
    looks like a derivative and is none is refused: it would be a coefficient to learn.

    Args:
        texts: what was given.
        columns: fields in the file, which tell what the field of a formula without a name is.
        axes: names in the file, by axis.

    Raises:
        FormulaError: a formula cannot be read, has no name, or a name stands twice, or may be a derivative.
    """
    parts = [_part(text.strip(), columns) for given in texts for text in given.split(";") if text.strip()]
    rates: dict[str, _Part] = {}
    for part in parts:
        name = part.field or _field_of(part.formula, columns, alone=len(parts) == 1)
        if name in rates:
            raise FormulaError(part.text, None, f"the field {name} has two rates of change")
        rates[name] = part
    return {name: _in_operators(part, tuple(rates), columns, axes) for name, part in rates.items()}


def _part(text: str, columns: Collection[str]) -> _Part:
    label, left = _LABEL.match(text), _LEFT.match(text)
    if label is not None:
        return _Part(text, text[label.end() :].strip(), label[1])
    if left is None:
        equals = _EQUALS.search(text)
        if equals is not None:
            raise FormulaError(text, equals.start(), "the left side is the rate of change of a field alone: u_t = …")
        return _Part(text, text, None)
    name, times = left[1] or left[3], left[2] or "t"
    if left[1] and f"{name}_{times}" in columns:
        raise FormulaError(text, 0, f"{name}_{times} is in the file: its rate of change is '{name}_{times}: …'")
    if len(times) == 2:
        raise FormulaError(text, 0, "second order in time is written with two fields: 'u: w; w: …'")
    if len(times) > 2:
        raise FormulaError(text, 0, "a higher order in time is written with more fields: 'u: v; v: w; w: …'")
    return _Part(text, text[left.end() :].strip(), name)


def _field_of(formula: str, columns: Collection[str], *, alone: bool) -> str:
    """The field of a formula without a name: the one that is differentiated, or that the file has."""
    say = "say which field it is the rate of change of: 'u: …'"
    if not alone:
        raise FormulaError(formula, None, say)
    used = names_in(formula)
    subscripted = {head for name in used if subscript(name, {head := name.rpartition("_")[0]})}
    found = sorted(name for name in used | subscripted if name in columns)
    if len(found) != 1:
        found = sorted(_differentiated(formula) or subscripted or used.difference(_AXES))
    if len(found) != 1:
        raise FormulaError(formula, None, f"{say} (it could be {', '.join(found)})" if found else say)
    return found[0]


def _differentiated(formula: str) -> set[str]:
    """Names that stand alone in the argument of an operator."""
    tree = ast.parse(formula.strip(), mode="eval")
    return {
        node.args[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _OPERATORS and node.args
        if isinstance(node.args[0], ast.Name) and node.args[0].id not in _AXES
    }


def _in_operators(part: _Part, fields: Sequence[str], columns: Collection[str], axes: Mapping[str, str]) -> str:
    """A formula with operators for its subscripts.

    Raises:
        FormulaError: a name may be a derivative that this is not.
    """
    formula, written, end = part.formula, "", 0
    for word in _WORD.finditer(formula):
        name, called = word[0], formula[word.end() :].lstrip().startswith("(")
        if word.start() and formula[word.start() - 1].isdigit():  # of a number, as in 1e5
            continue
        derivative = subscript(name, fields)
        reason = None if name in fields or called else _doubt(name, fields, columns, axes)
        if derivative is not None and called:
            reason = f"{name} is no function: here {derivative}"
        if reason is not None:
            raise FormulaError(formula, word.start(), reason)
        if derivative is not None:
            written, end = written + formula[end : word.start()] + derivative, word.end()
    return written + formula[end:]


def _doubt(name: str, fields: Sequence[str], columns: Collection[str], axes: Mapping[str, str]) -> str | None:
    """Why a name is neither a derivative of a field nor a coefficient without doubt; None where it is one of them."""
    head, _, tail = name.rpartition("_")
    other = "; a coefficient needs another name"
    if subscript(name, fields) is not None:
        both = f"{name} is in the file, and a derivative of {head}: write {subscript(name, fields)}, or make it a field"
        return both if name in columns else None
    if head in fields and set(tail) == {"t"}:
        return "a derivative in time stands alone on the left: u_t = …"
    if head in columns and subscript(name, {head}):
        return f"{head} is no field of these formulas ({', '.join(fields)}){other}"
    if head in fields and subscript(name.lower(), {head.lower()}):
        return f"here {subscript(f'{head}_{tail.lower()}', {head})}{other}"
    for field in fields:
        if name.startswith(field) and set(name[len(field) :]) <= set("xyz") and name not in columns:
            return f"a derivative is {field}_{name[len(field) :]}{other}"
        if re.fullmatch(rf"d\d?{re.escape(field)}", name):
            return f"a derivative is dx({field}) or {field}_x{other}"
    if re.fullmatch(r"d[xyzt]\d", name) or name == "dt":
        return f"derivatives are written dx(u), or u_x with a subscript{other}"
    for axis, own in axes.items():
        if own != axis and name not in columns:
            if name == own:
                return f"the axis {own} of the file is called {axis} in formulas{other}"
            if head in fields and tail and set(tail) == {own}:
                return f"the axis {own} of the file is {axis}: here {subscript(f'{head}_{axis * len(tail)}', {head})}"
    return None
