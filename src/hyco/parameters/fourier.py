"""A field in a few Fourier modes."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from hyco.expressions import coordinates
from hyco.grid import Grid
from hyco.parameters.learnable import Coordinates, Learnable, Limits, beyond, field_outside

_WIDTH = 3.92


class FourierField(Learnable):
    """θ(x) = offset + s(x), s = [c₀] + Σ_k a_k cos(2π k·x/L) + b_k sin(2π k·x/L), |k_i| ≤ modes, one of each pair ±k.

    With `transform: log` θ = offset · exp(s), which stays positive; with `logit` θ stays inside `bounds` [a, b]:
    log((θ - a)/(b - θ)) = log((offset - a)/(b - offset)) + s.

    Prior: every coefficient is Gaussian with mean 0 and standard deviation `prior_std` / |k|^`prior_decay`; the mean c₀
    has `prior_std`. The coordinates are the coefficients in these units. With `prior: false` they are only units.
    """

    kind: Literal["fourier"]
    modes: PositiveInt = Field(description="largest wavenumber along each axis, in periods of the domain")
    mean: bool = Field(default=True, description="whether the mean is learnt; false where the equation does not see it")
    offset: float = Field(default=0.0, description="first guess, a constant, in units of the parameter")
    bounds: tuple[float, float] | None = Field(default=None, description="smallest and largest value, for logit")
    transform: Literal["none", "log", "logit"] = Field(
        default="none", description="what the series is of: the parameter less its offset, its logarithm, its logit"
    )
    prior: bool = Field(default=True, description="whether the prior enters the estimate")
    prior_std: PositiveFloat = Field(default=1.0, description="of the coefficients with |k| = 1")
    prior_decay: NonNegativeFloat = Field(default=1.0, description="exponent of 1/|k|")

    @model_validator(mode="after")
    def _consistent(self) -> FourierField:
        if (self.bounds is None) == (self.transform == "logit"):
            raise ValueError("bounds go with transform logit, and it needs them")
        if self.bounds is not None and not self.bounds[0] < self.offset < self.bounds[1]:
            raise ValueError(f"offset {self.offset} does not lie strictly inside bounds {list(self.bounds)}")
        if self.transform == "log" and self.offset <= 0:
            raise ValueError(f"transform log needs a positive offset, got {self.offset}")
        return self

    @property
    def is_field(self) -> bool:
        """It varies in space."""
        return True

    def wavevectors(self, grid: Grid) -> list[tuple[int, ...]]:
        """One of each pair ±k, without 0, the smallest first."""
        span = range(-self.modes, self.modes + 1)
        half = [k for k in itertools.product(span, repeat=grid.dimensions) if k > (0,) * grid.dimensions]
        return sorted(half, key=lambda k: (sum(c * c for c in k), k))

    def _stds(self, grid: Grid) -> list[float]:
        stds = [self.prior_std] if self.mean else []
        for k in self.wavevectors(grid):
            stds += 2 * [self.prior_std / math.hypot(*k) ** self.prior_decay]
        return stds

    def _basis(self, grid: Grid) -> Tensor:
        """The field of each coordinate, `[k, *space]`, scaled by its prior's standard deviation."""
        points = coordinates(grid)
        fields = [torch.ones(grid.resolution, dtype=torch.float64)] if self.mean else []
        for k in self.wavevectors(grid):
            phase = torch.zeros(grid.resolution, dtype=torch.float64)
            for axis, lower, size, number in zip(grid.axes, grid.lower, grid.size, k, strict=True):
                phase = phase + 2 * math.pi * number * (points[axis] - lower) / size
            fields += [torch.cos(phase), torch.sin(phase)]
        return torch.stack([std * field for std, field in zip(self._stds(grid), fields, strict=True)])

    def coordinates(self, grid: Grid) -> Coordinates:
        """The coefficients in units of their prior's standard deviation, all zero at first."""
        labels = [f"{self.name}.mean"] if self.mean else []
        for k in self.wavevectors(grid):
            suffix = "_".join(map(str, k))
            labels += [f"{self.name}.cos_{suffix}", f"{self.name}.sin_{suffix}"]
        guess = torch.zeros(len(labels), dtype=torch.float64)
        infinite = torch.full_like(guess, math.inf)
        return Coordinates(guess, -infinite, infinite, torch.full_like(guess, _WIDTH), tuple(labels))

    def may_leave(self, limits: Limits, grid: Grid) -> bool:
        """Where the transform does not keep the series inside them."""
        positive = self.transform == "log" and limits[0] <= 0
        return self.transform != "logit" and not ((math.isinf(limits[0]) or positive) and math.isinf(limits[1]))

    def value(self, z: Tensor, grid: Grid) -> Tensor:
        """The field `[..., *space]`."""
        basis = self._basis(grid).to(z.device)
        series: Tensor = torch.tensordot(z, basis, dims=1)
        if self.transform == "log":
            return self.offset * torch.exp(series)
        if self.bounds is not None:
            a, b = self.bounds
            return a + (b - a) * torch.sigmoid(math.log((self.offset - a) / (b - self.offset)) + series)
        return self.offset + series

    def prior_residuals(self, z: Tensor, grid: Grid, weight: float | None = None) -> Tensor:
        """The coordinates themselves."""
        return z if self.prior else z[..., :0]

    def check(self, limits: tuple[float, float], grid: Grid) -> tuple[str, str] | None:
        """Whether the grid resolves the modes, and the first guess is allowed."""
        if 2 * self.modes >= min(grid.resolution):
            return "modes", f"{self.modes} modes are more than a grid of {min(grid.resolution)} cells resolves"
        guess = self.value(self.coordinates(grid).guess, grid)
        return ("offset", beyond("the first guess", limits)) if field_outside(guess, limits) else None
