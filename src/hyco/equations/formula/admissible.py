"""What admissible values may do to a formula: divide by zero, take roots of negative numbers, or grow without end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy as sp
import torch
from torch import Tensor

from hyco.equations.formula.linear import Linear, Orders
from hyco.equations.formula.stability import SAMPLES, sampled
from hyco.equations.formula.symbols import Slope, on_torch, symbol
from hyco.equations.formula.syntax import FormulaError

# Wavenumbers [1/length of a cell] of waves so short that only the highest derivatives count, and the part of the rate
# of change that may be growth: an eigenvalue of waves has rounding errors.
_SHORT, _GROWTH = (1e4, 1.6e5), 1e-3
# Values of a tangent away from a pole, next to it, and nearer.
_TO_POLE = (1.0, 1e8, 1e10)
# Directions of waves: along each axis, and across.
_DIRECTIONS = {
    1: ((1.0,),),
    2: ((1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (0.6, -0.8)),
    3: ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.8, 0.0), (0.6, 0.0, -0.8), (0.5, -0.5, 0.7)),
}

Ranges = Mapping[sp.Symbol, tuple[float, float]]


def require_defined(text: str, rate: sp.Expr, ranges: Ranges, fields: Sequence[str]) -> None:
    """Refuse divisions by what may be zero, roots and logarithms of what may be negative, and poles of tangents.

    Args:
        text: the formula.
        rate: what it says.
        ranges: smallest and largest value of each symbol, which may be infinite.
        fields: of the equation.

    Raises:
        FormulaError: names what is wrong, and the field that needs an end of its range.
    """
    slopes = sorted(rate.atoms(Slope), key=str)
    known: dict[sp.Expr, Tensor] = sampled({**ranges, **dict.fromkeys(slopes, (-torch.inf, torch.inf))})
    for slope in slopes:
        known[slope][: SAMPLES // 8] = 0.0
    for part in sp.preorder_traversal(rate):
        reason, inner, sign = "", part, ""
        if isinstance(part, sp.log):
            inner = part.args[0]
            if bool((_values(inner, known) <= 0).any()):
                reason, sign = f"the logarithm of {inner}, which is not always above 0", "log"
        elif isinstance(part, sp.tan) and not part.free_symbols & {symbol(name) for name in fields}:
            inner = part.args[0]  # of fields nobody knows that they get there
            turns = torch.floor(_values(inner, known) / torch.pi + 0.5)
            quantities = [rate, *(slope.args[0] for slope in slopes)]
            if bool((turns != turns[0]).any()) and any(_infinite(q, part, known) for q in quantities):
                reason, sign = f"the tangent of {inner}, which is infinite between two of its values", "tan("
        elif part.is_Pow and part.base != sp.E and not (part.exp.is_integer and part.exp.is_nonnegative):
            inner, exponent = part.base, _values(part.exp, known)
            values, negative = _values(inner, known), bool((exponent < 0).any())
            below, zero = bool((values < 0).any()), bool((values == 0).any())
            if part.exp.is_integer or not below:
                if negative and (zero or (below and bool((values > 0).any()))):
                    reason, sign = f"a division by {inner}, which may be 0", "/"
            else:
                sign = "sqrt" if part.exp == sp.Rational(1, 2) else "**"
                reason = f"the power {part} of {inner}, which may be negative"
        if reason:
            open_fields = [f for f in fields if symbol(f) in inner.free_symbols]
            advice = " and ".join(f"fields.{f}.lower" for f in open_fields)
            place = text.find(sign) if text.count(sign) == 1 else None
            raise FormulaError(text, place, reason + (f": give {advice} (or upper)" if advice else ""))


def _infinite(quantity: sp.Expr, tangent: sp.Expr, known: Mapping[sp.Expr, Tensor]) -> bool:
    """Whether a quantity goes to infinity with a tangent in it: exp(-tan(x)**2) and tanh(tan(x)) do not."""
    for sign in (-1.0, 1.0):
        values = (torch.full((SAMPLES,), sign * value, dtype=torch.float64) for value in _TO_POLE)
        away, near, nearer = (_values(quantity, {**known, tangent: value}).abs() for value in values)
        if bool((((nearer > 2 * near) & (nearer > 1)) | (away.isfinite() & ~nearer.isfinite())).any()):
            return True
    return False


def growing(
    waves: Mapping[str, Linear], ranges: Ranges, spacing: Sequence[float], fields: Sequence[str]
) -> dict[sp.Symbol, float] | None:
    """Values for which the shortest waves grow ever faster the shorter they are; None if there are none.

    Slopes are taken to be zero, as nothing is known of them.

    Args:
        waves: what small waves do to the rate of each field, see `linearised`.
        ranges: as of `require_defined`.
        spacing: width of a cell by axis [length].
        fields: in order.
    """
    symbols = {s for linear in waves.values() for c in linear.values() for s in c.free_symbols}
    known: dict[sp.Expr, Tensor] = dict(sampled({s: r for s, r in ranges.items() if s in symbols}))
    for linear in waves.values():
        for coefficient in linear.values():
            known |= {slope: torch.zeros(SAMPLES, dtype=torch.float64) for slope in coefficient.atoms(Slope)}
    values = {
        (name, *key): _values(c, known).nan_to_num(0.0, 0.0, 0.0)
        for name, own in waves.items()
        for key, c in own.items()
    }

    def rates(direction: Sequence[float], number: float) -> Tensor:
        wave = [number * d / h for d, h in zip(direction, spacing, strict=True)]
        matrix = torch.zeros(SAMPLES, len(fields), len(fields), dtype=torch.complex128)
        for (name, other, orders), value in values.items():
            matrix[:, fields.index(name), fields.index(other)] += value * _of_wave(orders, wave)
        eigenvalues: Tensor = torch.linalg.eigvals(matrix)
        return eigenvalues

    for direction in _DIRECTIONS[len(spacing)]:
        short, shorter = (rates(direction, number) for number in _SHORT)
        growth = shorter.real.amax(1)
        # What reactions let grow is the same for all waves.
        grows = (growth > _GROWTH * shorter.abs().amax(1)) & (growth > 2 * short.real.amax(1).clamp(min=0))
        if bool(grows.any()):
            at = int(grows.nonzero()[0])
            return {s: float(v[at]) for s, v in known.items() if s.is_Symbol}
    return None


def _of_wave(orders: Orders, wave: Sequence[float]) -> complex:
    product = 1 + 0j
    for k, m in zip(wave, orders, strict=True):
        product *= (1j * k) ** m
    return product


def _values(expression: sp.Expr, known: dict[sp.Expr, Tensor]) -> Tensor:
    return on_torch(expression, known).expand(SAMPLES)
