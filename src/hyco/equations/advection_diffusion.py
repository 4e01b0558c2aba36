"""Advection and diffusion of a scalar, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from phi import math
from phi.math import spatial
from pydantic import Field, model_validator

from hyco.equations.advection import Advection, VelocityConfig, VelocityParameters
from hyco.equations.equation import FieldValue
from hyco.equations.ranges import Bounds, Range
from hyco.schemes.stencils import varies
from hyco.schemes.transport import Faces, Rate, diffusion, stable_rate
from hyco.schemes.waves import mirrored
from hyco.walls.boundary import Boundary


class AdvectionDiffusionParameters(VelocityParameters):
    """The coefficients of the advection-diffusion equation."""

    diffusivity: FieldValue = Field(description="diffusivity D, a number or a formula of x, y, z [length²/time]")


class AdvectionDiffusionConfig(VelocityConfig):
    """Keys of the `equation` section for `name: advection_diffusion`."""

    name: Literal["advection_diffusion"] = "advection_diffusion"
    parameters: AdvectionDiffusionParameters = Field(description="true coefficients")
    range_keys: ClassVar[tuple[str, ...]] = ("max_speed", "max_diffusivity", "max_reaction")
    max_diffusivity: Range = Field(
        default="auto",
        description="largest diffusivity that the step must be stable for; sets the sub-steps; auto: by its value and "
        "bounds [length²/time]",
    )
    smooth: ClassVar[Mapping[str, Any]] = MappingProxyType({"order": "auto"})
    order: Literal["auto", 2, 4, "spectral"] = Field(
        default="auto",
        description="order of the differences of diffusion, 4 where D is a number; spectral: Fourier modes, for "
        "numbers on a periodic box without a source; auto: spectral or 4 where these may be, else 2",
    )
    faces: Faces = Field(
        default="harmonic",
        description="diffusivity between two cells: their harmonic mean, right where it jumps from cell to cell, or "
        "the arithmetic one",
    )

    @model_validator(mode="after")
    def _order_fits(self) -> AdvectionDiffusionConfig:
        if self.order == "spectral" and not self._in_modes:
            raise ValueError("order: spectral is for a periodic boundary without a source; use order: auto")
        return self

    @property
    def _periodic(self) -> bool:
        walls = Boundary.of(self.boundary)
        return all(walls[axis].periodic for axis in self.domain)

    @property
    def _in_modes(self) -> bool:
        return self.source is None and self._periodic

    @property
    def scheme(self) -> Literal[2, 4, "spectral"]:
        """The `order` that is taken where what is learnt are numbers."""
        if self.order != "auto":
            return self.order
        if isinstance(self.parameters.diffusivity, str):
            return 2
        if self._in_modes and not any(isinstance(value, str) for value in self.parameters.model_dump().values()):
            return "spectral"
        return 4 if mirrored(self.grid, self.boundary) else 2

    def for_fields(self, names: Collection[str]) -> dict[str, Any]:
        """A diffusivity that varies may jump: second order. A velocity that varies is not made for Fourier modes."""
        if "diffusivity" in names and self.order in ("auto", "spectral"):
            return {"order": 2}
        return {"order": 4} if self.scheme == "spectral" and set(names) & set(self.parameter_limits) else {}

    @property
    def convergence_order(self) -> float:
        """That of the transport where diffusion is of fourth order, beside walls second.

        Of Fourier modes, which have no error, that of reading them between cells.
        """
        return {2: 2.0, 4: 3.0 if self._periodic else 2.0, "spectral": 4.0}[self.scheme]

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Components up to `max_speed` and diffusivities from 0 to `max_diffusivity` are stable, together too."""
        return {**super().parameter_limits, "diffusivity": (0.0, self.limit_of("max_diffusivity"))}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """Of both, the largest that is given or may be learnt; if that is 0, what one step is enough for."""
        numbers = super().ranges(largest, bounds)
        if self.max_diffusivity == "auto":
            single = 1 / (self.dt * stable_rate(self.grid.spacing, 0.0, 1.0, 4 if self.scheme == 4 else 2))
            numbers["max_diffusivity"] = self.largest_value("diffusivity", bounds) or single
        return numbers


class AdvectionDiffusion(Advection):
    """∂u/∂t + v·∇u = ∇·(D∇u) + s, u a concentration, v(x) the velocity, D(x) ≥ 0 the diffusivity, s(t, x, u) a source.

    With `form: conservative` the second term is ∇·(vu). The concentration drifts and spreads; over a length L the
    Péclet number |v|L/D says which wins. At a Dirichlet wall that the flow runs into, a layer of the width D/|v| forms;
    thinner than a cell, it is not resolved, and the rest stays as it should.

    Scheme `order: spectral`, the default on a periodic box where v and D are numbers and there is no source: each
    Fourier mode drifts and decays as it should. A state that the grid resolves has no error, neither in space nor in
    time.

    Other schemes: that of `Advection` and central differences for the diffusion, both together in the three-stage
    Runge-Kutta method, third order in time. With `order: 4`, the default where D is a number and each wall has a
    constant value or no slope, the differences of diffusion are of fourth order, and the whole is third in space; at a
    wall that the flow leaves by both are second, with less than half the error, once cells are thinner than D/|v|
    (thicker, between first and third); with `order: 2` second (third where D = 0). The sub-steps make every velocity
    component up to `max_speed` and every diffusivity up to `max_diffusivity` stable.

    Boundaries: as of `Advection`; diffusion takes them on both sides of the flow.

    Source: C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5.

    Args:
        config: grid, `dt` [time], velocity v [length/time] by component and diffusivity D [length²/time] (no
            defaults), `max_speed` [length/time], `max_diffusivity` [length²/time], `form` (advective) and `order`
            (auto). Values that work well: 64 cells, |v| × cell width ≤ 10 D, limits twice the largest values expected.
    """

    config_class = AdvectionDiffusionConfig
    config: AdvectionDiffusionConfig
    field_parameters = Advection.field_parameters | {"diffusivity"}
    open_walls = False

    def __init__(self, config: AdvectionDiffusionConfig) -> None:
        self._order = 4 if config.scheme == 4 else 2
        super().__init__(config, config.range_of("max_diffusivity"), self._order)
        self._modes = config.scheme == "spectral"
        if self._modes:
            self.substeps = 1
        numbers = {}
        for axis, n, h in zip(config.domain, config.grid.resolution, config.grid.spacing, strict=True):
            numbers[axis] = 2 * np.pi * np.fft.fftfreq(n, h)
        self._squared = {axis: math.wrap(k**2, spatial(axis)) for axis, k in numbers.items()}
        # Of the highest wave of an even number of cells no cell sees the slope.
        self._slopes = {
            axis: math.wrap(np.where(np.arange(len(k)) * 2 == len(k), 0.0, k), spatial(axis))
            for axis, k in numbers.items()
        }

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `concentration` by `dt / substeps`; see the class for the schemes."""
        if not self._modes:
            return super().step(fields, parameters, time)
        if varying := sorted(name for name in self.field_parameters & set(parameters) if varies(parameters[name])):
            raise ValueError(
                f"{', '.join(varying)} has a value in every cell, which order: spectral is not made for: say order: 4, "
                "or 2 for a diffusivity"
            )
        concentration = fields["concentration"]
        return {"concentration": concentration.with_values(self._by_modes(concentration.values, parameters))}

    def _by_modes(self, values: Any, parameters: Mapping[str, Any]) -> Any:
        """Each Fourier mode times exp(-(iv·k + D k²) dt)."""
        total: Any = 0.0
        for axis in self._spacing:
            total = total - parameters["diffusivity"] * self._squared[axis]
            total = total - 1j * parameters[f"velocity_{axis}"] * self._slopes[axis]
        return math.real(math.ifft(math.fft(values) * math.exp(total * self.dt)))

    def _gain(self) -> str:
        spread = r"\nabla \cdot (D\,\nabla u)"
        return spread + (" + s" if self.config.source else "")

    def _rate(self, parameters: Mapping[str, Any], walls: Boundary) -> Rate:
        carried = super()._rate(parameters, walls)
        diffusivity = parameters["diffusivity"]
        order = 2 if varies(diffusivity) else self._order
        spread = diffusion(diffusivity, walls, self._spacing, order=order, mean=self.config.faces)
        return lambda u, walls=walls: carried(u, walls) + spread(u, walls)
