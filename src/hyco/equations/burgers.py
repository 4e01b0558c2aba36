"""Viscous Burgers equation in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from phi import math
from phi.math import channel, spatial
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.ranges import Bounds, Range, too_fast, with_room
from hyco.fields import FieldSpec, Layout
from hyco.schemes.exponential import etdrk4, factors
from hyco.schemes.integrators import ssp_rk3
from hyco.schemes.periodic import KEPT, Spectrum
from hyco.schemes.stencils import neighbours
from hyco.schemes.transport import UPWIND_STEPS, upwind

# The spectral scheme: the largest speed × wavenumber × step that its four stages are stable for, and how many of its
# sub-steps at most are one step, between which the coefficients need not be transformed.
_SPECTRAL_COURANT, _TOGETHER = 2.8, 2
# Sub-steps while the flow crosses one cell.
_RATES = {"upwind": UPWIND_STEPS, "spectral": KEPT * np.pi / _SPECTRAL_COURANT}
# Fourier modes hold a layer from this viscosity on, in units of speed × cell width.
_RESOLVED = 0.4
# How much more of it a fit asks for.
_OF_FITS = 1.25


class BurgersParameters(BaseModel):
    """The coefficients of the Burgers equation."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

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
    scheme: Literal["auto", "upwind", "spectral"] = Field(
        default="auto",
        description="upwind differences, or a Fourier method for flow with every layer resolved; auto: spectral where "
        "the viscosity is at least 0.4 × convection × speed × cell width, in fits 0.5, with those in `parameters`, "
        "in more dimensions with all that may be learnt",
    )

    @model_validator(mode="before")
    @classmethod
    def _open_together(cls, keys: Any) -> Any:
        # Who gives no speed shall not have to think of the other factor of the sub-steps either.
        if isinstance(keys, Mapping) and keys.get("max_speed", "auto") == "auto":
            return {"max_convection": "auto", **keys}
        return keys

    def _chosen(self, speed: float, bounds: Bounds) -> Literal["upwind", "spectral"]:
        """The scheme for flow of a speed, and coefficients as given or within the bounds of what is learnt.

        Freed of aliasing, λ u u' cannot add energy, whatever λ and the viscosity: in one dimension it is enough that
        the given ones resolve their layers. (u·∇)u can: in more dimensions all that may be learnt have to. A fit, which
        is told by its bounds, asks for a little more than a simulation: its scheme shall not be better than that of the
        simulation that it is of, whose error nothing would tell then.
        """
        if self.scheme != "auto":
            return self.scheme
        smallest, learnt = self.largest_value("viscosity", {}), bounds if len(self.domain) > 1 else {}
        smallest = min(smallest, learnt.get("viscosity", (smallest,))[0])
        least = _RESOLVED * speed * (self.largest_value("convection", learnt) or 1.0) * max(self.grid.spacing)
        if bounds:
            least *= _OF_FITS
        return "spectral" if smallest >= least else "upwind"

    @property
    def chosen(self) -> dict[str, Any]:
        """The scheme where it is `auto`; where `max_speed` is, too, with nothing known of the states."""
        given = self.range_of("max_speed") if self.max_speed == "auto" else self.max_speed
        return {"scheme": self._chosen(float(given), {})}

    @property
    def convergence_order(self) -> float:
        """Of upwind differences 3; of Fourier coefficients that of the time steps."""
        return 3.0 if self.chosen["scheme"] == "upwind" else 4.0

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Every viscosity ν ≥ 0 is stable: diffusion is exact. The sub-steps cover convection to `max_convection`."""
        convection = self.limit_of("max_convection")
        return {"viscosity": (0.0, float("inf")), "convection": (-convection, convection)}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, Any]:
        """No velocity component ever leaves the range it starts in: the speed at the start, with some room.

        Where it is not known, what one sub-step is enough for. The convection's own value and bounds; 1 if it is 0.
        With them the scheme, where it is `auto`.
        """
        convection = self.largest_value("convection", bounds) or 1.0
        rate = _RATES["upwind"] if self.scheme == "auto" else _RATES[self.scheme]
        single = 1 / (self.dt * convection * sum(rate / h for h in self.grid.spacing))
        speed = with_room(largest) if largest else single
        numbers = {"max_speed": speed, "max_convection": convection}
        ranges: dict[str, Any] = {key: numbers[key] for key in self.open_ranges}
        if self.scheme == "auto" and ranges:
            ranges["scheme"] = self._chosen(speed if self.max_speed == "auto" else float(self.max_speed), bounds)
        return ranges


class Burgers(Equation):
    """∂u/∂t + λ (u·∇)u = ν Δu on a periodic box, u the velocity with one component per axis.

    Gradients steepen where λ times the velocity falls along its own direction, until viscosity holds them at a width
    of about 4ν/|λ|Δu; energy decays. A layer thinner than two cells is not resolved: the advective form then moves it
    at a slightly wrong speed.

    Scheme `upwind`: Strang splitting, second order in `dt`. Diffusion is exact in Fourier space, so that every ν ≥ 0
    is stable. Convection uses third-order upwind-biased differences (fourth-order central, plus |λu| h³/12 ∂⁴u/∂x⁴)
    and the three-stage strong-stability-preserving Runge-Kutta method, in so many sub-steps that any speed up to
    `max_speed` times `max_convection` is stable.

    Scheme `spectral`: a Fourier pseudo-spectral method, u² freed of aliasing by the 2/3 rule, with exponential time
    differencing (`hyco.schemes.exponential`): fourth order in time, diffusion exact, and in space more accurate than
    any order while a layer is about three cells wide or wider; below that it rings. Its sub-steps follow the flow
    alone. In one dimension its energy cannot grow then, so that every ν ≥ 0 is stable, and the mean is conserved; an
    odd initial state (-sin πx on [-1, 1]) stays odd: u = 0 holds at both ends of the domain. In more dimensions a flow
    that is not resolved may grow without end.

    The default, `auto`, is the spectral one where the grid resolves the layers of speeds up to `max_speed` with the
    viscosity that is given, in more dimensions also with all that may be learnt; fits ask for a quarter more of it.

    Sources: G. Strang, SIAM J. Numer. Anal. 5 (1968) 506, doi:10.1137/0705041; C.-W. Shu and S. Osher, J. Comput.
    Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5; L. N. Trefethen, Spectral Methods in MATLAB (2000),
    doi:10.1137/1.9780898719598.

    Args:
        config: grid, `dt`, viscosity ν ≥ 0 [length²/time], convection λ (default 1), `max_speed` [length/time],
            `max_convection` (default 1) and `scheme` (default auto). Values that work well: 128 cells, speeds about
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
        rate = sum(_RATES["spectral" if self.spectral else "upwind"] / h for h in grid.spacing)
        speed, convection = config.range_of("max_speed"), config.range_of("max_convection")
        self.convection_steps = ceil(config.dt * speed * convection * rate)
        self._spectrum: Spectrum | None = None
        if self.spectral:
            self.substeps = ceil(self.convection_steps / _TOGETHER)
            self._repeats = ceil(self.convection_steps / self.substeps)
            self._spectrum = Spectrum(grid)
        self._axes = grid.axes
        self._walls = self.layout.fields[0].walls
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        wavenumbers = [2 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.resolution, grid.spacing, strict=True)]
        meshes = dict(zip(grid.axes, np.meshgrid(*wavenumbers, indexing="ij"), strict=True))
        space = spatial(",".join(grid.axes))
        self._laplacian = math.wrap(-np.asarray(sum(k**2 for k in meshes.values())), space)

    @property
    def spectral(self) -> bool:
        """Whether the scheme is the spectral one."""
        return bool(self.config.chosen["scheme"] == "spectral")

    def exceeded(self, largest: float) -> str | None:
        """Speeds above `max_speed` are not covered by the sub-steps."""
        return too_fast(self.config, largest, "generation.amplitude")

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (r"\partial_t u + \lambda\,(u \cdot \nabla)\,u = \nu\,\Delta u",)

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `velocity` by `dt`; see the class for the schemes."""
        velocity = fields["velocity"]
        advance = self._spectral if self.spectral else self._upwind
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
        """Exponential time differencing of each component's Fourier coefficients, which stay so between sub-steps."""
        box, h = self._spectrum, self.dt / (self.substeps * self._repeats)
        assert box is not None
        if len(self._axes) == 1:
            change, weight = self._along_a_line, box.derivatives["x"] * (parameters["convection"] * -0.5)
        else:
            change, weight = self._in_space, box.kept * -parameters["convection"]
        own = factors(box.squared * -parameters["viscosity"], h).times(weight)
        state = {axis: box.forward(values[{"vector": axis}]) * box.kept for axis in self._axes}
        for _ in range(self._repeats):
            state = etdrk4(state, dict.fromkeys(self._axes, own), lambda s, _: change(s), h, None)
        return math.stack([box.backward(state[axis]) for axis in self._axes], channel(vector=list(self._axes)))

    def _along_a_line(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Coefficients of u², of which u u' is half the slope."""
        assert self._spectrum is not None
        u = self._spectrum.backward(state["x"])
        return {"x": self._spectrum.forward(u * u)}

    def _in_space(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Coefficients of (u·∇)u = ∇|u|²/2 - u × curl u, which takes fewer transforms than all slopes would."""
        box, axes = self._spectrum, self._axes
        assert box is not None
        u = {axis: box.backward(state[axis]) for axis in axes}
        carried: dict[str, Any] = {}
        for i, a in enumerate(axes):
            for b in axes[i + 1 :]:
                turn = box.backward(state[b] * box.derivatives[a] - state[a] * box.derivatives[b])
                along_a, along_b = u[b] * turn, u[a] * turn
                carried[a] = carried[a] - along_a if a in carried else -along_a
                carried[b] = carried[b] + along_b if b in carried else along_b
        energy = box.forward(sum(u[axis] * u[axis] for axis in axes) * 0.5)
        return {axis: energy * box.derivatives[axis] + box.forward(carried[axis]) for axis in axes}
