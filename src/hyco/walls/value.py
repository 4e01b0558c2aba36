"""A wall that holds a value."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hyco.walls.wall import Quantity, Wall


class Value(Wall):
    """u = g on the wall (Dirichlet). A ghost cell is 2g - u, so that the mean of both sides is g."""

    value: Quantity = Field(description="value g on the wall, in units of the field")

    @property
    def condition(self) -> tuple[float, float, Any]:
        """U = g."""
        return 1.0, 0.0, self.value

    @property
    def plain(self) -> Any:
        """The value, or its formula."""
        return self.value

    def flow_ghosts(self, first: Any, second: Any, spacing: float, *, at_rest: bool) -> tuple[Any, Any]:
        """The parabola through the value and two cells; see `Wall`."""
        g: Any = self.value
        return 8 / 3 * g - 2 * first + second / 3, 8 * g - 9 * first + 2 * second

    def cubic_ghost(self, spacing: float) -> tuple[tuple[float, float, float], float]:
        """Weights that do not depend on the cells' width."""
        return (-3.0, 1.0, -0.2), 3.2
