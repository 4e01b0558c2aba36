"""A wall that holds values known at some times."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from phi import math
from phi.math import instance
from pydantic import Field, field_validator, model_validator
from scipy.interpolate import CubicHermiteSpline

from hyco.walls.value import Value
from hyco.walls.wall import Wall, is_number

# Times that differ by less than this part of the table's length are one.
_SAME = 1e-6


class Table(Wall):
    """u = g(t) on the wall (Dirichlet), known at the times of a table, constant before and after them.

    Between them it is linear, or a cubic whose slope at each time is that of the parabola through three values.
    """

    times: tuple[float, ...] = Field(min_length=1, description="times, rising [time]")
    values: tuple[float, ...] = Field(min_length=1, description="value at each time, in units of the field")
    interpolation: Literal["linear", "cubic"] = Field(
        default="linear", description="between the times: cubic follows what is smooth, and overshoots beside jumps"
    )
    measured: bool = Field(
        default=False, description="the values have noise like that of the measurements inside, which intervals take in"
    )

    @field_validator("times")
    @classmethod
    def _rising(cls, times: tuple[float, ...]) -> tuple[float, ...]:
        for i, (one, other) in enumerate(itertools.pairwise(times)):
            if not other > one:
                raise ValueError(f"they must rise, but number {i + 2} is {other:g} after {one:g}")
        return times

    @model_validator(mode="after")
    def _as_many(self) -> Table:
        if len(self.times) != len(self.values):
            raise ValueError(f"there are {len(self.times)} times, but {len(self.values)} values")
        return self

    @property
    def names(self) -> frozenset[str]:
        """The time, where there is more than one value."""
        return frozenset({"t"} if len(self.times) > 1 else ())

    def at(self, values: Mapping[str, Any]) -> Wall:
        """A wall with the value at `t`, a number or PhiML tensor."""
        t = values.get("t", self.times[0])
        cubic = self.interpolation == "cubic" and len(self.times) > 2
        if is_number(t) or len(self.times) == 1:
            t = min(max(t, self.times[0]), self.times[-1])
            value = cubics(self.times, self.values)(t) if cubic else np.interp(t, self.times, self.values)
            return Value(value=float(value))
        # The first value, and of each step to the next one the part that is past: few operations for any table.
        length, rise = np.diff(self.times), np.diff(self.values)
        past = math.clip((t - _known(self.times[:-1])) / _known(length), 0.0, 1.0)
        if cubic:
            slopes = np.gradient(self.values, self.times, edge_order=2)
            first, last = slopes[:-1] * length, slopes[1:] * length
            rest = _known(3 * rise - 2 * first - last) + past * _known(first + last - 2 * rise)
            steps = past * (_known(first) + past * rest)
        else:
            steps = past * _known(rise)
        return Value.model_construct(value=self.values[0] + math.sum(steps, "step"))

    @property
    def condition(self) -> tuple[float, float, Any]:
        """U = g; g is known once there is a time (`at`), or where there is one value only."""
        return 1.0, 0.0, self.values[0] if len(self.values) == 1 else "its value at t"

    def held_beyond(self, since: float, until: float) -> str | None:
        """Where between two times nothing but the nearest value is known, in words; None: nowhere."""
        first, last = self.times[0], self.times[-1]
        if len(self.times) == 1:
            return None
        slack = _SAME * (last - first)
        parts = [f"before t = {first:g} it holds {self.values[0]:g}"] if since < first - slack else []
        parts += [f"after t = {last:g} it holds {self.values[-1]:g}"] if until > last + slack else []
        return " and ".join(parts) or None

    @property
    def plain(self) -> dict[str, Any]:
        """Its name and arguments."""
        return {"table": self.model_dump(mode="json", exclude_defaults=True)}


def cubics(times: ArrayLike, values: ArrayLike) -> CubicHermiteSpline:
    """What a table with `interpolation: cubic` is between three times or more."""
    at, held = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    return CubicHermiteSpline(at, held, np.gradient(held, at, edge_order=2))


def _known(numbers: Any) -> Any:
    return math.wrap(numbers, instance("step"))
