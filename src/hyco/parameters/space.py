"""All learnable parameters together: one vector of coordinates for the optimisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import torch
from pydantic import Discriminator, Tag
from torch import Tensor

from hyco.grid import Grid
from hyco.parameters.expression import ExpressionParameter
from hyco.parameters.fourier import FourierField
from hyco.parameters.gaussians import GaussiansField
from hyco.parameters.grid_field import GridField
from hyco.parameters.learnable import NO_LIMITS, Learnable, Limits, within
from hyco.parameters.scalar import Scalar

KINDS = ("scalar", "expression", "fourier", "gaussians", "field")


def _kind(data: Any) -> str:
    """The kind of a learnable parameter: `scalar` if nothing is said."""
    return str(data.get("kind", "scalar") if isinstance(data, Mapping) else getattr(data, "kind", "scalar"))


LearnableParameter = Annotated[
    Annotated[Scalar, Tag("scalar")]
    | Annotated[ExpressionParameter, Tag("expression")]
    | Annotated[FourierField, Tag("fourier")]
    | Annotated[GaussiansField, Tag("gaussians")]
    | Annotated[GridField, Tag("field")],
    Discriminator(_kind),
]


class ParameterSpace:
    """The coordinates of all learnable parameters, one after the other.

    Args:
        learnable: the parameters.
        grid: that fields live on.
        limits: of the equation, by parameter: values beyond are not taken. Numbers without bounds, and fields with a
            value in every cell, are searched inside them; what several numbers or waves make together is cut to them.

    Attributes:
        initial, lower, upper, width: see `Coordinates`, `[p]` float64; lower and upper with the equation's limits.
        labels: a name for each coordinate.
        limits: as given, of the parameters that are learnt.
        weights: chosen weights of regularisations, by parameter.
    """

    def __init__(
        self, learnable: Sequence[Learnable], grid: Grid, limits: Mapping[str, Limits] = MappingProxyType({})
    ) -> None:
        self.learnable = tuple(learnable)
        self.grid = grid
        self.names = tuple(p.name for p in learnable)
        parts = [p.coordinates(grid) for p in learnable]
        self.initial, self.width = (torch.cat([getattr(c, key) for c in parts]) for key in ("guess", "width"))
        self.limits = {p.name: limits.get(p.name, NO_LIMITS) for p in learnable}
        boxes = [p.box(self.limits[p.name], grid) for p in learnable]
        self.lower, self.upper = (torch.cat([box[end] for box in boxes]) for end in (0, 1))
        self._cut = {p.name: self.limits[p.name] for p in learnable if p.may_leave(self.limits[p.name], grid)}
        self._cut = {name: pair for name, pair in self._cut.items() if len(parts[self.names.index(name)]) > 1}
        self.labels = tuple(label for c in parts for label in c.labels)
        self.weights: dict[str, float] = {}
        ends = torch.tensor([len(c) for c in parts]).cumsum(0).tolist()
        self._slices = [slice(end - len(c), end) for c, end in zip(parts, ends, strict=True)]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bounded(self) -> Tensor:
        """Which coordinates have bounds of their own on both sides, `[p]`."""
        parts = [p.coordinates(self.grid) for p in self.learnable]
        return torch.cat([torch.isfinite(c.lower) & torch.isfinite(c.upper) for c in parts])

    def choose(self, names: Sequence[str], weight: float) -> None:
        """Give the regularisations of some parameters one weight."""
        self.weights = {**self.weights, **dict.fromkeys(names, weight)}

    def take_weights(self, weights: Mapping[str, float]) -> None:
        """Go on with weights that were chosen before, by parameter."""
        self.weights = dict(weights)

    @property
    def undecided(self) -> list[str]:
        """Parameters whose regularisation weight is to be chosen and is not yet."""
        return [p.name for p in self.learnable if p.chooses_weight and p.name not in self.weights]

    @property
    def of_numbers(self) -> list[int]:
        """Which coordinates are those of numbers, not of fields that have none."""
        parts = zip(self.learnable, self._slices, strict=True)
        return [i for p, part in parts if p.scalar_parts() for i in range(part.start, part.stop)]

    def penalty(self, theta: Tensor, names: Sequence[str]) -> Tensor:
        """The sum of some parameters' regularisations at coordinates `[p]`, with weight 1."""
        chosen = [(p, part) for p, part in zip(self.learnable, self._slices, strict=True) if p.name in names]
        return torch.stack([p.prior_residuals(theta[part], self.grid, 1.0).square().sum() for p, part in chosen]).sum()

    def slice_of(self, name: str) -> slice:
        """Where the coordinates of a parameter stand."""
        return self._slices[self.names.index(name)]

    def to_values(self, theta: Tensor) -> dict[str, Tensor]:
        """Coordinates `[..., p]` to values by name, differentiable: `[...]`, or `[..., *space]` for a field."""
        values = {
            p.name: p.value(theta[..., part], self.grid) for p, part in zip(self.learnable, self._slices, strict=True)
        }
        return {name: self.inside(name, value) for name, value in values.items()}

    def inside(self, name: str, value: Tensor) -> Tensor:
        """A parameter's value, cut to the limits where its coordinates may leave them."""
        return within(value, self._cut[name]) if name in self._cut else value

    def for_stepper(self, theta: Tensor) -> dict[str, Tensor]:
        """The values as a stepper takes them, from `[p]` or `[B, p]`: fields always have a batch dimension."""
        values = self.to_values(theta)
        fields = {p.name for p in self.learnable if values[p.name].ndim > theta.ndim - 1}
        return {name: v[None] if name in fields and theta.ndim == 1 else v for name, v in values.items()}

    def prior_residuals(self, theta: Tensor) -> Tensor:
        """Residuals of all priors and regularisations, `[..., m]`."""
        parts = zip(self.learnable, self._slices, strict=True)
        residuals = [p.prior_residuals(theta[..., part], self.grid, self.weights.get(p.name)) for p, part in parts]
        cut = [p for p in self.learnable if p.name in self._cut and p.scalar_parts()]
        residuals += [self._beyond(p, theta[..., self.slice_of(p.name)]) for p in cut]
        return torch.cat(residuals, dim=-1)

    def _beyond(self, parameter: Learnable, z: Tensor) -> Tensor:
        """How far outside its limits the value would be, `[..., cells]`: as it is cut, nothing else holds numbers back.

        In units of the first guess, divided by the root of the number of cells.
        """
        value = parameter.value(z, self.grid).reshape(*z.shape[:-1], -1)
        scale = float(parameter.value(parameter.coordinates(self.grid).guess, self.grid).abs().max()) or 1.0
        beyond = value - self.inside(parameter.name, value)
        residuals: Tensor = beyond / (scale * value.shape[-1] ** 0.5)
        return residuals

    def numbers(self, theta: Tensor) -> dict[str, Tensor]:
        """The numbers to report, by full name, `[...]` each."""
        numbers: dict[str, Tensor] = {}
        for p, part in zip(self.learnable, self._slices, strict=True):
            numbers.update(p.numbers(theta[..., part]))
        return numbers
