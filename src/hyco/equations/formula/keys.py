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
from hyco.equations.formula.plan import Plan, make_plan
from hyco.equations.formula.symbols import AXES, FUNCTIONS, symbol
from hyco.equations.formula.syntax import FormulaError, names_in, rate_of
from hyco.equations.ranges import Bounds, Steps, with_room
from hyco.expressions import CONSTANTS
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


class FormulaKeys(EquationConfig):
    """What may be given: keys, and what they say of fields, walls and formulas."""

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
        description="stages of an explicit step: 4, an odd number from 3 on for a method made for diffusion, or 1 for "
        "Euler's method, of first order, for what spreads and reacts; auto: 4 or odd, what takes fewest",
    )

    error_in_time: PositiveFloat = Field(
        default=5e-5,
        description="largest error in time of a step of `dt`, over how much a field varies in space or by then; where "
        "all states are known and nothing depends on t, substeps that are auto are the fewest stable ones that keep it",
    )

    @model_validator(mode="after")
    def _formulas_make_sense(self) -> FormulaKeys:
        if self.stages != "auto" and self.stages != 4 and self.stages % 2 == 0:
            raise ValueError(f"stages: {self.stages} is not allowed; allowed: 4, 3, 5, 7, …, 1 or auto")
        self._require_uses()
        if self.stages == 1 and self.plan.exponential:
            raise ValueError("stages: 1, Euler's method, is explicit: add integrator: explicit, or leave stages out")
        if self.stages == 1 and (name := self.plan.carried):
            raise ValueError(
                f"stages: 1, Euler's method, lets waves grow that are carried along, as of {name}; allowed here: 4, 3, "
                "5, 7, … or auto"
            )
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

    def admissible(self, bounds: Bounds, until: float | None = None) -> dict[sp.Symbol, tuple[float, float]]:
        """Smallest and largest value of all that a formula may name; infinite where a field has no end of its range.

        Args:
            bounds: of what is learnt.
            until: the last t that is asked for; None: that of the first step, as more is not known here.
        """
        values = self.values_within(bounds, None)
        values[symbol("t")] = 0.0, self.dt if until is None else until
        for name in self.field_names:
            field = self.field(name)
            lower, upper = field.lower, field.upper
            values[symbol(name)] = -math.inf if lower is None else lower, math.inf if upper is None else upper
        return values

    def values_within(self, bounds: Bounds, largest: float | None) -> dict[sp.Symbol, tuple[float, float]]:
        """Smallest and largest value of all that a formula may name; of t those that steps are made for."""
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
