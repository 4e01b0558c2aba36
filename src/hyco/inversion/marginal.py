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

from hyco.inversion.inverse_problem import InverseProblem

log = logging.getLogger(__name__)

# The error allowed in S relative to S, the iterations over which it is judged, and how many there are at most.
_TOLERANCE, _DELAY, _MOST_ITERATIONS = 1e-4, 10, 1000


@dataclass(frozen=True)
class MarginalInformation:
    """Of the unknowns that are asked for, the others left free.

    Attributes:
        information: S `[k, k]`; not finite where the iteration did not converge.
        slope: Aᵀr less what the others explain of it, `[k]`; NaN where that was not found.
        reduced_chi_square: squared residuals that have noise over their degrees of freedom, which are estimated with a
            random vector.
    """

    information: Tensor
    slope: Tensor
    reduced_chi_square: float


def marginal_information(problem: InverseProblem, z: Tensor, kept: Tensor) -> MarginalInformation:
    """Of the coordinates with the numbers `kept` `[k]`, at `[q]`."""
    k = len(kept)
    others = _Others(problem, z, kept)
    residual, columns = problem.linearised_parameters(z, which=kept)
    probe = torch.randint(0, 2, residual.shape, generator=torch.Generator().manual_seed(0)).to(residual) * 2 - 1
    own = residual
    if (noisy := problem.noisy()) is not None:
        own, probe = residual[noisy], probe * noisy
    # Right-hand sides: the columns of A, the residual, and a random vector for the degrees of freedom.
    vectors = torch.cat([columns.T, residual[None], probe[None]])
    right = others.transposed(vectors)
    right[k] = others.not_held(right[k] + others.prior_slope())
    whole = vectors.square().sum(dim=1)
    whole[k] = torch.nan  # with the prior's part, and without what bounds hold, it is part of no square
    solved, converged = _conjugate_gradients(others, right, whole)
    if not bool(converged[~whole.isnan()].all()):
        log.warning("The information of the other unknowns was not inverted: nothing is known of the error bars.")
        unknown = columns.new_full((k, k), torch.nan)
        return MarginalInformation(unknown, columns.new_zeros(k), torch.inf)
    product = right @ solved.T
    information = columns.T @ columns - product[:k, :k]
    slope = columns.T @ residual - (product[:k, k] if bool(converged[k]) else torch.nan)
    freedom = float(probe @ probe - product[k + 1, k + 1]) - k
    chi_square = float(own @ own) / max(freedom, 1.0)
    return MarginalInformation((information + information.T) / 2, slope, chi_square)


def symmetric_root(matrix: Tensor) -> Tensor:
    """R `[p, p]` with RᵀR = the matrix, which is symmetric; rounding errors below zero are cut off."""
    if not bool(torch.isfinite(matrix).all()):
        return torch.full_like(matrix, torch.nan)
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = values.clamp_min(0).sqrt()[:, None] * vectors.T
    return root


class _Others:
    """B and P, the Jacobians of the data's and the priors' residuals by the coordinates that are not kept, at `[q]`."""

    def __init__(self, problem: InverseProblem, z: Tensor, kept: Tensor) -> None:
        self._problem, self._z = problem, z
        self._free = torch.ones_like(z, dtype=torch.bool).index_fill(0, kept.to(z.device), False)

    def information(self, vectors: Tensor) -> Tensor:
        """(BᵀB + PᵀP) v for rows v `[k, n]`."""
        points = self._z.repeat(len(vectors), 1)
        slopes: Tensor = torch.func.jvp(self._problem.prior, (points,), (self._moves(vectors),))[1]
        return self.transposed(self._forward(vectors)) + self._prior_transposed(slopes)

    def transposed(self, vectors: Tensor) -> Tensor:
        """Bᵀ w `[k, n]` for rows w `[k, N]`, by one backward pass."""
        with torch.enable_grad():
            points = self._z.expand(len(vectors), -1).clone().requires_grad_(True)
            gradient: Tensor = torch.autograd.grad((self._problem.real(points) * vectors).sum(), points)[0]
        return gradient[:, self._free]

    def prior_slope(self) -> Tensor:
        """Half the slope of the priors' squared residuals, `[n]`."""
        return self._prior_transposed(self._problem.prior(self._z[None]))[0]

    def not_held(self, slope: Tensor) -> Tensor:
        """A slope `[n]` without what pushes against a bound: the bound holds it."""
        z, lower, upper = (v.to(slope.device)[self._free] for v in (self._z, self._problem.lower, self._problem.upper))
        held = ((z <= lower) & (slope > 0)) | ((z >= upper) & (slope < 0))
        return torch.where(held, 0.0, slope)

    def _forward(self, vectors: Tensor, step: float = 1e-3) -> Tensor:
        """B v `[k, N]` for rows v `[k, n]`, by central differences of a length that follows the vector's."""
        size = vectors.abs().amax(dim=1, keepdim=True).clamp_min(1e-300)
        moves = self._moves(step * vectors / size)
        return (self._problem.real(self._z + moves) - self._problem.real(self._z - moves)) * (size / (2 * step))

    def _prior_transposed(self, vectors: Tensor) -> Tensor:
        """Pᵀ w `[k, n]` for rows w `[k, M]`."""
        pull_back = torch.func.vjp(self._problem.prior, self._z.repeat(len(vectors), 1))[1]
        found: Tensor = pull_back(vectors)[0]
        return found[:, self._free]

    def _moves(self, vectors: Tensor) -> Tensor:
        moves = vectors.new_zeros((len(vectors), len(self._z)))
        moves[:, self._free] = vectors
        return moves


def _conjugate_gradients(others: _Others, right: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
    """Solve (BᵀB + PᵀP) x = b for rows b `[k, n]`; which of them converged, `[k]`.

    What is asked for is `whole` - b·x, `[k]`, or b·x itself where that is NaN. Iteration j adds a positive part to b·x,
    so that the parts of the last few tell how much is still to come; the residual does not, where some directions are
    hardly determined. Rows of the second kind may hold such directions: they have twice the iterations of the others.
    """
    x, r = torch.zeros_like(right), right.clone()
    direction, size = r.clone(), r.square().sum(dim=1)
    found, parts = torch.zeros_like(whole), [torch.full_like(whole, torch.inf)] * _DELAY
    converged, last = torch.zeros_like(whole, dtype=torch.bool), _MOST_ITERATIONS
    for number in range(1, _MOST_ITERATIONS + 1):
        image = others.information(direction)
        step = size / (direction * image).sum(dim=1).clamp_min(1e-300)
        x, r = x + step[:, None] * direction, r - step[:, None] * image
        parts = [*parts[1:], step * size]
        found = found + parts[-1]
        asked = torch.where(whole.isnan(), found, whole - found)
        converged = torch.stack(parts).sum(dim=0) <= _TOLERANCE * asked
        if last == _MOST_ITERATIONS and bool(converged[~whole.isnan()].all()):
            last = 2 * number
        if bool(converged.all()) or number >= last:
            break
        new = r.square().sum(dim=1)
        direction = r + (new / size.clamp_min(1e-300))[:, None] * direction
        size = new
    return x, converged
