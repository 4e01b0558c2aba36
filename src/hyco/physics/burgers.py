"""Viscous Burgers equation in one and two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal

import numpy as np
from phi import math
from phi.math import spatial
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from hyco.fields import FieldSpec, Layout
from hyco.physics.equation import Equation, EquationConfig
from hyco.physics.stencils import neighbours

# Largest |z| of the three-stage Runge-Kutta method on the imaginary and on the negative real axis, and the largest
# eigenvalues (times the cell width) of the fourth-order first derivative and of its upwind dissipation.
_RK3_IMAGINARY, _RK3_REAL = 1.73, 2.51
_DERIVATIVE, _DISSIPATION = 1.372, 16 / 12


class BurgersParameters(BaseModel):
    """The coefficients of the Burgers equation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    viscosity: NonNegativeFloat = Field(description="kinematic viscosity ν [length²/time]")


class BurgersConfig(EquationConfig):
    """Keys of the `equation` section for `name: burgers`."""

    name: Literal["burgers"] = "burgers"
    boundary: Literal["periodic"] = "periodic"
    parameters: BurgersParameters = Field(description="true coefficients")
    max_speed: PositiveFloat = Field(
        description="largest |velocity component| that the step must be stable for; sets the sub-steps [length/time]"
    )

    @model_validator(mode="after")
    def _one_or_two_dimensions(self) -> BurgersConfig:
        if len(self.domain) > 2:
            raise ValueError("burgers is available in one and two dimensions (domain: x, or x and y)")
        return self

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Every viscosity ν ≥ 0 is stable: diffusion is exact."""
        return {"viscosity": (0.0, float("inf"))}


class Burgers(Equation):
    """∂u/∂t + (u·∇)u = ν Δu on a periodic box, u the velocity with one component per axis.

    Gradients steepen where the velocity falls along its own direction, until viscosity holds them at a width of
    about 4ν/Δu; energy decays. A layer thinner than two cells is not resolved: the advective form then moves it at
    a slightly wrong speed.

    Scheme: Strang splitting, second order in `dt`. Diffusion is exact in Fourier space, so that every ν ≥ 0 is
    stable. Convection uses third-order upwind-biased differences (fourth-order central, plus |u| h³/12 ∂⁴u/∂x⁴)
    and the three-stage strong-stability-preserving Runge-Kutta method, in so many sub-steps that any speed up to
    `max_speed` is stable.

    Sources: G. Strang, SIAM J. Numer. Anal. 5 (1968) 506, doi:10.1137/0705041; C.-W. Shu and S. Osher, J. Comput.
    Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5.

    Args:
        config: grid, `dt`, viscosity [length²/time] and `max_speed` [length/time]. Values that work well: 128 cells,
            speeds about 1, ν ≥ 0.5 × speed × cell width.
    """

    config_class = BurgersConfig

    def __init__(self, config: BurgersConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.layout = Layout(grid=grid, fields=(FieldSpec("velocity", components=grid.axes, boundary="periodic"),))
        rate = sum(_DERIVATIVE / _RK3_IMAGINARY / h + _DISSIPATION / _RK3_REAL / h for h in grid.spacing)
        self.convection_steps = ceil(config.dt * config.max_speed * rate)
        self._axes = grid.axes
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        wavenumbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        squared = sum(k**2 for k in np.meshgrid(*wavenumbers, indexing="ij"))
        self._laplacian = math.wrap(-np.asarray(squared), spatial(",".join(grid.axes)))

    def problem(self, largest: float) -> str | None:
        """Speeds above `max_speed` are not covered by the sub-steps."""
        if largest <= self.config.max_speed:
            return None
        return (
            f"the velocity reaches {largest:.3g}, but equation.max_speed is {self.config.max_speed:.3g}: "
            "set equation.max_speed above it (more sub-steps), or generation.amplitude lower"
        )

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Advance the field `velocity` by `dt`; see the class for the scheme."""
        velocity = fields["velocity"]
        h = self.dt / self.convection_steps
        outer = math.exp(self._laplacian * (parameters["viscosity"] * (h / 2)))
        inner = outer * outer
        values = self._diffuse(velocity.values, outer)
        for i in range(self.convection_steps):
            values = self._convect(values, h)
            values = self._diffuse(values, outer if i == self.convection_steps - 1 else inner)
        return {"velocity": velocity.with_values(values)}

    @staticmethod
    def _diffuse(values: Any, factor: Any) -> Any:
        """Multiply the Fourier coefficients of `values` by `factor`."""
        return math.real(math.ifft(math.fft(values) * factor))

    def _convect(self, u: Any, h: float) -> Any:
        """Solve ∂u/∂t = -(u·∇)u over a time `h`: three stages, third order (Shu and Osher, equation 2.18)."""
        first = u + h * self._convection(u)
        second = 0.75 * u + 0.25 * (first + h * self._convection(first))
        return u / 3 + 2 / 3 * (second + h * self._convection(second))

    def _convection(self, u: Any) -> Any:
        """-(u·∇)u by third-order upwind-biased differences."""
        total = 0.0
        for axis in self._axes:
            left2, left, _, right, right2 = neighbours(u, axis, "periodic", width=2)
            near, far = left + right, left2 + right2
            derivative = 8 * (right - left) - (right2 - left2)
            dissipation = far - 4 * near + 6 * u
            speed = u[{"vector": axis}]
            total = total - (speed * derivative + math.abs(speed) * dissipation) / (12 * self._spacing[axis])
        return total
