"""Boundaries as PhiFlow's extrapolations, and back."""

from __future__ import annotations

from typing import Any

from phi.math import EMPTY_SHAPE, Extrapolation, concat, extrapolation

from hyco.walls.boundary import AnyBoundary, AxisWalls, Boundary, PlainBoundary
from hyco.walls.neumann import Neumann
from hyco.walls.periodic import Periodic
from hyco.walls.value import Value
from hyco.walls.wall import Wall


class WallExtrapolation(Extrapolation):  # type: ignore[misc]  # PhiML has no types
    """A wall that PhiFlow has no extrapolation for: pads with the wall's ghost values, where PhiFlow says the bounds.

    Args:
        wall: of a field with values at cell centres.
    """

    def __init__(self, wall: Wall) -> None:
        super().__init__(pad_rank=3)
        self.wall = wall

    @property
    def shape(self) -> Any:
        """It has no dimensions."""
        return EMPTY_SHAPE

    @property
    def is_flexible(self) -> bool:
        """Whether values outside depend on those inside."""
        return True

    def determines_boundary_values(self, boundary_key: Any) -> bool:
        """Whether faces on the wall need not be stored."""
        return self.wall.fixes_value

    def pad_values(
        self,
        value: Any,
        width: int,
        dim: str,
        upper_edge: bool,
        already_padded: dict[str, Any] | None = None,
        bounds: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Ghost values, from the wall outwards along an axis.

        Raises:
            ValueError: PhiFlow does not say how wide the cells are, or the wall has formulas, whose values it lacks.
        """
        if not self.wall.constant:
            lacking = ", ".join(sorted(self.wall.names)) or "its tensors"
            raise ValueError(
                f"the ghost values of {self.wall!r} need values of {lacking}, which PhiFlow does not know; "
                "in a step take Equation.walls_at and hyco.schemes.stencils.pad"
            )
        if bounds is None:
            raise ValueError(
                f"the ghost values of {self.wall!r} need the width of the cells, which PhiFlow does not pass on here; "
                "use hyco.schemes.stencils.pad"
            )
        n = value.shape.get_size(dim)
        cells = n - sum((already_padded or {}).get(dim, (0, 0)))
        h = float(bounds.size.vector[dim]) / cells
        ghosts = [
            self.wall.ghost(value[{dim: slice(n - 1 - i, n - i) if upper_edge else slice(i, i + 1)}], (2 * i + 1) * h)
            for i in range(width)
        ]
        return concat(ghosts if upper_edge else ghosts[::-1], dim)

    def __repr__(self) -> str:
        return repr(self.wall)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WallExtrapolation) and self.wall == other.wall

    def __hash__(self) -> int:
        return hash(self.wall)


def to_extrapolation(boundary: AnyBoundary) -> Any:
    """A boundary as PhiFlow's extrapolation.

    Raises:
        ValueError: it is no boundary.
    """
    walls = Boundary.of(boundary)
    if walls.axes is None:
        return _of_axis(walls["x"])
    return extrapolation.combine_sides(**{axis: _of_axis(walls[axis]) for axis in walls.axes})


def _of_axis(walls: AxisWalls) -> Any:
    lower, upper = (_of_wall(wall) for wall in walls)
    return lower if lower == upper else (lower, upper)


def _of_wall(wall: Wall) -> Any:
    if isinstance(wall, Periodic):
        return extrapolation.PERIODIC
    if isinstance(wall, Neumann):
        return extrapolation.ZERO_GRADIENT
    if isinstance(wall, Value) and wall.constant:
        return extrapolation.ConstantExtrapolation(wall.value)
    return WallExtrapolation(wall)


def from_extrapolation(outer: Any) -> PlainBoundary:
    """The inverse of `to_extrapolation`, as a plain value.

    Raises:
        ValueError: a PhiFlow extrapolation that hyco has no name for.
    """
    if outer == extrapolation.PERIODIC:
        return Periodic().plain
    if outer == extrapolation.ZERO_GRADIENT:
        return Neumann().plain
    if isinstance(outer, extrapolation.ConstantExtrapolation):
        return float(outer.value)
    if isinstance(outer, WallExtrapolation):
        plain: PlainBoundary = outer.wall.plain
        return plain
    if hasattr(outer, "ext"):
        axes = dict.fromkeys(key.rstrip("+-") for key in outer.ext)
        result: dict[str, Any] = {}
        for axis in axes:
            lower, upper = (from_extrapolation(_side(outer, axis, upper=up)) for up in (False, True))
            result[axis] = lower if lower == upper else {"lower": lower, "upper": upper}
        return result
    raise ValueError(f"the extrapolation {outer} has no counterpart here; allowed: periodic, zero-gradient, constant")


def _side(outer: Any, axis: str, *, upper: bool) -> Any:
    """What holds on one side, of an extrapolation that may differ from side to side."""
    sides = getattr(outer, "ext", None)
    if sides is None:
        return outer
    return sides[axis] if axis in sides else sides[f"{axis}{'+' if upper else '-'}"]
