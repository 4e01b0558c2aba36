"""Viscous Burgers equation in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from phi import math
from phi.math import spatial
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.ranges import Bounds, Range, too_fast, with_room
from hyco.fields import FieldSpec, Layout
from hyco.schemes.integrators import ssp_rk3
from hyco.schemes.stencils import neighbours
from hyco.schemes.transport import UPWIND_STEPS, upwind

# The spectral scheme: the part of the wavenumbers that products keep, so that no product is aliased, and the largest
# (speed × wavenumber × step). Stability of the four-stage method allows 2.8, accuracy asks for less.
_KEPT, _SPECTRAL_COURANT = 2 / 3, 1.4
# Sub-steps while the flow crosses one cell.
_RATES = {"upwind": UPWIND_STEPS, "spectral": _KEPT * np.pi / _SPECTRAL_COURANT}


class BurgersParameters(BaseModel):
    """The coefficients of the Burgers equation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    viscosity: NonNegativeFloat = Field(description="kinematic viscosity ν [length²/time]")
    convection: float = Field(default=1.0, description="coefficient λ of the convection (u·∇)u [1]")


class BurgersConfig(EquationConfig):
    """Keys of the `equation` section for `name: burgers`."""

    smooth: ClassVar[Mapping[str, Any]] = MappingProxyType({"scheme": "spectral"})

    name: Literal["burgers"] = "burgers"
    boundary: Literal["periodic"] = "periodic"
    parameters: BurgersParameters = Field(description="true coefficients")
    range_keys: ClassVar[tuple[str, ...]] = ("max_speed", "max_convection")
    max_speed: Range = Field(
        default="auto",
        description="largest |velocity component| that the step must be stable for; sets the sub-steps; auto: by the "
        "states [length/time]",
    )
    max_convection: Range = Field(
        default=1.0,
        description="largest |convection| that the step must be stable for; sets the sub-steps; auto, which is the "
        "default where max_speed is auto: by its value and bounds [1]",
    )
    scheme: Literal["upwind", "spectral"] = Field(
        default="upwind",
        description="upwind differences, or in one dimension a Fourier method for flow with every layer resolved",
    )

    @model_validator(mode="before")
    @classmethod
    def _open_together(cls, keys: Any) -> Any:
        # Who gives no speed shall not have to think of the other factor of the sub-steps either.
        if isinstance(keys, Mapping) and keys.get("max_speed", "auto") == "auto":
            return {"max_convection": "auto", **keys}
        return keys

    @model_validator(mode="after")
    def _spectral_in_one_dimension(self) -> BurgersConfig:
        # Freed of aliasing, u u' cannot add energy, whatever the viscosity; (u·∇)u can.
        if self.scheme == "spectral" and len(self.domain) > 1:
            raise ValueError("scheme spectral is available in one dimension only (domain: x); use upwind")
        return self

    @property
    def convergence_order(self) -> float:
        """Of upwind differences 3; of Fourier coefficients that of the time steps."""
        return 3.0 if self.scheme == "upwind" else 4.0

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Every viscosity ν ≥ 0 is stable: diffusion is exact. The sub-steps cover convection to `max_convection`."""
        convection = self.limit_of("max_convection")
        return {"viscosity": (0.0, float("inf")), "convection": (-convection, convection)}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """No velocity component ever leaves the range it starts in: the speed at the start, with some room.

        Where it is not known, what one sub-step is enough for. The convection's own value and bounds; 1 if it is 0.
        """
        convection = self.largest_value("convection", bounds) or 1.0
        single = 1 / (self.dt * convection * sum(_RATES[self.scheme] / h for h in self.grid.spacing))
        numbers = {"max_speed": with_room(largest) if largest else single, "max_convection": convection}
        return {key: numbers[key] for key in self.open_ranges}


class Burgers(Equation):
    """∂u/∂t + λ (u·∇)u = ν Δu on a periodic box, u the velocity with one component per axis.

    Gradients steepen where λ times the velocity falls along its own direction, until viscosity holds them at a width
    of about 4ν/|λ|Δu; energy decays. A layer thinner than two cells is not resolved: the advective form then moves it
    at a slightly wrong speed.

    Scheme `upwind`: Strang splitting, second order in `dt`. Diffusion is exact in Fourier space, so that every ν ≥ 0
    is stable. Convection uses third-order upwind-biased differences (fourth-order central, plus |λu| h³/12 ∂⁴u/∂x⁴)
    and the three-stage strong-stability-preserving Runge-Kutta method, in so many sub-steps that any speed up to
    `max_speed` times `max_convection` is stable.

    Scheme `spectral`, in one dimension: a Fourier pseudo-spectral method, u² freed of aliasing by the 2/3 rule, with
    the four-stage Runge-Kutta method and diffusion as an integrating factor: fourth order in time, and in space more
    accurate than any order while a layer is about three cells wide or wider; below that it rings, though its energy
    cannot grow, so that every ν ≥ 0 is stable. The mean is conserved. An odd initial state (-sin πx on [-1, 1]) stays
    odd: then u = 0 holds at both ends of the domain.

    Sources: G. Strang, SIAM J. Numer. Anal. 5 (1968) 506, doi:10.1137/0705041; C.-W. Shu and S. Osher, J. Comput.
    Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5; L. N. Trefethen, Spectral Methods in MATLAB (2000),
    doi:10.1137/1.9780898719598.

    Args:
        config: grid, `dt`, viscosity ν ≥ 0 [length²/time], convection λ (default 1), `max_speed` [length/time],
            `max_convection` (default 1) and `scheme` (default upwind). Values that work well: 128 cells, speeds about
            1, ν ≥ 0.5 × speed × cell width for upwind, ν ≥ 0.8 × speed × cell width for spectral.
    """

    config_class = BurgersConfig
    config: BurgersConfig

    def __init__(self, config: BurgersConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.layout = Layout(grid=grid, fields=(FieldSpec("velocity", components=grid.axes, boundary="periodic"),))
        rate = sum(_RATES[config.scheme] / h for h in grid.spacing)
        speed, convection = config.range_of("max_speed"), config.range_of("max_convection")
        self.convection_steps = ceil(config.dt * speed * convection * rate)
        if config.scheme == "spectral":
            # Its sub-steps are alike, so that the stepper repeats one of them; those of the splitting share diffusion.
            self.substeps = self.convection_steps
        self._axes = grid.axes
        self._walls = self.layout.fields[0].walls
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        wavenumbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        squared = sum(k**2 for k in np.meshgrid(*wavenumbers, indexing="ij"))
        self._laplacian = math.wrap(-np.asarray(squared), spatial(",".join(grid.axes)))
        kept = np.abs(wavenumbers[0]) * grid.spacing[0] < _KEPT * np.pi
        self._kept = math.wrap(kept.astype(np.float64), spatial("x"))
        self._derivative = math.wrap(1j * wavenumbers[0] * kept, spatial("x"))

    def exceeded(self, largest: float) -> str | None:
        """Speeds above `max_speed` are not covered by the sub-steps."""
        return too_fast(self.config, largest, "generation.amplitude")

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (r"\partial_t u + \lambda\,(u \cdot \nabla)\,u = \nu\,\Delta u",)

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `velocity` by `dt`; see the class for the schemes."""
        velocity = fields["velocity"]
        advance = self._upwind if self.config.scheme == "upwind" else self._spectral
        return {"velocity": velocity.with_values(advance(velocity.values, parameters))}

    def _upwind(self, values: Any, parameters: Mapping[str, Any]) -> Any:
        h = self.dt / self.convection_steps
        outer = math.exp(self._laplacian * (parameters["viscosity"] * (h / 2)))
        inner = outer * outer
        values = self._diffuse(values, outer)
        for i in range(self.convection_steps):
            values = ssp_rk3(values, h, lambda u: self._convection(u, parameters["convection"]))
            values = self._diffuse(values, outer if i == self.convection_steps - 1 else inner)
        return values

    @staticmethod
    def _diffuse(values: Any, factor: Any) -> Any:
        """Multiply the Fourier coefficients of `values` by `factor`."""
        return math.real(math.ifft(math.fft(values) * factor))

    def _convection(self, u: Any, coefficient: Any) -> Any:
        """-λ(u·∇)u by third-order upwind-biased differences."""
        total, speeds = 0.0, coefficient * u
        for axis in self._axes:
            cells = neighbours(u, axis, self._walls, self._spacing[axis], 2)
            total = total - upwind(cells, speeds[{"vector": axis}], self._spacing[axis])
        return total

    def _spectral(self, values: Any, parameters: Mapping[str, Any]) -> Any:
        """Four stages on the Fourier coefficients of exp(-νtΔ) u, on which diffusion does not act: one sub-step."""
        h = self.dt / self.substeps
        half = math.exp(self._laplacian * (parameters["viscosity"] * (h / 2)))
        full = half * half
        factor = self._derivative * (parameters["convection"] * (-h / 2))

        def change(coefficients: Any) -> Any:
            """Of the coefficients in a time h, by convection: -h λ (u²/2)'."""
            u = math.real(math.ifft(coefficients))
            return math.fft(u * u) * factor

        u = math.fft(values) * self._kept
        moved = half * u
        first = half * change(u)
        second = change(moved + first / 2)
        third = change(moved + second / 2)
        fourth = change(half * (moved + third))
        u = full * u + (half * (first + 2 * (second + third)) + fourth) / 6
        return math.real(math.ifft(u))
