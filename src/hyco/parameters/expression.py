"""A parameter given by a formula of unknown numbers, and of the position."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyco.expressions import Expression, ExpressionError
from hyco.grid import Grid
from hyco.parameters.learnable import NO_LIMITS, Coordinates, Learnable, Limits, beyond, field_outside, reach_of_one
from hyco.parameters.scalar import Scalar

_AXES = ("x", "y", "z")


class ExpressionParameter(Learnable):
    """θ(x) = formula(x, y, z, numbers), e.g. `0.1 + A * exp(-(x - cx)**2 - (y - cy)**2)`.

    The numbers are learnt, each with its own bounds, transform and prior; the report names them `parameter.number`.
    The formula is differentiated, so it should be smooth in the numbers.
    """

    kind: Literal["expression"]
    expression: str = Field(description="formula of x, y, z and the names of the numbers")
    scalars: list[Scalar] = Field(min_length=1, description="the unknown numbers, with the keys of kind scalar")

    @model_validator(mode="after")
    def _consistent(self) -> ExpressionParameter:
        names = [s.name for s in self.scalars]
        for name in names:
            if names.count(name) > 1 or name in _AXES:
                raise ValueError(f"the number {name!r} is there twice, or named like an axis")
        expression = Expression(self.expression)
        expression.require([*_AXES, *names])
        unused = sorted(set(names) - expression.names)
        if unused:
            raise ValueError(f"the formula {self.expression!r} does not use {', '.join(unused)}")
        return self

    @property
    def is_field(self) -> bool:
        """Whether the formula uses the position."""
        return bool(Expression(self.expression).names & set(_AXES))

    def coordinates(self, grid: Grid) -> Coordinates:
        """Those of the numbers, one after the other."""
        parts = [s.coordinates(grid) for s in self.scalars]
        return Coordinates.joined(parts, [f"{self.name}.{s.name}" for s in self.scalars])

    def box(self, limits: Limits, grid: Grid) -> tuple[Tensor, Tensor]:
        """The bounds of the numbers; of a single one without bounds, how far the formula stays inside the limits."""
        own = self.coordinates(grid)
        if len(self.scalars) > 1 or self.scalars[0].bounds is not None or limits == NO_LIMITS:
            return own.lower, own.upper
        return reach_of_one(self, limits, grid)

    def may_leave(self, limits: Limits, grid: Grid) -> bool:
        """Where several numbers are learnt, and not all have bounds."""
        return len(self.scalars) > 1 and any(s.bounds is None for s in self.scalars) and limits != NO_LIMITS

    def value(self, z: Tensor, grid: Grid) -> Tensor:
        """The formula's value, `[..., *space]` if it uses the position, else `[...]`."""
        values = {s.name: s.number(z[..., i]) for i, s in enumerate(self.scalars)}
        expression = Expression(self.expression)
        return expression.on_grid(grid, values) if self.is_field else expression(values).expand(z.shape[:-1])

    def prior_residuals(self, z: Tensor, grid: Grid, weight: float | None = None) -> Tensor:
        """Those of the numbers."""
        return torch.cat([s.prior_residuals(z[..., i : i + 1], grid) for i, s in enumerate(self.scalars)], dim=-1)

    def numbers(self, z: Tensor) -> dict[str, Tensor]:
        """The numbers of the formula."""
        return {f"{self.name}.{s.name}": s.number(z[..., i]) for i, s in enumerate(self.scalars)}

    def scalar_parts(self) -> dict[str, Scalar]:
        """The unknown numbers."""
        return {f"{self.name}.{s.name}": s for s in self.scalars}

    def true_numbers(self, true: float | Tensor | None) -> dict[str, float]:
        """Where the configuration gives them."""
        return {f"{self.name}.{s.name}": s.true_value for s in self.scalars if s.true_value is not None}

    def check(self, limits: tuple[float, float], grid: Grid) -> tuple[str, str] | None:
        """The first guess against the equation's limits; not what the optimiser tries later."""
        try:
            guess = self.value(self.coordinates(grid).guess, grid)
        except ExpressionError as error:
            return "expression", str(error)
        return ("scalars", beyond("the first guess", limits)) if field_outside(guess, limits) else None
