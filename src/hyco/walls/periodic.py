"""The ends of a periodic axis."""

from __future__ import annotations

from typing import ClassVar

from hyco.walls.wall import Wall


class Periodic(Wall):
    """The end of a periodic axis: what is behind it are the cells of the other end."""

    periodic: ClassVar[bool] = True

    @property
    def condition(self) -> tuple[float, float, float]:
        """There is none.

        Raises:
            ValueError: always.
        """
        raise ValueError("the end of a periodic axis is no wall: nothing holds there")

    @property
    def constant(self) -> bool:
        """Nothing is open."""
        return True

    @property
    def fixes_value(self) -> bool:
        """No."""
        return False

    @property
    def fixed_value(self) -> None:
        """None: no value is fixed."""

    @property
    def plain(self) -> str:
        """Its name."""
        return "periodic"
