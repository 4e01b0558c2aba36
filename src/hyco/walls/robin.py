"""A wall with a condition on value and slope together."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hyco.walls.wall import Quantity, Wall


class Robin(Wall):
    """a u + b ∂u/∂n = c, n out of the domain. Cooling to g at the rate k through a wall: a = k, b = D, c = k g."""

    a: Quantity = Field(description="coefficient of the value")
    b: Quantity = Field(description="coefficient of the slope along the outward normal [length]")
    c: Quantity = Field(description="right-hand side, in units of a u")

    @property
    def condition(self) -> tuple[Any, Any, Any]:
        """The three coefficients."""
        return self.a, self.b, self.c

    @property
    def plain(self) -> dict[str, Any]:
        """Its name and the coefficients."""
        return {"robin": {"a": self.a, "b": self.b, "c": self.c}}
