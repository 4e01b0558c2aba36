"""A wall without slope."""

from __future__ import annotations

from typing import Any

from hyco.walls.wall import Wall


class Neumann(Wall):
    """∂u/∂n = 0: nothing diffuses through the wall. Ghost cells mirror the cells at it."""

    @property
    def condition(self) -> tuple[float, float, float]:
        """∂u/∂n = 0."""
        return 0.0, 1.0, 0.0

    @property
    def plain(self) -> str:
        """Its name."""
        return "neumann"

    def flow_ghosts(self, first: Any, second: Any, spacing: float, *, at_rest: bool) -> tuple[Any, Any]:
        """Mirrored cells; see `Wall`."""
        return first, 3 * first - 2 * second if at_rest else second

    def cubic_ghost(self, spacing: float) -> tuple[tuple[float, float, float], float]:
        """Weights that do not depend on the cells' width; c is zero."""
        return (21 / 23, 3 / 23, -1 / 23), 0.0
