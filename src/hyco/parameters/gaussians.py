"""A field made of Gaussian bumps with unknown amplitudes, centres and widths."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator
from torch import Tensor

from hyco.expressions import coordinates
from hyco.grid import Grid
from hyco.parameters.learnable import (
    NO_LIMITS,
    Coordinates,
    Learnable,
    Limits,
    Prior,
    beyond,
    field_outside,
    reach_of_one,
)
from hyco.parameters.scalar import Scalar

Range = tuple[float, float]


class Gaussian(BaseModel):
    """One bump A exp(-|x - c|²/2w²): the first guess of its numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    amplitude: float = Field(description="A, in units of the parameter")
    center: list[float] = Field(min_length=1, description="c, one coordinate per axis [length]")
    width: PositiveFloat = Field(default=math.sqrt(0.5), description="w; √½ is exp(-|x - c|²) [length]")


class GaussiansField(Learnable):
    """θ(x) = offset + Σ A_i exp(-|x - c_i|²/2w_i²), at most `maximum`.

    The report names the numbers `parameter.amplitude_1`, `parameter.center_x_1`, `parameter.width_1`, …
    """

    kind: Literal["gaussians"]
    terms: list[Gaussian] = Field(min_length=1, description="the bumps")
    offset: float = Field(default=0.0, description="value far from all bumps, in units of the parameter")
    maximum: float | None = Field(default=None, description="larger values are cut to this; null: none are")
    learn: list[Literal["amplitude", "center", "width"]] = Field(
        default=["amplitude", "center"], min_length=1, description="which numbers are unknown"
    )
    amplitude_bounds: Range | None = Field(default=None, description="of every amplitude")
    amplitude_transform: Literal["none", "log"] = Field(
        default="none", description="coordinate of the amplitudes; log keeps their sign and suits a wide range"
    )
    center_bounds: Range | None = Field(default=None, description="of every coordinate of a centre [length]")
    width_bounds: Range | None = Field(default=None, description="of every width [length]")
    amplitude_prior: Prior | None = Field(default=None, description="of every amplitude")
    center_prior: Prior | None = Field(default=None, description="of every coordinate of a centre")

    @model_validator(mode="after")
    def _consistent(self) -> GaussiansField:
        if len({len(term.center) for term in self.terms}) > 1:
            raise ValueError("all centres need the same number of coordinates")
        for scalar in self._scalars:
            Scalar.model_validate(scalar.model_dump())
        return self

    @property
    def _scalars(self) -> list[Scalar]:
        """The unknown numbers."""
        scalars = []
        for i, term in enumerate(self.terms, start=1):
            options: dict[str, list[tuple[str, float, Range | None, Prior | None]]] = {
                "amplitude": [(f"amplitude_{i}", term.amplitude, self.amplitude_bounds, self.amplitude_prior)],
                "center": [
                    (f"center_{axis}_{i}", c, self.center_bounds, self.center_prior)
                    for axis, c in zip("xyz", term.center, strict=False)
                ],
                "width": [(f"width_{i}", term.width, self.width_bounds, None)],
            }
            for kind in ("amplitude", "center", "width"):
                for name, guess, bounds, prior in options[kind] if kind in self.learn else []:
                    free_width = kind == "width" and bounds is None
                    logarithmic = free_width or (kind == "amplitude" and self.amplitude_transform == "log")
                    transform: Literal["log", "none"] = "log" if logarithmic else "none"
                    scalars.append(
                        Scalar(name=name, initial_guess=guess, bounds=bounds, prior=prior, transform=transform)
                    )
        return scalars

    @property
    def is_field(self) -> bool:
        """It varies in space."""
        return True

    def coordinates(self, grid: Grid) -> Coordinates:
        """Those of the unknown numbers, bump by bump."""
        parts = [s.coordinates(grid) for s in self._scalars]
        return Coordinates.joined(parts, [f"{self.name}.{s.name}" for s in self._scalars])

    def box(self, limits: Limits, grid: Grid) -> tuple[Tensor, Tensor]:
        """The bounds; of a single amplitude without any, how far the field stays inside the limits."""
        own = self.coordinates(grid)
        single = len(own) == 1 and self.may_leave(limits, grid)
        return reach_of_one(self, limits, grid) if single else (own.lower, own.upper)

    def may_leave(self, limits: Limits, grid: Grid) -> bool:
        """Where amplitudes without bounds are learnt."""
        return "amplitude" in self.learn and self.amplitude_bounds is None and limits != NO_LIMITS

    def value(self, z: Tensor, grid: Grid) -> Tensor:
        """The field `[..., *space]`."""
        learnt = {s.name: s.number(z[..., i]) for i, s in enumerate(self._scalars)}
        ones = (1,) * grid.dimensions

        def number(name: str, fixed: float) -> Tensor:
            value = learnt.get(name, torch.tensor(fixed, dtype=z.dtype, device=z.device))
            return value.reshape(*value.shape, *ones)

        points = {axis: x.to(z.device) for axis, x in coordinates(grid).items()}
        total = torch.full((*z.shape[:-1], *grid.resolution), self.offset, dtype=z.dtype, device=z.device)
        for i, term in enumerate(self.terms, start=1):
            squared = sum(
                (points[axis] - number(f"center_{axis}_{i}", c)) ** 2
                for axis, c in zip(grid.axes, term.center, strict=True)
            )
            width = number(f"width_{i}", term.width)
            total = total + number(f"amplitude_{i}", term.amplitude) * torch.exp(-squared / (2 * width**2))
        return total if self.maximum is None else total.clamp_max(self.maximum)

    def prior_residuals(self, z: Tensor, grid: Grid, weight: float | None = None) -> Tensor:
        """Those of the numbers."""
        return torch.cat([s.prior_residuals(z[..., i : i + 1], grid) for i, s in enumerate(self._scalars)], dim=-1)

    def numbers(self, z: Tensor) -> dict[str, Tensor]:
        """Amplitudes, centres and widths that are learnt."""
        return {f"{self.name}.{s.name}": s.number(z[..., i]) for i, s in enumerate(self._scalars)}

    def scalar_parts(self) -> dict[str, Scalar]:
        """The unknown numbers."""
        return {f"{self.name}.{s.name}": s for s in self._scalars}

    def check(self, limits: tuple[float, float], grid: Grid) -> tuple[str, str] | None:
        """Dimensions, and the first guess against the equation's limits."""
        if len(self.terms[0].center) != grid.dimensions:
            return "terms", f"the centres have {len(self.terms[0].center)} coordinates, the domain {grid.dimensions}"
        guess = self.value(self.coordinates(grid).guess, grid)
        return ("terms", beyond("the first guess", limits)) if field_outside(guess, limits) else None
