"""What the data say of the parameters when very many unknown initial states are left free, without a matrix of all.

With the Jacobians A of the parameters and B of the initial states (both of the whitened residuals), and Λ the precision
of the initial states' prior, the information of the parameters is the Schur complement

    S = AᵀA - AᵀB (BᵀB + Λ)⁻¹ BᵀA.

The inverse is applied by conjugate gradients, all columns of A in one batch: B v is a difference quotient, Bᵀ w one
backward pass. Where the states at t = 0 are measured, BᵀB is the identity and more, so that few iterations do.

Source: M. R. Hestenes and E. Stiefel, J. Res. Nat. Bur. Standards 49 (1952) 409, doi:10.6028/jres.049.044.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.training.inverse_problem import InverseProblem

log = logging.getLogger(__name__)

_TOLERANCE, _MOST_ITERATIONS = 1e-6, 300


@dataclass(frozen=True)
class MarginalInformation:
    """Of the parameters, the initial states left free.

    Attributes:
        information: S `[p, p]`; not finite where the iteration did not converge.
        slope: Aᵀr less what the initial states explain of it, `[p]`.
        reduced_chi_square: squared residuals that have noise over their degrees of freedom, which are estimated with a
            random vector.
    """

    information: Tensor
    slope: Tensor
    reduced_chi_square: float


def marginal_information(problem: InverseProblem, z: Tensor) -> MarginalInformation:
    """At coordinates `[q]`."""
    p = problem.parameters
    residual, columns = problem.linearised_parameters(z)
    probe = torch.randint(0, 2, residual.shape, generator=torch.Generator().manual_seed(0)).to(residual) * 2 - 1
    own = residual
    if (noisy := problem.noisy()) is not None:
        own, probe = residual[noisy], probe * noisy
    # Right-hand sides: the columns of A, the residual, and a random vector for the degrees of freedom.
    vectors = torch.cat([columns.T, residual[None], probe[None]])
    right = _transposed(problem, z, vectors)
    held = problem.initial_states is not None and problem.initial_states.prior is not None
    if held:
        right[p] += z[p:]  # the slope of the prior, whose residuals are the coordinates themselves
    solved, converged = _conjugate_gradients(problem, z, right, float(held))
    if not converged:
        log.warning("The information of the initial states was not inverted: there are no error bars.")
        unknown = columns.new_full((p, p), torch.nan)
        return MarginalInformation(unknown, columns.new_zeros(p), torch.inf)
    product = right @ solved.T
    information = columns.T @ columns - product[:p, :p]
    slope = columns.T @ residual - product[:p, p]
    freedom = float(probe @ probe - product[p + 1, p + 1]) - p
    chi_square = float(own @ own) / max(freedom, 1.0)
    return MarginalInformation((information + information.T) / 2, slope, chi_square)


def symmetric_root(matrix: Tensor) -> Tensor:
    """R `[p, p]` with RᵀR = the matrix, which is symmetric; rounding errors below zero are cut off."""
    if not bool(torch.isfinite(matrix).all()):
        return torch.full_like(matrix, torch.nan)
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = values.clamp_min(0).sqrt()[:, None] * vectors.T
    return root


def _conjugate_gradients(problem: InverseProblem, z: Tensor, right: Tensor, precision: float) -> tuple[Tensor, bool]:
    """Solve (BᵀB + Λ) x = b for rows b `[k, n]`; whether all converged."""
    x, r = torch.zeros_like(right), right.clone()
    direction, size = r.clone(), r.square().sum(dim=1)
    enough = _TOLERANCE**2 * size
    for _ in range(_MOST_ITERATIONS):
        if bool((size <= enough).all()):
            return x, True
        image = _transposed(problem, z, _forward(problem, z, direction)) + precision * direction
        step = size / (direction * image).sum(dim=1).clamp_min(1e-300)
        x, r = x + step[:, None] * direction, r - step[:, None] * image
        new = r.square().sum(dim=1)
        direction = r + (new / size.clamp_min(1e-300))[:, None] * direction
        size = new
    return x, bool((size <= enough).all())


def _forward(problem: InverseProblem, z: Tensor, vectors: Tensor, step: float = 1e-3) -> Tensor:
    """B v `[k, N]` for rows v `[k, n]`, by central differences of a length that follows the vector's."""
    size = vectors.abs().amax(dim=1, keepdim=True).clamp_min(1e-300)
    moves = torch.cat([vectors.new_zeros(len(vectors), problem.parameters), step * vectors / size], dim=1)
    return (problem.real(z + moves) - problem.real(z - moves)) * (size / (2 * step))


def _transposed(problem: InverseProblem, z: Tensor, vectors: Tensor) -> Tensor:
    """Bᵀ w `[k, n]` for rows w `[k, N]`, by one backward pass."""
    with torch.enable_grad():
        points = z.expand(len(vectors), -1).clone().requires_grad_(True)
        gradient: Tensor = torch.autograd.grad((problem.real(points) * vectors).sum(), points)[0]
    return gradient[:, problem.parameters :]
