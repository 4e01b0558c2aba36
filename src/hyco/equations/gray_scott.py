"""Gray-Scott reaction and diffusion of two substances, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from phi import math
from phi.math import channel
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator
from torch import Tensor

from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.ranges import Bounds, Steps, with_room
from hyco.fields import FieldSpec, Layout
from hyco.schemes.stencils import around
from hyco.schemes.waves import MOST_CELLS, FourierModes, Waves, in_waves, waves_of

# The explicit Euler step is stable while its largest rate × step is at most 2. Diffusion may use 1.6 of it, feed and
# kill 0.1 each; the rest is left for the reaction.
_DIFFUSION, _SUPPLY = 1.6, 0.1
# The four-stage method is stable to 2.8 of a step times the rate v² at which u reacts. Accuracy asks for less: steps of
# 1/v² for the largest v follow all that happens to some 10⁻⁴.
_LARGEST_STEP = 2.0


class GrayScottParameters(BaseModel):
    """The coefficients of the Gray-Scott system."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    diffusivity_u: NonNegativeFloat = Field(description="diffusivity D_u of the substance u [length²/time]")
    diffusivity_v: NonNegativeFloat = Field(description="diffusivity D_v of the substance v [length²/time]")
    feed: NonNegativeFloat = Field(description="rate f at which u is fed and both are washed out [1/time]")
    kill: NonNegativeFloat = Field(description="rate k at which v decays beyond that [1/time]")


class GrayScottConfig(EquationConfig):
    """Keys of the `equation` section for `name: gray_scott`."""

    name: Literal["gray_scott"] = "gray_scott"
    boundary: Literal["periodic", "neumann"] = Field(
        default="periodic", description="periodic, or walls that nothing passes"
    )
    parameters: GrayScottParameters = Field(description="true coefficients")
    smooth: ClassVar[Mapping[str, Any]] = MappingProxyType({"scheme": "auto"})
    scheme: Literal["auto", "spectral", "euler"] = Field(
        default="auto",
        description="spectral: waves that keep the walls, and a four-stage method; euler: second-order differences and "
        "Euler steps; auto: spectral up to 512 cells along an axis",
    )
    range_keys: ClassVar[tuple[str, ...]] = ("substeps",)
    substeps: Steps = Field(
        default="auto",
        description="steps from one state to the next; with scheme euler more of them admit larger diffusivities and "
        "rates; auto: as many as the values and bounds of these and the states ask for",
    )

    @model_validator(mode="after")
    def _waves_fit(self) -> GrayScottConfig:
        if self.scheme == "spectral" and not in_waves(self.grid, self.boundary):
            raise ValueError(f"scheme: spectral is for up to {MOST_CELLS} cells along an axis; use scheme: euler")
        return self

    @property
    def spectral(self) -> bool:
        """Whether the scheme is the spectral one."""
        return self.scheme != "euler" and in_waves(self.grid, self.boundary)

    @property
    def convergence_order(self) -> float:
        """That of the time steps where space is spectral, else that of the differences."""
        return 4.0 if self.spectral else 2.0

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Rates that the Euler step of `dt / substeps` is stable for; more substeps widen them. Else all."""
        h = self.dt / self.limit_of("substeps")
        if h == 0 or self.spectral:
            return dict.fromkeys(("diffusivity_u", "diffusivity_v", "feed", "kill"), (0.0, float("inf")))
        diffusivity = _DIFFUSION / (h * 4 * sum(1 / d**2 for d in self.grid.spacing))
        rate = _SUPPLY / h
        return {
            "diffusivity_u": (0.0, diffusivity),
            "diffusivity_v": (0.0, diffusivity),
            "feed": (0.0, rate),
            "kill": (0.0, rate),
        }

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """As many steps as follow concentrations of the states with some room; Euler's are stable for all rates."""
        if not self.open_ranges:
            return {}
        if self.spectral:
            return {"substeps": max(1, ceil(self.dt * with_room(largest or 1.0) ** 2 * (1 - 1e-9)))}
        largest_of = {name: self.largest_value(name, bounds) for name in type(self.parameters).model_fields}
        stiffness = 4 * sum(1 / d**2 for d in self.grid.spacing)
        spread = stiffness * max(largest_of["diffusivity_u"], largest_of["diffusivity_v"])
        reaction = with_room(largest or 1.0) ** 2 + stiffness * largest_of["diffusivity_u"] + largest_of["feed"]
        rates = (spread / _DIFFUSION, largest_of["feed"] / _SUPPLY, largest_of["kill"] / _SUPPLY, reaction / 2)
        return {"substeps": max(1, ceil(self.dt * max(rates) * (1 + 1e-9)))}


class GrayScott(Equation):
    """∂u/∂t = D_u Δu - uv² + f (1 - u),  ∂v/∂t = D_v Δv + uv² - (f + k) v, u and v concentrations.

    v grows on u, which is fed at the rate f; v decays at the rate f + k. Without v, u = 1 is stable; from enough of v
    grow pulses, spots that divide, stripes or waves, by the values of f and k. Papers that write the decay of v as
    one number mean f + k: 0.069 with f = 0.018 is k = 0.051.

    Scheme `spectral`, the default up to 512 cells along an axis: u and v are sums of the waves that keep the walls, of
    which diffusion, feed and kill are followed exactly; the reaction by the four-stage Runge-Kutta method in steps of
    τ = `dt / substeps`. Fourth order in time, and in space more accurate than any order while the grid resolves the
    patterns; every rate ≥ 0 is stable. Where v > √(2/τ) the reaction takes what is stable; simulations that get there
    are refused.

    Scheme `euler`: second-order differences on cell centres and explicit Euler steps of τ: second order in space, first
    in time. Stable for diffusivities up to 0.4 / τΣ(1/h²) (on d axes with equal cells 0.4 h²/τd), and
    feed and kill up to 0.1/τ each. The reaction takes up the factor τv² of u in a step; where v is so large that the
    step could not bear it, it takes what is stable, so that every state is. Simulations that get there are refused;
    with a diffusivity at its limit that is from v = √(0.3/τ), with half of that from √(1.1/τ).

    Sources: P. Gray and S. K. Scott, Chem. Eng. Sci. 39 (1984) 1087, doi:10.1016/0009-2509(84)87017-7; J. E. Pearson,
    Science 261 (1993) 189, doi:10.1126/science.261.5118.189.

    Args:
        config: grid, `dt`, `scheme`, `substeps`, boundary (periodic or neumann), D_u and D_v [length²/time], f and k
            [1/time]. Values that work well: cells of width 1.6, steps of 0.5 (Euler 0.4), D_u = 0.2, D_v = 0.08,
            f = 0.018, k = 0.051, states 40 apart.
    """

    config_class = GrayScottConfig
    accelerates = True
    config: GrayScottConfig

    def __init__(self, config: GrayScottConfig) -> None:
        self.config = config
        self.dt, self.substeps = config.dt, int(config.range_of("substeps"))
        self.parameters = config.true_parameters
        grid = config.grid
        fields = tuple(FieldSpec(name, boundary=config.boundary) for name in ("u", "v"))
        self.layout = Layout(grid=grid, fields=fields)
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        self._waves: Waves | FourierModes | None = None
        if config.spectral:
            self._waves = waves_of(grid, config.boundary)

    @property
    def _tau(self) -> float:
        """The length of a step."""
        return self.dt / self.substeps

    def _largest_reaction(self, diffusivity_u: Any, feed: Any) -> Any:
        """The largest τv² that leaves all rates of the step for u within 2."""
        if self._waves is not None:
            return _LARGEST_STEP
        return 2 - self._tau * (sum(4 / h**2 for h in self._spacing.values()) * diffusivity_u + feed)

    def exceeded(self, largest: float) -> str | None:
        """Concentrations so large that the reaction is too fast for the step."""
        bound = (self._largest_reaction(self.parameters["diffusivity_u"], self.parameters["feed"]) / self._tau) ** 0.5
        # u rests at 1, whatever the bound: only values above it count. Sums of waves go a little beyond.
        if self.config.open_ranges or largest <= max(bound, 1.0 + (1e-9 if self._waves is None else 1e-2)):
            return None
        return (
            f"a concentration reaches {largest:.3g}, but the time step is made for {bound:.3g}: "
            "set equation.substeps higher or to auto, or generation.amplitude lower"
        )

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (
            r"\partial_t u = D_u\,\Delta u - u\,v^2 + f\,(1 - u)",
            r"\partial_t v = D_v\,\Delta v + u\,v^2 - (f + k)\,v",
        )

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance the fields `u` and `v` by `dt / substeps`; see the class for the scheme."""
        u, v = fields["u"].values, fields["v"].values
        advance = self._by_euler if self._waves is None else self._by_waves
        new = advance(u, v, parameters)
        return {name: fields[name].with_values(new[{"substance": name}]) for name in ("u", "v")}

    def _by_euler(self, u: Any, v: Any, parameters: Mapping[str, Any]) -> Any:
        feed, kill = self._tau * parameters["feed"], self._tau * parameters["kill"]
        substances = channel(substance="u,v")
        both = math.stack([u, v], substances)
        diffusivity = math.stack([parameters["diffusivity_u"], parameters["diffusivity_v"]], substances) * self._tau
        # Few operations on whole fields: this step runs thousands of times.
        sides, center = around(both, self.layout.fields[0].walls, self._spacing)
        kept = 1 - diffusivity * center - math.stack([feed, feed + kill], substances)
        linear = math.stack([feed, 0 * feed], substances) + both * kept + sides * diffusivity
        largest = self._largest_reaction(parameters["diffusivity_u"], parameters["feed"])
        reaction = u * math.minimum(v * v, largest / self._tau)
        return linear + reaction * (self._tau * math.wrap([-1.0, 1.0], substances))

    def _by_waves(self, u: Any, v: Any, parameters: Mapping[str, Any]) -> Any:
        """Four stages on the coefficients of exp(-Λt) (1 - u, v), which only the reaction changes.

        Both, 1 - u and v, grow by the reaction, and decay at the rates Λ = D_u k² + f and D_v k² + f + k.
        """
        waves, h = self._waves, self._tau
        assert waves is not None
        substances = channel(substance="u,v")
        feed, kill = parameters["feed"], parameters["kill"]
        diffusivity = math.stack([parameters["diffusivity_u"], parameters["diffusivity_v"]], substances)
        rates = diffusivity * waves.squared + math.stack([feed, feed + kill], substances)
        half = math.exp(rates * (-h / 2))
        full = half * half
        largest = _LARGEST_STEP / h

        def change(coefficients: Any) -> Any:
            """Of the coefficients in a time h, by the reaction."""
            lack, v = waves.pair(coefficients[{"substance": "u"}], coefficients[{"substance": "v"}])
            return waves.forward((1 - lack) * math.minimum(v * v, largest)) * h

        begun = waves.forward(math.stack([1 - u, v], substances))
        moved = half * begun
        first = half * change(begun)
        second = change(moved + first / 2)
        third = change(moved + second / 2)
        fourth = change(half * (moved + third))
        end = full * begun + (half * (first + 2 * (second + third)) + fourth) / 6
        lack, v = waves.pair(end[{"substance": "u"}], end[{"substance": "v"}])
        return math.stack([1 - lack, v], substances)

    def initial_states(self, count: int, length_scale: float, amplitude: float, generator: torch.Generator) -> Tensor:
        """Discs of v in u = 1, v = 0: two to four in each simulation, so that none is symmetric.

        Args:
            length_scale: mean radius of a disc (half a width in one dimension) [length]; they vary by 40 %.
            amplitude: 1 gives u = v = 0.5 within the discs; less gives u = 1 - amplitude/2 and v = amplitude/2.
        """
        grid = self.layout.grid
        shapes = [[-1 if i == j else 1 for j in range(grid.dimensions)] for i in range(grid.dimensions)]
        points = [torch.from_numpy(grid.centers(a)).reshape(s) for a, s in zip(grid.axes, shapes, strict=True)]
        inside = torch.zeros((count, *grid.resolution), dtype=torch.bool)
        for simulation in inside:
            discs = int(torch.randint(2, 5, (), generator=generator))
            for _ in range(discs):
                draws = torch.rand(grid.dimensions + 1, generator=generator, dtype=torch.float64)
                radius = length_scale * (0.6 + 0.8 * float(draws[-1]))
                squared: Tensor = torch.zeros((), dtype=torch.float64)
                axes = zip(points, grid.lower, grid.size, draws[:-1], self.layout.periodic, strict=True)
                for x, low, size, draw, wraps in axes:
                    away = (x - low - size * draw).abs()
                    if wraps:
                        away = torch.minimum(away, size - away)
                    squared = squared + away**2
                simulation |= squared <= radius**2
        v = 0.5 * amplitude * inside.double()
        return torch.stack([1 - v, v], dim=1)
