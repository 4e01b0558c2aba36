"""Uniform Cartesian grids: where the numbers of a tensor sit in space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """A box `[lower, lower + size]` cut into equal cells, one entry per axis.

    Args:
        axes: names of the axes in tensor order, e.g. `("x", "y")`.
        lower: coordinate of the lower corner, in units of length.
        size: extent of the domain, in units of length.
        resolution: number of cells.
    """

    axes: tuple[str, ...]
    lower: tuple[float, ...]
    size: tuple[float, ...]
    resolution: tuple[int, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.axes), len(self.lower), len(self.size), len(self.resolution)}
        if lengths != {len(self.axes)} or not self.axes:
            raise ValueError(f"a grid needs one entry per axis everywhere, got {self}")

    @property
    def dimensions(self) -> int:
        """Number of spatial dimensions."""
        return len(self.axes)

    @property
    def cells(self) -> int:
        """Number of cells in all."""
        return int(np.prod(self.resolution))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Cell width along each axis, in units of length."""
        return tuple(s / n for s, n in zip(self.size, self.resolution, strict=True))

    def centers(self, axis: str) -> NDArray[np.float64]:
        """Coordinates `[n]` of the cell centres along one axis."""
        i = self.axes.index(axis)
        return self.lower[i] + (np.arange(self.resolution[i], dtype=np.float64) + 0.5) * self.spacing[i]

    def to_dict(self) -> dict[str, Any]:
        """The grid as plain JSON values."""
        return {
            "axes": list(self.axes),
            "lower": list(self.lower),
            "size": list(self.size),
            "resolution": list(self.resolution),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Grid:
        """The inverse of `to_dict`."""
        return cls(
            axes=tuple(data["axes"]),
            lower=tuple(float(v) for v in data["lower"]),
            size=tuple(float(v) for v in data["size"]),
            resolution=tuple(int(v) for v in data["resolution"]),
        )
