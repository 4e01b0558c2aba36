"""What the data determine: singular values and directions of the scaled Jacobian, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.uncertainty import INTERVAL, ROUNDING

# Terms that a direction's description has at most, and the smallest share of one that is named.
_TERMS, _SHARE = 4, 0.15


@dataclass(frozen=True)
class Identifiability:
    """What the real data alone say of the coordinates.

    Every coordinate is scaled by the width of the prior knowledge (bounds, or the prior's 95 % interval), so
    that the data determine a direction if its 95 % interval is narrower than 1: if its singular value exceeds 3.92.

    Attributes:
        singular_values: `[p]`, largest first.
        directions: the right singular vectors, `[p, p]`, a row each.
        labels: names of the coordinates.
        determined: for each coordinate, whether its own 95 % interval is narrower than that width, `[p]`.
    """

    singular_values: Tensor
    directions: Tensor
    labels: tuple[str, ...]
    determined: Tensor

    @property
    def weak(self) -> Tensor:
        """Which directions are not determined, `[p]`."""
        return self.singular_values <= INTERVAL

    def words(self, most: int = 8) -> list[str]:
        """The directions that the data do not determine, the weakest first, as combinations of coordinates."""
        lines = [describe(v, self.labels) for v, weak in zip(self.directions, self.weak, strict=True) if weak][::-1]
        if len(lines) > most:
            lines = [*lines[:most], f"{len(lines) - most} more directions"]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values; directions of up to 40 coordinates only, as many as a picture shows."""
        return {
            "singular_values": self.singular_values.tolist(),
            "threshold": INTERVAL,
            "undetermined": self.words(),
            "labels": list(self.labels),
            "directions": self.directions.tolist() if len(self.labels) <= 40 else None,
        }


def describe(direction: Tensor, labels: Sequence[str]) -> str:
    """A direction in words, e.g. `0.71 a - 0.71 b`, the largest share first and positive."""
    # Equal shares in the order of the labels, whatever the last bits say.
    order = direction.abs().mul(1e6).round().argsort(descending=True, stable=True)
    sign = 1.0 if float(direction[order[0]]) > 0 else -1.0
    largest = float(direction[order[0]].abs())
    terms: list[str] = []
    for i in order[:_TERMS].tolist():
        share = sign * float(direction[i])
        if abs(share) < _SHARE * largest:
            break
        number = "" if len(direction) == 1 else f"{abs(share):.2g} "
        joint = "" if not terms else ("+ " if share > 0 else "- ")
        terms.append(f"{joint}{number}{labels[i]}")
    rest = float(direction[order[len(terms) :]].norm()) if len(terms) < len(direction) else 0.0
    return " ".join(terms) + (" and others" if rest > _SHARE else "")


def identifiability(jacobian: Tensor, width: Tensor, labels: Sequence[str]) -> Identifiability:
    """Judge whitened residuals' Jacobian `[N, p]`.

    Args:
        jacobian: of the real data alone, without any prior. Where a 95 % interval is wider than `INTERVAL` standard
            deviations (Student's t) it is smaller by that ratio.
        width: of the prior knowledge of each coordinate, `[p]`; see `Box`.
    """
    n, p = jacobian.shape
    scaled = jacobian * width
    if not bool(torch.isfinite(scaled).all()):
        scaled = torch.zeros_like(scaled)
    if n < p:
        scaled = torch.cat([scaled, scaled.new_zeros((p - n, p))])
    _, singular, directions = torch.linalg.svd(scaled, full_matrices=False)
    singular = torch.where(singular > ROUNDING * singular.max(), singular, torch.zeros_like(singular))
    open_to = (directions[singular == 0] ** 2).sum(dim=0) > 1e-12
    inverse = torch.where(singular > 0, 1 / singular, torch.zeros_like(singular))
    std = ((directions * inverse[:, None]) ** 2).sum(dim=0).sqrt()
    return Identifiability(singular, directions, tuple(labels), (INTERVAL * std < 1) & ~open_to)
