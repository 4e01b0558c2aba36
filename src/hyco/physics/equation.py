"""What an equation is: its grid, channels, parameters, boundary and one `step`, written with PhiFlow Fields.

To add a PDE, write one file with a subclass of `EquationConfig` (its keys in YAML) and a subclass of `Equation`
(its step), and add one line to `EQUATIONS` in `hyco.physics.registry`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator

from hyco.fields import Layout
from hyco.grid import Grid

AXES = ("x", "y", "z")


class AxisConfig(BaseModel):
    """One axis of the domain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: PositiveFloat = Field(description="extent of the domain along this axis [length]")
    resolution: PositiveInt = Field(ge=4, description="number of cells along this axis")
    lower: float = Field(default=0.0, description="coordinate of the lower end [length]")


class EquationConfig(BaseModel):
    """What every equation has; the file of each equation adds its own keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="name of the equation in the registry")
    domain: dict[str, AxisConfig] = Field(min_length=1, description="axes of the domain: x, or x and y")
    boundary: Any = Field(default="periodic", description="boundary condition of the domain")
    dt: PositiveFloat = Field(description="time between two states of a trajectory [time]")

    @field_validator("domain")
    @classmethod
    def _known_axes(cls, domain: dict[str, AxisConfig]) -> dict[str, AxisConfig]:
        expected = AXES[: len(domain)]
        if tuple(sorted(domain)) != expected:
            raise ValueError(f"the axes must be {', '.join(expected)}, got {', '.join(domain)}")
        return {axis: domain[axis] for axis in expected}

    @property
    def grid(self) -> Grid:
        """The grid that `domain` describes, axes in the order x, y, z."""
        axes = tuple(self.domain)
        return Grid(
            axes=axes,
            lower=tuple(self.domain[a].lower for a in axes),
            size=tuple(self.domain[a].size for a in axes),
            resolution=tuple(self.domain[a].resolution for a in axes),
        )

    @property
    def true_parameters(self) -> dict[str, float]:
        """The parameter values that generate the data, by name."""
        values: dict[str, float] = getattr(self, "parameters").model_dump()  # noqa: B009 (declared by subclasses)
        return values

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """For each parameter, the closed range of values that the step is stable and meaningful for; by default all."""
        return dict.fromkeys(self.true_parameters, (-math.inf, math.inf))


class Equation(ABC):
    """A PDE, discretised: from the fields at one time to the fields one `dt` later.

    Attributes:
        layout: how the fields sit in a tensor `[B, C, *space]`.
        parameters: the true values, by name.
        dt: time between two states.
    """

    config_class: ClassVar[type[EquationConfig]]
    layout: Layout
    dt: float
    parameters: dict[str, float]

    @abstractmethod
    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Advance by `dt`.

        Args:
            fields: PhiFlow Fields by name, with any batch dimensions.
            parameters: PhiML tensors by name, scalar or with the fields' batch dimensions.

        The step must not let the values of tensors decide what Python does, or it cannot be traced.
        """

    def problem(self, largest: float) -> str | None:
        """Why states with values up to `largest` (absolute) are outside what the step is made for, or None."""
        return None
