"""What states reach: how large they are, and which values their fields have together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

# Values that stand for all, and states among which the roughest is looked for.
_POINTS, _STATES = 256, 64


class Reach(float):
    """The largest |value| of states, with some of the values that fields have together in a cell, and some states.

    Fields are seldom all as large as the largest at once: what is left of one substance where much is of the other
    decides how fast they react.

    Attributes:
        points: `[N, C]`.
        states: `[S, C, *space]`, the largest and the roughest of them among these; None: none is known.
    """

    points: Tensor
    states: Tensor | None = None

    @classmethod
    def of(cls, states: Tensor, dimensions: int) -> Reach:
        """That of states `[…, C, *space]` with so many dimensions of space."""
        values = states.detach().double().movedim(-1 - dimensions, -1).flatten(0, -2)
        ends = torch.cat([values.argmin(dim=0), values.argmax(dim=0)])
        some = torch.arange(0, len(values), max(1, len(values) // _POINTS), device=values.device)
        reach = cls._with(values[torch.cat([ends, some])].cpu(), float(values.abs().max()))
        reach.states = _extreme(states.detach().reshape(-1, *states.shape[-1 - dimensions :]), dimensions)
        return reach

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


def _extreme(states: Tensor, dimensions: int) -> Tensor:
    """Of states `[N, C, *space]` the first one, the largest and the roughest, each once."""
    some = torch.arange(0, len(states), max(1, len(states) // _STATES), device=states.device)
    looked = states[some].double()
    space = tuple(range(-dimensions, 0))
    steep = sum(looked.diff(dim=axis).square().sum(dim=space) for axis in space)
    varied = (looked - looked.mean(dim=space, keepdim=True)).square().sum(dim=space)
    rough = torch.where(varied > 0, steep / varied, 0.0).amax(dim=1)
    largest = states.abs().flatten(1).amax(dim=1)
    numbers = dict.fromkeys([int(some[rough.argmax()]), int(largest.argmax()), 0])
    return states[list(numbers)].cpu()
