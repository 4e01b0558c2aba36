"""A wall that holds what a sensor measured."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from hyco.walls.wall import Wall


class Sensor(Wall):
    """u = g(t) on the wall, g what was measured at a position: replaced by a `table` once the file is read."""

    position: float = Field(description="where it was measured, along the only axis, in units of the domain [length]")
    interpolation: Literal["auto", "linear", "cubic"] = Field(
        default="auto", description="between its times; auto: what tells every second value better from the others"
    )

    @model_validator(mode="after")
    def _not_read(self) -> Sensor:
        raise ValueError(
            f"{self.position:g} is a position in a file of measurements along one axis, which this experiment has not; "
            "in Python give the series itself: {table: {times: […], values: […]}}"
        )

    @property
    def condition(self) -> tuple[float, float, Any]:
        """U = g."""
        return 1.0, 0.0, "its value at t"
