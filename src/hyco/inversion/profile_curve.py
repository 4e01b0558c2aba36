"""What a profile likelihood has found: the interval, and the curve that it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.inversion.uncertainty import INTERVAL

# What χ² rises by at the ends of a 95 % interval.
LIMIT = (INTERVAL / 2) ** 2


@dataclass(frozen=True)
class Profile:
    """The profile of one coordinate.

    Attributes:
        centre: where the measurements alone (and priors) put it.
        ends: of the 95 % interval; an edge of the range where χ² does not rise by as much as that before.
        points: coordinates and the rise of χ² there, `[n, 2]`, in units where 3.84 is the end of the 95 % interval:
            where the noise is not known, divided by the reduced χ² and by t²/1.96².
    """

    centre: float
    ends: tuple[float, float]
    points: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for checkpoints."""
        return {"range": torch.tensor([self.centre, *self.ends], dtype=torch.float64), "points": self.points}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Profile:
        """The inverse of `tensors`."""
        centre, lower, upper = tensors["range"].tolist()
        return cls(centre, (lower, upper), tensors["points"])
