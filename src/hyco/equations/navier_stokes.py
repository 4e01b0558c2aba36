"""Incompressible flow in two dimensions, as a transport of vorticity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, pi
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from phi import math
from phi.math import instance, spatial
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator
from torch import Tensor

from hyco.equations.equation import Equation, EquationConfig, FieldValue
from hyco.equations.ranges import Bounds, Range, too_fast, with_room
from hyco.fields import FieldSpec, Layout
from hyco.schemes.periodic import KEPT, Spectrum

# Largest |z| of the four-stage Runge-Kutta method on the imaginary axis.
_RK4_IMAGINARY = 2.82
# Cells up to which both components are transformed at once. Measured, beside one after the other: on 64² cells .9 of
# the time, on 256², where two are more than the cache holds, 1.1 times.
_AT_ONCE = 2**14


class NavierStokesParameters(BaseModel):
    """The coefficients of two-dimensional flow."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    viscosity: NonNegativeFloat = Field(description="kinematic viscosity ν [length²/time]")
    drag: NonNegativeFloat = Field(default=0.0, description="linear friction μ [1/time]")
    forcing: FieldValue = Field(default=0.0, description="curl g of the body force; its mean has no effect [1/time²]")


class NavierStokesConfig(EquationConfig):
    """Keys of the `equation` section for `name: navier_stokes`."""

    name: Literal["navier_stokes"] = "navier_stokes"
    boundary: Literal["periodic"] = "periodic"
    parameters: NavierStokesParameters = Field(description="true coefficients")
    mean_flow: tuple[float, float] = Field(default=(0.0, 0.0), description="mean velocity, constant [length/time]")
    range_keys: ClassVar[tuple[str, ...]] = ("max_speed",)
    max_speed: Range = Field(
        default="auto",
        description="largest |velocity component| that the step must be exact for; sets the sub-steps; auto: by the "
        "states [length/time]",
    )

    @model_validator(mode="after")
    def _two_dimensions(self) -> NavierStokesConfig:
        if len(self.domain) != 2:
            raise ValueError("navier_stokes is two-dimensional (domain: x and y)")
        return self

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Every viscosity and drag from zero on is stable: their effect is exact."""
        damping = (0.0, float("inf"))
        return {"viscosity": damping, "drag": damping, "forcing": (float("-inf"), float("inf"))}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """The largest speed of the states with some room; where it is not known, what one sub-step is enough for."""
        single = _RK4_IMAGINARY / (self.dt * sum(KEPT * pi / h for h in self.grid.spacing))
        return dict.fromkeys(self.open_ranges, with_room(largest) if largest else single)


class NavierStokes(Equation):
    """∂ω/∂t + u·∇ω = ν Δω - μ ω + g on a periodic box; u = U + (∂ψ/∂y, -∂ψ/∂x), -Δψ = ω.

    The state is the vorticity ω = ∂v/∂x - ∂u/∂y. One channel holds all of an incompressible flow on a periodic box but
    its mean U, which is constant: no pressure, and no divergence that a network or noise could break. Like-signed
    vortices merge into larger ones while thin threads between them are worn away by viscosity; drag stops the large
    ones from growing when a force g feeds the flow. Without ν, μ and g the energy ½⟨u²⟩ and the enstrophy ½⟨ω²⟩ are
    conserved: by the discrete convection to rounding, by the steps to fifth order in their length.

    Scheme: Fourier modes; the products use the lower two thirds of the wavenumbers only, so that none is aliased
    (higher ones are damped but not carried along). Viscosity and drag are exact (an integrating factor), so that every
    ν, μ ≥ 0 is stable; the rest takes the classical four-stage Runge-Kutta method, fourth order in time, in so many
    sub-steps that speeds up to `max_speed` are stable. Faster velocities move things at `max_speed` only. Spectral in
    space: a smooth flow that the grid resolves has no error but that of time.

    Sources: S. A. Orszag, J. Atmos. Sci. 28 (1971) 1074, doi:10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2;
    J. D. Lawson, SIAM J. Numer. Anal. 4 (1967) 372, doi:10.1137/0704033.

    Args:
        config: grid, `dt`, viscosity ν [length²/time], drag μ [1/time] (default 0), forcing g [1/time²] (default 0,
            may vary in space), `mean_flow` U and `max_speed` [length/time]. Values that work well: 64 × 64 cells on
            2π × 2π, |u| about 1, ν from 0.002.
    """

    config_class = NavierStokesConfig
    accelerates = True
    config: NavierStokesConfig
    field_parameters: frozenset[str] = frozenset({"forcing"})
    up_to_a_constant: ClassVar[frozenset[str]] = frozenset({"forcing"})

    def __init__(self, config: NavierStokesConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.layout = Layout(grid=grid, fields=(FieldSpec("vorticity", boundary="periodic"),))
        speed = config.range_of("max_speed")
        rate = speed * sum(KEPT * pi / h for h in grid.spacing) / _RK4_IMAGINARY
        # A speed that one sub-step is just enough for takes one, whatever rounding says.
        self.substeps = ceil(config.dt * rate * (1 - 1e-12))
        self._spectrum = box = Spectrum(grid)
        # u = (∂ψ/∂y, -∂ψ/∂x) with k² ψ = ω, without the mean and what is not kept.
        kx, ky = box.wavenumbers["x"], box.wavenumbers["y"]
        squared = kx**2 + ky**2
        inverse = 1j * np.where(squared > 0, 1 / np.where(squared > 0, squared, 1.0), 0.0)
        self._velocity = {"x": ky * inverse, "y": -kx * inverse}
        space = spatial(",".join(grid.axes))
        components = instance(component=grid.axes)
        velocities = math.wrap(np.stack([self._velocity[axis] for axis in grid.axes]), components, space)
        slopes = math.wrap(np.stack([1j * box.wavenumbers[axis] for axis in grid.axes]), components, space)
        mean_flow = math.wrap(np.asarray(config.mean_flow), components) if any(config.mean_flow) else math.wrap(0.0)
        self._factors = [(velocities, slopes, mean_flow)]
        if box.squared.shape.volume > _AT_ONCE:
            self._factors = [tuple(factor.component[i] for factor in self._factors[0]) for i in range(2)]
        self._moving = math.where(box.squared > 0, 1.0, 0.0)

    def unsuitable(self, states: Tensor) -> str | None:
        """Speeds above `max_speed` are not moved as fast as they should be."""
        return too_fast(self.config, self.reach(states), "generation.amplitude")

    def reach(self, states: Tensor) -> float:
        """The largest velocity component, of whole states."""
        return float(self.velocity(states).abs().max())

    def reach_of(self, peaks: Sequence[float]) -> float:
        """The speed of a vortex of that vorticity as large as the domain, and the mean flow."""
        return max(peaks) * max(self.config.grid.size) / (2 * pi) + max(map(abs, self.config.mean_flow))

    def velocity(self, states: Tensor) -> Tensor:
        """The velocity `[…, 2, *space]` of states `[…, 1, *space]`."""
        modes = torch.fft.rfft2(states.double())
        components = []
        for axis, mean in zip("xy", self.config.mean_flow, strict=True):
            factor = torch.from_numpy(self._velocity[axis]).to(modes)
            components.append(torch.fft.irfft2(modes * factor, s=states.shape[-2:]) + mean)
        return torch.cat(components, dim=-3).to(states)

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (
            r"\partial_t \omega + u \cdot \nabla \omega = \nu\,\Delta \omega - \mu\,\omega + g",
            r"u = U + (\partial_y \psi,\; -\partial_x \psi), \quad -\Delta \psi = \omega",
        )

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `vorticity` by `dt / substeps`; see the class for the scheme."""
        vorticity, box = fields["vorticity"], self._spectrum
        h = self.dt / self.substeps
        half = math.exp(-(box.squared * parameters["viscosity"] + parameters["drag"]) * (h / 2))
        whole = half * half
        forcing = math.expand(parameters["forcing"], vorticity.resolution)
        force = self._moving * box.forward(forcing)
        start = box.forward(vorticity.values)
        carried = start * half
        first = self._rate(start, force)
        second = self._rate(carried + h / 2 * (first * half), force)
        third = self._rate(carried + h / 2 * second, force)
        fourth = self._rate(start * whole + h * (third * half), force)
        end = start * whole + h / 6 * (first * whole + 2 * (second + third) * half + fourth)
        return {"vorticity": vorticity.with_values(box.backward(end))}

    def _rate(self, modes: Any, force: Any) -> Any:
        """Fourier coefficients of -u·∇ω + g."""
        return self._convection(modes) + force

    def _convection(self, modes: Any) -> Any:
        """Fourier coefficients of -u·∇ω, without aliasing."""
        box, limit, total = self._spectrum, self.config.range_of("max_speed"), 0.0
        for velocities, slopes, mean_flow in self._factors:
            velocity = math.clip(box.backward(modes * velocities) + mean_flow, -limit, limit)
            total += math.sum(velocity * box.backward(modes * slopes), "component")
        return -box.kept * box.forward(total)
