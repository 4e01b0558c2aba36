"""A wall whose values stand in the file of measurements."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from hyco.walls.wall import Wall


class Column(Wall):
    """u = g(t) on the wall, g a column or variable of the measurements: replaced by a `table` once the file is read."""

    column: str = Field(description="column or variable of the file of measurements")

    @model_validator(mode="after")
    def _not_read(self) -> Column:
        raise ValueError(
            f"{self.column!r} is a column of a file, and this experiment has no section measurements that names one; "
            "in Python give the series itself: {table: {times: […], values: […]}}"
        )

    @property
    def condition(self) -> tuple[float, float, Any]:
        """U = g."""
        return 1.0, 0.0, "its value at t"
