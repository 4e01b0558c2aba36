"""An equation by formula: from the text of its rates of change to a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from phi import math
from phi.math import channel, spatial
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.formula.config import FormulaConfig
from hyco.equations.formula.differences import DifferenceRates, Scheme
from hyco.equations.formula.evaluation import Evaluation
from hyco.equations.formula.fourier import Fourier, SpectralRates
from hyco.equations.formula.ghosts import Coordinates
from hyco.equations.formula.linear import Orders
from hyco.equations.formula.modes import Modes
from hyco.equations.formula.symbols import Slope, symbol, terms_of
from hyco.fields import FieldSpec, Layout
from hyco.schemes.exponential import Factors, etdrk4, factors
from hyco.schemes.integrators import rkl2
from hyco.schemes.runge_kutta import rk4
from hyco.walls.boundary import Boundary

State = dict[str, Any]


class FormulaEquation(Equation):
    """∂u/∂t = the formula of each field u, in one to three dimensions; see docs/equations.md.

    Schemes: on a periodic box, unless something may jump, derivatives by Fourier coefficients, products freed of
    aliasing by the 2/3 rule: more accurate than any order where layers are resolved. Else central differences of
    `order` 2 or 4 on cell centres, walls included (the polynomial through the condition and four cells), third-order
    upwind differences for what carries a field along, and fluxes through faces for ∂(c ∂u) with a c that varies: second
    order, and what leaves one cell enters the next.

    In time terms that are linear and the same everywhere are integrated exactly, on the eigenvectors of their
    derivatives, the others by four stages of fourth order (exponential time differencing). Where other terms hold
    second derivatives, or conditions at walls have unknown coefficients of u or its slope, all is explicit: the classical
    Runge-Kutta method, or the second-order Runge-Kutta-Legendre method where diffusion would ask for short steps.
    Values at walls that depend on time lower the order of the exponential steps to about two.

    Sources: `hyco.schemes.exponential`, `hyco.schemes.integrators`.

    Args:
        config: grid, `dt`, `rates`, `fields`, `parameters` and the keys of the schemes.
        varying: parameters that vary in space though the configuration gives them a number.
    """

    config_class = FormulaConfig
    accelerates = True
    config: FormulaConfig

    def __init__(self, config: FormulaConfig, varying: frozenset[str] = frozenset()) -> None:
        self.config, self.dt = config, config.dt
        self.parameters = config.true_parameters
        self.field_parameters = frozenset(config.parameter_names)
        self.plan = plan = config.plan(varying)
        self.autonomous = plan.autonomous
        grid = config.grid
        boundaries = {name: config.walls_of(name) for name in config.field_names}
        self.layout = Layout(grid, tuple(FieldSpec(n, boundary=b.plain) for n, b in boundaries.items()))
        self._walls = boundaries
        self._ends = {axis: (low, low + size) for axis, low, size in zip(grid.axes, grid.lower, grid.size, strict=True)}
        self.substeps = int(config.range_of("substeps"))
        self._stages = int(config.range_of("stages"))
        if plan.exponential and self._all_is_exact:
            self.substeps = 1
        periodic = {axis: all(b[axis].periodic for b in boundaries.values()) for axis in grid.axes}
        self._coordinates = Coordinates(grid, periodic)
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        self._space = spatial(**dict(zip(grid.axes, grid.resolution, strict=True)))
        terms = plan.others if plan.exponential else {n: terms_of(rate) for n, rate in plan.rates_of.items()}
        scheme = Scheme(config.order, config.faces, config.transport)
        self._differences = DifferenceRates(terms, self._spacing, scheme, self._coordinates)
        self._exact = DifferenceRates(
            {name: _as_terms(name, own, grid.axes) for name, own in plan.linear.items()},
            self._spacing,
            scheme,
            self._coordinates,
        )
        self._fourier = Fourier(grid) if plan.spectral else None
        if self._fourier is not None:
            places = {axis: self._coordinates(axis, 0) for axis in grid.axes}
            self._spectral = SpectralRates(self._fourier, terms, plan.names.uniform, places)
        elif plan.exponential:
            self._modes = {name: Modes(grid, boundaries[name], config.order) for name in config.field_names}

    @property
    def _inhomogeneous(self) -> bool:
        """Whether a wall's condition has a right-hand side."""
        pairs = [walls[axis] for walls in self._walls.values() for axis in self.config.domain]
        return any(not w.periodic and not (w.constant and w.condition[2] == 0) for pair in pairs for w in pair)

    @property
    def _all_is_exact(self) -> bool:
        """Whether an exponential step integrates all there is."""
        return not any(self.plan.others.values()) and not self._inhomogeneous

    def specialised(self, varying: frozenset[str]) -> FormulaEquation:
        """The equation with other parameters that vary in space."""
        return self if varying <= self.plan.names.varying else FormulaEquation(self.config, varying)

    def exceeded(self, largest: float) -> str | None:
        """States so large that the steps are too long for the formulas."""
        config = self.config
        if config.open_ranges:
            return None
        needed, _ = config.steps_for(largest, {})
        if needed <= 2 * self.substeps:  # the samples have some room
            return None
        return (
            f"a state reaches {largest:.3g}, for which the formulas ask for {needed} substeps, equation.substeps is "
            f"{self.substeps}: set it higher or to auto, or generation.amplitude lower"
        )

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance all fields by `dt / substeps`; see the class for the schemes."""
        values = {name: fields[name].values for name in self.config.field_names}
        new = (
            self._exponential(values, parameters, time)
            if self.plan.exponential
            else self._explicit(values, parameters, time)
        )
        return {name: fields[name].with_values(new[name]) for name in values}

    def _walls_at(self, parameters: Mapping[str, Any], now: Any) -> dict[str, Boundary]:
        """The walls with the values of their formulas."""
        values = {**parameters, **({} if now is None else {"t": now})}
        return {name: self._with_values(walls, values) for name, walls in self._walls.items()}

    def _with_values(self, walls: Boundary, values: Mapping[str, Any]) -> Boundary:
        if not walls.names:
            return walls
        places = {axis: self._coordinates(axis, 0) for axis in self.config.domain}
        return walls.at({**values, **places}, self._ends)

    def _exponential(self, values: State, parameters: Mapping[str, Any], time: Any) -> State:
        h = self.dt / self.substeps
        transforms = self._modes if self._fourier is None else dict.fromkeys(values, self._fourier)
        evaluate = Evaluation(lambda node: parameters[node.name])
        by_field: dict[str, Factors] = {}
        for name, own in self.plan.linear.items():
            parts = [transforms[name].eigenvalues(orders) * evaluate(c) for orders, c in own.items()]
            zero = math.zeros(self._space)
            by_field[name] = factors(sum(parts[1:], start=parts[0]) if parts else zero, h)
        state = {name: transforms[name].forward(v) for name, v in values.items()}
        if self._all_is_exact:
            state = {name: by_field[name].whole * v for name, v in state.items()}
        else:
            if self._fourier is not None:
                state = {name: v * self._fourier.kept for name, v in state.items()}
            state = etdrk4(state, by_field, lambda s, now: self._rest(s, parameters, now), h, time)
        return {name: transforms[name].backward(v) for name, v in state.items()}

    def _rest(self, state: Mapping[str, Any], parameters: Mapping[str, Any], now: Any) -> dict[str, Any]:
        """What is not integrated exactly, as coefficients of the eigenvectors."""
        if self._fourier is not None:
            return self._spectral(state, parameters, now)
        walls = self._walls_at(parameters, now)
        values = {name: self._modes[name].backward(v) for name, v in state.items()}
        rates = self._differences(values, parameters, now, walls)
        if self._inhomogeneous:
            # What walls add to the linear terms: they act on a state of zeros.
            empty = {name: math.zeros(self._space) for name in values}
            added = self._exact(empty, parameters, now, walls)
            rates = {name: rates[name] + added[name] for name in rates}
        return {name: self._modes[name].forward(rate + math.zeros(self._space)) for name, rate in rates.items()}

    def _explicit(self, values: State, parameters: Mapping[str, Any], time: Any) -> State:
        h, names = self.dt / self.substeps, list(values)
        both = channel(field=",".join(names))

        def rate(u: Any, now: Any = None) -> Any:
            own = {n: u[{"field": n}] for n in names} if len(names) > 1 else {names[0]: u}
            rates = self._rates(own, parameters, now)
            parts = [rates[n] + math.zeros(self._space) for n in names]
            return math.stack(parts, both) if len(names) > 1 else parts[0]

        u = math.stack([values[n] for n in names], both) if len(names) > 1 else values[names[0]]
        u = rk4(u, h, rate, time) if self._stages == 4 else rkl2(u, h, rate, self._stages, time)
        return {n: u[{"field": n}] for n in names} if len(names) > 1 else {names[0]: u}

    def _rates(self, values: State, parameters: Mapping[str, Any], now: Any) -> State:
        if self._fourier is None:
            return self._differences(values, parameters, now, self._walls_at(parameters, now))
        fourier = self._fourier
        rates = self._spectral({n: fourier.forward(v) * fourier.kept for n, v in values.items()}, parameters, now)
        return {n: fourier.backward(rate) for n, rate in rates.items()}

    def initial_states(self, count: int, length_scale: float, amplitude: float, generator: torch.Generator) -> Tensor:
        """Random smooth states of every field, about zero, or inside the range that a field admits.

        Args:
            length_scale: correlation length [length].
            amplitude: standard deviation; where a field has `lower` or `upper`, before it is taken into the range: a
                field between both by a sigmoid, one with a lower end by |state| above it.
        """
        states = super().initial_states(count, length_scale, amplitude, generator)
        for i, name in enumerate(self.config.field_names):
            keys, own = self.config.field(name), states[:, i]
            if keys.lower is not None and keys.upper is not None:
                states[:, i] = keys.lower + (keys.upper - keys.lower) * torch.sigmoid(2 * own / amplitude)
            elif keys.lower is not None:
                states[:, i] = keys.lower + own.abs()
            elif keys.upper is not None:
                states[:, i] = keys.upper - own.abs()
        return states


def _as_terms(name: str, own: Mapping[Orders, Any], axes: tuple[str, ...]) -> list[Any]:
    """Linear terms as expressions again."""
    terms = []
    for orders, coefficient in own.items():
        slope = symbol(name)
        for axis, m in zip(axes, orders, strict=True):
            for _ in range(m):
                slope = Slope(slope, symbol(axis))
        terms.append(coefficient * slope)
    return terms
