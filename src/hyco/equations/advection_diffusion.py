"""Advection and diffusion of a scalar, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from hyco.equations.advection import Advection, VelocityConfig, VelocityParameters
from hyco.equations.equation import FieldValue
from hyco.equations.ranges import Bounds, Range
from hyco.schemes.transport import Faces, Rate, diffusion, stable_rate
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
    faces: Faces = Field(
        default="harmonic",
        description="diffusivity between two cells: their harmonic mean, right where it jumps from cell to cell, or "
        "the arithmetic one",
    )

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Components up to `max_speed` and diffusivities from 0 to `max_diffusivity` are stable, together too."""
        return {**super().parameter_limits, "diffusivity": (0.0, self.limit_of("max_diffusivity"))}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """Of both, the largest that is given or may be learnt; if that is 0, what one step is enough for."""
        numbers = super().ranges(largest, bounds)
        if self.max_diffusivity == "auto":
            single = 1 / (self.dt * stable_rate(self.grid.spacing, 0.0, 1.0))
            numbers["max_diffusivity"] = self.largest_value("diffusivity", bounds) or single
        return numbers


class AdvectionDiffusion(Advection):
    """∂u/∂t + v·∇u = ∇·(D∇u) + s, u a concentration, v(x) the velocity, D(x) ≥ 0 the diffusivity, s(t, x, u) a source.

    With `form: conservative` the second term is ∇·(vu). The concentration drifts and spreads; over a length L the
    Péclet number |v|L/D says which wins. At a Dirichlet wall that the flow runs into, a layer of the width D/|v| forms;
    thinner than a cell, it is not resolved, and the rest stays as it should.

    Scheme: that of `Advection` and second-order central differences for the diffusion, both together in the
    three-stage Runge-Kutta method: third order in time, second in space (third where D = 0). The sub-steps make every
    velocity component up to `max_speed` and every diffusivity up to `max_diffusivity` stable.

    Boundaries: as of `Advection`; diffusion takes them on both sides of the flow.

    Source: C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5.

    Args:
        config: grid, `dt` [time], velocity v [length/time] by component and diffusivity D [length²/time] (no
            defaults), `max_speed` [length/time], `max_diffusivity` [length²/time] and `form` (advective). Values that
            work well: 64 cells, |v| × cell width ≤ 10 D, limits twice the largest values expected.
    """

    config_class = AdvectionDiffusionConfig
    config: AdvectionDiffusionConfig
    field_parameters = Advection.field_parameters | {"diffusivity"}
    open_walls = False

    def __init__(self, config: AdvectionDiffusionConfig) -> None:
        super().__init__(config, config.range_of("max_diffusivity"))

    def _gain(self) -> str:
        spread = r"\nabla \cdot (D\,\nabla u)"
        return spread + (" + s" if self.config.source else "")

    def _rate(self, parameters: Mapping[str, Any], walls: Boundary) -> Rate:
        carried = super()._rate(parameters, walls)
        spread = diffusion(parameters["diffusivity"], walls, self._spacing, mean=self.config.faces)
        return lambda u, walls=walls: carried(u, walls) + spread(u, walls)
