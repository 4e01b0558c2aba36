"""Units of the parameters of formulas, by their places in these: all terms of a rate of change have the same unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from hyco.equations.formula.symbols import AXES, Slope
from hyco.equations.formula.syntax import Names, read

Numbers = NDArray[np.float64]
_ROUNDING, _WRONG = 1e-9, 1e-6
# Functions whose value has the unit of their argument; all others are of numbers without a unit.
_OF_THE_SAME = (sp.Abs, sp.Max, sp.Min)


def units_of(
    rates: Mapping[str, str], parameters: Sequence[str], axes: tuple[str, ...]
) -> dict[str, tuple[float, ...]]:
    """Exponents of the length, the time and each field, by parameter; those that the formulas do not tell are left out.

    Args:
        rates: a formula for each field.
        parameters: the names in them that are neither fields, nor axes, nor t.
        axes: of the domain.

    Raises:
        FormulaError: a formula cannot be read.
    """
    names = Names(axes, tuple(rates), tuple(parameters))
    walk = _Walk(tuple(rates), tuple(parameters))
    for field, text in rates.items():
        for term in sp.Add.make_args(read(text, names)):
            walk.equal(walk.unit(term), walk.of_field(field) - walk.of_time)
    return walk.solved()


def in_words(exponents: Sequence[float], words: Sequence[str]) -> str:
    """A unit as a product of powers, `m²/s` of (2, -1) and `m`, `s`."""
    parts = list(zip(words, exponents, strict=True))
    above = [_power(word, e) for word, e in parts if e > 0]
    below = [_power(word, -e) for word, e in parts if e < 0]
    return (" ".join(above) or "1") + "".join(f"/{each}" for each in below)


def _power(word: str, exponent: float) -> str:
    if exponent == 1:
        return word
    return word + {2.0: "²", 3.0: "³", 4.0: "⁴"}.get(exponent, f"^{exponent:g}")


class _Walk:
    """Equations between exponents: a row of coefficients of the parameters' exponents, and one of known exponents.

    A unit is a vector: a coefficient for each parameter, then the exponents of length, time and each field.
    """

    def __init__(self, fields: tuple[str, ...], parameters: tuple[str, ...]) -> None:
        self.fields, self.parameters = fields, parameters
        self.size = len(parameters) + 2 + len(fields)
        self.equations: list[Numbers] = []
        self.of_length, self.of_time = self._one(len(parameters)), self._one(len(parameters) + 1)

    def _one(self, position: int) -> Numbers:
        vector = np.zeros(self.size)
        vector[position] = 1.0
        return vector

    def of_field(self, name: str) -> Numbers:
        """The unit of a field."""
        return self._one(len(self.parameters) + 2 + self.fields.index(name))

    def equal(self, left: Numbers | None, right: Numbers | None) -> None:
        """Note that two units are the same; None is that of 0, which has any."""
        if left is not None and right is not None:
            self.equations.append(left - right)

    def unit(self, expression: sp.Expr) -> Numbers | None:
        """The unit of an expression; None: it is 0."""
        if expression.is_number:
            return None if expression == 0 else np.zeros(self.size)
        if expression.is_Symbol:
            return self._of_symbol(expression.name)
        if isinstance(expression, Slope):
            inner = self.unit(expression.args[0])
            return None if inner is None else inner - self.of_length
        if expression.is_Mul:
            parts = [part for part in map(self.unit, expression.args) if part is not None]
            return sum(parts, np.zeros(self.size))
        if expression.is_Pow:
            base, exponent = expression.args
            if exponent.is_number:
                inner = self.unit(base)
                return None if inner is None else float(exponent) * inner
            self.equal(self.unit(base), np.zeros(self.size))
            self.equal(self.unit(exponent), np.zeros(self.size))
            return np.zeros(self.size)
        if expression.is_Add or isinstance(expression, _OF_THE_SAME):
            first, *others = self._of_terms(expression.args)
            for other in others:
                self.equal(other, first)
            # The one with fewest unknown exponents.
            return min([first, *others], key=lambda part: int(np.count_nonzero(part[: len(self.parameters)])))
        for argument in expression.args:
            self.equal(self.unit(argument), np.zeros(self.size))
        return np.zeros(self.size)

    def _of_terms(self, terms: Sequence[sp.Expr]) -> list[Numbers]:
        """The units of what is added; a number beside what is known to have a unit, as in `u - 20`, has the same."""
        units = [self.unit(term) for term in terms]
        known = [unit for unit in units if unit is not None and not unit[: len(self.parameters)].any() and unit.any()]
        pairs = zip(terms, units, strict=True)
        return [unit for term, unit in pairs if unit is not None and not (known and term.is_number)]

    def _of_symbol(self, name: str) -> Numbers:
        if name in self.parameters:
            return self._one(self.parameters.index(name))
        if name in self.fields:
            return self.of_field(name)
        return self.of_length if name in AXES else self.of_time

    def _with_one_field_for_others(self, rows: Numbers) -> Numbers:
        """The equations with what is another field over a length or a time in its place, as `u: v` tells of v.

        Where a field would have a unit by itself, as of `u: u - u**3`, all are numbers, and nothing is told.
        """
        p = len(self.parameters)
        relations = [row for row in self.equations if np.abs(row[:p]).max(initial=0.0) <= _ROUNDING]
        relations = [row for row in relations if np.abs(row).max() > _ROUNDING]
        if any(sorted(row[p + 2 :][row[p + 2 :] != 0]) != [-1.0, 1.0] for row in relations):
            return rows
        for i, relation in enumerate(relations):
            last = int(relation.nonzero()[0][-1])
            if last < p + 2:  # the same as another one, or a contradiction
                continue
            rows = rows - np.outer(rows[:, last], relation / relation[last])
            relations[i + 1 :] = [r - r[last] * relation / relation[last] for r in relations[i + 1 :]]
        return rows

    def solved(self) -> dict[str, tuple[float, ...]]:
        """The exponents of the parameters that the equations determine; none where these contradict each other.

        Fields that react with each other have one unit: where several contradict each other, that is tried.
        """
        p = len(self.parameters)
        rows = [row for row in self.equations if np.abs(row[:p]).max(initial=0.0) > _ROUNDING]
        if not rows:
            return {}
        matrix = self._with_one_field_for_others(np.array(rows))
        left, right = matrix[:, :p], -matrix[:, p:]
        found, _, rank, _ = np.linalg.lstsq(left, right, rcond=None)
        if np.abs(left @ found - right).max() > _WRONG:
            right[:, 2] = right[:, 2:].sum(axis=1)
            right[:, 3:] = 0.0
            found = np.linalg.lstsq(left, right, rcond=None)[0]
        if np.abs(left @ found - right).max() > _WRONG:
            return {}
        _, _, directions = np.linalg.svd(left)
        free = directions[rank:] if rank < p else np.zeros((0, p))
        told = np.abs(free).max(axis=0, initial=0.0) < _WRONG
        return {
            name: tuple(round(float(e), 6) + 0.0 for e in found[i]) for i, name in enumerate(self.parameters) if told[i]
        }
