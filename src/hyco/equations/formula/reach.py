"""What states reach: how large they are, and which values their fields have together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

# States that stand for all.
_POINTS = 256


class Reach(float):
    """The largest |value| of states, with some of the values that fields have together in a cell.

    Fields are seldom all as large as the largest at once: what is left of one substance where much is of the other
    decides how fast they react.

    Attributes:
        points: `[N, C]`.
    """

    points: Tensor

    @classmethod
    def of(cls, states: Tensor, dimensions: int) -> Reach:
        """That of states `[…, C, *space]` with so many dimensions of space."""
        values = states.detach().double().movedim(-1 - dimensions, -1).flatten(0, -2)
        ends = torch.cat([values.argmin(dim=0), values.argmax(dim=0)])
        some = torch.arange(0, len(values), max(1, len(values) // _POINTS), device=values.device)
        return cls._with(values[torch.cat([ends, some])].cpu(), float(values.abs().max()))

    @classmethod
    def of_one(cls, largest: float, ends: Mapping[str, tuple[float, float]]) -> Reach:
        """Fields that are one at a time as large, the others 0 or as near to it as they may be.

        Args:
            ends: the smallest and the largest value of each field, in order.
        """
        rest = torch.tensor([min(max(0.0, low), high) for low, high in ends.values()], dtype=torch.float64)
        points = [rest]
        for (i, (low, high)), sign in product(enumerate(ends.values()), (-1.0, 1.0)):
            point = rest.clone()
            point[i] = min(max(sign * largest, low), high)
            points.append(point)
        return cls._with(torch.stack(points), largest)

    @classmethod
    def _with(cls, points: Tensor, largest: float) -> Reach:
        reach = cls(largest)
        reach.points = points
        return reach
