"""What every learnable parameter is: coordinates that an optimiser changes, and the value that they stand for."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import Tensor

from hyco.grid import Grid

# The closed range of values that an equation's step is stable and meaningful for.
Limits = tuple[float, float]
NO_LIMITS: Limits = (-math.inf, math.inf)

# How far from its first guess a limit is looked for, in coordinates, and in how many steps that double or halve.
_FIRST, _DOUBLINGS, _HALVINGS = 1e-3, 24, 60
# How far beyond its first guess a parameter without bounds may be expected.
_ROOM = 10.0


class Prior(BaseModel):
    """A Gaussian prior of a number: what is known of it before the measurement."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    mean: float = Field(description="mean, in units of the parameter")
    std: PositiveFloat = Field(description="standard deviation, in units of the parameter")


class Regularisation(BaseModel):
    """A penalty on a field, in units of the squared whitened residuals; it acts as the prior of the field.

    With the cell volume dV and the deviation d from the initial guess: `tikhonov` weight · Σ d² dV, `h1`
    weight · Σ |∇d|² dV, `tv` weight · Σ √(|∇d|² + ε²) dV.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    kind: Literal["tikhonov", "h1", "tv"] = Field(default="h1", description="what is small")
    weight: PositiveFloat | Literal["discrepancy", "l_curve"] = Field(
        default="discrepancy",
        description="the weight, or how it is chosen: the largest that fits the data to the noise, or the corner of "
        "the L-curve",
    )
    smoothing: PositiveFloat = Field(default=1e-3, description="tv: ε, the slope below which it is quadratic")


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of a learnable parameter, which the optimisers work in.

    Attributes:
        guess: those of the initial guess, `[k]`.
        lower, upper: the smallest and largest allowed, `[k]`; infinite where there is no bound.
        width: how far each may be off beforehand, `[k]`: the width of the bounds, or 3.92 prior standard deviations
            (95 %); for scaling, and to judge whether data say more than the prior.
        labels: a name for each.
    """

    guess: Tensor
    lower: Tensor
    upper: Tensor
    width: Tensor
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def joined(cls, parts: Sequence[Coordinates], labels: Sequence[str]) -> Coordinates:
        """Several, one after the other."""
        return cls(
            guess=torch.cat([p.guess for p in parts]),
            lower=torch.cat([p.lower for p in parts]),
            upper=torch.cat([p.upper for p in parts]),
            width=torch.cat([p.width for p in parts]),
            labels=tuple(labels),
        )


class Number(Protocol):
    """What is known beforehand of an unknown number."""

    @property
    def initial_guess(self) -> float:
        """Where the optimisation starts."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Smallest and largest value allowed."""


class Learnable(BaseModel):
    """An unknown parameter of the equation; subclasses say how it is represented.

    Coordinates z are chosen so that one unit is a large change, whatever the parameter's own unit is.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    name: str = Field(description="name of a parameter of the equation")

    @property
    def is_field(self) -> bool:
        """Whether its value varies in space."""
        return False

    @property
    def regularised(self) -> Regularisation | None:
        """The penalty, whose weight is given or is to be chosen."""
        return None

    @property
    def chooses_weight(self) -> bool:
        """Whether the weight of its penalty is to be chosen from the data."""
        return self.regularised is not None and isinstance(self.regularised.weight, str)

    @abstractmethod
    def coordinates(self, grid: Grid) -> Coordinates:
        """First guess, bounds and names of the coordinates."""

    def box(self, limits: Limits, grid: Grid) -> tuple[Tensor, Tensor]:
        """Smallest and largest coordinates, `[k]` each, that keep the value inside the equation's limits.

        By default those of `coordinates`: bounds must lie inside the limits, see `check`.
        """
        own = self.coordinates(grid)
        return own.lower, own.upper

    def may_leave(self, limits: Limits, grid: Grid) -> bool:
        """Whether coordinates inside that box may give values outside the limits; by default none does."""
        return False

    @abstractmethod
    def value(self, z: Tensor, grid: Grid) -> Tensor:
        """The value for coordinates `[..., k]`, differentiable: a number `[...]` or a field `[..., *space]`."""

    def prior_residuals(self, z: Tensor, grid: Grid, weight: float | None = None) -> Tensor:
        """Residuals `[..., m]` whose squares sum to the prior's -2 log density; none by default.

        Args:
            weight: of the regularisation, where the configuration leaves it to be chosen.
        """
        return z[..., :0]

    def numbers(self, z: Tensor) -> dict[str, Tensor]:
        """The numbers to report, by full name, `[...]` each; empty for a field that has none."""
        return {}

    def scalar_parts(self) -> Mapping[str, Number]:
        """What is known beforehand of those numbers, by full name."""
        return {}

    def true_numbers(self, true: float | Tensor | None) -> dict[str, float]:
        """True values of those numbers, where they are known."""
        return {}

    def expected(self, grid: Grid) -> tuple[float, float]:
        """Smallest and largest value to be expected: the bounds, else up to ten times the first guess.

        It says what an equation's ranges that are `auto` have to cover, see `hyco.equations.ranges`.
        """
        bounds: tuple[float, float] | None = getattr(self, "bounds", None)
        if bounds is not None:
            return bounds
        guess = self.value(self.coordinates(grid).guess, grid)
        largest = _ROOM * float(guess.abs().max())
        return -largest, largest

    def check(self, limits: tuple[float, float], grid: Grid) -> tuple[str, str] | None:
        """What does not fit to the equation's limits or the grid: the key, and why; or None."""
        return None


def beyond(what: str, limits: tuple[float, float]) -> str:
    """In words, that something exceeds the equation's limits."""
    return f"{what} goes beyond what is stable; allowed: {limits[0]:g} to {limits[1]:g}"


def within(values: Tensor, limits: Limits) -> Tensor:
    """Values, those beyond a limit on it."""
    return values.clamp(*limits)


def field_outside(values: Tensor, limits: tuple[float, float]) -> bool:
    """Whether any value of a field lies outside the closed range."""
    return not bool(((values >= limits[0]) & (values <= limits[1])).all() and torch.isfinite(values).all())


def reach_of_one(parameter: Learnable, limits: Limits, grid: Grid) -> tuple[Tensor, Tensor]:
    """Smallest and largest coordinate `[1]` of a single number, up to which its parameter stays inside the limits."""
    guess = parameter.coordinates(grid).guess

    def inside(distance: float) -> bool:
        return not field_outside(parameter.value(guess + distance, grid), limits)

    def end(side: int) -> Tensor:
        good, bad = 0.0, _FIRST
        for _ in range(_DOUBLINGS):
            if not inside(side * bad):
                break
            good, bad = bad, 2 * bad
        else:
            return torch.full_like(guess, side * math.inf)
        for _ in range(_HALVINGS):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if inside(side * middle) else (good, middle)
        return guess + side * good

    return (end(-1), end(1)) if inside(0.0) else (torch.full_like(guess, -math.inf), torch.full_like(guess, math.inf))
