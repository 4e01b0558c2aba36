"""An equation of the user's own, given as formulas: which names are fields, and a first guess of all others."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from hyco.drafts.affordable import affordable
from hyco.drafts.coefficients import SIGNED, SPEED, SPREAD, Coefficient
from hyco.drafts.geometry import Axis
from hyco.drafts.points import Points
from hyco.drafts.problem import Problem, fields_of
from hyco.drafts.rates_in_data import series_of, told_by_rates
from hyco.drafts.roles import Roles
from hyco.drafts.variation import Variation, is_positive, variation_of
from hyco.drafts.wall_values import learnt_values, wall_value
from hyco.equations.formula.linear import linearised
from hyco.equations.formula.symbols import Slope, symbol
from hyco.equations.formula.syntax import Names, names_in, read
from hyco.equations.formula.units import in_words, units_of
from hyco.equations.registry import build_equation, equation_config
from hyco.walls.boundary import Boundary

# A name of an equation, or of a class: no formula.
_NAME = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?$")
_AXES = ("x", "y", "z", "t")
# Smallest and largest value over the guess: of what spreads, of rates and ratios, of what a field grows to, of what it
# is compared with in a denominator, and of others.
_SPREADS, _RATES, _SIZES, _PARTS, _OTHERS = (1e-2, 1e2), (2e-2, 20.0), (0.7, 30.0), (1e-2, 30.0), (1e-2, 1e2)
_POWERS = (0.1, 3.0)
# What spreads over the domain in the time measured has a diffusivity of L²/T; the guess is this part of it.
_SPREADING, _CARRIED = 1e-2, 1e-3
_SIGNED_GUESS = 0.1
# A rate, in the times over which the data vary, at most.
_RATE = 10.0
_SMALL = 1e-6
# The smallest diffusivity beside a mixed derivative, over its first guess; halvings of the latter's bounds.
_MIXED, _HALVINGS = 0.1, 8
# A field whose values are no further below zero than this part of the largest has noise there.
_NOISE = 0.05


def is_formula(text: str) -> bool:
    """Whether what names an equation is a formula."""
    return not _NAME.match(text.strip())


def formula_problem(
    rates: Mapping[str, str], points: Points, roles: Roles, axes: Mapping[str, Axis], boundary: Any, dt: float
) -> Problem | None:
    """An equation by formulas as the one of these measurements; None if they have no times.

    Fields that were never measured are taken to be as large as those that were.

    Args:
        rates: by field.
        points, roles, axes: of the measurements.
        boundary: the condition at the ends.
        dt: a time between two states.

    Raises:
        FormulaError: a formula cannot be read.
        ValueError: the formulas are no equation with these walls, in one line.
    """
    fields, by_name = fields_of(tuple(rates), roles.fields)
    hidden = set(rates) - set(fields)
    if roles.time is None:
        return None
    ordered = [name for text in rates.values() for name in _in_order(text)]
    names = list(dict.fromkeys(name for name in ordered if name not in (*rates, *_AXES)))
    exponents = units_of(rates, names, tuple(axes))
    length, time = max(axis.size for axis in axes.values()), points.duration or 1.0
    ranges = {
        field: (float(np.nanmin(points.values[name])), float(np.nanmax(points.values[name])))
        for field, name in fields.items()
    }
    measured = {field: max(map(abs, ends)) or 1.0 for field, ends in ranges.items()}
    largest = {field: measured.get(field, max(measured.values())) for field in rates}
    positive = [
        field for field, (low, high) in ranges.items() if low >= -_NOISE * high or is_positive(points, fields[field])
    ]
    # A value that measurements tell has their noise: its error belongs to those of the others.
    boundary, held = learnt_values(boundary, next(iter(rates)), {*names, *rates}) if len(rates) == 1 else (boundary, {})
    section: dict[str, Any] = {
        "name": "formula",
        "domain": {a: {"lower": x.lower, "size": x.size, "resolution": x.resolution} for a, x in axes.items()},
        "dt": dt,
        "boundary": boundary,
        "fields": {field: {"lower": 0.0} if field in positive else {} for field in rates},
        "rates": dict(rates),
        "parameters": dict.fromkeys(names, _SMALL) | held,
    }
    limits = dict(equation_config(section).parameter_limits)
    read_as = Names(tuple(axes), tuple(rates), tuple(names))
    expressions = [read(text, read_as) for text in rates.values()]
    mixed = _mixed(expressions, names)
    for name in _even(expressions, names):
        limits[name] = (max(limits[name][0], 0.0), limits[name][1])
    flows = any(_is(exponents.get(name), length=1, time=-1) for name in names)
    powers = {name for text in rates.values() for name in _powers(text)}
    capacities, halves = (_divisors(expressions, alone=alone) for alone in (True, False))
    varies = variation_of(points, next(iter(fields.values())))
    coefficients, levels = [], set()
    for name in names:
        field = _field(exponents.get(name), list(rates))
        level = None
        if field in ranges and name not in powers | capacities | halves:
            level = _level(name, field, ranges[field], limits[name])
            levels |= {name} if level else set()
        coefficients.append(
            level
            or _guess(
                name,
                exponents.get(name),
                (length, time, largest),
                varies,
                limits[name],
                flows=flows,
                mixed=name in mixed,
                power=name in powers,
                of_fields=_SIZES if name in capacities else _PARTS,
            )
        )
    section["parameters"] = {c.name: c.guess for c in coefficients} | held
    equation = build_equation(section)
    if mixed and equation.config.unsound({c.name: c.bounds for c in coefficients}) is not None:
        diffusivities = [name for name in names if _is(exponents.get(name), length=2, time=-1) and name not in mixed]
        coefficients = _decaying(coefficients, mixed, diffusivities, equation.config)
    orders = [sum(o) for each in expressions for _, o in linearised(each, tuple(rates), tuple(axes))]
    disperses = any(order >= 3 and order % 2 for order in orders)
    # Waves that disperse are smooth and their steps dear. A front may be narrower than what rates are smoothed over.
    if disperses and varies is not None and not hidden:
        walls = Boundary.of(boundary, tuple(axes))
        series = series_of(points, fields, axes, {axis for axis in axes if walls[axis].periodic})
        formulas = dict(zip(rates, expressions, strict=True))
        coefficients = coefficients if series is None else told_by_rates(coefficients, formulas, series, varies, levels)
    coefficients = affordable(coefficients, equation.config, max(largest.values()), time)
    coefficients = [*coefficients, *(wall_value(name, value, ranges, positive) for name, value in held.items())]
    return Problem(
        "formula", section, fields, by_name, coefficients, [], [], [], equation, dict(rates), positive, disperses
    )


def _in_order(text: str) -> list[str]:
    """The names of a formula in the order in which they stand there."""
    used = names_in(text)
    return [word for word in re.findall(r"[A-Za-z_]\w*", text) if word in used]


def _powers(text: str) -> set[str]:
    """Names in exponents."""
    powers = [
        n.right
        for n in ast.walk(ast.parse(text.strip(), mode="eval"))
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Pow)
    ]
    return {node.id for power in powers for node in ast.walk(power) if isinstance(node, ast.Name)}


def _even(expressions: Sequence[sp.Expr], names: Sequence[str]) -> list[str]:
    """Parameters whose sign makes no difference, as in `c**2*laplace(u)`."""
    signs = {name: {symbol(name): -symbol(name)} for name in names}
    return [name for name, sign in signs.items() if all(each.xreplace(sign) == each for each in expressions)]


def _decaying(
    coefficients: Sequence[Coefficient], mixed: Collection[str], diffusivities: Collection[str], config: Any
) -> list[Coefficient]:
    """Bounds within which all waves decay: A ∂²x + B ∂²y + 2 C ∂x∂y asks for C² ≤ A B, at the smallest A and B."""
    found = {c.name: c for c in coefficients}
    for name in diffusivities:
        c = found[name]
        found[name] = replace(c, bounds=(max(c.bounds[0], float(f"{_MIXED * c.guess:.2g}")), c.bounds[1]))
    reach = min((found[name].bounds[0] for name in diffusivities), default=0.0)
    for _ in range(_HALVINGS):
        end = float(f"{reach:.2g}")
        for name in mixed:
            reason = f"{found[name].unit}, of any sign, as the smallest diffusivities allow"
            found[name] = replace(found[name], guess=_SIGNED_GUESS * end, bounds=(-end, end), reason=reason)
        if config.unsound({name: c.bounds for name, c in found.items()}) is None:
            break
        reach /= 2
    return list(found.values())


def _mixed(expressions: Sequence[sp.Expr], names: Sequence[str]) -> set[str]:
    """Parameters that stand before mixed derivatives alone, as in `D*dx(dy(u))`."""
    found = set()
    for name in names:
        parts = [part for each in expressions if (part := each.diff(symbol(name))) != 0]
        slopes = {slope for part in parts for slope in part.atoms(Slope)}
        outer = slopes - {node for slope in slopes for node in slope.args[0].atoms(Slope)}
        if outer and all(isinstance(s.args[0], Slope) and s.args[0].args[1] != s.args[1] for s in outer):
            found.add(name)
    return found


def _divisors(expressions: Sequence[sp.Expr], *, alone: bool) -> set[str]:
    """Names in denominators: alone, as in `1 - u/K`, or beside others, as in `u/(u + K)`."""
    powers = [power for each in expressions for power in each.atoms(sp.Pow) if power.exp.could_extract_minus_sign()]
    return {part.name for power in powers if power.base.is_Symbol is alone for part in power.base.free_symbols}


def _field(exponents: tuple[float, ...] | None, fields: Sequence[str]) -> str | None:
    """The field whose unit this is, if any."""
    if exponents is None or exponents[:2] != (0.0, 0.0) or sorted(exponents[2:])[:-1] != [0.0] * (len(fields) - 1):
        return None
    return fields[exponents[2:].index(1.0)] if 1.0 in exponents[2:] else None


def _level(name: str, field: str, ends: tuple[float, float], limits: tuple[float, float]) -> Coefficient | None:
    """A value that a field is compared with, as in `u - a`: about where it was measured; None if it cannot be there.

    Where only a positive value can be meant, as in `u**2 - a**2`, negative fields are taken without their sign.
    """
    low, high = ends
    span = high - low or abs(high) or 1.0
    digits = 1 - math.floor(math.log10(span))  # two of what the field changes by
    unit = 10.0**-digits
    reason = f"the values of {field}, {round(low, digits):.10g} to {round(high, digits):.10g}"
    if high + span <= limits[0]:
        low, high = -high, -low
    wide = round(math.floor((low - span) / unit) * unit, digits), round(math.ceil((high + span) / unit) * unit, digits)
    bounds = _within(wide, limits)
    if bounds[0] >= bounds[1]:
        return None
    return Coefficient(name, field, _inside(round((low + high) / 2, digits), bounds), bounds, reason)


def _is(exponents: tuple[float, ...] | None, *, length: float, time: float) -> bool:
    return exponents is not None and exponents == (length, time, *[0.0] * (len(exponents) - 2))


def _guess(
    name: str,
    exponents: tuple[float, ...] | None,
    scales: tuple[float, float, Mapping[str, float]],
    varies: Variation | None,
    limits: tuple[float, float],
    *,
    flows: bool,
    mixed: bool,
    power: bool,
    of_fields: tuple[float, float],
) -> Coefficient:
    """A first guess by the unit, and bounds about it.

    Args:
        scales: size of the domain, time measured, and the largest value of each field.
        varies: over what the data vary; None: it is not known.
        mixed: whether it stands before mixed derivatives alone, so that it may have any sign.
    """
    length, time, largest = scales
    if power:
        return Coefficient(name, "1", 1.0, _within(_POWERS, limits), "an exponent, which the data's scales do not tell")
    if exponents is None:
        bounds = _within(_OTHERS, limits)
        return Coefficient(name, "?", _inside(1.0, bounds), bounds, "nothing: the formulas do not tell its unit")
    size = _product(exponents, (length, time, *largest.values()))
    # What the same unit is over the distances and times in which the data vary, where these tell more.
    short = 0.0 if varies is None else _product(exponents, (varies.length, varies.time, *largest.values()))
    unit = in_words(exponents, ["L", "T", *largest])
    says = f"{unit} in the data's scales"
    factors, most = _OTHERS, 0.0
    speed, spreads = _is(exponents, length=1, time=-1), _is(exponents, length=2, time=-1)
    if spreads:
        part = _CARRIED if flows else _SPREADING
        size, says, factors, most = part * size, f"{part:g} {unit} in the data's scales", _SPREADS, SPREAD * short
    elif exponents[0] == 0 and exponents[1] in (0.0, -1.0) and sum(exponents[2:]) == 0:
        factors, most = _RATES, _RATE * short if exponents[1] else 0.0
    elif _field(exponents, list(largest)) is not None:
        says, factors = f"the largest {unit}", of_fields
    elif not speed and exponents[0] > 0 and varies is not None and not any(exponents[2:]):
        # Of high derivatives, whose power of the whole domain would say nothing.
        # Noise shortens these distances: the whole domain and time still are within the bounds.
        size, most, says = short, size, f"{unit} in the distances and times over which the data vary"
    if (speed or (spreads and mixed)) and limits[0] < 0 < limits[1]:
        most = max(SIGNED * size, SPEED * short) if speed else max(factors[1] * size, most)
        either = (float(f"{-most:.2g}"), float(f"{most:.2g}"))
        return Coefficient(name, unit, float(f"{_SIGNED_GUESS * size:.2g}"), either, f"{says}; the guess is a tenth")
    if limits[1] <= 0:
        size, most = -size, -most
    ends = sorted(float(f"{end:.2g}") for end in (factors[0] * size, max(factors[1] * size, most, key=abs)))
    bounds = _within((ends[0], ends[1]), limits)
    return Coefficient(name, unit, _inside(float(f"{size:.2g}"), bounds), bounds, says)


def _product(exponents: Sequence[float], scales: Sequence[float]) -> float:
    return math.prod(float(scale**e) for scale, e in zip(scales, exponents, strict=True))


def _within(bounds: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    if limits[1] <= 0 and bounds[0] > 0:
        bounds = (-bounds[1], -bounds[0])
    return max(bounds[0], limits[0]), min(bounds[1], limits[1])


def _inside(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
