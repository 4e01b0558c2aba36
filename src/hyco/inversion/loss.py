"""The loss of the measurements' residuals: squares, or one that outliers cannot pull at.

Sources: P. J. Huber, Ann. Math. Statist. 35 (1964) 73, doi:10.1214/aoms/1177703732; P. J. Huber and E. M. Ronchetti,
Robust Statistics (2009), section 7.6 for the covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from scipy.special import ndtr  # scipy.stats takes half a second to import
from torch import Tensor

# A residual that is larger is an outlier; of Gaussian ones 0.27 % are.
OUTLIER = 3.0
# The median of the absolute values of Gaussian residuals is the standard deviation over this.
_MEDIAN_TO_STD = 1.4826


class Squares(BaseModel):
    """Keys of `physical.loss` for `name: squares`: ρ = r²/2, the likelihood of Gaussian noise."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    name: Literal["squares"] = "squares"


class Huber(BaseModel):
    """Keys of `physical.loss` for `name: huber`.

    ρ(r) = r²/2 up to |r| = δ, beyond δ |r| - δ²/2: a residual, however large, pulls no more than one of size δ.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    name: Literal["huber"] = "huber"
    delta: PositiveFloat = Field(
        default=1.345,
        description="δ, in standard deviations of the noise; 1.345 costs 5 % of the data if none is odd",
    )

    def transformed(self, r: Tensor) -> Tensor:
        """±√(2ρ(r)), whose squares sum to twice the loss: what least squares are made of."""
        size = r.abs()
        # Where it is not taken, the root must have a slope all the same.
        far = (2 * self.delta * size.clamp_min(self.delta) - self.delta**2).sqrt()
        return torch.where(size <= self.delta, r, r.sign() * far)

    def pull(self, r: Tensor) -> Tensor:
        """ψ = dρ/dr."""
        return r.clamp(-self.delta, self.delta)

    def linearised(self, r: Tensor, unknowns: float, noisy: Tensor | None) -> RobustResiduals:
        """What residuals `[N]` at the minimum say of an M-estimator.

        Args:
            unknowns: that they were fitted with, those with a prior in part.
            noisy: which of them have noise, a mask `[N]`; None: all.
        """
        own = r if noisy is None else r[noisy]
        n = len(own)
        freedom = n - unknowns
        slope = float((own.abs() <= self.delta).double().mean())
        variance = float(self.pull(own).square().sum()) / max(freedom, 1.0)
        # Huber's correction for few data: K = 1 + (p/n) var ψ'/(mean ψ')².
        correction = 1 + unknowns / n * (1 - slope) / max(slope, 1e-300)
        deviation = math.sqrt(max(variance, 1e-300))
        return RobustResiduals(
            slope=slope,
            precision=slope / (deviation * correction),
            reduced_chi_square=variance / self._gaussian_variance,
            freedom=freedom,
        )

    @property
    def _gaussian_variance(self) -> float:
        """The mean of ψ² for Gaussian residuals."""
        d = self.delta
        density = math.exp(-(d**2) / 2) / math.sqrt(2 * math.pi)
        return float(2 * ndtr(d) - 1 - 2 * d * density + 2 * d**2 * ndtr(-d))


@dataclass(frozen=True)
class RobustResiduals:
    """What the residuals of a robust fit say.

    Attributes:
        slope: mean of ψ', the share of them within δ.
        precision: their standard deviation is 1/this as far as the estimate goes: the covariance is (J'ᵀJ')⁻¹ with J' =
            precision · J, that is K² (Σψ²/(N - p)) / (mean ψ')² · (JᵀJ)⁻¹.
        reduced_chi_square: mean of ψ² over that of Gaussian residuals, by degrees of freedom.
        freedom: degrees of freedom.
    """

    slope: float
    precision: float
    reduced_chi_square: float
    freedom: float


Loss = Annotated[Squares | Huber, Field(discriminator="name")]


def share_of_outliers(r: Tensor) -> float:
    """Part of residuals `[N]` that is larger than three standard deviations."""
    return float((r.abs() > OUTLIER).double().mean())


def robust_std(r: Tensor, unknowns: int) -> float:
    """The standard deviation of residuals `[N]` by the median of their absolute values, outliers or not.

    Args:
        unknowns: that they were fitted with, which make them smaller.
    """
    n = len(r)
    return _MEDIAN_TO_STD * float(r.abs().median()) * math.sqrt(n / max(n - unknowns, n / 2))
