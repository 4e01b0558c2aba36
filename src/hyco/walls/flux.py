"""A wall with a slope."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hyco.walls.wall import Quantity, Wall


class Flux(Wall):
    """∂u/∂n = q with the normal n out of the domain: what diffuses in through the wall is D q."""

    flux: Quantity = Field(description="slope q along the outward normal, in units of the field per length")

    @property
    def condition(self) -> tuple[float, float, Any]:
        """∂u/∂n = q."""
        return 0.0, 1.0, self.flux

    @property
    def plain(self) -> dict[str, Any]:
        """Its name and the slope."""
        return {"flux": self.flux}
