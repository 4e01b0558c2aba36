"""A number, with bounds, a transform, a prior and a first guess."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyco.grid import Grid
from hyco.parameters.learnable import Coordinates, Learnable, Limits, Prior, beyond

# The width of a 95 % interval of a Gaussian, in standard deviations.
_WIDTH = 3.92


class Scalar(Learnable):
    """One unknown number θ.

    With bounds `[a, b]` the coordinate is z = (θ - a)/(b - a), or log(θ/a)/log(b/a) with transform log, both in
    `[0, 1]`, or log((θ - a)/(b - θ)) with logit, which is not limited. Without bounds z = (θ - g)/s with the guess g
    and s the prior's standard deviation (else |g|, else 1), or log(θ/g) with transform log.
    """

    kind: Literal["scalar"] = "scalar"
    initial_guess: float = Field(description="where the optimisation starts, inside the bounds")
    bounds: tuple[float, float] | None = Field(default=None, description="smallest and largest value allowed")
    transform: Literal["auto", "log", "logit", "none"] = Field(
        default="auto", description="coordinate of the optimiser; auto is log where both bounds are positive"
    )
    prior: Prior | None = Field(default=None, description="Gaussian prior; null: none")
    true_value: float | None = Field(
        default=None, description="true value, for the report alone, where `equation.parameters` does not have it"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Scalar:
        if self.bounds is None:
            if self.transform == "logit":
                raise ValueError("transform logit needs bounds")
            if self.transform == "log" and self.initial_guess <= 0:
                raise ValueError(f"transform log needs a positive initial_guess, got {self.initial_guess}")
            return self
        lower, upper = self.bounds
        if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
            raise ValueError(f"bounds must be two finite numbers in rising order, got {list(self.bounds)}")
        if not lower <= self.initial_guess <= upper:
            raise ValueError(f"initial_guess {self.initial_guess} lies outside bounds {list(self.bounds)}")
        if self.transform == "logit" and not lower < self.initial_guess < upper:
            raise ValueError(f"transform logit needs an initial_guess strictly inside bounds {list(self.bounds)}")
        if self.transform == "log" and lower <= 0:
            raise ValueError(f"transform log needs positive bounds, got {list(self.bounds)}")
        return self

    @property
    def logarithmic(self) -> bool:
        """Whether the optimiser's coordinate is the logarithm."""
        return self.transform == "log" or (self.transform == "auto" and self.bounds is not None and self.bounds[0] > 0)

    @property
    def _scale(self) -> float:
        return self.prior.std if self.prior else abs(self.initial_guess) or 1.0

    def number(self, z: Tensor) -> Tensor:
        """θ for coordinates `[...]`."""
        if self.bounds is None:
            return self.initial_guess * torch.exp(z) if self.logarithmic else self.initial_guess + self._scale * z
        a, b = self.bounds
        if self.transform == "logit":
            return a + (b - a) * torch.sigmoid(z)
        return a * torch.exp(z * math.log(b / a)) if self.logarithmic else a + (b - a) * z

    def coordinate(self, value: float) -> float:
        """The inverse of `number`."""
        if self.bounds is None:
            return (
                math.log(value / self.initial_guess) if self.logarithmic else (value - self.initial_guess) / self._scale
            )
        a, b = self.bounds
        if self.transform == "logit":
            return math.log((value - a) / (b - value))
        return math.log(value / a) / math.log(b / a) if self.logarithmic else (value - a) / (b - a)

    def slope(self, z: Tensor) -> Tensor:
        """dθ/dz for coordinates `[...]`."""
        if self.bounds is None:
            return self.number(z) if self.logarithmic else torch.full_like(z, self._scale)
        a, b = self.bounds
        if self.transform == "logit":
            return (b - a) * torch.sigmoid(z) * torch.sigmoid(-z)
        return self.number(z) * math.log(b / a) if self.logarithmic else torch.full_like(z, b - a)

    def coordinates(self, grid: Grid) -> Coordinates:
        """One coordinate, named after the parameter."""
        guess = torch.tensor([self.coordinate(self.initial_guess)], dtype=torch.float64)
        boxed = self.bounds is not None and self.transform != "logit"
        lower = torch.tensor([0.0 if boxed else -math.inf], dtype=torch.float64)
        upper = torch.tensor([1.0 if boxed else math.inf], dtype=torch.float64)
        width = 1.0 if boxed else self._free_width()
        if self.prior is not None:
            width = min(width, self._prior_width(self.prior))
        return Coordinates(guess, lower, upper, torch.tensor([width], dtype=torch.float64), (self.name,))

    def box(self, limits: Limits, grid: Grid) -> tuple[Tensor, Tensor]:
        """The bounds; without any the equation's limits."""
        own = self.coordinates(grid)
        if self.bounds is not None:
            return own.lower, own.upper
        ends = [self._coordinate_of(limit, end) for limit, end in zip(limits, (-math.inf, math.inf), strict=True)]
        lower, upper = (torch.tensor([end], dtype=torch.float64) for end in ends)
        return lower, upper

    def _coordinate_of(self, limit: float, open_end: float) -> float:
        """That of a limit of the equation; without end where there is none, or where a logarithm never reaches it."""
        if math.isinf(limit) or (self.logarithmic and limit <= 0):
            return open_end
        z = torch.tensor(self.coordinate(limit), dtype=torch.float64)
        # A rounding error must not leave the limits.
        while float((self.number(z) - limit) * math.copysign(1.0, open_end)) > 0:
            z = torch.nextafter(z, -torch.full_like(z, open_end))
        return float(z)

    def _prior_width(self, prior: Prior) -> float:
        """The prior's 95 % interval in the coordinate, to first order at its mean (not where the search starts)."""
        mean = prior.mean
        if self.bounds is not None:
            lower, upper = self.bounds
            # A logit has no slope at the bounds themselves.
            margin = 1e-6 * (upper - lower) if self.transform == "logit" else 0.0
            mean = min(max(mean, lower + margin), upper - margin)
        elif self.logarithmic and mean <= 0:
            mean = self.initial_guess
        slope = self.slope(torch.tensor(self.coordinate(mean), dtype=torch.float64))
        return _WIDTH * prior.std / max(float(slope), 1e-300)

    def _free_width(self) -> float:
        """The width of the coordinate where it is not limited."""
        if self.bounds is not None:  # logit: 95 % of a uniform distribution over the bounds
            return 2 * math.log(0.975 / 0.025)
        return _WIDTH

    def value(self, z: Tensor, grid: Grid) -> Tensor:
        """θ `[...]`."""
        return self.number(z[..., 0])

    def prior_residuals(self, z: Tensor, grid: Grid, weight: float | None = None) -> Tensor:
        """(θ - mean)/std."""
        if self.prior is None:
            return z[..., :0]
        return (self.number(z) - self.prior.mean) / self.prior.std

    def numbers(self, z: Tensor) -> dict[str, Tensor]:
        """θ itself."""
        return {self.name: self.number(z[..., 0])}

    def scalar_parts(self) -> dict[str, Scalar]:
        """Itself."""
        return {self.name: self}

    def true_numbers(self, true: float | Tensor | None) -> dict[str, float]:
        """The equation's value, or `true_value`."""
        value = self.true_value if not isinstance(true, float) else true
        return {} if value is None else {self.name: value}

    def check(self, limits: tuple[float, float], grid: Grid) -> tuple[str, str] | None:
        """Bounds (or the guess, without) against the equation's limits."""
        low, high = self.bounds or (self.initial_guess, self.initial_guess)
        if low >= limits[0] and high <= limits[1]:
            return None
        if self.bounds is not None:
            return "bounds", beyond(str(list(self.bounds)), limits)
        return "initial_guess", beyond(str(self.initial_guess), limits)
