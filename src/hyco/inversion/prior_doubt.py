"""How sure an estimate is where the prior of unknown initial states was itself taken from the measurements.

Correlation length and amplitude of the prior are then estimates too. The covariance at the best of them is that of the
mixture over others, each weighed by its evidence, the likelihood of all measurements with the unknowns integrated out:
near the optimum the problem is linear, so that both take one system of equations for each prior.

Sources: C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 3.5; D. J. C. MacKay, Neural
Computation 4 (1992) 415, doi:10.1162/neco.1992.4.3.415.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyco.inversion.initial_state import InitialStates

# Correlation lengths and amplitudes that are tried, in units of those that were found.
LENGTHS = (0.5, 0.63, 0.8, 1.0, 1.26, 1.6, 2.0, 2.5)
AMPLITUDES = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
# Modes of a longer correlation length have a standard deviation that is zero to rounding.
_SMALLEST = 1e-6


def other_priors(states: InitialStates, *, length: bool, amplitude: bool) -> Tensor | None:
    """Standard deviations of the coordinates of initial states under other priors, in units of their own, `[H, n]`.

    Args:
        states: with the prior that was found.
        length, amplitude: which of the two was taken from the measurements.

    Returns:
        None where nothing was, or lengths cannot be told apart in these coordinates.
    """
    if states.prior is None or not (length or amplitude):
        return None
    own = float(states.prior.length_scale)
    scales: Tensor | None = torch.ones((1, len(states)), dtype=torch.float64)
    if length and (scales := states.other_scales([factor * own for factor in LENGTHS])) is None:
        return None
    assert scales is not None
    factors: Sequence[float] = AMPLITUDES if amplitude else (1.0,)
    return torch.cat([factor * scales for factor in factors]).clamp_min(_SMALLEST)


def mixture(
    jacobian: Tensor,
    residual: Tensor,
    prior: Tensor,
    prior_residual: Tensor,
    xi: Tensor,
    scales: Tensor,
) -> Tensor:
    """Covariance of all coordinates about the optimum, `[q, q]`, over priors of the last n of them.

    Args:
        jacobian, residual: of the whitened real data, `[N, q]` and `[N]`; residuals of unit variance.
        prior, prior_residual: of the priors of the other coordinates, `[M, q]` and `[M]`.
        xi: the last coordinates at the optimum, `[n]`, standard normal under their own prior.
        scales: their standard deviations under each prior, `[H, n]`.
    """
    q, n = jacobian.shape[1], len(xi)
    data = jacobian.T @ jacobian + prior.T @ prior
    slope = jacobian.T @ residual + prior.T @ prior_residual
    evidence, parts = [], []
    for scale in scales:
        precision = torch.cat([xi.new_zeros(q - n), scale**-2])
        root, failed = torch.linalg.cholesky_ex(data + torch.diag(precision))
        if int(failed):
            continue
        toward = slope + precision * torch.cat([xi.new_zeros(q - n), xi])
        move = -torch.cholesky_solve(toward[:, None], root)[:, 0]
        # -2 log of the evidence, but for what all have.
        cost = (xi / scale).square().sum() + toward @ move + 2 * root.diagonal().log().sum() + 2 * scale.log().sum()
        evidence.append(-0.5 * float(cost))
        parts.append((move, root))
    if not parts:
        return jacobian.new_full((q, q), torch.inf)
    weights = torch.softmax(torch.tensor(evidence, dtype=torch.float64), dim=0).tolist()
    total = jacobian.new_zeros((q, q))
    for weight, (move, root) in zip(weights, parts, strict=True):
        if weight > 1e-3 / len(parts):
            total += weight * (torch.cholesky_inverse(root) + move[:, None] * move)
    return total
