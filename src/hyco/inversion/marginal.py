"""What the data say of some unknowns when very many others are left free, without a matrix of all.

The others are unknown initial states, and fields with a value in every cell. With the Jacobians A of the unknowns that
are asked for and B of the others (both of the whitened residuals), and P that of the others' priors and
regularisations, the information is the Schur complement

    S = AᵀA - AᵀB (BᵀB + PᵀP)⁻¹ BᵀA.

The inverse is applied by conjugate gradients, all columns of A in one batch: B v is a difference quotient, Bᵀ w one
backward pass. Where the states at t = 0 are measured, BᵀB is the identity and more, so that few iterations do.

Source: M. R. Hestenes and E. Stiefel, J. Res. Nat. Bur. Standards 49 (1952) 409, doi:10.6028/jres.049.044.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.inversion.linearisation import Linearisation

log = logging.getLogger(__name__)

# The error allowed in S relative to S, the iterations over which it is judged, and how many there are at most.
_TOLERANCE, _DELAY, _MOST_ITERATIONS = 1e-4, 10, 1000


@dataclass(frozen=True)
class MarginalInformation:
    """Of the unknowns that are asked for, the others left free.

    Attributes:
        information: S `[k, k]`; not finite where the iteration did not converge.
        slope: Aᵀr less what the others explain of it, `[k]`; NaN where the iteration did not converge.
        reduced_chi_square: squared residuals that have noise over their degrees of freedom, which are estimated with a
            random vector.
        freedom: these.
    """

    information: Tensor
    slope: Tensor
    reduced_chi_square: float
    freedom: float


def marginal_information(linear: Linearisation, kept: Tensor) -> MarginalInformation:
    """Of the coordinates with the numbers `kept` `[k]`."""
    k = len(kept)
    others = _Others(linear, kept)
    residual, columns = linear.columns(kept)
    probe = torch.randint(0, 2, residual.shape, generator=torch.Generator().manual_seed(0)).to(residual) * 2 - 1
    own = residual
    if linear.noisy is not None:
        own, probe = residual[linear.noisy], probe * linear.noisy
    # Right-hand sides: the columns of A, the residual, and a random vector for the degrees of freedom.
    vectors = torch.cat([columns.T, residual[None], probe[None]])
    right = others.transposed(vectors)
    right[k] = others.not_held(right[k] + others.prior_slope())
    whole = vectors.square().sum(dim=1)
    whole[k] = torch.nan  # with the prior's part, and without what bounds hold, it is part of no square
    solved, converged = _conjugate_gradients(others, right, whole)
    if not bool(converged[~whole.isnan()].all()):
        log.warning("The information of the other unknowns was not inverted: there are no error bars.")
        undetermined = columns.new_full((k, k), torch.nan)
        return MarginalInformation(undetermined, columns.new_zeros(k), torch.inf, 0.0)
    product = right @ solved.T
    information = columns.T @ columns - product[:k, :k]
    slope = columns.T @ residual - (product[:k, k] if bool(converged[k]) else torch.nan)
    freedom = float(probe @ probe - product[k + 1, k + 1]) - k
    chi_square = float(own @ own) / max(freedom, 1.0)
    return MarginalInformation((information + information.T) / 2, slope, chi_square, freedom)


def least_squares(linear: Linearisation, target: Tensor) -> Tensor:
    """(JᵀJ + PᵀP)⁻¹ Jᵀ d `[q]` for d `[N]`, by conjugate gradients, as far as they converge."""
    others = _Others(linear, torch.empty(0, dtype=torch.long))
    right = others.transposed(target[None])
    solved, _ = _conjugate_gradients(others, right, right.new_full((1,), torch.nan))
    return solved[0]


def symmetric_root(matrix: Tensor) -> Tensor:
    """R `[p, p]` with RᵀR = the matrix, which is symmetric; rounding errors below zero are cut off."""
    if not bool(torch.isfinite(matrix).all()):
        return torch.full_like(matrix, torch.nan)
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = values.clamp_min(0).sqrt()[:, None] * vectors.T
    return root


class _Others:
    """B and P, the Jacobians of the data's and the priors' residuals by the coordinates that are not kept."""

    def __init__(self, linear: Linearisation, kept: Tensor) -> None:
        self._linear = linear
        self._free = torch.ones_like(linear.z, dtype=torch.bool).index_fill(0, kept.to(linear.z.device), False)

    def information(self, vectors: Tensor) -> Tensor:
        """(BᵀB + PᵀP) v for rows v `[k, n]`."""
        moves = vectors.new_zeros((len(vectors), len(self._linear.z)))
        moves[:, self._free] = vectors
        of_priors = self._linear.prior_transposed(self._linear.prior_forward(moves))[:, self._free]
        return self.transposed(self._linear.forward(moves)) + of_priors

    def transposed(self, vectors: Tensor) -> Tensor:
        """Bᵀ w `[k, n]` for rows w `[k, N]`."""
        return self._linear.transposed(vectors)[:, self._free]

    def prior_slope(self) -> Tensor:
        """Half the slope of the priors' squared residuals, `[n]`."""
        linear = self._linear
        return linear.prior_transposed(linear.prior_residual()[None])[0, self._free]

    def not_held(self, slope: Tensor) -> Tensor:
        """A slope `[n]` without what pushes against a bound: the bound holds it."""
        linear, free = self._linear, self._free
        held = linear.box.to(free.device).select(free).held(linear.z[free], slope)
        return torch.where(held, 0.0, slope)


def _conjugate_gradients(others: _Others, right: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
    """Solve (BᵀB + PᵀP) x = b for rows b `[k, n]`; which of them converged, `[k]`.

    What is asked for is `whole` - b·x, `[k]`, or b·x itself where that is NaN. Iteration j adds a positive part to b·x,
    so that the parts of the last few show how much is still to come; the residual does not, where some directions are
    hardly determined. Rows of the second kind may hold such directions: they have twice the iterations of the others.
    """
    x, r = torch.zeros_like(right), right.clone()
    direction, size = r.clone(), r.square().sum(dim=1)
    inner, parts = torch.zeros_like(whole), [torch.full_like(whole, torch.inf)] * _DELAY
    converged, last = torch.zeros_like(whole, dtype=torch.bool), _MOST_ITERATIONS
    for number in range(1, _MOST_ITERATIONS + 1):
        image = others.information(direction)
        step = size / (direction * image).sum(dim=1).clamp_min(1e-300)
        x, r = x + step[:, None] * direction, r - step[:, None] * image
        parts = [*parts[1:], step * size]
        inner = inner + parts[-1]
        asked = torch.where(whole.isnan(), inner, whole - inner)
        converged = torch.stack(parts).sum(dim=0) <= _TOLERANCE * asked
        if last == _MOST_ITERATIONS and bool(converged[~whole.isnan()].all()):
            last = 2 * number
        if bool(converged.all()) or number >= last:
            break
        new = r.square().sum(dim=1)
        direction = r + (new / size.clamp_min(1e-300))[:, None] * direction
        size = new
    return x, converged
