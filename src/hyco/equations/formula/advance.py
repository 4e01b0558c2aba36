"""Steps of an equation by formula: exponential, or explicit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import reduce
from operator import add
from typing import Any, NamedTuple, Protocol

import sympy as sp
from phi import math
from phi.math import channel, spatial
from phiml.backend.torch import TORCH

from hyco.equations.formula.differences import DifferenceRates, Scheme
from hyco.equations.formula.evaluation import Evaluation
from hyco.equations.formula.forcing import TIMES, Resting, Walls, in_stages, response
from hyco.equations.formula.fourier import Fourier, SpectralRates, Transform
from hyco.equations.formula.ghosts import Coordinates
from hyco.equations.formula.linear import Orders
from hyco.equations.formula.modes import Modes
from hyco.equations.formula.plan import Plan
from hyco.equations.formula.stability import EULER, FOURTH_ORDER
from hyco.equations.formula.symbols import Slope, symbol, terms_of
from hyco.equations.formula.together import StackedRates, stacked_rates
from hyco.fields import precision
from hyco.grid import Grid
from hyco.schemes.exponential import Factors, etdrk4, factors
from hyco.schemes.integrators import rkl2
from hyco.schemes.runge_kutta import euler, rk4
from hyco.walls.boundary import Boundary

Values = dict[str, Any]


class _Stage(NamedTuple):
    """What rates depend on beside the state: t, None where nothing depends on it, walls, and sources by field."""

    now: Any
    walls: Mapping[str, Boundary]
    sources: Mapping[str, Any]


class Advance(Protocol):
    """A step of all fields."""

    def __call__(self, values: Values, parameters: Mapping[str, Any], time: Any) -> Values:
        """The fields' values after the step.

        Args:
            values: in each cell, by field.
            parameters: all of the equation's.
            time: t at the start; None where nothing depends on it.
        """

    def of_length(self, length: float) -> Advance:
        """The same in steps of another length."""


class Explicit:
    """A step of `rk4`, of `euler`, or of `rkl2` with so many stages.

    Args:
        grid, boundaries, plan, scheme: of the equation.
        length: of the step [time].
        stages: 4: `rk4`; 1: `euler`; other odd numbers: of `rkl2`.
    """

    def __init__(
        self, grid: Grid, boundaries: Mapping[str, Boundary], plan: Plan, scheme: Scheme, length: float, stages: int
    ) -> None:
        self._length, self._stages, self._space = length, stages, _space(grid)
        terms = {name: terms_of(rate) for name, rate in plan.rates_of.items()}
        coordinates = _coordinates(grid, boundaries)
        self._walls = Walls(grid, boundaries, coordinates)
        self._fourier = Fourier(grid) if plan.spectral else None
        self._sources: DifferenceRates | None = None
        self._stacked: StackedRates | None = None
        if self._fourier is not None:
            self._spectral = _spectral(self._fourier, terms, plan, coordinates)
            return
        self._stacked = stacked_rates(plan, boundaries, grid, scheme, coordinates)
        if self._stages == FOURTH_ORDER and self._walls.any:
            fields = [symbol(name) for name in terms]
            apart = {name: [term for term in own if _is_source(term, fields)] for name, own in terms.items()}
            terms = {name: [term for term in own if term not in apart[name]] for name, own in terms.items()}
            if any(apart.values()):
                self._sources = _differences(apart, grid, plan, scheme, coordinates)
        self._differences = _differences(terms, grid, plan, scheme, coordinates)

    def __call__(self, values: Values, parameters: Mapping[str, Any], time: Any) -> Values:
        """See `Advance`."""
        names = list(values)
        if len(names) == 1:
            (name,) = names

            def of_one(u: Any, stage: _Stage) -> Any:
                return self._rates({name: u}, parameters, stage)[name]

            return {name: self._advanced(values[name], of_one, parameters, time)}
        together = channel(field=",".join(names))

        def of_all(u: Any, stage: _Stage) -> Any:
            if self._stacked is not None:
                return self._stacked(u, parameters, stage.walls)
            rates = self._rates({n: u[{"field": n}] for n in names}, parameters, stage)
            return math.stack([rates[n] for n in names], together)

        u = self._advanced(math.stack([values[n] for n in names], together), of_all, parameters, time)
        return {n: u[{"field": n}] for n in names}

    def of_length(self, length: float) -> Explicit:
        """See `Advance`."""
        other = copy(self)
        other._length = length
        return other

    def _advanced(self, u: Any, rate: Callable[[Any, _Stage], Any], parameters: Mapping[str, Any], time: Any) -> Any:
        h = self._length
        if self._stages == EULER:
            return euler(u, h, rate, self._stage(parameters, time))
        if self._stages != FOURTH_ORDER:

            def at(u: Any, now: Any = None) -> Any:
                return rate(u, self._stage(parameters, now))

            return rkl2(u, h, at, self._stages, time)
        times = [None if time is None else time + part * h for part in (0.0, 0.5, 0.5, 1.0)]
        walls, sources = self._walls.of_stages(parameters, time, h), self._sources_of_stages(parameters, time)
        return rk4(u, h, rate, [_Stage(*own) for own in zip(times, walls, sources, strict=True)])

    def rates(self, values: Values, parameters: Mapping[str, Any], now: Any) -> Values:
        """The rates of change of all fields at a time; arguments as of a step."""
        return self._rates(values, parameters, self._stage(parameters, now))

    def _stage(self, parameters: Mapping[str, Any], now: Any) -> _Stage:
        sources = {} if self._sources is None else self._sources({}, parameters, now, {})
        return _Stage(now, self._walls(parameters, now), sources)

    def _sources_of_stages(self, parameters: Mapping[str, Any], time: Any) -> list[Values]:
        if self._sources is None:
            return [{}] * FOURTH_ORDER
        looks = [self._sources({}, parameters, time + part * self._length, {}) for part in TIMES]
        by_field = {name: in_stages([look[name] for look in looks]) for name in looks[0]}
        return [{name: own[i] for name, own in by_field.items()} for i in range(FOURTH_ORDER)]

    def _rates(self, values: Values, parameters: Mapping[str, Any], stage: _Stage) -> Values:
        if self._fourier is None:
            rates = _sum(self._differences(values, parameters, stage.now, stage.walls), stage.sources)
            return {name: _everywhere(rate, self._space) for name, rate in rates.items()}
        fourier = self._fourier
        state = {name: fourier.forward(v) * fourier.kept for name, v in values.items()}
        return {name: fourier.backward(r) for name, r in self._spectral(state, parameters, stage.now).items()}


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
            self._kept = None
            (first, *rest) = self._transforms.values()
            alike = not self._walls.inhomogeneous and all(other is first for other in rest)
            if alike and not any(term.has(Slope) for own in plan.others.values() for term in own):
                self._rest = _spectral(first, plan.others, plan, coordinates)
            else:
                others = _differences(plan.others, grid, plan, scheme, coordinates)
                self._rest = _ModalRates(self._transforms, others, self._walls, self._space)
        held = {n: _as_terms(n, own, grid.axes) for n, own in plan.linear.items() if n in self._walls.inhomogeneous}
        self._resting = self._resting_of(held, grid, plan, scheme, coordinates)
        # What walls add to the linear terms: that is what these make of a state of zeros.
        held = {n: terms for n, terms in held.items() if terms and n not in self._resting}
        self._held = _differences(held, grid, plan, scheme, coordinates)
        self._alone = not any(plan.others.values())
        self.is_exact = self._alone and not self._walls.inhomogeneous
        between = all(isinstance(transform, Modes) for transform in self._transforms.values())
        orders = [orders for own in self._linear.values() for orders in own]
        # exp(h Λ) is a product of factors of one axis each: half as many products with matrices. Along a line it would
        # cost more to make the matrix, and its gradient.
        self._apart = self.is_exact and between and len(grid.axes) > 1
        self._apart = self._apart and all(sum(m > 0 for m in o) <= 1 for o in orders)

    def __call__(self, values: Values, parameters: Mapping[str, Any], time: Any) -> Values:
        """See `Advance`."""
        transforms = self._transforms
        evaluate = Evaluation(lambda node: parameters[node.name])
        if self._apart:
            return {name: self._along_axes(name, v, evaluate) for name, v in values.items()}
        h, eigenvalues = self._length, dict[str, Any]()
        for name, own in self._linear.items():
            # Fields that spread alike have the same.
            same = [n for n in eigenvalues if transforms[n] is transforms[name] and self._linear[n] == own]
            if same:
                eigenvalues[name] = eigenvalues[same[0]]
                continue
            parts = [transforms[name].eigenvalues(orders) * evaluate(c) for orders, c in own.items()]
            eigenvalues[name] = sum(parts[1:], start=parts[0]) if parts else 0 * transforms[name].mean
        state = {name: transforms[name].forward(v) for name, v in values.items()}
        # A state is v + w, where w is what the walls make of nothing, and v has walls that add nothing.
        added = self._added(eigenvalues, parameters, time)
        if self._alone:
            state = {name: math.exp(eigenvalues[name] * h) * v for name, v in state.items()}
        else:
            by_field, first = dict[str, Factors](), None
            for name, values_of in eigenvalues.items():
                same = [n for n in by_field if eigenvalues[n] is values_of]
                by_field[name] = by_field[same[0]] if same else factors(values_of, h)
            if self._kept is None:
                first = self._rest(state, parameters, time, values)
            else:
                state = {name: v * self._kept for name, v in state.items()}

            def rest(v: Mapping[str, Any], since: float) -> Values:
                return self._rest(_sum(v, added.get(since)), parameters, None if time is None else time + since)

            state = etdrk4(state, by_field, rest, h, 0.0, first)
        return {name: transforms[name].backward(v) for name, v in _sum(state, added.get(h)).items()}

    def of_length(self, length: float) -> Exponential:
        """See `Advance`."""
        other = copy(self)
        other._length = length
        return other

    def _added(self, eigenvalues: Mapping[str, Any], parameters: Mapping[str, Any], time: Any) -> dict[float, Values]:
        """What the walls alone make of a state of zeros, by the time since the start: in the middle and at the end."""
        empty, h = {name: _zeros(self._space) for name in eigenvalues}, self._length
        looks = [self._held(empty, parameters, None, w) for w in self._walls.during(parameters, time, h)]
        rates = {n: [self._transforms[n].forward(_everywhere(at[n], self._space)) for at in looks] for n in looks[0]}
        evaluate = Evaluation(lambda node: parameters[node.name])
        coefficients = {name: next(iter(self._linear[name].values())) for name in self._resting}
        made = dict[float, Values]()
        for since in (0.5 * h, h):
            made[since] = {name: response(eigenvalues[name], h, own, since / h) for name, own in rates.items()}
            for name, resting in self._resting.items():
                decay = math.exp(eigenvalues[name] * since)
                made[since][name] = resting(decay, evaluate(coefficients[name]) * since)
        return made

    def _resting_of(
        self, held: Mapping[str, list[sp.Expr]], grid: Grid, plan: Plan, scheme: Scheme, coordinates: Coordinates
    ) -> dict[str, Resting]:
        """The fields with constant walls all of whose linear terms have one coefficient."""
        found = {}
        for name, terms in held.items():
            own, walls = plan.linear[name], self._walls.constant.get(name)
            if walls is None or not terms or len(set(own.values())) > 1:
                continue
            alone = {name: _as_terms(name, dict.fromkeys(own, sp.Integer(1)), grid.axes)}
            rates, transform = _differences(alone, grid, plan, scheme, coordinates), self._transforms[name]
            with precision(64):
                (added,) = rates({name: _zeros(self._space)}, {}, None, {name: walls}).values()
                eigenvalues = reduce(add, (transform.eigenvalues(orders) for orders in own))
                found[name] = Resting(eigenvalues, transform.forward(_everywhere(added, self._space)))
        return found

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
        walls: Walls,
        space: Any,
    ) -> None:
        self._transforms, self._others, self._walls, self._space = transforms, others, walls, space

    def __call__(
        self, state: Mapping[str, Any], parameters: Mapping[str, Any], now: Any, values: Mapping[str, Any] | None = None
    ) -> Values:
        walls = self._walls(parameters, now)
        if values is None:
            values = {name: self._transforms[name].backward(v) for name, v in state.items()}
        rates = self._others(values, parameters, now, walls)
        return {name: self._transforms[name].forward(_everywhere(r, self._space)) for name, r in rates.items()}


def _is_source(term: sp.Expr, fields: Sequence[sp.Symbol]) -> bool:
    """Whether a term depends on t, smoothly, and on no field."""
    kinks = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside)
    return term.has(symbol("t")) and not term.free_symbols.intersection(fields) and not term.has(*kinks)


def _sum(state: Mapping[str, Any], added: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A state and what is added to some of its fields."""
    return {name: v + added[name] if added and name in added else v for name, v in state.items()}


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
