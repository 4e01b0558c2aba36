"""The level of the noise where nobody says it and unknowns have a prior: the one under which the data are most likely.

A prior is weighed against the noise, so that an estimate of σ from the residuals alone would depend on the σ that they
were found with: with too small a one the unknown initial states follow the noise, with too large a one they do not
follow the data. The evidence, the likelihood of all measurements with the unknowns integrated out, has no such circle.

Sources: D. J. C. MacKay, Neural Computation 4 (1992) 415, doi:10.1162/neco.1992.4.3.415; C. M. Bishop, Pattern
Recognition and Machine Learning (2006), section 3.5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyco.inversion.linearisation import Linearisation

# Levels that are tried lie this part apart.
_STEP = 0.02


@torch.no_grad()
def most_likely_scale(linear: Linearisation, smallest: float, largest: float) -> float:
    """What the noise has to be multiplied with for the measurements to be most likely.

    Args:
        linear: the problem near its optimum, with priors of unit variance. Of a parameter without one the width of its
            bounds counts as four standard deviations.
        smallest, largest: the range that is looked at.
    """
    residual, jacobian = (v.cpu() for v in linear.dense())
    if linear.noisy is not None:
        residual, jacobian = residual[linear.noisy.cpu()], jacobian[linear.noisy.cpu()]
    prior_residual, prior = (v.cpu() for v in linear.prior())
    count = max(2, math.ceil(math.log(largest / smallest) / _STEP))
    scales = torch.logspace(math.log10(smallest), math.log10(largest), count, dtype=torch.float64)
    cost = _cost(residual, jacobian, prior_residual, prior, linear.box.width.cpu(), scales)
    return float(scales[int(cost.argmin())])


def _cost(r: Tensor, J: Tensor, prior_r: Tensor, P: Tensor, width: Tensor, scales: Tensor) -> Tensor:
    """-2 log of the evidence at each scale, but for what is the same for all, `[K]`."""
    held = P.T @ P
    free = (held.diagonal() == 0) & width.isfinite()
    held = held + torch.diag(torch.where(free, 16 / width.square().clamp_min(1e-300), 0.0))
    # Units in which prior and data are diagonal: the evidence of any scale then is a sum.
    root = torch.linalg.cholesky(held + 1e-12 * held.diagonal().max() * torch.eye(len(held), dtype=held.dtype))
    scaled = torch.linalg.solve_triangular(root, J.T, upper=False)
    told, directions = torch.linalg.eigh(scaled @ scaled.T)
    told = told.clamp_min(0.0)
    of_data = directions.T @ (scaled @ r)
    of_prior = directions.T @ torch.linalg.solve_triangular(root, (P.T @ prior_r)[:, None], upper=False)[:, 0]
    weight = scales[:, None] ** -2
    best = ((weight * of_data + of_prior).square() / (weight * told + 1)).sum(dim=1)
    misfit = weight[:, 0] * r.square().sum() - best
    cost: Tensor = misfit + torch.log1p(weight * told).sum(dim=1) + 2 * len(r) * scales.log()
    return cost
