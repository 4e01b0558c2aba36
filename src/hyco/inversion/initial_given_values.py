"""A state at t = 0 from what was measured of it in some places, as a Gaussian field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.fields import Layout
from hyco.inversion.initial_prior import InitialStatePrior
from hyco.inversion.initial_state import InitialStates
from hyco.observations.filling import left_out, positions_of_entries
from hyco.observations.interpolation import Method, stencil
from hyco.observations.operators import PointOperator

# Most products of a factorisation, (modes)² · cells, twice with standard deviations: a second or so of one core.
_MOST = 3.5e10
# Modes along an axis, at most so many times its size over the correlation length: others are negligible.
_ALONG = 2.2
# Fewest values of a channel that tell whether the prior suits them; and which part of the mean square error of what was
# measured and filled that of an estimate may have: beside a front a Gaussian field has ripples.
_FEWEST, _BETTER = 8, 0.5


class GivenValues:
    """The mean and the standard deviation of states given measurements of each.

    u₀ = m + Φ ξ with a standard normal ξ (`InitialStates`), y = H u₀ + σ ε. A channel has no estimate where few values
    were measured, or its error, as values tell that are predicted from the others, is not clearly smaller than that of
    what was measured, filled between from those nearby.

    What states share is worked out once: Φ, and factors where only the measured values differ.

    Args:
        prior: in numbers.
        layout: of the states, whose fields are centred and have one boundary.
        method: how a state is read between its entries.
        bounded: whether the standard deviation is asked for, by channel.
        open_walls: whether the walls hold no state; see `Equation`.
    """

    def __init__(
        self,
        prior: InitialStatePrior,
        layout: Layout,
        *,
        method: Method,
        bounded: Sequence[bool],
        open_walls: bool = False,
    ) -> None:
        self._layout, self._method, self._bounded = layout, method, bounded
        _, amplitudes, _ = prior.by_channel(layout.channels)
        self._relative = [amplitude / amplitudes[0] for amplitude in amplitudes]
        zero = torch.zeros((1, len(amplitudes), *layout.shape), dtype=torch.float64)
        unknown = InitialStates(zero, zero, layout, prior, open_walls=open_walls, found=True)
        each = len(unknown) // len(amplitudes)
        xi = torch.eye(each, len(unknown), dtype=torch.float64)
        self._mean = unknown.states(torch.zeros_like(xi[:1]))[0, 0]
        self._modes = unknown.states(xi)[:, 0, 0] - self._mean[0]
        self._fits: dict[int, _Fit] = {}

    @staticmethod
    def too_large(prior: InitialStatePrior, layout: Layout, bounded: Sequence[bool]) -> bool:
        """Whether a start would take long."""
        waves = [_ALONG * size / float(prior.length_scale) + 1 for size in layout.grid.size]
        modes = math.prod(min(n, count) for n, count in zip(layout.grid.resolution, waves, strict=True))
        return modes**2 * math.prod(layout.shape) * (2 if any(bounded) else 1) > _MOST

    def __call__(
        self, c: int, values: Tensor, seen: Tensor, sigma: Tensor, positions: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """Of a channel, `[*space]` both, or None; the standard deviation is 0 where it is not asked for.

        Args:
            c: which one.
            values, seen, sigma: what was measured, where, and the standard deviation of its noise, `[K…]`.
            positions: of these, `[K, d]`; None: they are entries of the state.
        """
        if int(seen.sum()) < _FEWEST:
            return None
        fit = self._fit(c, seen, sigma[seen], positions)
        size, measured = fit.size, values[seen]
        if fit.root is None:
            return None
        xi = torch.cholesky_solve((fit.matrix.T @ ((measured - fit.mean) / size))[:, None], fit.root)[:, 0]
        # The error of each value as the others predict it.
        without = (measured - fit.mean - size * (fit.matrix @ xi)) / fit.left
        nearby = measured - left_out(self._layout, fit.places, measured)
        if not _better(without, fit.left, nearby, size, min(1.0, len(size) / self._mean[c].numel())):
            return None
        state = self._mean[c] + self._relative[c] * torch.tensordot(xi, self._modes, 1)
        if fit.std is None:
            fit.std = self._std(c, fit.root) if self._bounded[c] else torch.zeros_like(state)
        return state, fit.std

    def _fit(self, c: int, seen: Tensor, size: Tensor, positions: Tensor | None) -> _Fit:
        places = positions_of_entries(self._layout, c)[seen] if positions is None else positions[seen]
        known = self._fits.get(c)
        if known is not None and torch.equal(known.places, places) and torch.equal(known.size, size):
            return known
        if positions is None:
            mean, read = self._mean[c][seen], self._modes[:, seen]
        else:
            operator = PointOperator.of(stencil(self._layout, places[None, None], self._method))
            mean = operator(self._mean[None, None])[0, 0, c]
            fields = torch.cat([torch.zeros_like(self._modes[:1]), self._modes])
            all_channels = fields[:, None, None].expand(-1, 1, len(self._mean), *fields.shape[1:])
            read = operator(all_channels)[:, 0, c]
            read = read[1:] - read[0]  # what walls add is the mean's alone
        matrix = self._relative[c] * (read / size).T
        root, info = torch.linalg.cholesky_ex(matrix.T @ matrix + torch.eye(len(self._modes), dtype=matrix.dtype))
        left = 1 - torch.linalg.solve_triangular(root, matrix.T, upper=False).square().sum(dim=0)
        self._fits[c] = _Fit(places, size, mean, matrix, None if int(info) else root, left)
        return self._fits[c]

    def _std(self, c: int, root: Tensor) -> Tensor:
        parts: Tensor = torch.linalg.solve_triangular(root, self._modes.flatten(1), upper=False)
        return self._relative[c] * parts.square().sum(dim=0).sqrt().reshape(self._mean[c].shape)


@dataclass
class _Fit:
    """What estimates of a channel share whose measurements have the same places and noise.

    Attributes:
        places, size: of the measurements, `[n, d]` and σ `[n]`.
        mean: the prior's there, `[n]`.
        matrix: A = H Φ / σ, `[n, m]`.
        root: L, L Lᵀ = AᵀA + 1; None: it is not told from singular.
        left: the diagonal of 1 - A (AᵀA + 1)⁻¹ Aᵀ.
        std: of the states.
    """

    places: Tensor
    size: Tensor
    mean: Tensor
    matrix: Tensor
    root: Tensor | None
    left: Tensor
    std: Tensor | None = None


def _better(without: Tensor, left: Tensor, nearby: Tensor, sigma: Tensor, part: float) -> bool:
    """Whether the error of an estimate is far smaller than that of what was measured, filled between.

    Where values were measured these have their noise, and an estimate that is linear in them, û = S y + c, has the mean
    square error |y - û|² - σ² + 2 σ² S_ii (Stein 1981). Elsewhere it is that of values predicted from the others, less
    the noise that is of these values.

    Args:
        without, nearby: errors of each value as the estimate, and the mean of those nearby, say it without itself.
        left: 1 - S_ii of each.
        sigma: of the values.
        part: of the cells in which they lie.
    """
    predicted, others = float(without.square().mean()), float(nearby.square().mean())
    # A noise that was told too large is no reason for what predicts worse.
    noise = min(float(sigma.square().mean()), predicted)
    there = float(((left * without).square() + sigma.square() * (1 - 2 * left)).mean())
    estimate = part * max(there, 0.0) + (1 - part) * (predicted - noise)
    return predicted <= others and estimate <= _BETTER * (part * noise + (1 - part) * (others - noise))
