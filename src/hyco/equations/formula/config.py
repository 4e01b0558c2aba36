"""Keys of an equation by formula, and what is checked in them."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cached_property
from keyword import iskeyword
from typing import Any, ClassVar, Literal

import sympy as sp
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from hyco.equations.equation import EquationConfig
from hyco.equations.formula.accuracy import fewest_steps
from hyco.equations.formula.advance import Exponential
from hyco.equations.formula.differences import Scheme
from hyco.equations.formula.plan import Plan, make_plan
from hyco.equations.formula.reach import Reach
from hyco.equations.formula.stability import (
    FOURTH_ORDER,
    Rates,
    Samples,
    explicit_steps,
    exponential_steps,
    sampled,
    samples_of,
)
from hyco.equations.formula.symbols import AXES, FUNCTIONS, symbol
from hyco.equations.formula.syntax import FormulaError, names_in, rate_of
from hyco.equations.formula.units import in_words, units_of
from hyco.equations.ranges import ROOM, Bounds, Steps, with_room
from hyco.equations.units import stated_units
from hyco.expressions import CONSTANTS
from hyco.fields import FieldSpec, Layout
from hyco.walls.boundary import Boundary

_TAKEN = {*AXES, *CONSTANTS, *FUNCTIONS, "t", "dx", "dy", "dz", "grad", "div", "laplace", "dot"}


class FieldConfig(BaseModel):
    """One field of an equation by formula."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    boundary: Any = Field(default=None, description="its boundary condition; null: that of the equation")
    lower: float | None = Field(default=None, description="smallest admissible value, as 0 of a density; null: none")
    upper: float | None = Field(default=None, description="largest admissible value; null: none")

    @model_validator(mode="after")
    def _in_order(self) -> FieldConfig:
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(f"lower {self.lower:g} is not below upper {self.upper:g}")
        return self


class FormulaParameters(BaseModel):
    """The parameters that the formulas name: numbers, or formulas of x, y and z."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, frozen=True)
    __pydantic_extra__: dict[str, float | str | None]


class FormulaConfig(EquationConfig):
    """Keys of the `equation` section for `name: formula`."""

    name: Literal["formula"] = "formula"
    fields: dict[str, FieldConfig | None] = Field(default={}, description="fields by name; those of `rates` otherwise")
    rates: dict[str, str] = Field(min_length=1, description="rate of change ∂/∂t of each field, a formula")
    parameters: FormulaParameters = Field(
        default=FormulaParameters(), description="parameters of the formulas: numbers, or formulas of x, y and z"
    )
    varying: tuple[str, ...] = Field(
        default=(),
        description="parameters that may have another value in every cell though `parameters` has a number for them; "
        "those that are learnt as fields are added",
    )
    scheme: Literal["auto", "spectral", "differences"] = Field(
        default="auto",
        description="derivatives by Fourier coefficients (all axes periodic), or by differences; auto: spectral where "
        "all axes are periodic, nothing jumps, and something holds layers at a width",
    )
    order: Literal[2, 4] = Field(
        default=4, description="order of the differences; fluxes with a coefficient that varies are of order 2"
    )
    faces: Literal["auto", "harmonic", "arithmetic"] = Field(
        default="auto",
        description="mean of a coefficient on faces; auto: harmonic for coefficients of position and parameters, "
        "arithmetic for those of fields",
    )
    transport: Literal["upwind", "central"] = Field(
        default="upwind", description="differences of what carries a field along: third-order upwind, or central"
    )
    integrator: Literal["auto", "exponential", "explicit"] = Field(
        default="auto",
        description="time integration; exponential: exact for terms that are linear and the same everywhere; auto: "
        "that, unless others hold second or higher derivatives",
    )
    range_keys: ClassVar[tuple[str, ...]] = ("substeps", "stages")
    substeps: Steps = Field(
        default="auto",
        description="time steps from one state to the next; auto: as many as the formulas, bounds and states ask for",
    )
    stages: Steps = Field(
        default="auto",
        description="stages of an explicit step: 4, or an odd number for a method made for diffusion; auto: what "
        "takes fewest",
    )

    error_in_time: PositiveFloat = Field(
        default=5e-5,
        description="largest error in time of a step of `dt` over how much a field varies in space or by then, for which "
        "substeps that are auto may be fewer than the formulas and bounds ask for by themselves",
    )

    @model_validator(mode="after")
    def _formulas_make_sense(self) -> FormulaConfig:
        if self.stages != "auto" and self.stages != 4 and (self.stages % 2 == 0 or self.stages < 3):
            raise ValueError(f"stages: {self.stages} is not allowed; allowed: 4, 3, 5, 7, … or auto")
        self._require_uses()
        try:
            self.plan.require_sound(self.admissible({}))
        except FormulaError as error:
            raise ValueError(str(error)) from None
        return self

    def _require_uses(self) -> None:
        """Refuse parameters that nothing names: they could not be learnt, and are mostly slips."""
        used: set[str] = set()
        for name, text in self.rates.items():
            with rate_of(name):
                used |= names_in(text)
        if unused := [name for name in self.parameter_names if name not in used | self.wall_names]:
            raise ValueError(f"parameters: no formula names {', '.join(unused)}")

    def _require_names(self) -> None:
        """Refuse names that mean something else, and fields that `rates` or `fields` lacks."""
        named = {*self.rates, *self.fields}
        for name in named:
            if not name.isidentifier() or iskeyword(name) or name in _TAKEN:
                raise ValueError(
                    f"fields: {name!r} cannot be the name of a field; allowed: a word not used in formulas"
                )
            if name not in self.rates:
                raise ValueError(f"rates: the field {name} has no rate of change; 0 where it does not change")
            if self.fields and name not in self.fields:
                raise ValueError(f"rates: {name!r} is no field; fields has {', '.join(self.fields)}")
        for name in self.parameter_names:
            if not name.isidentifier() or iskeyword(name) or name in _TAKEN or name in self.rates:
                raise ValueError(f"parameters: {name!r} is taken; allowed: a word with no other meaning in formulas")

    def check_boundary(self) -> None:
        """The boundary of each field."""
        self._require_names()
        for name in self.field_names:
            allowed = (*self.parameter_names, *self.domain, "t")
            try:
                walls = self.walls_of(name)
                walls.require(allowed)
                self.require_wall_values(walls)
            except ValueError as error:
                raise ValueError(f"field {name}: {error}") from None
            if varying := sorted(walls.names & self.all_varying):
                raise ValueError(
                    f"field {name}: boundary: {', '.join(varying)} varies in space, which no parameter in a wall may do"
                )

    @property
    def wall_names(self) -> frozenset[str]:
        """What the formulas in walls of all fields need a value of."""
        return frozenset().union(*(self.walls_of(name).names for name in self.field_names))

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields, in order."""
        return tuple(self.fields or self.rates)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters, in order."""
        return tuple(self.parameters.model_extra or {})

    def field(self, name: str) -> FieldConfig:
        """The keys of a field."""
        return self.fields.get(name) or FieldConfig()

    def walls_of(self, name: str) -> Boundary:
        """The boundary of a field.

        Raises:
            ValueError: it is none for this domain.
        """
        given = self.field(name).boundary
        return Boundary.of(self.boundary if given is None else given, tuple(self.domain))

    @property
    def all_varying(self) -> frozenset[str]:
        """Parameters that vary in space: those of `varying`, and those that are formulas here."""
        given = self.parameters.model_extra or {}
        return frozenset(self.varying) | {name for name, value in given.items() if isinstance(value, str)}

    @cached_property
    def plan(self) -> Plan:
        """The formulas, read and sorted.

        Raises:
            FormulaError: a formula cannot be read, or used with these walls.
        """
        return make_plan(
            self.grid,
            tuple((name, self.rates[name]) for name in self.field_names),
            tuple(self.parameter_names),
            self.all_varying,
            tuple((name, self.walls_of(name)) for name in self.field_names),
            self.scheme,
            self.order,
            self.transport,
            self.integrator,
        )

    def for_fields(self, names: Collection[str]) -> dict[str, Any]:
        """They vary in space, which decides on scheme, steps and what is integrated exactly."""
        added = [name for name in names if name in self.parameter_names and name not in self.varying]
        return {"varying": [*self.varying, *added]} if added else {}

    @property
    def convergence_order(self) -> float:
        """That of the time steps or of the differences, whichever is lower; of upwind differences 3."""
        if self.plan.spectral:
            return 4.0 if self.plan.exponential else 2.0
        carried = self.transport == "upwind" and any(
            sum(orders) == 1 for name in self.field_names for _, orders in self.plan.linearised(name)
        )
        return float(min(self.order, 3 if carried else 4))

    def unsound(self, bounds: Bounds) -> str | None:
        """Why no formula makes sense for all values within the bounds: something grows without end, or is no number."""
        try:
            self.plan.require_sound(self.admissible(bounds))
        except FormulaError as error:
            return str(error)
        return None

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Signs of parameters that alone stand before the highest derivative; others have no limit."""
        limits = dict.fromkeys(self.parameter_names, (-math.inf, math.inf))
        return limits | self.plan.limits()

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """Steps and stages for the largest rates within the bounds and the states' range."""
        if not self.open_ranges:
            return {}
        steps, stages = self.steps_for(largest, bounds)
        if "substeps" in self.open_ranges and stages == FOURTH_ORDER:
            steps = self._fewest(largest, bounds, steps)
        numbers = {"substeps": steps, "stages": stages}
        return {key: numbers[key] for key in self.open_ranges}

    def steps_for(self, largest: float | None, bounds: Bounds, room: float = ROOM) -> tuple[int, int]:
        """Steps and stages that states up to `largest` (1 where it is not known) ask for.

        Args:
            largest: a `Reach` also says which values fields have together.
            bounds: of what is learnt.
            room: by which states may grow.
        """
        size = with_room(largest) if largest else 1.0

        def rates(within: Bounds) -> Rates:
            return self.plan.rates(self._samples(largest, within, room), size)

        if self.plan.exponential:
            return exponential_steps(self.dt, rates(bounds)), FOURTH_ORDER
        # Steps are stable for all that may be learnt, and accurate for what is in the middle of it.
        usual = rates({name: _middle(*ends) for name, ends in bounds.items()}) if bounds else None
        return explicit_steps(self.dt, rates(bounds), None if self.stages == "auto" else int(self.stages), usual)

    def stable_steps(self, largest: float | None, bounds: Bounds, room: float = ROOM) -> int:
        """The fewest steps that are stable, whatever their error; arguments as of `steps_for`."""
        samples, size = self._samples(largest, bounds, room), with_room(largest) if largest else 1.0
        return self.plan.stable_steps(samples, size, self.dt, self.plan.rates(samples, size))

    def _fewest(self, largest: float | None, bounds: Bounds, most: int) -> int:
        """The fewest steps that are stable and exact enough for known states; `most` where none is known."""
        states = largest.states if isinstance(largest, Reach) else None
        if states is None or most == 1 or self.all_varying or states.shape[2:] != self.grid.resolution:
            return most
        if not self.plan.exponential or (stable := self.stable_steps(largest, bounds)) >= most:
            return most
        ends = {symbol(name): self._values(bounds, None)[symbol(name)] for name in self.parameter_names}
        parameters = {str(name): values for name, values in sampled(ends).items()}
        walls = {name: self.walls_of(name) for name in self.field_names}
        layout = Layout(self.grid, tuple(FieldSpec(name, boundary=b.plain) for name, b in walls.items()))
        scheme = Scheme(self.order, self.faces, self.transport)
        advance = Exponential(self.grid, walls, self.plan, scheme, self.dt)
        return fewest_steps(advance, layout, states, parameters, self.dt, (stable, most), self.error_in_time)

    def _samples(self, largest: float | None, bounds: Bounds, room: float) -> Samples:
        """Values of all that the formulas name."""
        keys = {symbol(name): self.field(name) for name in self.field_names}
        whole = [name for name, key in keys.items() if key.lower is not None and key.upper is not None]
        # One field by itself may go where its range ends.
        points = largest.points if isinstance(largest, Reach) and len(keys) > 1 else None
        return samples_of(self._values(bounds, largest), tuple(keys), whole, points, room)

    def reach_of_one(self, largest: float) -> Reach:
        """The reach of states of which no more is known than that one field is so large."""
        ends = {name: (self.field(name).lower, self.field(name).upper) for name in self.field_names}
        return Reach.of_one(
            largest, {n: (-math.inf if a is None else a, math.inf if b is None else b) for n, (a, b) in ends.items()}
        )

    def admissible(self, bounds: Bounds) -> dict[sp.Symbol, tuple[float, float]]:
        """Smallest and largest value of all that a formula may name; infinite where a field has no end of its range."""
        values = self._values(bounds, None)
        for name in self.field_names:
            field = self.field(name)
            lower, upper = field.lower, field.upper
            values[symbol(name)] = -math.inf if lower is None else lower, math.inf if upper is None else upper
        return values

    def _values(self, bounds: Bounds, largest: float | None) -> dict[sp.Symbol, tuple[float, float]]:
        """Smallest and largest value of all that a formula may name."""
        values = {symbol("t"): (0.0, 100 * self.dt)}
        for axis, keys in self.domain.items():
            half = keys.size / keys.resolution / 2  # the cells' centres: 1/x is defined in all of them
            values[symbol(axis)] = keys.lower + half, keys.lower + keys.size - half
        for name in self.parameter_names:
            given = self.true_parameters.get(name)
            ends = list(bounds.get(name, ()))
            if given is not None:
                tensor = torch.as_tensor(given, dtype=torch.float64)
                ends += [float(tensor.min()), float(tensor.max())]
            values[symbol(name)] = (min(ends), max(ends)) if ends else (1.0, 1.0)
        reach = with_room(largest) if largest else 1.0
        for name in self.field_names:
            field = self.field(name)
            lower = -reach if field.lower is None else field.lower
            upper = reach if field.upper is None else field.upper
            values[symbol(name)] = lower, max(upper, lower)
        return values


def _middle(low: float, high: float) -> tuple[float, float]:
    """The geometric mean of positive bounds, else the mean, as both ends; infinite bounds as they are."""
    if not math.isfinite(low) or not math.isfinite(high):
        return low, high
    return (math.sqrt(low * high) if low > 0 else (low + high) / 2,) * 2


@stated_units.register
def _by_places(config: FormulaConfig) -> dict[str, str]:
    """Of the parameters of formulas, whose places tell their units."""
    words = ("length", "time", *config.rates)
    exponents = units_of(config.rates, config.parameter_names, tuple(config.domain))
    return {name: in_words(powers, words) for name, powers in exponents.items()}
