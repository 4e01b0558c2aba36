"""How sure an estimate is: the covariance of a weighted least-squares fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import stdtrit  # scipy.stats takes half a second to import
from torch import Tensor

# Singular values below this part of the largest are no information: the error of difference quotients is as large.
ROUNDING = 1e-8
# The width of a 95 % interval of a Gaussian, in standard deviations.
INTERVAL = 3.92
# Residuals with less than half a degree of freedom say nothing of the noise: that little is left by a prior alone.
LEAST_FREEDOM = 0.5


@dataclass(frozen=True)
class Uncertainty:
    """The covariance of an estimate.

    Attributes:
        information: JᵀJ `[p, p]` in units of σ, with that of the prior if there is one: half the curvature of the sum
            of squares. Where σ is the noise it is the Fisher information.
        covariance: `[p, p]` in the coordinates of the optimiser; infinite where there is no information.
        reduced_chi_square: sum of the squared whitened residuals that have noise over their degrees of freedom: their
            number less the parameters, of which one that a prior holds counts in part. About 1 where the model and the
            noise level are right.
        freedom: degrees of freedom of the residuals that the noise was estimated from; infinite where it was known.
            Unknowns that a prior or regularisation holds count in part: N - trace H with the hat matrix H.
        residual_freedom: the same whether the noise is known or not.
        precision: what J was multiplied with, one over the residuals' standard deviation where they tell the noise.
        slope: the share of the residuals that pull as squares do: all, but for a robust loss.

    Source of the intervals: Student, Biometrika 6 (1908) 1, doi:10.1093/biomet/6.1.1; of the degrees of freedom with a
    prior: T. Hastie, R. Tibshirani, J. Friedman, The Elements of Statistical Learning (2009), section 7.6.
    """

    information: Tensor
    covariance: Tensor
    reduced_chi_square: float
    freedom: float = math.inf
    residual_freedom: float = math.inf
    precision: float = 1.0
    slope: float = 1.0

    @property
    def unit(self) -> float:
        """What the residuals are divided by so that the sum of their squares, or twice a robust loss, rises by δᵀC⁻¹δ.

        δ is how far an estimate is from the minimum, C its covariance, without a prior.
        """
        return math.sqrt(self.slope) / self.precision

    @property
    def std(self) -> Tensor:
        """Standard deviation of each coordinate, `[p]`."""
        return self.covariance.diagonal().sqrt()

    @property
    def noise_told(self) -> bool:
        """Whether the noise is known, or the residuals tell it: else there are no standard deviations."""
        return self.freedom >= LEAST_FREEDOM

    @property
    def quantile(self) -> float:
        """Half the width of a 95 % interval in standard deviations: Student's t where the noise was estimated."""
        return quantile(self.freedom)


def quantile(freedom: float) -> float:
    """Half the width of a 95 % interval in standard deviations, with degrees of freedom; infinite without any."""
    if math.isinf(freedom):
        return INTERVAL / 2
    return float(stdtrit(freedom, 0.975)) if freedom >= LEAST_FREEDOM else math.inf


def laplace(
    jacobian: Tensor,
    residual: Tensor,
    *,
    prior: Tensor | None = None,
    known_noise: bool = True,
    noisy: Tensor | None = None,
) -> Uncertainty:
    """Covariance (JᵀJ)⁻¹ of a least-squares estimate whose residuals have unit variance: the Cramér-Rao bound.

    Args:
        jacobian: of the whitened residuals (residual/σ), `[N, p]`.
        residual: the whitened residuals at the estimate, `[N]`.
        prior: Jacobian of the prior's residuals, `[M, p]`: they are further observations.
        known_noise: False scales the covariance with the reduced χ²: the residuals estimate the noise. Where they have
            no degrees of freedom, it is infinite.
        noisy: which residuals count in the reduced χ², a mask `[N]`; None: all. Those without noise, of a channel that
            is constant, say, are about zero, and would make it too small.
    """
    p = jacobian.shape[1]
    if not bool(torch.isfinite(jacobian).all() and torch.isfinite(residual).all()):
        undetermined = torch.full((p, p), torch.inf, dtype=jacobian.dtype)
        return Uncertainty(torch.zeros_like(undetermined), undetermined, torch.inf)
    stacked = jacobian if prior is None else torch.cat([jacobian, prior])
    inverse, loose = inverse_root(stacked)
    # The residuals are (1 - H) times the noise, H = J (JᵀJ + PᵀP)⁻¹ Jᵀ: on average they sum to n - trace H.
    own, slopes = (residual, jacobian) if noisy is None else (residual[noisy], jacobian[noisy])
    freedom = len(own) - float((slopes @ inverse).square().sum())
    if not known_noise and freedom < LEAST_FREEDOM:
        left = max(freedom, 0.0)
        return Uncertainty(stacked.T @ stacked, torch.full_like(inverse, torch.inf), torch.inf, left, left)
    precision = 1.0
    chi_square = float(own @ own) / (max(freedom, 1.0) if known_noise else freedom)
    if not known_noise:
        # A prior was weighed against residuals of unit variance: smaller ones do not make the estimate surer than that.
        variance = max(chi_square, 1e-300) if prior is None else max(chi_square, 1.0)
        precision = variance**-0.5
        scaled = jacobian / variance**0.5
        inverse, loose = inverse_root(scaled if prior is None else torch.cat([scaled, prior]))
    covariance = inverse @ inverse.T
    covariance[loose, loose] = torch.inf
    told = math.inf if known_noise else freedom
    return Uncertainty(stacked.T @ stacked, covariance, chi_square, told, freedom, precision)


def inverse_root(jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """W `[p, p]` with W Wᵀ = (JᵀJ)⁻¹ where J determines it, and which coordinates `[p]` it does not.

    Directions below the error of the Jacobian have infinite variance, whatever the others say.
    """
    n, p = jacobian.shape
    if n < p:
        jacobian = torch.cat([jacobian, jacobian.new_zeros((p - n, p))])
    # The same singular values and directions, of the small factor: a third of the time where residuals are many.
    _, singular, directions = torch.linalg.svd(torch.linalg.qr(jacobian, mode="r").R, full_matrices=False)
    determined = singular > ROUNDING * max(float(singular[0]) if p else 0.0, 1e-300)
    inverse = torch.where(determined, 1 / singular.clamp_min(1e-300), torch.zeros_like(singular))
    return directions.T * inverse, (directions[~determined] ** 2).sum(dim=0) > 1e-12
