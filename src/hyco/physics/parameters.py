"""Learnable parameters: bounds, and the scaled coordinate that the optimisers work in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class LearnableParameter(BaseModel):
    """One unknown coefficient of the equation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="name of a parameter of the equation")
    initial_guess: float = Field(description="where the optimisation starts, inside the bounds")
    bounds: tuple[float, float] = Field(description="smallest and largest value allowed")
    transform: Literal["auto", "log", "linear"] = Field(
        default="auto", description="coordinate of the optimiser; auto is log where both bounds are positive"
    )

    @model_validator(mode="after")
    def _consistent(self) -> LearnableParameter:
        lower, upper = self.bounds
        if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
            raise ValueError(f"bounds must be two finite numbers in rising order, got {list(self.bounds)}")
        if not lower <= self.initial_guess <= upper:
            raise ValueError(f"initial_guess {self.initial_guess} lies outside bounds {list(self.bounds)}")
        if self.transform == "log" and lower <= 0:
            raise ValueError(f"transform log needs positive bounds, got {list(self.bounds)}")
        return self

    @property
    def logarithmic(self) -> bool:
        """Whether the optimiser's coordinate is the logarithm."""
        return self.transform == "log" or (self.transform == "auto" and self.bounds[0] > 0)


class ParameterSpace:
    """The box of all learnable parameters, scaled to `[0, 1]` along each.

    With bounds `[a, b]` a parameter θ has the coordinate z = (θ - a)/(b - a), or z = log(θ/a)/log(b/a).
    """

    def __init__(self, learnable: Sequence[LearnableParameter]) -> None:
        self.learnable = tuple(learnable)
        self.names = tuple(p.name for p in learnable)

    @property
    def initial(self) -> Tensor:
        """The initial guesses as coordinates `[p]`, float64."""
        return self.to_unit({p.name: p.initial_guess for p in self.learnable})

    def to_unit(self, values: dict[str, float]) -> Tensor:
        """Parameter values to coordinates `[p]`, float64."""
        coordinates = []
        for p in self.learnable:
            (a, b), value = p.bounds, values[p.name]
            coordinates.append(math.log(value / a) / math.log(b / a) if p.logarithmic else (value - a) / (b - a))
        return torch.tensor(coordinates, dtype=torch.float64)

    def to_values(self, unit: Tensor) -> dict[str, Tensor]:
        """Coordinates `[..., p]` to parameter values `[...]` by name, differentiable."""
        values = {}
        for i, p in enumerate(self.learnable):
            a, b = p.bounds
            z = unit[..., i]
            values[p.name] = a * torch.exp(z * math.log(b / a)) if p.logarithmic else a + (b - a) * z
        return values

    def slopes(self, unit: Tensor) -> Tensor:
        """dθ/dz `[p]` at coordinates `[p]`, to carry a standard deviation from z to θ."""
        values = self.to_values(unit)
        slopes = []
        for p in self.learnable:
            a, b = p.bounds
            slopes.append(float(values[p.name]) * math.log(b / a) if p.logarithmic else b - a)
        return torch.tensor(slopes, dtype=torch.float64)
