"""Buoyant smoke in two and three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import Any, ClassVar, Literal

import torch
from phi import math
from phi.math import dual, spatial
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, field_validator
from torch import Tensor

from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.ranges import Bounds, Range, too_fast, with_room
from hyco.expressions import Expression, coordinates
from hyco.fields import FieldSpec, Layout
from hyco.schemes.integrators import RK3_REAL
from hyco.schemes.staggered import BoxSides, StaggeredBox
from hyco.schemes.transport import UPWIND_STEPS

# Steps that diffusion needs, in units of h²/ν.
_DIFFUSION = 4 / RK3_REAL
# Puffs of smoke in an initial state, and the part of the domain's height that they are in.
_PUFFS, _LOWER_PART = 3, 0.6


class SmokeParameters(BaseModel):
    """The coefficients of the smoke equations."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    buoyancy: float = Field(description="upward acceleration b per smoke [length/time²/smoke]")
    inflow_rate: float = Field(default=0.0, description="smoke r that enters where the inflow is one [smoke/time]")
    viscosity: NonNegativeFloat = Field(default=0.0, description="kinematic viscosity ν [length²/time]")
    diffusivity: NonNegativeFloat = Field(default=0.0, description="diffusivity κ of smoke [length²/time]")


class SmokeConfig(EquationConfig):
    """Keys of the `equation` section for `name: smoke`."""

    name: Literal["smoke"] = "smoke"
    boundary: BoxSides = Field(
        default="closed",
        description="periodic, closed or open, or these by axis, where an axis may have lower and upper",
    )
    parameters: SmokeParameters = Field(description="true coefficients")
    inflow: str | None = Field(
        default=None, description="where smoke enters, a formula of x, y, z; null: a smooth spot near the bottom"
    )
    range_keys: ClassVar[tuple[str, ...]] = ("max_speed",)
    max_speed: Range = Field(
        default="auto",
        description="largest |velocity component| that the step must be exact for; sets the sub-steps; auto: by the "
        "states, and then max_viscosity null covers ν, κ and their bounds [length/time]",
    )
    max_viscosity: PositiveFloat | None = Field(
        default=None,
        description="largest ν and κ that the step is stable for; null: what needs as many sub-steps as max_speed",
    )

    @field_validator("inflow")
    @classmethod
    def _readable(cls, formula: str | None) -> str | None:
        if formula is not None:
            Expression(formula)
        return formula

    @property
    def wall_names(self) -> frozenset[str]:
        """None: closed and open sides have no formulas."""
        return frozenset()

    def check_boundary(self) -> None:
        """The sides of a box, in two or three dimensions; and the inflow is a formula of its axes."""
        if len(self.domain) == 1:
            raise ValueError("smoke needs two or three dimensions (domain: x and y, or x, y and z)")
        if self.inflow is not None:
            Expression(self.inflow).require(tuple(self.domain))
        StaggeredBox(self.grid, self.boundary)

    @property
    def largest_viscosity(self) -> float:
        """`max_viscosity`, or what is stable in as many sub-steps as `max_speed` needs."""
        if self.max_viscosity is not None:
            return self.max_viscosity
        return self._implied_viscosity(self.range_of("max_speed"))

    def _implied_viscosity(self, speed: float) -> float:
        convection = speed * sum(UPWIND_STEPS / h for h in self.grid.spacing)
        return convection / sum(_DIFFUSION / h**2 for h in self.grid.spacing)

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """The largest speed of the states with some room; where it is not known, what one sub-step is enough for.

        `max_viscosity` too, where it is null and ν or κ would exceed what it then means.
        """
        if not self.open_ranges:
            return {}
        single = 1 / (2 * self.dt * sum(UPWIND_STEPS / h for h in self.grid.spacing))
        speed = with_room(largest) if largest else single
        viscosity = max(self.largest_value(name, bounds) for name in ("viscosity", "diffusivity"))
        exceeds = self.max_viscosity is None and viscosity > self._implied_viscosity(speed)
        return {"max_speed": speed} | ({"max_viscosity": viscosity} if exceeds else {})

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Viscosity and diffusivity up to `max_viscosity`, or less than the sub-steps for `max_speed` allow."""
        anything = (float("-inf"), float("inf"))
        limited = self.max_viscosity is not None or not self.open_ranges
        diffusion = (0.0, self.largest_viscosity if limited else float("inf"))
        return {"buoyancy": anything, "inflow_rate": anything, "viscosity": diffusion, "diffusivity": diffusion}


class Smoke(Equation):
    """∂u/∂t + (u·∇)u = -∇p + b s e + ν Δu, ∇·u = 0, ∂s/∂t + ∇·(u s) = r I(x) + κ Δs; e points up the last axis.

    Smoke s that enters at the rate r I rises, rolls up into a mushroom and spreads below the ceiling of a closed box,
    or leaves through an open top. Closed walls: u = 0 and no smoke passes. Open sides: p = 0, the velocity has no
    slope there, and the air that flows in is clean. In a closed or periodic box the smoke only changes by what enters,
    to rounding; after each step ∇·u = 0, to rounding.

    Scheme: velocities on the faces, smoke in the centres of the cells. Third-order upwind-biased differences for the
    transport (in fluxes for the smoke), averages and central differences for the rest: second order in space. The
    three-stage strong-stability-preserving Runge-Kutta method with a pressure projection after each stage: third
    order in time. The upwinding is not limited, so that steep edges undershoot zero a little and gradients are smooth.
    Stable for speeds up to `max_speed` and ν and κ up to `max_viscosity`; a parameter that makes the flow faster
    cannot blow it up, as faster velocities move things at `max_speed` only.

    Sources: F. H. Harlow and J. E. Welch, Phys. Fluids 8 (1965) 2182, doi:10.1063/1.1761178 (faces and centres);
    B. P. Leonard, Comput. Methods Appl. Mech. Eng. 19 (1979) 59, doi:10.1016/0045-7825(79)90034-3 (upwinding);
    C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988) 439, doi:10.1016/0021-9991(88)90177-5 (time).

    Args:
        config: grid, `dt`, `boundary` (default closed), buoyancy b [length/time²/smoke], inflow rate r [smoke/time]
            (default 0), viscosity ν and diffusivity κ [length²/time] (default 0), `inflow` I, `max_speed`
            [length/time] and `max_viscosity` [length²/time]. Values that work well: a box of size 1 × 1.25,
            32 × 40 cells, b = 1, r = 1, ν = κ = 0.002, `max_speed` 1.5 and a `dt` of a few cell widths / speed.
    """

    config_class = SmokeConfig
    accelerates = True
    config: SmokeConfig

    def __init__(self, config: SmokeConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.box = StaggeredBox(grid, config.boundary)
        self.layout = Layout(
            grid=grid,
            fields=(
                FieldSpec("smoke", boundary=self.box.scalar_boundary.plain),
                FieldSpec("velocity", components=grid.axes, staggered=True, boundary=self.box.velocity_boundary.plain),
            ),
        )
        speed = config.range_of("max_speed")
        convection = speed * sum(UPWIND_STEPS / h for h in grid.spacing)
        diffusion = config.largest_viscosity * sum(_DIFFUSION / h**2 for h in grid.spacing)
        self.substeps = ceil(config.dt * (convection + diffusion))
        self._up = grid.axes[-1]
        self._inflow = math.wrap(_inflow(config).numpy(), spatial(",".join(grid.axes)))

    def unsuitable(self, states: Tensor) -> str | None:
        """Speeds above `max_speed` are not moved as fast as they should be."""
        return too_fast(self.config, self.reach(states), "generation.amplitude or the parameters")

    def reach_of(self, peaks: Sequence[float]) -> float:
        """The largest velocity component."""
        return max(peaks[1:])

    def initial_states(self, count: int, length_scale: float, amplitude: float, generator: torch.Generator) -> Tensor:
        """A few round puffs of smoke at random places in the lower part of the domain, in air at rest.

        Args:
            length_scale: radius of the puffs [length].
            amplitude: smoke in the middle of the largest puffs; the others have at least half of it.
        """
        grid = self.layout.grid
        random = torch.rand((count, _PUFFS, grid.dimensions + 2), generator=generator, dtype=torch.float64)
        strength = amplitude * (0.5 + 0.5 * random[..., -1])
        radius = length_scale * (0.7 + 0.6 * random[..., -2])
        ones = (1,) * grid.dimensions
        squared = torch.zeros((count, _PUFFS, *ones), dtype=torch.float64)
        for i, (axis, place) in enumerate(coordinates(grid).items()):
            size = grid.size[i]
            part = _LOWER_PART if axis == self._up else 1.0
            middle = grid.lower[i] + part * size * random[..., i].reshape(count, _PUFFS, *ones)
            distance = (place - middle).abs()
            if self.box.wraps(axis):
                distance = torch.minimum(distance, size - distance)
            squared = squared + distance**2
        puffs = strength.reshape(count, _PUFFS, *ones) * torch.exp(
            -squared / (2 * radius.reshape(count, _PUFFS, *ones) ** 2)
        )
        states = torch.zeros((count, len(self.layout.channels), *self.layout.shape), dtype=torch.float64)
        states[self.layout.index(0, 1)] = puffs.sum(1)
        return states

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (
            r"\partial_t u + (u \cdot \nabla)\,u = -\nabla p + b\,s\,e + \nu\,\Delta u, \quad \nabla \cdot u = 0",
            r"\partial_t s + \nabla \cdot (u\,s) = r\,I(x) + \kappa\,\Delta s",
        )

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the fields `smoke` and `velocity` by `dt / substeps`; see the class for the scheme."""
        h = self.dt / self.substeps
        faces = fields["velocity"].values
        start = {axis: faces[{"~vector": axis}] for axis in self.layout.grid.axes}
        start["smoke"] = fields["smoke"].values
        state = self._stage(start, start, 0.0, 1.0, h, parameters)
        state = self._stage(start, state, 0.75, 0.25, h, parameters)
        state = self._stage(start, state, 1 / 3, 2 / 3, h, parameters)
        smoke = state.pop("smoke")
        return {
            "smoke": fields["smoke"].with_values(smoke),
            "velocity": fields["velocity"].with_values(math.stack(state, dual("vector"))),
        }

    def _stage(
        self,
        start: Mapping[str, Any],
        state: Mapping[str, Any],
        old: float,
        new: float,
        h: float,
        parameters: Mapping[str, Any],
    ) -> dict[str, Any]:
        """One stage: old × start + new × (state + h × its rate of change), with the velocity projected."""
        velocity = {axis: state[axis] for axis in self.layout.grid.axes}
        limit = self.config.range_of("max_speed")
        rates = self.box.convection(velocity, parameters["viscosity"], limit)
        lift = self.box.to_faces(state["smoke"], self._up) * parameters["buoyancy"]
        rates[self._up] = rates[self._up] + lift
        rates["smoke"] = self.box.transport(state["smoke"], velocity, parameters["diffusivity"], limit)
        rates["smoke"] = rates["smoke"] + self._inflow * parameters["inflow_rate"]
        updated = {name: new * (state[name] + h * rate) for name, rate in rates.items()}
        if old:
            updated = {name: value + old * start[name] for name, value in updated.items()}
        smoke = updated.pop("smoke")
        return {**self.box.project(updated), "smoke": smoke}


def _inflow(config: SmokeConfig) -> Tensor:
    """Where smoke enters, `[*space]`: the formula, or a Gaussian spot an eighth above the bottom."""
    grid = config.grid
    if config.inflow is not None:
        return Expression(config.inflow).on_grid(grid)
    radius = 0.06 * prod(grid.size) ** (1 / grid.dimensions)
    squared = torch.zeros(())
    for i, (axis, place) in enumerate(coordinates(grid).items()):
        middle = grid.lower[i] + grid.size[i] * (0.125 if axis == grid.axes[-1] else 0.5)
        squared = squared + (place - middle) ** 2
    return torch.exp(-squared / (2 * radius**2))
