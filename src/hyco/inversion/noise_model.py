"""From correlations of pairs to a model of the noise: its share, its lengths in time and space, and their forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.inversion.correlated_noise import CorrelatedNoise, Shape
from hyco.inversion.residual_places import Pairs

_SHAPES: tuple[Shape, Shape] = ("exponential", "gaussian")
# Lengths that are tried, in units of the shortest distance.
_LENGTHS = torch.logspace(-0.7, 1.7, 73, dtype=torch.float64)


@dataclass(frozen=True)
class Observed:
    """Pairs of residuals, their correlation, and its standard deviation if the noise is white."""

    pairs: Pairs
    correlation: float
    std: float


def fitted_noise(time: Sequence[Observed], space: Sequence[Observed], added: Sequence[float]) -> CorrelatedNoise:
    """The share and the lengths that fit pairs in time and pairs in space best, by weighted least squares.

    Args:
        time, space: at least one of them has pairs.
        added: to the correlations of `time`, then of `space`: what the fit has taken from them.
    """
    of_time, of_space = _Candidates(time, added[: len(time)]), _Candidates(space, added[len(time) :])
    # For each pair of candidates the best share, in closed form, and what is left.
    product = of_time.product[:, None] + of_space.product
    square = (of_time.square[:, None] + of_space.square).clamp_min(1e-300)
    share = (product / square).clamp(0.0, 1.0)
    left = share.square() * square - 2 * share * product
    best = int(left.argmin())
    i, j = divmod(best, left.shape[1])
    duration, time_shape = of_time.described(i)
    length, space_shape = of_space.described(j)
    return CorrelatedNoise(float(share[i, j]), duration, time_shape, length, space_shape)


class _Candidates:
    """Lengths and forms that are tried along time, or space; one that is none where there are no pairs."""

    def __init__(self, observed: Sequence[Observed], added: Sequence[float]) -> None:
        self._unit = observed[0].pairs.distance if observed else None
        if self._unit is None:
            self.product = self.square = torch.zeros(1, dtype=torch.float64)
            return
        unit = max(self._unit, 1e-300)
        self._lengths = unit * _LENGTHS
        distance = _column(o.pairs.distance for o in observed)
        found = _column(o.correlation for o in observed) + _column(added)
        weight = 1 / _column(o.std for o in observed).square()
        ratio = distance / self._lengths[:, None]
        kernels = torch.cat([(-ratio).exp(), (-ratio.square()).exp()])
        self.product, self.square = kernels @ (weight * found), kernels.square() @ weight

    def described(self, number: int) -> tuple[float | None, Shape]:
        """The length and the form of a candidate."""
        if self._unit is None:
            return None, "exponential"
        shape, at = divmod(number, len(_LENGTHS))
        return float(self._lengths[at]), _SHAPES[shape]


def _column(values: object) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)  # type: ignore[call-overload]
