"""Rates of fields that do the same, in one operation for all: what spreads alike between the same walls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
from phi import math
from phi.math import channel

from hyco.equations.formula.differences import DifferenceRates, Scheme
from hyco.equations.formula.evaluation import Evaluation
from hyco.equations.formula.ghosts import Coordinates
from hyco.equations.formula.linear import Orders
from hyco.equations.formula.plan import Plan
from hyco.equations.formula.symbols import Slope, symbol
from hyco.grid import Grid
from hyco.walls.boundary import Boundary

# By what is multiplied, its factor in the rate of each field.
_Shared = dict[sp.Expr, list[sp.Expr]]


class StackedRates:
    """The rates of several fields as Σ c ∂u + Σ f p: u all of them, c and f a number for each, p the same for all.

    So two substances that spread and react with each other take little more than one. Arguments as of `stacked_rates`.
    """

    def __init__(
        self,
        linear: Mapping[Orders, Sequence[sp.Expr]],
        shared: _Shared,
        names: tuple[str, ...],
        grid: Grid,
        scheme: Scheme,
        coordinates: Coordinates,
    ) -> None:
        self._names, self._shared = names, shared
        self.together = channel(field=",".join(names))
        coefficients = list(dict.fromkeys(tuple(own) for own in linear.values()))
        self._coefficients = {f"c{number}": own for number, own in enumerate(coefficients)}
        name_of = {own: name for name, own in self._coefficients.items()}
        # One field stands for all.
        stands, spreading = names[0], {(names[0], axis) for axis in grid.axes}
        terms = [
            symbol(name_of[tuple(own)]) * _differentiated(stands, orders, grid.axes) for orders, own in linear.items()
        ]
        spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        self._differences = DifferenceRates({stands: terms}, spacing, scheme, coordinates, spreading)

    def __call__(self, u: Any, parameters: Mapping[str, Any], walls: Mapping[str, Boundary]) -> Any:
        """The rates of all fields, one beside the other as in `u`.

        Args:
            u: fields along the dimension `together`.
            parameters, walls: as of `DifferenceRates`.
        """
        fields = {name: u[{"field": name}] for name in self._names}
        known = Evaluation(lambda node: fields[node.name] if node.name in fields else parameters[node.name])

        def each(factors: Sequence[sp.Expr]) -> Any:
            return math.stack([math.wrap(known(factor)) for factor in factors], self.together)

        values = {name: each(own) for name, own in self._coefficients.items()}
        stands = self._names[0]
        total = self._differences({stands: u}, values, None, {stands: walls[stands]})[stands]
        for base, factors in self._shared.items():
            total = total + each(factors) * known(base)
        return total


def stacked_rates(
    plan: Plan, boundaries: Mapping[str, Boundary], grid: Grid, scheme: Scheme, coordinates: Coordinates
) -> StackedRates | None:
    """The rates by differences of several fields in one; None where they do not do the same.

    They do where they have the same walls and derivatives of their own, with coefficients that are the same everywhere,
    and all else is numbers, or products of fields that stand in the rate of each.
    """
    first, *others = plan.names.fields
    orders = [{o for o in plan.linear[name] if any(o)} for name in plan.names.fields]
    alike = all(boundaries[name] == boundaries[first] for name in others) and all(own == orders[0] for own in orders)
    if not others or not alike or not orders[0] or plan.carried:
        return None
    linear = {
        o: [plan.linear[name].get(o, sp.Integer(0)) for name in plan.names.fields]
        for o in dict.fromkeys(o for own in plan.linear.values() for o in own)
    }
    shared = _shared(plan)
    return None if shared is None else StackedRates(linear, shared, plan.names.fields, grid, scheme, coordinates)


def _shared(plan: Plan) -> _Shared | None:
    """All terms that are not linear by what their factors multiply; None where one is not in all rates, or a slope."""
    found: dict[sp.Expr, dict[str, sp.Expr]] = {}
    uniform = plan.names.uniform - {symbol("t")}
    fields = {symbol(name) for name in plan.names.fields}
    for name, terms in plan.others.items():
        for term in terms:
            factor = sp.Mul(*(f for f in sp.Mul.make_args(term) if f.free_symbols <= uniform))
            base = term / factor
            if term.has(Slope) or not base.free_symbols <= fields:
                return None
            own = found.setdefault(base, {})
            own[name] = own.get(name, sp.Integer(0)) + factor
    if any(len(own) < len(plan.names.fields) for base, own in found.items() if base != 1):
        return None
    return {base: [own.get(name, sp.Integer(0)) for name in plan.names.fields] for base, own in found.items()}


def _differentiated(name: str, orders: Orders, axes: Sequence[str]) -> sp.Expr:
    slope: sp.Expr = symbol(name)
    for axis, m in zip(axes, orders, strict=True):
        for _ in range(m):
            slope = Slope(slope, symbol(axis))
    return slope
