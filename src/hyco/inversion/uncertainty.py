"""How sure an estimate is: the covariance of a weighted least-squares fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Uncertainty:
    """The covariance of an estimate.

    Attributes:
        information: JᵀJ `[p, p]`, the Fisher information of the data, with that of the prior if there is one.
        covariance: `[p, p]` in the coordinates of the optimiser; infinite where nothing is known.
        reduced_chi_square: sum of the squared whitened residuals over (residuals - parameters); about 1 where the
            model and the noise level are right.
    """

    information: Tensor
    covariance: Tensor
    reduced_chi_square: float

    @property
    def std(self) -> Tensor:
        """Standard deviation of each coordinate, `[p]`."""
        return self.covariance.diagonal().sqrt()


def laplace(
    jacobian: Tensor, residual: Tensor, *, prior: Tensor | None = None, known_noise: bool = True
) -> Uncertainty:
    """Covariance (JᵀJ)⁻¹ of a least-squares estimate whose residuals have unit variance: the Cramér-Rao bound.

    Args:
        jacobian: of the whitened residuals (residual/σ), `[N, p]`.
        residual: the whitened residuals at the estimate, `[N]`.
        prior: Jacobian of the prior's residuals, `[M, p]`: they are further observations.
        known_noise: False scales the covariance with the reduced χ²: σ is only a unit, the residuals tell the noise.
    """
    n, p = jacobian.shape
    if not bool(torch.isfinite(jacobian).all() and torch.isfinite(residual).all()):
        unknown = torch.full((p, p), torch.inf, dtype=jacobian.dtype)
        return Uncertainty(torch.zeros_like(unknown), unknown, torch.inf)
    known = 0 if prior is None else min(prior.shape[0], p)
    chi_square = float(residual @ residual) / max(n - max(p - known, 0), 1)
    # A prior was weighed against residuals of unit variance: smaller ones do not make the estimate surer than that.
    variance = chi_square if prior is None else max(chi_square, 1.0)
    data = jacobian if known_noise else jacobian / max(variance, 1e-300) ** 0.5
    stacked = data if prior is None else torch.cat([data, prior])
    if stacked.shape[0] < p:
        stacked = torch.cat([stacked, stacked.new_zeros((p - stacked.shape[0], p))])
    _, singular, directions = torch.linalg.svd(stacked, full_matrices=False)
    # Directions below the rounding error of the Jacobian have infinite variance, whatever the others say.
    determined = singular > 1e-10 * max(float(singular.max()) if p else 0.0, 1e-300)
    inverse = torch.where(determined, 1 / singular.clamp_min(1e-300) ** 2, torch.zeros_like(singular))
    covariance = directions.T @ torch.diag(inverse) @ directions
    loose = (directions[~determined] ** 2).sum(dim=0) > 1e-12
    covariance[loose, loose] = torch.inf
    return Uncertainty(stacked.T @ stacked, covariance, chi_square)
