"""Rates of change by differences on cell centres, with walls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sympy as sp
from phi import math

from hyco.equations.formula.evaluation import Evaluation
from hyco.equations.formula.ghosts import Coordinates, Extent, extended, extended_coefficient, limited_at_walls
from hyco.equations.formula.linear import split_term
from hyco.equations.formula.symbols import Slope, symbol
from hyco.schemes.stencils import between, pad_flow, shifted, varies
from hyco.schemes.transport import difference, upwind
from hyco.walls.boundary import Boundary
from hyco.walls.neumann import Neumann

Faces = Literal["auto", "harmonic", "arithmetic"]


@dataclass(frozen=True)
class Scheme:
    """How derivatives become differences.

    Attributes:
        order: 2 or 4, of central differences; fluxes of a coefficient that varies are of second order.
        faces: means of such a coefficient on the faces; auto: harmonic where it is one of position and parameters
            alone, which is right where it jumps on a face; else arithmetic, as a mean with 0 is to let something pass.
        transport: third-order upwind differences for what carries a field along, or central ones.
    """

    order: Literal[2, 4]
    faces: Faces
    transport: Literal["upwind", "central"]


class DifferenceRates:
    """Rates of change in the cells.

    Args:
        terms: by field.
        spacing: width of a cell by axis [length].
        scheme: how derivatives become differences.
        coordinates: of the cells.
        spreading: fields and axes along which something spreads them: then the conditions at walls hold for what is
            carried out of the domain too; else nothing is imposed there.
    """

    def __init__(
        self,
        terms: Mapping[str, Sequence[sp.Expr]],
        spacing: Mapping[str, float],
        scheme: Scheme,
        coordinates: Coordinates,
        spreading: Collection[tuple[str, str]],
    ) -> None:
        self._terms, self._fixed = terms, (spacing, scheme, coordinates, spreading)

    def __call__(
        self, state: Mapping[str, Any], parameters: Mapping[str, Any], now: Any, walls: Mapping[str, Boundary]
    ) -> dict[str, Any]:
        """The rates in each cell, numbers where a rate is the same everywhere.

        Args:
            state: fields by name, a value in each cell.
            parameters: all of the equation's.
            now: t; None where nothing depends on it.
            walls: of each field, with the values of their formulas.
        """
        look = _Look(*self._fixed, state, parameters, now, walls)
        rates = {}
        for name, terms in self._terms.items():
            parts = [look.term(name, term) for term in terms]
            rates[name] = sum(parts[1:], start=parts[0]) if parts else 0.0
        return rates


class _Look:
    """The values of expressions for one state, in the cells and as far behind the walls as they are needed."""

    def __init__(
        self,
        spacing: Mapping[str, float],
        scheme: Scheme,
        coordinates: Coordinates,
        spreading: Collection[tuple[str, str]],
        state: Mapping[str, Any],
        parameters: Mapping[str, Any],
        now: Any,
        walls: Mapping[str, Boundary],
    ) -> None:
        self._spacing, self._scheme, self._coordinates, self._spreading = spacing, scheme, coordinates, spreading
        self._state, self._parameters, self._now, self._walls = state, parameters, now, walls
        self._axes = tuple(spacing)
        self._inside: Extent = (0,) * len(self._axes)
        self._evaluations: dict[Extent, Evaluation] = {}

    def value(self, expression: sp.Expr, extent: Extent) -> Any:
        """Of an expression in the cells and `extent` cells behind the walls."""
        if extent not in self._evaluations:
            self._evaluations[extent] = Evaluation(lambda node: self._leaf(node, extent))
        return self._evaluations[extent](expression)

    def term(self, name: str, term: sp.Expr) -> Any:
        """A term of the rate of a field; what carries this field along is taken upwind."""
        pair = split_term(term)
        if pair is None or self._scheme.transport == "central":
            return self.value(term, self._inside)
        factor, slope = pair
        inner, axis = slope.args[0], slope.args[1].name
        if inner == symbol(name):
            # du/dt = factor ∂u: the speed is the factor with the other sign.
            return -self._carried(name, self.value(-factor, self._inside), axis)
        speed = sp.diff(inner, symbol(name)) if not inner.has(Slope) else sp.Integer(0)
        if speed == 0:
            return self.value(term, self._inside)
        flow, spread = self._conserved(name, inner, factor * speed, axis)
        return self.value(factor, self._inside) * flow - spread

    def _carried(self, name: str, speed: Any, axis: str) -> Any:
        """The speed times the slope of a field."""
        h, speed = self._spacing[axis], math.wrap(speed)
        if self._held(name, axis):
            padded = self.value(symbol(name), self._more(self._inside, axis, 2))
        else:
            padded = pad_flow(self._state[name], axis, self._walls[name], h, speed, at_rest=varies(speed))
        return upwind(shifted(padded, axis, 2), speed, h)

    def _held(self, name: str, axis: str) -> bool:
        """Whether conditions hold at both ends, also where the field is carried out."""
        return (name, axis) in self._spreading or self._walls[name][axis].periodic

    def _conserved(self, name: str, flux: sp.Expr, speed: sp.Expr, axis: str) -> tuple[Any, Any]:
        """The slope of a flux by its differences over the cells, and the dissipation |speed| h³/12 ∂⁴u of `upwind`."""
        h = self._spacing[axis]
        extent = self._more(self._inside, axis, 2)
        evaluate: Callable[[sp.Expr], Any] = lambda expression: self.value(expression, extent)  # noqa: E731
        if not self._held(name, axis):
            velocity = math.wrap(self.value(-speed, self._inside))
            padded = pad_flow(self._state[name], axis, self._walls[name], h, velocity, at_rest=varies(velocity))
            evaluate = Evaluation(lambda node: padded if node == symbol(name) else self._leaf(node, extent))
        values, field, carried = (evaluate(e) for e in (flux, symbol(name), sp.Abs(speed)))
        n = self._state[name].shape.get_size(axis)
        f, u = ([part[{axis: slice(i, i + n + 1)}] for i in range(4)] for part in (values, field))
        size = carried
        if axis in math.shape(carried).spatial.names:
            size = 0.5 * (carried[{axis: slice(1, n + 2)}] + carried[{axis: slice(2, n + 3)}])
        face = 7 * (f[1] + f[2]) - (f[0] + f[3])
        return difference(face, axis) / (12 * h), difference(size * (u[3] - u[0] - 3 * (u[2] - u[1])), axis) / (12 * h)

    def _leaf(self, node: sp.Expr, extent: Extent) -> Any:
        if isinstance(node, Slope):
            return self._slope(node, extent)
        name = node.name
        if name in self._state:
            return extended(self._state[name], extent, self._walls[name], self._spacing, self._scheme.order)
        if name in self._parameters:
            return extended_coefficient(self._parameters[name], extent, next(iter(self._walls.values())), self._axes)
        if name == "t":
            return self._now
        return self._coordinates(name, extent[self._axes.index(name)])

    def _more(self, extent: Extent, axis: str, added: int) -> Extent:
        return tuple(e + added * (a == axis) for a, e in zip(self._axes, extent, strict=True))

    def _slope(self, node: Slope, extent: Extent) -> Any:
        """∂/∂axis of an expression: of a slope along the same axis as a second difference, or as one of fluxes."""
        inner, axis = node.args[0], node.args[1].name
        h, order = self._spacing[axis], self._scheme.order
        if isinstance(inner, Slope) and inner.args[1] == node.args[1]:
            place = self._axes.index(axis)
            if extent[place] and (walls := self._mirrors(inner.args[0], axis)) is not None:
                inside = self.value(node, tuple(0 if i == place else e for i, e in enumerate(extent)))
                alone = tuple(e if i == place else 0 for i, e in enumerate(extent))
                return extended(inside, alone, walls, self._spacing, order)
            width = order // 2
            cells = shifted(self.value(inner.args[0], self._more(extent, axis, width)), axis, width)
            if order == 2:
                left, here, right = cells
                return (left + right - 2 * here) / h**2
            left2, left, here, right, right2 = cells
            return (16 * (left + right) - (left2 + right2) - 30 * here) / (12 * h**2)
        pair = split_term(inner)
        if pair is not None and pair[1].args[1] == node.args[1]:
            coefficient, slope = pair
            wide = self._more(extent, axis, 1)
            left, right = between(self.value(slope.args[0], wide), axis)
            return difference(self._on_faces(coefficient, wide, axis) * (right - left), axis) / h**2
        width = order // 2
        cells = shifted(self.value(inner, self._more(extent, axis, width)), axis, width)
        if order == 2:
            return (cells[2] - cells[0]) / (2 * h)
        return (8 * (cells[3] - cells[1]) - (cells[4] - cells[0])) / (12 * h)

    def _mirrors(self, expression: sp.Expr, axis: str) -> Boundary | None:
        """The walls of the fields in an expression where all have no slope, nor have second derivatives then."""
        walls = [self._walls[s.name] for s in expression.free_symbols if s.name in self._state]
        ends = [wall for boundary in walls for wall in boundary[axis]]
        return walls[0] if ends and all(isinstance(wall, Neumann) for wall in ends) else None

    def _on_faces(self, coefficient: sp.Expr, extent: Extent, axis: str) -> Any:
        """A coefficient on the faces along an axis: of n cells, n - 1."""
        values = self.value(coefficient, extent)
        if axis not in math.shape(values).spatial.names:
            return values
        fields = {symbol(name) for name in self._state}
        if not coefficient.free_symbols & fields:
            values = limited_at_walls(values, axis, next(iter(self._walls.values())))
        left, right = between(values, axis)
        faces = self._scheme.faces
        if faces == "auto":
            faces = "arithmetic" if coefficient.free_symbols & fields else "harmonic"
        if faces == "arithmetic":
            return 0.5 * (left + right)
        both = left + right
        # Where both are zero nothing passes.
        return 2 * left * right / math.where(both == 0, 1.0, both)
