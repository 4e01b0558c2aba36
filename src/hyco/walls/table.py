"""A wall that holds values known at some times."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from phi import math
from phi.math import instance
from pydantic import Field, field_validator, model_validator

from hyco.walls.value import Value
from hyco.walls.wall import Wall, is_number


class Table(Wall):
    """u = g(t) on the wall (Dirichlet): linear between the times of a table, constant before and after them."""

    times: tuple[float, ...] = Field(min_length=1, description="times, rising [time]")
    values: tuple[float, ...] = Field(min_length=1, description="value at each time, in units of the field")

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
        if is_number(t) or len(self.times) == 1:
            return Value(value=float(np.interp(t, self.times, self.values)))
        # The first value, and of each step to the next one the part that is past: few operations for any table.
        begin, length = (math.wrap(part, instance("step")) for part in (self.times[:-1], np.diff(self.times)))
        steps = math.wrap(np.diff(self.values), instance("step"))
        past = math.clip((t - begin) / length, 0.0, 1.0)
        return Value.model_construct(value=self.values[0] + math.sum(steps * past, "step"))

    @property
    def condition(self) -> tuple[float, float, Any]:
        """U = g; g is known once there is a time (`at`), or where there is one value only."""
        return 1.0, 0.0, self.values[0] if len(self.values) == 1 else "its value at t"

    @property
    def plain(self) -> dict[str, Any]:
        """Its name, times and values."""
        return {"table": {"times": list(self.times), "values": list(self.values)}}
