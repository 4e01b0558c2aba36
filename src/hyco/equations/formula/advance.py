"""Steps of an equation by formula: exponential, or explicit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import sympy as sp
from phi import math
from phi.math import channel, spatial
from phiml.backend.torch import TORCH

from hyco.equations.formula.differences import DifferenceRates, Scheme
from hyco.equations.formula.evaluation import Evaluation
from hyco.equations.formula.fourier import Fourier, SpectralRates, Transform
from hyco.equations.formula.ghosts import Coordinates
from hyco.equations.formula.linear import Orders
from hyco.equations.formula.modes import Modes
from hyco.equations.formula.plan import Plan
from hyco.equations.formula.symbols import Slope, symbol, terms_of
from hyco.grid import Grid
from hyco.schemes.exponential import Factors, etdrk4, factors
from hyco.schemes.integrators import rkl2
from hyco.schemes.runge_kutta import rk4
from hyco.walls.boundary import Boundary

Values = dict[str, Any]


class Advance(Protocol):
    """A step of all fields."""

    def __call__(self, values: Values, parameters: Mapping[str, Any], time: Any) -> Values:
        """The fields' values after the step.

        Args:
            values: in each cell, by field.
            parameters: all of the equation's.
            time: t at the start; None where nothing depends on it.
        """


class Walls:
    """The conditions at the walls of all fields, with the values of their formulas."""

    def __init__(self, grid: Grid, boundaries: Mapping[str, Boundary], coordinates: Coordinates) -> None:
        self._by_field, self._places = boundaries, {axis: coordinates(axis, 0) for axis in grid.axes}
        self._ends = {a: (low, low + size) for a, low, size in zip(grid.axes, grid.lower, grid.size, strict=True)}
        pairs = [boundary[axis] for boundary in boundaries.values() for axis in grid.axes]
        walls = [wall for pair in pairs for wall in pair if not wall.periodic]
        self.homogeneous = all(wall.constant and wall.condition[2] == 0 for wall in walls)

    def __call__(self, parameters: Mapping[str, Any], now: Any) -> dict[str, Boundary]:
        """The boundary of each field at a time."""
        values = {**parameters, **({} if now is None else {"t": now}), **self._places}
        return {name: b.at(values, self._ends) if b.names else b for name, b in self._by_field.items()}


class Explicit:
    """A step of `rk4`, or of `rkl2` with so many stages.

    Args:
        grid, boundaries, plan, scheme: of the equation.
        length: of the step [time].
        stages: 4: `rk4`; odd numbers: of `rkl2`.
    """

    def __init__(
        self, grid: Grid, boundaries: Mapping[str, Boundary], plan: Plan, scheme: Scheme, length: float, stages: int
    ) -> None:
        self._length, self._stages, self._space = length, stages, _space(grid)
        terms = {name: terms_of(rate) for name, rate in plan.rates_of.items()}
        coordinates = _coordinates(grid, boundaries)
        self._walls = Walls(grid, boundaries, coordinates)
        self._fourier = Fourier(grid) if plan.spectral else None
        if self._fourier is not None:
            self._spectral = _spectral(self._fourier, terms, plan, coordinates)
        else:
            self._differences = _differences(terms, grid, plan, scheme, coordinates)

    def __call__(self, values: Values, parameters: Mapping[str, Any], time: Any) -> Values:
        """See `Advance`."""
        names, h = list(values), self._length
        if len(names) == 1:
            (name,) = names

            def of_one(u: Any, now: Any = None) -> Any:
                return self._rates({name: u}, parameters, now)[name]

            return {name: self._advanced(values[name], of_one, h, time)}
        together = channel(field=",".join(names))

        def of_all(u: Any, now: Any = None) -> Any:
            rates = self._rates({n: u[{"field": n}] for n in names}, parameters, now)
            return math.stack([rates[n] for n in names], together)

        u = self._advanced(math.stack([values[n] for n in names], together), of_all, h, time)
        return {n: u[{"field": n}] for n in names}

    def _advanced(self, u: Any, rate: Any, h: float, time: Any) -> Any:
        return rk4(u, h, rate, time) if self._stages == 4 else rkl2(u, h, rate, self._stages, time)

    def _rates(self, values: Values, parameters: Mapping[str, Any], now: Any) -> Values:
        if self._fourier is None:
            rates = self._differences(values, parameters, now, self._walls(parameters, now))
            return {name: _everywhere(rate, self._space) for name, rate in rates.items()}
        fourier = self._fourier
        state = {name: fourier.forward(v) * fourier.kept for name, v in values.items()}
        return {name: fourier.backward(r) for name, r in self._spectral(state, parameters, now).items()}


class Exponential:
    """A step of `etdrk4`: exact for the terms that are linear and the same everywhere; arguments as of `Explicit`."""

    def __init__(
        self, grid: Grid, boundaries: Mapping[str, Boundary], plan: Plan, scheme: Scheme, length: float
    ) -> None:
        self._length, self._space, self._linear = length, _space(grid), plan.linear
        coordinates = _coordinates(grid, boundaries)
        self._walls = Walls(grid, boundaries, coordinates)
        self._transforms: Mapping[str, Transform]
        self._rest: SpectralRates | _ModalRates
        if plan.spectral:
            fourier = Fourier(grid)
            self._transforms = dict.fromkeys(boundaries, fourier)
            self._kept = fourier.kept
            self._rest = _spectral(fourier, plan.others, plan, coordinates)
        else:
            self._transforms = _transforms(grid, boundaries, scheme.order)
            own = {name: _as_terms(name, linear, grid.axes) for name, linear in plan.linear.items()}
            at_walls = None if self._walls.homogeneous else _differences(own, grid, plan, scheme, coordinates)
            self._kept = None
            (first, *rest) = self._transforms.values()
            alike = at_walls is None and all(other is first for other in rest)
            if alike and not any(term.has(Slope) for own in plan.others.values() for term in own):
                self._rest = _spectral(first, plan.others, plan, coordinates)
            else:
                others = _differences(plan.others, grid, plan, scheme, coordinates)
                self._rest = _ModalRates(self._transforms, others, at_walls, self._walls, self._space)
        self.is_exact = self._walls.homogeneous and not any(plan.others.values())
        between = all(isinstance(transform, Modes) for transform in self._transforms.values())
        orders = [orders for own in self._linear.values() for orders in own]
        # exp(h Λ) is a product of factors of one axis each.
        self._apart = self.is_exact and between and all(sum(m > 0 for m in o) <= 1 for o in orders)

    def __call__(self, values: Values, parameters: Mapping[str, Any], time: Any) -> Values:
        """See `Advance`."""
        transforms = self._transforms
        evaluate = Evaluation(lambda node: parameters[node.name])
        if self._apart:
            return {name: self._along_axes(name, v, evaluate) for name, v in values.items()}
        by_field: dict[str, Factors] = {}
        for name, own in self._linear.items():
            # Fields that spread alike have the same.
            same = [n for n in by_field if transforms[n] is transforms[name] and self._linear[n] == own]
            if same:
                by_field[name] = by_field[same[0]]
                continue
            parts = [transforms[name].eigenvalues(orders) * evaluate(c) for orders, c in own.items()]
            by_field[name] = factors(
                sum(parts[1:], start=parts[0]) if parts else 0 * transforms[name].mean, self._length
            )
        state = {name: transforms[name].forward(v) for name, v in values.items()}
        if self.is_exact:
            state = {name: by_field[name].whole * v for name, v in state.items()}
        else:
            first = None
            if self._kept is None:
                first = self._rest(state, parameters, time, values)
            else:
                state = {name: v * self._kept for name, v in state.items()}
            state = etdrk4(state, by_field, lambda s, now: self._rest(s, parameters, now), self._length, time, first)
        return {name: transforms[name].backward(v) for name, v in state.items()}

    def _along_axes(self, name: str, values: Any, evaluate: Evaluation) -> Any:
        """The exact step as one product along each axis."""
        modes, exponents = self._transforms[name], dict[str, Any]()
        assert isinstance(modes, Modes)
        for orders, coefficient in self._linear[name].items():
            axis = next((a for a, m in zip(self._space.names, orders, strict=True) if m), self._space.names[0])
            exponent = modes.along(axis, sum(orders)) * (evaluate(coefficient) * self._length)
            exponents[axis] = exponents[axis] + exponent if axis in exponents else exponent
        return modes.multiplied(values, {axis: math.exp(exponent) for axis, exponent in exponents.items()})


def _transforms(grid: Grid, boundaries: Mapping[str, Boundary], order: int) -> dict[str, Transform]:
    """To the eigenvectors of second differences; fields with the same walls share them."""
    made: dict[str, Transform] = {}
    for name, boundary in boundaries.items():
        same = [other for other in made if boundaries[other] == boundary]
        if same:
            made[name] = made[same[0]]
        elif all(boundary[axis].periodic for axis in grid.axes):
            made[name] = Fourier(grid, order)
        else:
            made[name] = Modes(grid, boundary, order)
    return made


class _ModalRates:
    """What is not integrated exactly, as coefficients of the eigenvectors of second differences."""

    def __init__(
        self,
        transforms: Mapping[str, Any],
        others: DifferenceRates,
        at_walls: DifferenceRates | None,
        walls: Walls,
        space: Any,
    ) -> None:
        self._transforms, self._others, self._at_walls = transforms, others, at_walls
        self._walls, self._space = walls, space

    def __call__(
        self, state: Mapping[str, Any], parameters: Mapping[str, Any], now: Any, values: Mapping[str, Any] | None = None
    ) -> Values:
        walls = self._walls(parameters, now)
        if values is None:
            values = {name: self._transforms[name].backward(v) for name, v in state.items()}
        rates = self._others(values, parameters, now, walls)
        if self._at_walls is not None:
            # What walls add to the linear terms: that is what these make of a state of zeros.
            empty = {name: _zeros(self._space) for name in values}
            added = self._at_walls(empty, parameters, now, walls)
            rates = {name: rates[name] + added[name] for name in rates}
        return {name: self._transforms[name].forward(_everywhere(r, self._space)) for name, r in rates.items()}


def _space(grid: Grid) -> Any:
    return spatial(**dict(zip(grid.axes, grid.resolution, strict=True)))


def _zeros(space: Any) -> Any:
    """Zeros that torch has: PhiML repeats those of NumPy for each sample out of sight of what records the step."""
    with TORCH:
        return math.zeros(space)


def _everywhere(value: Any, space: Any) -> Any:
    """A rate in each cell, also where it is the same in all."""
    lacks = any(axis not in math.shape(value).spatial.names for axis in space.names)
    return value + math.zeros(space) if lacks else value


def _coordinates(grid: Grid, boundaries: Mapping[str, Boundary]) -> Coordinates:
    return Coordinates(grid, {axis: all(b[axis].periodic for b in boundaries.values()) for axis in grid.axes})


def _differences(
    terms: Mapping[str, list[sp.Expr]], grid: Grid, plan: Plan, scheme: Scheme, coordinates: Coordinates
) -> DifferenceRates:
    spacing = dict(zip(grid.axes, grid.spacing, strict=True))
    return DifferenceRates(terms, spacing, scheme, coordinates, plan.spreading)


def _spectral(
    transform: Transform, terms: Mapping[str, list[sp.Expr]], plan: Plan, coordinates: Coordinates
) -> SpectralRates:
    places = {axis: coordinates(axis, 0) for axis in plan.names.axes}
    return SpectralRates(transform, terms, plan.names.uniform, places)


def _as_terms(name: str, own: Mapping[Orders, sp.Expr], axes: tuple[str, ...]) -> list[sp.Expr]:
    """Linear terms as expressions again."""
    terms = []
    for orders, coefficient in own.items():
        slope: sp.Expr = symbol(name)
        for axis, m in zip(axes, orders, strict=True):
            for _ in range(m):
                slope = Slope(slope, symbol(axis))
        terms.append(coefficient * slope)
    return terms
