"""An equation by formula: from the text of its rates of change to a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.formula.advance import Advance, Explicit, Exponential
from hyco.equations.formula.config import FormulaConfig
from hyco.equations.formula.description import described
from hyco.equations.formula.differences import Scheme
from hyco.equations.formula.reach import Reach
from hyco.equations.formula.stability import FOURTH_ORDER
from hyco.equations.formula.typeset import rate_latex
from hyco.fields import FieldSpec, Layout

# By which more steps states may ask for: those of a fit are rougher or smoother than others by chance.
_ROUGHER = 1.4


class FormulaEquation(Equation):
    """∂u/∂t = the formula of each field u, in one to three dimensions; see docs/equations.md.

    Schemes: on a periodic box, unless something may jump, derivatives by Fourier coefficients, products freed of
    aliasing by the 2/3 rule: more accurate than any order where layers are resolved. Else central differences of
    `order` 2 or 4 on cell centres, walls included (the polynomial through the condition and four cells), third-order
    upwind differences for what carries a field along, and fluxes through faces for ∂(c ∂u) with a c that varies: second
    order, and what leaves one cell enters the next.

    In time terms that are linear and the same everywhere are integrated exactly, on the eigenvectors of their
    derivatives, the others by four stages of fourth order (exponential time differencing). Where other terms hold
    second derivatives, or conditions at walls have unknown coefficients of u or its slope, all is explicit: the
    classical Runge-Kutta method, or the second-order Runge-Kutta-Legendre method where diffusion would ask for short
    steps. Walls that change in time, and sources between walls, are cubics in time within each step, so that the order
    stays four.

    Sources: `hyco.schemes.exponential`, `hyco.schemes.integrators`.

    Args:
        config: grid, `dt`, `rates`, `fields`, `parameters` and the keys of the schemes.
    """

    config_class = FormulaConfig
    accelerates = True
    config: FormulaConfig

    def __init__(self, config: FormulaConfig) -> None:
        self.config, self.dt = config, config.dt
        self.parameters = config.true_parameters
        self.field_parameters = frozenset(config.parameter_names) - config.wall_names
        self.plan = plan = config.plan
        self.autonomous = plan.autonomous
        grid = config.grid
        walls = {name: config.walls_of(name) for name in config.field_names}
        self.layout = Layout(grid, tuple(FieldSpec(name, boundary=b.plain) for name, b in walls.items()))
        self.substeps = int(config.range_of("substeps"))
        scheme = Scheme(config.order, config.faces, config.transport)
        self._advance: Advance
        if plan.exponential:
            step = Exponential(grid, walls, plan, scheme, self.dt / self.substeps)
            if step.is_exact and self.substeps > 1:
                self.substeps = 1
                step = Exponential(grid, walls, plan, scheme, self.dt)
            self._advance = step
        else:
            stages = int(config.range_of("stages"))
            self._advance = Explicit(grid, walls, plan, scheme, self.dt / self.substeps, stages)

    def described(self) -> list[tuple[str, str]]:
        """Its formulas, schemes and walls."""
        stages = FOURTH_ORDER if self.plan.exponential else int(self.config.range_of("stages"))
        return list(described(self.config, self.plan, stages))

    def reach(self, states: Tensor) -> Reach:
        """How large states are, and which values their fields have together."""
        return Reach.of(states, self.layout.grid.dimensions)

    def typeset(self) -> tuple[str, ...]:
        """Its formulas as LaTeX."""
        return tuple(rate_latex(name, text) for name, text in self.plan.text.items())

    def exceeded(self, largest: float) -> str | None:
        """States so large that the steps are too long for the formulas."""
        reach = largest if isinstance(largest, Reach) else self.config.reach_of_one(largest)
        return self._exceeded(reach, {})

    def unsuitable(self, states: Tensor) -> str | None:
        """See `exceeded`."""
        return self.exceeded(self.reach(states))

    def unsuitable_within(self, states: Tensor, bounds: Mapping[str, tuple[float, float]]) -> str | None:
        """See `exceeded`; also states so rough that steps of a measured error are far too long for them."""
        config, reach = self.config, self.reach(states)
        reason = self._exceeded(reach, bounds)
        if reason is not None or config.open_ranges or not self.plan.exponential:
            return reason
        needed = config.fewest(reach, bounds, config.steps_for(reach, bounds)[0])
        if needed <= _ROUGHER * self.substeps:
            return None
        return f"the error in time of the steps is above equation.error_in_time: they ask for {needed} substeps"

    def _exceeded(self, reach: Reach, bounds: Mapping[str, tuple[float, float]]) -> str | None:
        config = self.config
        if config.open_ranges:
            return None
        needed, _ = config.steps_for(reach, bounds)
        at_least, _ = config.steps_for(reach, bounds, 1.0)
        if needed <= 2 * self.substeps and at_least <= 1.5 * self.substeps:  # the samples have some room
            return None
        if config.stable_steps(reach, bounds, 1.0) <= self.substeps:  # whose error may have been measured
            return None
        return (
            f"a state reaches {reach:.3g}, for which the formulas ask for {needed} substeps, equation.substeps is "
            f"{self.substeps}: set it higher or to auto, or generation.amplitude lower"
        )

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance all fields by `dt / substeps`; see the class for the schemes."""
        values = {name: fields[name].values for name in self.config.field_names}
        new = self._advance(values, parameters, time)
        return {name: fields[name].with_values(new[name]) for name in values}

    def admissible(self, states: Tensor) -> Tensor:
        """States `[…, C, *space]` cut off at `lower` and `upper` of their fields."""
        axis = -1 - self.layout.grid.dimensions
        fields = [self.config.field(name) for name in self.config.field_names]
        parts = [
            part if keys.lower is None and keys.upper is None else part.clamp(keys.lower, keys.upper)
            for part, keys in zip(states.unbind(axis), fields, strict=True)
        ]
        return torch.stack(parts, dim=axis)

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
