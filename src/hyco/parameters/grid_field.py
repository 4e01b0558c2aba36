"""A field with a value in every cell, held together by a regularisation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from hyco.expressions import Expression, ExpressionError
from hyco.grid import Grid
from hyco.parameters.learnable import Coordinates, Learnable, Limits, Regularisation, beyond, field_outside
from hyco.parameters.scalar import Scalar


class GridField(Learnable):
    """θ in every cell, each with the same bounds and transform; see `Regularisation` for what holds it together."""

    kind: Literal["field"]
    initial_guess: float | str = Field(description="number, or formula of x, y and z: start, and centre of the prior")
    bounds: tuple[float, float] | None = Field(default=None, description="smallest and largest value in any cell")
    transform: Literal["auto", "log", "logit", "none"] = Field(
        default="auto", description="coordinate of the optimiser; auto is log where both bounds are positive"
    )
    scale: PositiveFloat = Field(default=1.0, description="typical deviation from the guess, in units of the parameter")
    regularisation: Regularisation = Field(default=Regularisation(), description="what holds the field together")

    @model_validator(mode="after")
    def _consistent(self) -> GridField:
        Expression(str(self.initial_guess)).require(("x", "y", "z"))
        if self.transform in ("log", "logit") and self.bounds is None:
            raise ValueError(f"transform {self.transform} of a field needs bounds")
        if self.bounds is not None:
            _ = self._cell(sum(self.bounds) / 2)
        if isinstance(self.initial_guess, int | float):
            _ = self._cell(float(self.initial_guess))
        return self

    def _cell(self, guess: float) -> Scalar:
        """What holds in one cell."""
        prior = {"mean": guess, "std": self.scale} if self.bounds is None else None
        return Scalar.model_validate(
            {
                "name": "cell",
                "initial_guess": guess,
                "bounds": self.bounds,
                "transform": self.transform,
                "prior": prior,
            }
        )

    @property
    def is_field(self) -> bool:
        """It varies in space."""
        return True

    @property
    def regularised(self) -> Regularisation:
        """The penalty."""
        return self.regularisation

    def _guess(self, grid: Grid) -> Tensor:
        return Expression(str(self.initial_guess)).on_grid(grid)

    def _from_cells(self, z: Tensor, guess: Tensor) -> Tensor:
        """The values of cells from their coordinates; without bounds z is the deviation in units of `scale`."""
        if self.bounds is None:
            return guess + self.scale * z
        return self._cell(sum(self.bounds) / 2).number(z)

    def coordinates(self, grid: Grid) -> Coordinates:
        """One per cell."""
        values = self._guess(grid).flatten()
        if self.bounds is None:
            guess = torch.zeros_like(values)
            infinite = torch.full_like(guess, math.inf)
            lower, upper, width = -infinite, infinite, torch.full_like(guess, 3.92)
        else:
            cell = self._cell(sum(self.bounds) / 2)
            one = cell.coordinates(grid)
            guess = torch.tensor([cell.coordinate(float(v)) for v in values], dtype=torch.float64)
            lower, upper, width = (v.expand(len(guess)).clone() for v in (one.lower, one.upper, one.width))
        labels = tuple(f"{self.name}[{i}]" for i in range(len(guess)))
        return Coordinates(guess, lower, upper, width, labels)

    def box(self, limits: Limits, grid: Grid) -> tuple[Tensor, Tensor]:
        """The bounds of every cell; without any the equation's limits."""
        own = self.coordinates(grid)
        if self.bounds is not None:
            return own.lower, own.upper
        lower, upper = ((limit - self._guess(grid).flatten()) / self.scale for limit in limits)
        return lower, upper

    def value(self, z: Tensor, grid: Grid) -> Tensor:
        """The field `[..., *space]`."""
        cells = z.reshape(*z.shape[:-1], *grid.resolution)
        return self._from_cells(cells, self._guess(grid).to(z.device))

    def prior_residuals(self, z: Tensor, grid: Grid, weight: float | None = None) -> Tensor:
        """The square root of each term of the penalty.

        Raises:
            ValueError: the weight is to be chosen, and none is given.
        """
        own = self.regularisation.weight
        weight = weight if isinstance(own, str) else own
        if weight is None:
            raise ValueError(f"the regularisation weight of {self.name} is not chosen yet")
        deviation = self.value(z, grid) - self._guess(grid).to(z.device)
        volume = math.prod(grid.spacing)
        root = math.sqrt(weight * volume)
        first = z.ndim - 1
        if self.regularisation.kind == "tikhonov":
            return root * deviation.flatten(first)
        slopes = [torch.diff(deviation, dim=first + i) / h for i, h in enumerate(grid.spacing)]
        if self.regularisation.kind == "h1":
            return root * torch.cat([s.flatten(first) for s in slopes], dim=-1)
        padded = [torch.nn.functional.pad(s, [0, 0] * (grid.dimensions - 1 - i) + [0, 1]) for i, s in enumerate(slopes)]
        squared = torch.stack(padded).square().sum(dim=0)
        size = torch.sqrt(squared + self.regularisation.smoothing**2)
        return root * torch.sqrt(size).flatten(first)

    def check(self, limits: tuple[float, float], grid: Grid) -> tuple[str, str] | None:
        """Bounds and first guess against the equation's limits."""
        if self.bounds is not None and (self.bounds[0] < limits[0] or self.bounds[1] > limits[1]):
            return "bounds", beyond(str(list(self.bounds)), limits)
        try:
            guess = self._guess(grid)
        except ExpressionError as error:
            return "initial_guess", str(error)
        if field_outside(guess, limits):
            return "initial_guess", beyond("the first guess", limits)
        if self.bounds is None:
            return None
        if field_outside(guess, self.bounds):
            return "initial_guess", f"the first guess lies outside bounds {list(self.bounds)} in some cell"
        if self.transform == "logit" and bool(((guess == self.bounds[0]) | (guess == self.bounds[1])).any()):
            return "initial_guess", f"transform logit needs it strictly inside bounds {list(self.bounds)} in every cell"
        return None
