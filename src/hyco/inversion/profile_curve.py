"""What a profile likelihood has found: the interval, and the curve that it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class ProfileFound:
    """A profile, and what was seen on the way.

    Attributes:
        profile: of one coordinate.
        lowest: the smallest χ² that was met.
        spent: whether it was stopped for the work that it took.
        work: steps that were computed, see `ForwardModel`.
    """

    profile: Profile
    lowest: float
    spent: bool
    work: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values, to the bit; a rise that is not finite is None."""
        points = [[z, rise if math.isfinite(rise) else None] for z, rise in self.profile.points.tolist()]
        found = {"centre": self.profile.centre, "ends": list(self.profile.ends), "points": points}
        return {**found, "lowest": self.lowest, "spent": self.spent, "work": self.work}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ProfileFound:
        """The inverse of `to_json`."""
        rows = [[z, math.inf if rise is None else rise] for z, rise in data["points"]]
        points = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
        lower, upper = data["ends"]
        return cls(Profile(data["centre"], (lower, upper), points), data["lowest"], data["spent"], data["work"])
