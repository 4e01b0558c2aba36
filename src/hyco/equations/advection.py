"""Advection of a scalar by a velocity field, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from hyco.equations.coefficients import Coefficients
from hyco.equations.equation import EquationConfig, FieldValue
from hyco.equations.ranges import Bounds, Range
from hyco.equations.sources import SourceConfig, SourcedEquation
from hyco.fields import FieldSpec, Layout
from hyco.schemes.integrators import ssp_rk3
from hyco.schemes.transport import Rate, advection, stable_rate
from hyco.walls.boundary import Boundary


class VelocityParameters(Coefficients):
    """The velocity: one component for each axis of the domain."""

    velocity_x: FieldValue = Field(description="velocity along x, a number or a formula of x, y, z [length/time]")
    velocity_y: FieldValue | None = Field(default=None, description="velocity along y, where there is y [length/time]")
    velocity_z: FieldValue | None = Field(default=None, description="velocity along z, where there is z [length/time]")


class VelocityConfig(SourceConfig):
    """What equations with a given velocity have in common."""

    unknown: ClassVar[str] = "concentration"
    parameters: VelocityParameters = Field(description="true coefficients")
    form: Literal["advective", "conservative"] = Field(default="advective", description="v·∇u, or ∇·(vu)")
    range_keys: ClassVar[tuple[str, ...]] = ("max_speed", "max_reaction")
    max_speed: Range = Field(
        default="auto",
        description="largest |velocity component| that the step must be stable for; sets the sub-steps; auto: by their "
        "values and bounds [length/time]",
    )

    @model_validator(mode="after")
    def _velocity_fits_the_domain(self) -> VelocityConfig:
        for axis in "xyz":
            given = getattr(self.parameters, f"velocity_{axis}") is not None
            if given and axis not in self.domain:
                raise ValueError(f"parameters.velocity_{axis} is given, but the domain has no axis {axis}")
            if axis in self.domain and not given:
                raise ValueError(f"parameters.velocity_{axis} is missing: the domain has the axis {axis}")
        return self

    @property
    def convergence_order(self) -> float:
        """That of the upwind-biased differences and of the time steps."""
        return 3.0

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Velocity components up to `max_speed`, in both directions, are stable."""
        speed = self.limit_of("max_speed")
        return {f"velocity_{axis}": (-speed, speed) for axis in "xyz"}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """The largest velocity component that is given or may be learnt; if that is 0, what one step is enough for.

        The largest reaction by samples of the source.
        """
        speed = max(self.largest_value(f"velocity_{axis}", bounds) for axis in self.domain)
        single = 1 / (self.dt * stable_rate(self.grid.spacing, 1.0))
        numbers = {"max_speed": speed or single} if self.max_speed == "auto" else {}
        if "max_reaction" in self.open_ranges:
            numbers["max_reaction"] = self.largest_reaction(largest, bounds)
        return numbers


class AdvectionConfig(VelocityConfig):
    """Keys of the `equation` section for `name: advection`."""

    name: Literal["advection"] = "advection"


class Advection(SourcedEquation):
    """∂u/∂t + v·∇u = s, or ∂u/∂t + ∇·(vu) = s, u a concentration, v(x) the velocity and s(t, x, u) a source.

    The concentration is carried along unchanged; in the conservative form it is diluted where the flow diverges, and
    on a periodic box its mean is kept to rounding. Both forms are the same where ∇·v = 0. Waves shorter than about
    eight cells are damped, and beside a jump the result goes over and under it by some percent.

    Scheme: third-order upwind-biased differences in space and the three-stage strong-stability-preserving
    Runge-Kutta method, third order in time, in so many sub-steps that components up to `max_speed` are stable. In the
    advective form that holds for every velocity field, as the differences turn first-order upwind where the velocity
    changes within less than some ten cells. In the conservative form a concentration grows as fast as the flow
    converges on the grid: the velocity should be smooth over ten cells.

    Boundaries: periodic, Neumann (no slope), a Dirichlet value or any other wall, per axis or side, on the faces of the
    outermost cells. They hold where the velocity points into the domain, Neumann ones to second order; where it points
    out nothing is imposed.

    Source: C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5.

    Args:
        config: grid, `dt` [time], velocity v [length/time] by component (no default), `max_speed` [length/time] and
            `form` (advective). Values that work well: 64 cells, features at least eight cells wide, `max_speed`
            twice the largest component expected.
    """

    config_class: ClassVar[type[EquationConfig]] = AdvectionConfig
    config: VelocityConfig
    field_parameters = frozenset({"velocity_x", "velocity_y", "velocity_z"})
    open_walls = True

    def __init__(self, config: VelocityConfig, max_diffusivity: float = 0.0, order: int = 2) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.layout = Layout(grid=grid, fields=(FieldSpec("concentration", boundary=config.boundary),))
        speed = config.range_of("max_speed")
        self.autonomous = "t" not in config.formula_names
        # No step is longer than the time of a reaction, which is to be followed.
        self.substeps = ceil(config.dt * (stable_rate(grid.spacing, speed, max_diffusivity, order) + config.reaction))
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        carried = r"v \cdot \nabla u" if self.config.form == "advective" else r"\nabla \cdot (v\,u)"
        return (rf"\partial_t u + {carried} = {self._gain()}",)

    def _gain(self) -> str:
        """The right hand side as LaTeX."""
        return "s" if self.config.source else "0"

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `concentration` by `dt / substeps`; see the class for the scheme."""
        concentration = fields["concentration"]
        rate = self._rate(parameters, self.walls_at(parameters, time))
        changes = self.rate_in_time(rate, parameters, time)
        values = ssp_rk3(concentration.values, self.dt / self.substeps, **changes)
        return {"concentration": concentration.with_values(values)}

    def _rate(self, parameters: Mapping[str, Any], walls: Boundary) -> Rate:
        """The rate of change as a function of the concentration, and of other walls than these."""
        velocity = {axis: parameters[f"velocity_{axis}"] for axis in self._spacing}
        return advection(velocity, walls, self._spacing, self.config.range_of("max_speed"), self.config.form)
