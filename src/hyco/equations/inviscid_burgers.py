"""Inviscid Burgers equation in a potential, in one dimension."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar, Literal

from phi import math
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hyco.equations.equation import Equation, EquationConfig, FieldValue
from hyco.equations.ranges import Bounds, Range, too_fast, with_room
from hyco.fields import FieldSpec, Layout
from hyco.schemes.stencils import between, neighbours, pad, varies

# Largest speed × sub-step / cell width. Linear stability of the scheme ends at 1.17.
_COURANT = 1.0
# Differences between cells below max_speed × (this × cell width / size)^1.5 pass the limiter unchanged.
_SMOOTH = 6.0


class InviscidBurgersParameters(BaseModel):
    """What drives the inviscid Burgers equation."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    potential: FieldValue = Field(
        default=0.0, description="potential φ of the force -φ', a formula of x; only its slope counts [length²/time²]"
    )


class InviscidBurgersConfig(EquationConfig):
    """Keys of the `equation` section for `name: inviscid_burgers`."""

    name: Literal["inviscid_burgers"] = "inviscid_burgers"
    boundary: Literal["periodic"] = "periodic"
    parameters: InviscidBurgersParameters = Field(default=InviscidBurgersParameters(), description="the true potential")
    range_keys: ClassVar[tuple[str, ...]] = ("max_speed",)
    max_speed: Range = Field(
        default="auto",
        description="largest |velocity| that the step describes; sets the sub-steps; auto: by the states [length/time]",
    )

    @model_validator(mode="after")
    def _one_dimension(self) -> InviscidBurgersConfig:
        if len(self.domain) > 1:
            raise ValueError("inviscid_burgers is available in one dimension (domain: x)")
        return self

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """The largest speed of the states with some room; where it is not known, what one sub-step is enough for."""
        single = _COURANT * self.grid.spacing[0] / self.dt
        return dict.fromkeys(self.open_ranges, with_room(largest) if largest else single)


class InviscidBurgers(Equation):
    """∂u/∂t + ∂(u²/2)/∂x = -φ'(x) on a periodic interval, with a potential φ.

    A particle of the flow moves by Newton's law in the potential, so that u²/2 + φ stays constant along its path
    while the flow is smooth. Where fast flow runs into slow flow a shock forms, at the time 1/max(-∂u/∂x) without a
    potential; it moves at the mean of the velocities on both sides, and energy is lost there. The mean of u is
    conserved. Only differences of φ count: its mean is not determined by any data (nor is a φ that alternates from
    cell to cell, which the central difference does not see).

    Scheme: finite volumes, with linear reconstruction in each cell under a smooth limiter (van Albada's, which
    lets small differences pass, so that extrema stay second order), the flux of Engquist and Osher, φ' by central
    differences, and the three-stage strong-stability-preserving Runge-Kutta method. Second order in space where the
    flow is smooth, shocks within two or three cells; third order in time, in so many sub-steps that speeds up to
    `max_speed` are stable. All of it can be differentiated, and the slopes of the flux are continuous. Beyond
    `max_speed` the flux grows linearly instead of as u²/2, so that the step is stable for every potential and state;
    simulations that get there are refused.

    Sources: G. D. van Albada, B. van Leer and W. W. Roberts, Astron. Astrophys. 108 (1982) 76; B. Engquist and
    S. Osher, Math. Comp. 36 (1981) 321, doi:10.1090/S0025-5718-1981-0606500-X; C.-W. Shu and S. Osher, J. Comput.
    Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5.

    Args:
        config: grid, `dt`, potential φ [length²/time²] (default 0: no force) and `max_speed` [length/time]. Values
            that work well: size 100 in 256 cells, dt 0.1, speeds about 1, φ = sin(2πx/100), `max_speed` 4.
    """

    config_class = InviscidBurgersConfig
    accelerates = True
    config: InviscidBurgersConfig
    field_parameters: frozenset[str] = frozenset({"potential"})
    up_to_a_constant: ClassVar[frozenset[str]] = frozenset({"potential"})

    def __init__(self, config: InviscidBurgersConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.layout = Layout(grid=grid, fields=(FieldSpec("velocity", components=("x",), boundary="periodic"),))
        self._h = grid.spacing[0]
        self._walls = self.layout.fields[0].walls
        speed = config.range_of("max_speed")
        self._negligible = speed**2 * (_SMOOTH / grid.resolution[0]) ** 3
        self.substeps = ceil(config.dt * speed / self._h / _COURANT)

    def exceeded(self, largest: float) -> str | None:
        """Speeds above `max_speed` are not described."""
        return too_fast(self.config, largest, "generation.amplitude or the potential")

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (r"\partial_t u + \partial_x\left(\frac{1}{2}\,u^2\right) = -\varphi'(x)",)

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `velocity` by `dt / substeps`; see the class for the scheme."""
        velocity = fields["velocity"]
        u, h = velocity.values, self.dt / self.substeps
        push: Any = 0.0
        if varies(parameters["potential"]):
            left, _, right = neighbours(parameters["potential"], "x", self._walls, self._h)
            push = (left - right) * (h / (2 * self._h))
        first = u + self._flow(u, h) + push
        second = 0.75 * u + 0.25 * (first + self._flow(first, h) + push)
        return {"velocity": velocity.with_values(u / 3 + 2 / 3 * (second + self._flow(second, h) + push))}

    def _flow(self, u: Any, h: float) -> Any:
        """What flows into each cell through its faces in a time `h`."""
        padded = pad(u, "x", 2, self._walls, self._h)
        before, after = between(padded, "x")
        a, b = between(after - before, "x")
        half = (a * b + self._negligible) * (a + b) / (2 * (a * a + b * b + 2 * self._negligible))
        n = u.shape.get_size("x")
        cells = padded[{"x": slice(1, n + 3)}]
        left, right = between(cells + half, "x")[0], between(cells - half, "x")[1]
        limit = self.config.range_of("max_speed")
        forward, backward = math.clip(left, 0.0, limit), math.clip(right, -limit, 0.0)
        # u²/2 of what moves right plus that of what moves left; beyond the limit its tangent.
        flux = forward * (left - forward / 2) + backward * (right - backward / 2)
        lower, upper = between(flux, "x")
        return (lower - upper) * (h / self._h)
