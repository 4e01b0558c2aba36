"""What an equation is: its grid, channels, parameters, boundary and one `step`, written with PhiFlow Fields.

To add a PDE, write one file anywhere on Python's path (the folder of the project is on it) with

- a subclass of `EquationConfig`, its keys in YAML, which narrows `parameters` to a pydantic model of its coefficients;
- a subclass of `Equation` that has it as `config_class`, sets `config`, `layout`, `dt` and `parameters` in `__init__`,
  and has a `step`,

and name it `equation: {name: module:Class}`. The configuration is validated by the subclass as that of any equation,
and reports show the name as it is configured, so that `name` is left to `EquationConfig`. docs/equations.md has an
example. A package that is installed may give its equation a short name, in the entry-point group `hyco.equations`;
those of this package stand in `hyco.equations.registry`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from phi.math import spatial, wrap
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator
from torch import Tensor

from hyco.equations.coefficients import Coefficients
from hyco.equations.initial_states import random_smooth_states
from hyco.expressions import Expression, ExpressionError
from hyco.fields import Layout, in_words
from hyco.grid import Grid
from hyco.walls.boundary import Boundary

AXES = ("x", "y", "z")


class AxisConfig(BaseModel):
    """One axis of the domain."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    size: PositiveFloat = Field(allow_inf_nan=False, description="extent of the domain along this axis [length]")
    resolution: PositiveInt = Field(ge=4, description="number of cells along this axis")
    lower: float = Field(default=0.0, allow_inf_nan=False, description="coordinate of the lower end [length]")


class EquationConfig(BaseModel):
    """What every equation has; the file of each equation adds its own keys.

    Attributes:
        is_static: whether the problem has no time, and so no initial states.
        range_keys: keys that say how far the step reaches and may be `auto`, see `hyco.equations.ranges`.
        smooth: keys of the most accurate scheme for smooth fields and coefficients that are numbers, where it is not
            the default.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    is_static: ClassVar[bool] = False
    range_keys: ClassVar[tuple[str, ...]] = ()
    smooth: ClassVar[Mapping[str, Any]] = {}

    name: str = Field(description="name of the equation in the registry, or package.module:Class")
    domain: dict[str, AxisConfig] = Field(min_length=1, description="axes of the domain: x; x and y; or x, y and z")
    boundary: Any = Field(default="periodic", description="boundary condition of the domain")
    dt: PositiveFloat = Field(allow_inf_nan=False, description="time between two states of a trajectory [time]")
    parameters: BaseModel = Field(description="true coefficients, by name; each equation has a model of its own")

    @field_validator("domain")
    @classmethod
    def _known_axes(cls, domain: dict[str, AxisConfig]) -> dict[str, AxisConfig]:
        expected = AXES[: len(domain)]
        if tuple(sorted(domain)) != expected:
            raise ValueError(f"the axes must be {', '.join(expected)}, got {', '.join(domain)}")
        return {axis: domain[axis] for axis in expected}

    @property
    def grid(self) -> Grid:
        """The grid that `domain` describes, axes in the order x, y, z."""
        axes = tuple(self.domain)
        return Grid(
            axes=axes,
            lower=tuple(self.domain[a].lower for a in axes),
            size=tuple(self.domain[a].size for a in axes),
            resolution=tuple(self.domain[a].resolution for a in axes),
        )

    @model_validator(mode="after")
    def _boundary_fits_the_domain(self) -> EquationConfig:
        self.check_boundary()
        return self

    @model_validator(mode="after")
    def _parameters_are_named(self) -> EquationConfig:
        if isinstance(self.parameters, Coefficients) and self.parameters.added:
            self.parameters.require(self.formula_names - {"t", *AXES})
        return self

    @model_validator(mode="after")
    def _parameters_make_sense(self) -> EquationConfig:
        for name, value in self.true_parameters.items():
            lower, upper = self.limits[name]
            values = torch.as_tensor(value)
            if not bool(torch.isfinite(values).all()):
                where = f" in {int((~torch.isfinite(values)).sum())} cells" if values.ndim else ""
                raise ValueError(f"parameters.{name} is not finite{where}; allowed: finite numbers")
            if not bool(((values >= lower) & (values <= upper)).all()):
                raise ValueError(f"parameters.{name} leaves what is stable; allowed: {lower:g} to {upper:g}")
        return self

    def check_boundary(self) -> None:
        """Refuse a boundary that is none for this domain; to be overridden where `boundary` is other than walls.

        Raises:
            ValueError: with what is allowed.
        """
        walls = Boundary.of(self.boundary, tuple(self.domain))
        walls.require(self.formula_values)
        values = self.true_parameters
        if varying := sorted(name for name in walls.names if torch.as_tensor(values.get(name, 0.0)).ndim):
            raise ValueError(f"boundary: {', '.join(varying)} varies in space, which no parameter in a wall may do")
        self.require_wall_values(walls)

    def require_wall_values(self, walls: Boundary) -> None:
        """See `Boundary.require_values`."""
        if not walls.names:
            return
        ends = {axis: (keys.lower, keys.lower + keys.size) for axis, keys in self.domain.items()}
        numbers = {k: float(v) for k, v in self.true_parameters.items() if torch.as_tensor(v).ndim == 0}
        walls.require_values(ends, numbers)

    @property
    def wall_names(self) -> frozenset[str]:
        """What the formulas of its walls need a value of: t, axes and parameters."""
        return Boundary.of(self.boundary, tuple(self.domain)).names

    @property
    def formula_names(self) -> frozenset[str]:
        """The same of all its formulas that are no coefficients."""
        return self.wall_names

    @property
    def formula_values(self) -> tuple[str, ...]:
        """The names that formulas of its walls may use: t where there is time, the axes, and the parameters."""
        return (*(() if self.is_static else ("t",)), *self.domain, *self.true_parameters)

    @property
    def true_parameters(self) -> dict[str, float | Tensor]:
        """The parameter values that generate the data, by name: numbers, or values in every cell `[*space]`.

        Raises:
            ExpressionError: a formula uses a name that is no axis of the domain.
        """
        given: dict[str, float | str | None] = self.parameters.model_dump()
        values: dict[str, float | Tensor] = {}
        for name, value in given.items():
            if isinstance(value, str):
                try:
                    expression = Expression(value)
                    expression.require(tuple(self.domain))
                except ExpressionError as error:
                    raise ExpressionError(f"parameters.{name}: {error}") from None
                values[name] = expression.on_grid(self.grid).clone()
            elif value is not None:
                values[name] = float(value)
        return values

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """For each parameter, the closed range of values that the step is stable and meaningful for; by default all."""
        names = type(self.parameters).model_fields
        return dict.fromkeys(names, (-math.inf, math.inf))

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """`parameter_limits`, and none for parameters that only walls and sources name."""
        added = self.parameters.added if isinstance(self.parameters, Coefficients) else ()
        return {**self.parameter_limits, **dict.fromkeys(added, (-math.inf, math.inf))}

    def limiting_keys(self, name: str) -> tuple[str | None, str | None]:
        """Which of `range_keys` sets the lower and which the upper limit of a parameter: that of the step, then.

        None: the limit is one of the equation's meaning, or there is none.
        """
        keys: list[str | None] = [None, None]
        for key in self.range_keys:
            free = self.model_copy(update={key: "auto"}).limits[name]
            for end in (0, 1):
                if keys[end] is None and free[end] != self.limits[name][end]:
                    keys[end] = key
        return keys[0], keys[1]

    @property
    def open_ranges(self) -> tuple[str, ...]:
        """Those of `range_keys` that are `auto`."""
        return tuple(key for key in self.range_keys if getattr(self, key) == "auto")

    def ranges(self, largest: float | None, bounds: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
        """Numbers for `open_ranges`, by key; to be overridden where there may be any.

        A scheme that depends on them may be among them.

        They cover the parameters of this section too, which are not refused for a range that nobody gave.

        Args:
            largest: what states reach, see `Equation.reach`; None: not known, then what costs least.
            bounds: smallest and largest value of each parameter that is learnt.
        """
        return {}

    @property
    def chosen(self) -> dict[str, Any]:
        """Keys that are `auto` and depend on the cell width, with what they are on this grid; by default none."""
        return {}

    @property
    def convergence_order(self) -> float:
        """By which power of cell width and time step, refined together, the error falls; by default 2."""
        return 2.0

    def for_fields(self, names: Collection[str]) -> dict[str, Any]:
        """Keys of a step that takes a value in every cell for these parameters, where it is another; by default none.

        Args:
            names: parameters that are learnt as fields.
        """
        return {}

    def range_of(self, key: str) -> float:
        """The number of one of `range_keys`; where it is open, the one with nothing known of states or bounds."""
        given = getattr(self, key)
        return float(self.ranges(None, {})[key] if given == "auto" else given)

    def unsound(self, bounds: Mapping[str, tuple[float, float]], until: float | None = None) -> str | None:
        """Why some values within the bounds of what is learnt make no sense together, or None; by default None.

        `parameter_limits` says what each may be by itself. `until` is the last t asked for; None: that of a first step.
        """
        return None

    def limit_of(self, key: str) -> float:
        """The number of one of `range_keys` as a limit; infinite where it is open."""
        given = getattr(self, key)
        return math.inf if given == "auto" else float(given)

    def largest_value(self, name: str, bounds: Mapping[str, tuple[float, float]]) -> float:
        """The largest |value| of a parameter: as it is given here, and as it may be learnt."""
        given = self.true_parameters.get(name)
        values = [] if given is None else [float(torch.as_tensor(given, dtype=torch.float64).abs().max())]
        return max([*values, *map(abs, bounds.get(name, ()))], default=0.0)


# A number, or a formula of x, y and z: the value of a parameter that may vary in space.
FieldValue = float | str


class Equation(ABC):
    """A PDE, discretised: from the fields at one time to the fields one `dt` later.

    A static problem is an equation too: its step gives the solution whatever the fields are, so that a rollout of one
    step is one solve. Its trajectories have a state before the solution, which is zero.

    Attributes:
        field_parameters: parameters that may vary in space: they have a value in every cell. Others are numbers.
        up_to_a_constant: those of them of which only differences count.
        config: what it is made from.
        accelerates: whether states may get faster than they start, so that their ranges are not known beforehand.
        open_walls: whether there may be walls at which nothing holds a state, as where a flow leaves the domain.
        layout: how the fields sit in a tensor `[B, C, *space]`.
        parameters: the true values, by name: a number, or `[*space]`.
        dt: time between two states.
        substeps: steps from one state to the next; a step advances by `dt / substeps`.
        autonomous: whether the step is the same at all times; else it takes the time as a third argument.
    """

    config_class: ClassVar[type[EquationConfig]]
    field_parameters: frozenset[str] = frozenset()
    up_to_a_constant: ClassVar[frozenset[str]] = frozenset()
    accelerates: ClassVar[bool] = False
    open_walls: ClassVar[bool] = False
    config: EquationConfig
    layout: Layout
    dt: float
    parameters: dict[str, float | Tensor]
    substeps: int = 1
    autonomous: bool = True

    @abstractmethod
    def __init__(self, config: Any) -> None:
        """Take the configuration, of `config_class`, and set the attributes."""

    @abstractmethod
    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Advance by `dt / substeps`; that of an autonomous equation need not take the time.

        Args:
            fields: PhiFlow Fields by name, with any batch dimensions.
            parameters: PhiML tensors by name, scalar or with the fields' batch dimensions; those of
                `field_parameters` may have the grid's spatial dimensions too, with the values at cell centres.
            time: a PhiML tensor, scalar or with the fields' batch dimensions: t at the start of the step; None if the
                equation is autonomous.

        The step must not let the values of tensors decide what Python does, or it cannot be traced.
        """

    def walls_at(self, parameters: Mapping[str, Any], time: Any = None, field: int = 0) -> Boundary:
        """The walls of a field, with values for what their formulas name: the same object where they are constant.

        Args:
            parameters: as a step takes them; those that stand in walls are numbers, they do not vary in space.
            time: t, a number or PhiML tensor.
            field: its position in the layout.

        Raises:
            ValueError: the walls depend on t, and there is none.
        """
        walls = self.layout.fields[field].walls
        if not walls.names:
            return walls
        if time is None and "t" in walls.names:
            raise ValueError("the walls depend on t: a step of this equation takes the time")
        ends = {axis: (domain.lower, domain.lower + domain.size) for axis, domain in self.config.domain.items()}
        return walls.at({"t": time, **self.coordinates, **parameters}, ends)

    def described(self) -> list[tuple[str, str]]:
        """What `hyco check` tells of the equation beside its name, domain and boundary: lines of a title and a text."""
        return []

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX, each line one of its equations; by default none, and its text stands for it."""
        return ()

    @cached_property
    def coordinates(self) -> dict[str, Any]:
        """The coordinates of the cell centres along each axis, as PhiML tensors with this one dimension."""
        grid = self.layout.grid
        return {axis: wrap(grid.centers(axis), spatial(axis)) for axis in grid.axes}

    def require_states(self, layout: Layout, dt: float) -> None:
        """Refuse data of other states than this equation's.

        Raises:
            ValueError: their channels, grid or time between two states differ.
        """
        own, theirs = in_words(self.layout, self.dt), in_words(layout, dt)
        if own != theirs:
            raise ValueError(
                f"the data have {theirs}, the section equation has {own}: make the data anew, or change the section"
            )

    def reach(self, states: Tensor) -> float:
        """What the equation's ranges have to cover of states `[…, C, *space]`: by default by `reach_of`."""
        peaks = states.abs().movedim(-1 - self.layout.grid.dimensions, 0).flatten(1).amax(dim=1)
        return self.reach_of(peaks.tolist())

    def reach_of(self, peaks: Sequence[float]) -> float:
        """The same of states known by the largest |value| of each channel alone: by default the largest of these.

        An equation whose ranges are about speeds gives a speed.
        """
        return max(peaks)

    def exceeded(self, largest: float) -> str | None:
        """Why states with values up to `largest` (absolute) exceed what the step is made for, or None."""
        return None

    def unsuitable(self, states: Tensor) -> str | None:
        """Why states `[…, C, *space]` are outside what the step is made for, or None; by default by `exceeded`."""
        return self.exceeded(float(states.abs().max()))

    def unsuitable_within(self, states: Tensor, bounds: Mapping[str, tuple[float, float]]) -> str | None:
        """The same with parameters within bounds, and where states ask for far shorter steps; by default the same."""
        return self.unsuitable(states)

    def admissible(self, states: Tensor) -> Tensor:
        """The nearest states to these, `[…, C, *space]`, with values that the fields may have; by default the same.

        Noise takes a density below 0, from where the equation may lead ever farther.
        """
        return states

    def initial_states(self, count: int, length_scale: float, amplitude: float, generator: torch.Generator) -> Tensor:
        """Initial states for simulations, `[count, C, *space]` float64; by default random and smooth in every channel.

        Args:
            length_scale: correlation length [length].
            amplitude: standard deviation, in units of the channels.
        """
        layout = self.layout
        return random_smooth_states(
            layout.grid, len(layout.channels), count, length_scale, amplitude, generator, layout.fields[0].walls
        )

    def parameter_tensors(self, dtype: torch.dtype, device: torch.device | None = None) -> dict[str, Tensor]:
        """The true values as the stepper takes them: `[]`, or `[1, *space]` for one that varies in space."""
        tensors = {}
        for name, value in self.parameters.items():
            tensor = torch.as_tensor(value, dtype=dtype, device=device)
            tensors[name] = tensor[None] if tensor.ndim else tensor
        return tensors
