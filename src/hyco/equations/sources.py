"""Sources and reactions: a formula of time, position, parameters and the field itself, beside what an equation has."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from hyco.equations.equation import Equation, EquationConfig
from hyco.equations.ranges import Bounds, Range
from hyco.expressions import Expression

# Samples of the field, of each axis, of the time in so many `dt`, and at most of the parameters' bounds.
_VALUES, _PLACES, _TIMES, _STEPS, _CORNERS = 41, 5, 9, 200, 64
_NONE = torch.zeros(0, dtype=torch.float64)
# The field may grow to so many times what is known of it.
_GROWTH = 2.0


class SourceConfig(EquationConfig):
    """Keys of equations that may have a source.

    Attributes:
        unknown: name of the field.
    """

    unknown: ClassVar[str]
    range_keys: ClassVar[tuple[str, ...]] = ("max_reaction",)

    source: str | None = Field(
        default=None,
        description="rate added to the field: a formula of t, the axes, parameters and the field (u or its name) "
        "[unit of the field/time]",
    )
    max_reaction: Range = Field(
        default="auto",
        description="largest |∂source/∂u|, which sub-steps follow; auto: sampled over the states and bounds [1/time]",
    )

    @field_validator("source", mode="before")
    @classmethod
    def _readable(cls, source: Any) -> Any:
        if isinstance(source, int | float) and not isinstance(source, bool):
            source = str(source)
        if isinstance(source, str):
            _ = Expression(source)
        return source

    @model_validator(mode="after")
    def _source_has_values(self) -> SourceConfig:
        if self.source is not None:
            allowed = (*self.formula_values, "u", self.unknown)
            if twice := {"u", self.unknown} & set(self.true_parameters):
                raise ValueError(f"source: {', '.join(twice)} is the field, and cannot be a parameter too")
            if unknown := sorted(Expression(self.source).names - set(allowed)):
                raise ValueError(
                    f"source {self.source!r}: unknown name {', '.join(unknown)}; allowed: {', '.join(allowed)} "
                    "(a parameter of your own: give it a value in parameters)"
                )
        return self

    @property
    def formula_names(self) -> frozenset[str]:
        """What its walls and the source need a value of."""
        source = Expression(self.source).names if self.source is not None else frozenset()
        return super().formula_names | source

    @property
    def reacts(self) -> bool:
        """Whether the source depends on the field."""
        return self.source is not None and bool({"u", self.unknown} & Expression(self.source).names)

    @property
    def open_ranges(self) -> tuple[str, ...]:
        """Those that are `auto`; a reaction only where there is one."""
        return tuple(key for key in super().open_ranges if key != "max_reaction" or self.reacts)

    @property
    def reaction(self) -> float:
        """The largest |∂source/∂u| that the step is stable for [1/time]."""
        return self.range_of("max_reaction") if self.reacts else 0.0

    def largest_reaction(self, largest: float | None, bounds: Bounds) -> float:
        """The largest |∂source/∂u|, by samples; where that is 0, one that costs nothing.

        They are of the field to twice its reach, of the bounds of the parameters, and of time and position.

        Args:
            largest: what states reach; None: 1.
            bounds: smallest and largest value of each parameter that is learnt.
        """
        assert self.source is not None
        formula, d = Expression(self.source), len(self.domain)
        reach = _GROWTH * (largest or 1.0)
        values: dict[str, Tensor] = {}
        values["t"] = torch.linspace(0, _STEPS * self.dt, _TIMES, dtype=torch.float64).reshape(1, -1, *[1] * d)
        places = [torch.linspace(0, n - 1, min(n, _PLACES)).long() for n in self.grid.resolution]
        for i, (axis, at) in enumerate(zip(self.domain, places, strict=True)):
            shape = [1, 1, *[-1 if j == i else 1 for j in range(d)]]
            values[axis] = torch.from_numpy(self.grid.centers(axis))[at].reshape(shape)
        samples = torch.linspace(-reach, reach, _VALUES, dtype=torch.float64).reshape(-1, *[1] * (d + 1))
        shape_of_all = torch.broadcast_shapes(*(v.shape[1:] for v in values.values()))  # type: ignore[no-untyped-call]
        u = samples.repeat(1, *shape_of_all).requires_grad_()
        values |= {"u": u, self.unknown: u}
        for name, value in self.true_parameters.items():
            own = torch.as_tensor(value, dtype=torch.float64)
            values[name] = own[torch.meshgrid(*places, indexing="ij")] if own.ndim else own
        learnt = [name for name in bounds if name in formula.names]
        ends = [{*map(float, bounds[name]), *values.get(name, _NONE).flatten()[:2].tolist()} for name in learnt]
        found = 0.0
        for corner in itertools.islice(itertools.product(*map(sorted, ends)), _CORNERS):
            numbers = {name: torch.tensor(v, dtype=torch.float64) for name, v in zip(learnt, corner, strict=True)}
            given = {**values, **numbers}
            with torch.enable_grad():
                total = formula({name: given[name] for name in formula.names})
                (slope,) = torch.autograd.grad((total + 0 * u).sum(), u)
            found = max(found, float(slope.abs().nan_to_num(0.0, 0.0, 0.0).max()))
        return found or 1e-3 / self.dt


class SourcedEquation(Equation):
    """An equation of one scalar whose walls may vary in time, and which may have a source."""

    config: SourceConfig

    def rate_in_time(self, rate: Callable[..., Any], parameters: Mapping[str, Any], time: Any) -> dict[str, Any]:
        """What integrators take: `rate`, and `start` where it varies in time.

        Args:
            rate: of the field's values, and of other walls than those at the start of the step.
            parameters: as the step takes them.
            time: t at the start of the step.
        """
        moving = "t" in self.layout.fields[0].walls.names
        source = None if self.config.source is None else Expression(self.config.source)

        def whole(u: Any, t: Any = None) -> Any:
            total = rate(u, self.walls_at(parameters, t)) if moving else rate(u)
            if source is None:
                return total
            return total + source.on_phiml({"t": t, "u": u, self.config.unknown: u, **self.coordinates, **parameters})

        if self.autonomous:
            return {"rate": rate if source is None else whole}
        if time is None:
            raise ValueError("walls or source of this equation depend on t: its step takes the time")
        return {"rate": whole, "start": time}
