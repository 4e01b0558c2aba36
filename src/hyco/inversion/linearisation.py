"""A least-squares problem near one point, which is all that uncertainty and identifiability see of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from hyco.inversion.jacobian import central_jacobian, forward_jacobian
from hyco.inversion.loss import Huber, Squares
from hyco.runtime.forward import jacobian, tangent

# Points `[K, q]` to residuals `[K, N]`, differentiable.
Residuals = Callable[[Tensor], Tensor]
_SQUARES = Squares()


@dataclass(frozen=True)
class Box:
    """Coordinates of a search, `[q]` each.

    Attributes:
        start: where it begins.
        lower, upper: the smallest and largest allowed; infinite where there is no bound.
        width: how far each may be off beforehand: the width of the bounds, or a 95 % interval of the prior.
    """

    start: Tensor
    lower: Tensor
    upper: Tensor
    width: Tensor

    def to(self, device: torch.device) -> Box:
        """The same on a device."""
        return Box(*(v.to(device) for v in (self.start, self.lower, self.upper, self.width)))

    def held(self, z: Tensor, slope: Tensor) -> Tensor:
        """Which coordinates `[q]` sit on a bound that they would leave, given the slope of the objective `[q]`."""
        lower, upper = self.lower.to(z), self.upper.to(z)
        return ((z <= lower) & (slope > 0)) | ((z >= upper) & (slope < 0))

    def select(self, which: Tensor) -> Box:
        """Some of the coordinates, by number."""
        return Box(self.start[which], self.lower[which], self.upper[which], self.width[which])


class InitialColumns(Protocol):
    """Columns of the Jacobian for coordinates of which each moves one simulation only."""

    def __call__(self, z: Tensor) -> Tensor:
        """`[N, q - p]` at `[q]`."""


class Linearisation:
    """r(z + d) ≈ r + J d, with the whitened residuals of the real data r and their Jacobian J, and the same of priors.

    The coordinates are those of the parameters, the first p, and of unknown initial states.

    Args:
        z: the point, `[q]`.
        box: of all coordinates.
        parameter_count: number p of those of the parameters.
        real: residuals of the real data.
        prior: residuals of all priors and regularisations.
        known_noise: whether σ is the noise: then the residuals have unit variance, and one-sided differences will do;
            else the noise is far below it, and central ones are taken.
        noisy: which residuals have noise, a mask `[N]`; None: all.
        initial_columns: the columns of J for initial states, cheaper than one by one; None: there are none.
        other_priors: standard deviations of the initial states' coordinates under other priors that the measurements
            may have told, in units of their own, `[H, q - p]`; None: the prior was given.
        loss: of the residuals of the real data.

    Attributes:
        z, box, parameter_count, known_noise, noisy, other_priors, loss: as given.
    """

    def __init__(
        self,
        z: Tensor,
        box: Box,
        parameter_count: int,
        *,
        real: Residuals,
        prior: Residuals,
        known_noise: bool,
        noisy: Tensor | None = None,
        initial_columns: InitialColumns | None = None,
        other_priors: Tensor | None = None,
        loss: Squares | Huber = _SQUARES,
    ) -> None:
        self.z, self.box, self.parameter_count = z, box, parameter_count
        self.known_noise, self.noisy, self.loss = known_noise, noisy, loss
        self.other_priors = other_priors
        self._real, self._prior, self._initial_columns = real, prior, initial_columns

    def dense(self) -> tuple[Tensor, Tensor]:
        """R `[N]` and all of J `[N, q]`, worked out once."""
        return self._dense

    @cached_property
    def _dense(self) -> tuple[Tensor, Tensor]:
        r, left = self.columns()
        return r, left if self._initial_columns is None else torch.cat([left, self._initial_columns(self.z)], dim=1)

    def columns(self, which: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """R `[N]` and some columns of J `[N, k]`, by differences in one batch; None: those of the parameters."""
        which = torch.arange(self.parameter_count) if which is None else which

        def of_some(values: Tensor) -> Tensor:
            points = self.z.repeat(len(values), 1)
            points[:, which] = values
            return self._real(points)

        z, lower, upper = self.z[which], self.box.lower.to(self.z)[which], self.box.upper.to(self.z)[which]
        if not self.known_noise:
            return central_jacobian(of_some, z, lower, upper)
        residual, slopes = forward_jacobian(of_some, z[None], None, lower, upper, 1e-6)
        return residual[0], slopes[0]

    def forward(self, vectors: Tensor, step: float = 1e-3) -> Tensor:
        """J v `[k, N]` for rows v `[k, q]`, by central differences of a length that follows the vector's."""
        size = vectors.abs().amax(dim=1, keepdim=True).clamp_min(1e-300)
        moves = step * vectors / size
        return (self._real(self.z + moves) - self._real(self.z - moves)) * (size / (2 * step))

    def transposed(self, vectors: Tensor) -> Tensor:
        """Jᵀ w `[k, q]` for rows w `[k, N]`, by one backward pass."""
        with torch.enable_grad():
            points = self.z.expand(len(vectors), -1).clone().requires_grad_(True)
            gradient: Tensor = torch.autograd.grad((self._real(points) * vectors).sum(), points)[0]
        return gradient

    def prior(self) -> tuple[Tensor, Tensor]:
        """Residuals of the priors `[M]` and their Jacobian `[M, q]`."""
        return self.prior_residual(), jacobian(lambda point: self._prior(point[None])[0], self.z)

    def prior_residual(self) -> Tensor:
        """Residuals of the priors, `[M]`."""
        return self._prior(self.z[None])[0]

    def prior_forward(self, vectors: Tensor) -> Tensor:
        """P v `[k, M]` for rows v `[k, q]`, P the Jacobian of the priors' residuals."""
        points = self.z.repeat(len(vectors), 1)
        return tangent(self._prior, points, vectors)

    def prior_transposed(self, vectors: Tensor) -> Tensor:
        """Pᵀ w `[k, q]` for rows w `[k, M]`."""
        pull_back = torch.func.vjp(self._prior, self.z.repeat(len(vectors), 1))[1]
        product: Tensor = pull_back(vectors)[0]
        return product
