"""How sure an estimate is: the covariance of a weighted least-squares fit, and what the data determine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Uncertainty:
    """The covariance of an estimate.

    Attributes:
        information: JᵀJ `[p, p]`, the Fisher information.
        covariance: `[p, p]` in the coordinates of the optimiser; infinite where the data say nothing.
        singular_values: of the whitened Jacobian `[p]`, largest first: small ones belong to directions that the data
            hardly determine.
        reduced_chi_square: sum of the squared whitened residuals over (residuals - parameters); about 1 where the
            model and the noise level are right.
    """

    information: Tensor
    covariance: Tensor
    singular_values: Tensor
    reduced_chi_square: float

    @property
    def std(self) -> Tensor:
        """Standard deviation of each coordinate, `[p]`."""
        return self.covariance.diagonal().sqrt()


def jacobian(residuals: Callable[[Tensor], Tensor], point: Tensor, step: float = 1e-4) -> Tensor:
    """∂r/∂z `[N, p]` by central differences, all 2p evaluations in one batch.

    Args:
        residuals: coordinates `[K, p]` to residuals `[K, N]`.
        point: where, `[p]`.
        step: half the distance of the two points, in the units of z. The error is of order step².
    """
    p = point.shape[0]
    offsets = step * torch.eye(p, dtype=point.dtype, device=point.device)
    values = residuals(torch.cat([point + offsets, point - offsets]))
    return ((values[:p] - values[p:]) / (2 * step)).T


def laplace(jacobian: Tensor, residual: Tensor, *, known_noise: bool = True) -> Uncertainty:
    """Covariance (JᵀJ)⁻¹ of a least-squares estimate whose residuals have unit variance: the Cramér-Rao bound.

    Args:
        jacobian: of the whitened residuals (residual/σ), `[N, p]`.
        residual: the whitened residuals at the estimate, `[N]`.
        known_noise: False scales the covariance with the reduced χ²: σ is only a unit, the residuals tell the noise.
    """
    n, p = jacobian.shape
    if not bool(torch.isfinite(jacobian).all() and torch.isfinite(residual).all()):
        unknown = torch.full((p, p), torch.inf, dtype=jacobian.dtype)
        return Uncertainty(torch.zeros_like(unknown), unknown, jacobian.new_zeros(p), torch.inf)
    chi_square = float(residual @ residual) / max(n - p, 1)
    _, singular, directions = torch.linalg.svd(jacobian, full_matrices=False)
    # Directions below the rounding error of the Jacobian have infinite variance, whatever the others say.
    determined = singular > 1e-10 * max(float(singular.max()), 1e-300)
    inverse = torch.where(determined, 1 / singular.clamp_min(1e-300) ** 2, torch.zeros_like(singular))
    covariance = directions.T @ torch.diag(inverse) @ directions
    if not known_noise:
        covariance = covariance * chi_square
    loose = (directions[~determined] ** 2).sum(dim=0) > 1e-12
    covariance[loose, loose] = torch.inf
    information = jacobian.T @ jacobian
    return Uncertainty(
        information=information, covariance=covariance, singular_values=singular, reduced_chi_square=chi_square
    )
