"""Heat equation with a diffusivity that may vary in space, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from phi import math
from pydantic import Field, PositiveInt, model_validator

from hyco.equations.coefficients import Coefficients
from hyco.equations.equation import FieldValue
from hyco.equations.ranges import Bounds, Range
from hyco.equations.sources import SourceConfig, SourcedEquation
from hyco.fields import FieldSpec, Layout
from hyco.schemes.integrators import rkl2, rkl2_reach, rkl2_stages
from hyco.schemes.stencils import varies
from hyco.schemes.transport import Faces, diffusion, diffusion_stiffness
from hyco.schemes.waves import FourierModes, Waves, in_waves, mirrored, resting_state, waves_of

# A step with more stages is cut into shorter ones: a traced step has about ten operations per stage and axis.
_MOST_STAGES = 49


class HeatParameters(Coefficients):
    """The coefficients of the heat equation."""

    diffusivity: FieldValue = Field(description="diffusivity a, a number or a formula of x, y, z [length²/time]")


class HeatConfig(SourceConfig):
    """Keys of the `equation` section for `name: heat`."""

    unknown: ClassVar[str] = "temperature"
    smooth: ClassVar[Mapping[str, Any]] = MappingProxyType({"order": "auto"})

    name: Literal["heat"] = "heat"
    parameters: HeatParameters = Field(description="true coefficients")
    form: Literal["divergence", "nondivergence"] = Field(default="divergence", description="∇·(a∇u), or a Δu")
    order: Literal["auto", 2, 4, "spectral"] = Field(
        default="auto",
        description="order of the differences in space; 4: nondivergence only; spectral: waves, for a number between "
        "walls with constant values or no slope, without a source; auto: spectral or 4 where these may be, else 2",
    )
    faces: Faces = Field(
        default="harmonic",
        description="diffusivity between two cells in the form divergence: their harmonic mean, right where it jumps "
        "from cell to cell, or the arithmetic one",
    )
    range_keys: ClassVar[tuple[str, ...]] = ("max_diffusivity", "max_reaction")
    max_diffusivity: Range = Field(
        default="auto",
        description="largest diffusivity that the step must be stable for; sets its stages; auto: by its value and "
        "bounds [length²/time]",
    )
    substeps: PositiveInt = Field(default=1, description="time steps from one state to the next, at least")

    @model_validator(mode="after")
    def _order_has_a_form(self) -> HeatConfig:
        if self.order == 4 and self.form == "divergence":
            raise ValueError("order: 4 is for form: nondivergence; with form: divergence use order: 2 or auto")
        if self.order == "spectral" and not self._in_waves:
            raise ValueError(
                "order: spectral is for walls that are periodic, have no slope or a constant value (different ones "
                "along one axis only), up to 512 cells along an axis, and no source; use order: auto"
            )
        return self

    @property
    def _in_waves(self) -> bool:
        return self.source is None and in_waves(self.grid, self.boundary)

    @property
    def scheme(self) -> Literal[2, 4, "spectral"]:
        """The `order` that is taken where the diffusivity is a number."""
        if self.order != "auto":
            return self.order
        if isinstance(self.parameters.diffusivity, str):
            return 2
        return "spectral" if self._in_waves else 4 if mirrored(self.grid, self.boundary) else 2

    def for_fields(self, names: Collection[str]) -> dict[str, Any]:
        """A diffusivity that varies is not made for waves, and may jump: second order."""
        return {"order": 2} if "diffusivity" in names and self.order in ("auto", "spectral") else {}

    @property
    def convergence_order(self) -> float:
        """That of the differences; of waves, which have no error, that of reading them between cells."""
        return 4.0 if self.scheme == "spectral" else float(self.scheme)

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Diffusivities from 0 to `max_diffusivity` are stable."""
        return {"diffusivity": (0.0, self.limit_of("max_diffusivity"))}

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """The largest diffusivity that is given or may be learnt; if that is 0, any one that costs nothing.

        The largest reaction by samples of the source.
        """
        numbers = {}
        if self.max_diffusivity == "auto":
            free = 1 / (self.dt * diffusion_stiffness(1.0, self.grid.spacing, 4 if self.scheme == 4 else 2))
            numbers["max_diffusivity"] = self.largest_value("diffusivity", bounds) or free
        if "max_reaction" in self.open_ranges:
            numbers["max_reaction"] = self.largest_reaction(largest, bounds)
        return numbers


class Heat(SourcedEquation):
    """∂u/∂t = ∇·(a∇u) + s, or ∂u/∂t = a Δu + s, u the temperature, a ≥ 0 the diffusivity and s(t, x, u) a source.

    Temperatures even out: a wave of wavenumber k decays at the rate a k², extremes never grow. In the divergence form
    what flows out of one cell flows into the next: with periodic and Neumann boundaries the mean is kept to rounding.
    In the other form it is not, where a varies.

    Scheme `order: spectral`, the default where a is a number, walls are periodic, have no slope or a constant value,
    and there is no source: the state is a sum of the waves that keep the walls, and each decays as it should. A state
    that the grid resolves has no error, neither in space nor in time; from rough ones extremes may grow a little.

    Scheme `order: 2`, the default where a varies: second-order central differences, with fluxes through the faces in
    the divergence form; the Runge-Kutta-Legendre method in time, second order, with so many stages that every
    diffusivity from 0 to `max_diffusivity` is stable, in sub-steps no longer than 1/`max_reaction`. Walls and sources
    that vary in time are taken at the times of the stages. Waves with a k² dt above about 1 are damped but not
    followed: raise `substeps` where they matter.

    With `order: 4` (the default where a is a number and waves will not do, unless a wall has another condition) the
    differences are of fourth order. So is the error with periodic boundaries
    and Dirichlet values. With Neumann boundaries it is where a has no slope across the wall: otherwise ∂³u/∂n³ is not
    zero there, which mirrored cells take it to be, and the order is 2. These differences may let extremes grow a
    little from rough states; ∫|∇u|² never grows.

    Boundaries: periodic, Neumann (no slope), a Dirichlet value or any other wall, per axis or side, on the faces of the
    outermost cells.

    Source: C. D. Meyer, D. S. Balsara and T. D. Aslam, J. Comput. Phys. 257 (2014) 594,
    doi:10.1016/j.jcp.2013.08.021.

    Args:
        config: grid, `dt` [time], diffusivity a [length²/time] (no default), `max_diffusivity` [length²/time], `form`
            (divergence), `order` (auto) and `substeps` (1). Values that work well: `max_diffusivity` two to three
            times the largest diffusivity expected, a dt ≤ 0.3 × (length scale)²; in the other form `order: 4`.
    """

    config_class = HeatConfig
    config: HeatConfig
    field_parameters = frozenset({"diffusivity"})

    def __init__(self, config: HeatConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self.layout = Layout(grid=grid, fields=(FieldSpec("temperature", boundary=config.boundary),))
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        self.autonomous = "t" not in config.formula_names
        # A diffusivity with a value in every cell is taken by differences, whatever serves a number.
        self._order = 4 if config.scheme == 4 else 2
        self._waves = waves_of(grid, config.boundary) if config.scheme == "spectral" else None
        stiffness = diffusion_stiffness(config.range_of("max_diffusivity"), grid.spacing, self._order)
        stiffness += config.reaction
        # Unlike the stiffest waves, what a reaction does is to be followed: no step is longer than its time.
        needed = (stiffness / rkl2_reach(_MOST_STAGES), config.reaction)
        self.substeps = max(config.substeps, *(ceil(config.dt * rate) for rate in needed))
        if self._waves is not None:
            self.substeps = config.substeps
        self.stages = rkl2_stages(config.dt / self.substeps, stiffness)

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        flow = r"\nabla \cdot (a\,\nabla u)" if self.config.form == "divergence" else r"a\,\Delta u"
        return (rf"\partial_t u = {flow}" + (" + s" if self.config.source else ""),)

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the field `temperature` by `dt / substeps`; see the class for the scheme."""
        temperature = fields["temperature"]
        config, diffusivity = self.config, parameters["diffusivity"]
        if self._waves is not None and not varies(diffusivity):
            return {"temperature": temperature.with_values(self._decayed(temperature.values, diffusivity, self._waves))}
        walls = self.walls_at(parameters, time)
        order = self._order if config.form == "nondivergence" or not varies(diffusivity) else 2
        rate = diffusion(diffusivity, walls, self._spacing, config.form, order, config.faces)
        changes = self.rate_in_time(rate, parameters, time)
        values = rkl2(temperature.values, self.dt / self.substeps, stages=self.stages, **changes)
        return {"temperature": temperature.with_values(values)}

    def _decayed(self, values: Any, diffusivity: Any, waves: Waves | FourierModes) -> Any:
        """Each wave times exp(-a k² dt), about the state that rests."""
        rest = resting_state(self.layout.grid, self.config.boundary)
        factor = math.exp(waves.squared * (diffusivity * (-self.dt / self.substeps)))
        return waves.backward(waves.forward(values - rest) * factor) + rest
