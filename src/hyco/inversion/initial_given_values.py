"""A state at t = 0 from what was measured of it in some places, as a Gaussian field."""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.inversion.initial_prior import InitialStatePrior
from hyco.inversion.initial_state import InitialStates
from hyco.observations.filling import left_out, positions_of_entries
from hyco.observations.interpolation import Method, stencil
from hyco.observations.operators import PointOperator

# Most numbers of all modes together; fewest values of a channel that tell whether the prior suits them.
_MOST, _FEWEST = 50_000_000, 8
# How far their mean square misfit may be above 1, in standard deviations of it; and which part of the mean square error
# of those nearby that of predicted values may have: beside a front a Gaussian field has ripples.
_AGREE, _BETTER = 3.0, 0.5


def given_values(
    prior: InitialStatePrior,
    guess: Tensor,
    values: Tensor,
    mask: Tensor,
    sigma: Tensor,
    positions: Tensor | None,
    layout: Layout,
    *,
    method: Method,
    open_walls: bool = False,
) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of a state given its measurements, `[C, *space]` both.

    u₀ = m + Φ ξ with a standard normal ξ (`InitialStates`), y = H u₀ + σ ε. A channel stays the guess, with an infinite
    standard deviation, where few values were measured, the mean misses them by more than their noise, or the others
    predict a value not clearly better, in the mean square over all, than the mean of those nearby.

    Args:
        prior: in numbers.
        guess: the state otherwise, `[C, *space]`.
        values, mask, sigma: what was measured, where, and the standard deviation of its noise, `[C, K…]`.
        positions: of these, `[K, d]`; None: they are entries of the state.
        layout: of the state, whose fields are centred and have one boundary.
        method: how a state is read between its entries.
        open_walls: whether the walls hold no state; see `Equation`.
    """
    state, std = guess.clone(), torch.full_like(guess, torch.inf)
    unknown = InitialStates(guess[None], sigma, layout, prior, open_walls=open_walls, found=True)
    if len(unknown) * guess.numel() > _MOST:
        return state, std
    mean = unknown.states(guess.new_zeros(1, len(unknown)))[0]
    modes = unknown.states(torch.eye(len(unknown), dtype=guess.dtype))[:, 0] - mean[0]
    fields = torch.cat([mean, modes])
    if positions is None:
        read = fields
    else:
        read = PointOperator.of(stencil(layout, positions[None, None], method))(fields[:, None])[:, 0]
    each = len(modes) // len(guess)
    for c in range(len(guess)):
        seen = mask[c]
        if int(seen.sum()) < _FEWEST:
            continue
        own = slice(c * each, (c + 1) * each)
        size, measured = sigma[c][seen], values[c][seen]
        whitened = (read[1:][own, c][:, seen] / size).T
        residual = (measured - read[0, c][seen]) / size
        found = _least_squares(whitened, residual)
        places = positions_of_entries(layout, c)[seen] if positions is None else positions[seen]
        if found is None or not _better(found[1], found[2] * size, measured - left_out(layout, places, measured)):
            continue
        xi, root = found[0], found[3]
        state[c] = mean[0, c] + torch.tensordot(xi, modes[own, c], 1)
        spread = torch.linalg.solve_triangular(root, modes[own, c].flatten(1), upper=False)
        std[c] = spread.square().sum(dim=0).sqrt().reshape(std[c].shape)
    return state, std


def _better(left: Tensor, without: Tensor, nearby: Tensor) -> bool:
    """Whether residuals are noise, and errors of values predicted without themselves are far smaller than others."""
    noise = float(left.square().mean()) < 1 + _AGREE * (2 / len(left)) ** 0.5
    return noise and float(without.square().mean()) <= _BETTER * float(nearby.square().mean())


def _least_squares(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """The least |A ξ - b|² + |ξ|²: ξ, what is left of b, that of each entry without itself, and L, L Lᵀ = AᵀA + 1."""
    root, info = torch.linalg.cholesky_ex(matrix.T @ matrix + torch.eye(matrix.shape[1], dtype=matrix.dtype))
    if int(info):
        return None
    xi = torch.cholesky_solve((matrix.T @ right)[:, None], root)[:, 0]
    left = right - matrix @ xi
    taken = torch.linalg.solve_triangular(root, matrix.T, upper=False).square().sum(dim=0)
    return xi, left, left / (1 - taken), root
