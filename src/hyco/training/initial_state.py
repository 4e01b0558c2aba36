"""Unknown initial states: what an inversion estimates beside the parameters where the states at t = 0 are noisy."""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import Tensor

from hyco.expressions import coordinates
from hyco.fields import Layout

# Modes whose prior standard deviation is below this part of the largest are left out.
_NEGLIGIBLE = 1e-3


class InitialStatePrior(BaseModel):
    """Keys of `physical.initial_state`: prior knowledge of initial states that were not measured exactly.

    The prior is a Gaussian random field with mean zero and covariance amplitude² exp(-r²/2 length_scale²).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    length_scale: PositiveFloat = Field(description="correlation length [length]")
    amplitude: PositiveFloat = Field(default=1.0, description="standard deviation, in units of the channels")


class InitialStates:
    """The initial states of some simulations as coordinates ξ, `n` for each simulation.

    Without a prior, u₀ = y₀ + σ ξ with the observed state y₀ and its noise σ: one coordinate per cell or face.

    With one, u₀ = Σ_k s_k φ_k ξ_k in Fourier modes φ_k (sine or cosine modes along axes with walls) with the prior's
    standard deviations s_k, and ξ has a standard normal prior.

    Args:
        observed: measured or guessed initial states, `[S, C, *space]`, where ξ = 0 without a prior; with one, ξ starts
            at their projection.
        unit: σ per channel, `[C, 1, …]`.
        layout: of the states.
        prior: knowledge beforehand.
    """

    def __init__(self, observed: Tensor, unit: Tensor, layout: Layout, prior: InitialStatePrior | None) -> None:
        self.prior = prior
        self.simulations = observed.shape[0]
        self._shape = tuple(observed.shape[1:])
        channels = len(layout.channels)
        if prior is None:
            self._observed = observed
            self._valid = layout.valid.to(observed.device)
            self._unit = unit.expand(self._shape)[self._valid]
            self.per_simulation = len(self._unit)
            self.initial = observed.new_zeros(self.simulations * self.per_simulation)
            return
        if layout.shape != layout.grid.resolution:
            raise ValueError("physical.initial_state is for centred fields; this equation has staggered ones: set null")
        basis = _modes(layout, prior).to(observed)
        self._basis = basis.flatten(1)
        self.per_simulation = channels * len(basis)
        # The modes are orthogonal: each coordinate is a projection of its own.
        projected = observed.reshape(-1, self._basis.shape[1]) @ self._basis.T / self._basis.square().sum(dim=1)
        self.initial = projected.reshape(-1).clamp(-4, 4)

    def __len__(self) -> int:
        return self.simulations * self.per_simulation

    def states(self, xi: Tensor) -> Tensor:
        """Coordinates `[K, S·n]` to initial states `[K, S, C, *space]`."""
        parts = xi.reshape(xi.shape[0], self.simulations, self.per_simulation)
        if self.prior is None:
            states = self._observed.repeat(len(xi), *[1] * (self._observed.ndim - 1)).reshape(-1, *self._observed.shape)
            moved = self._observed[:, self._valid] + self._unit * parts
            return states.masked_scatter(self._valid, moved)
        coefficients = parts.reshape(*parts.shape[:2], self._shape[0], -1)
        return (coefficients @ self._basis).reshape(*parts.shape[:2], *self._shape)

    def prior_residuals(self, xi: Tensor) -> Tensor:
        """ξ itself where there is a prior, else none."""
        return xi if self.prior is not None else xi[..., :0]


def _modes(layout: Layout, prior: InitialStatePrior) -> Tensor:
    """The fields s_k φ_k, `[n, *space]`, Σ s_k² = amplitude²."""
    grid = layout.grid
    points = coordinates(grid)
    fields = torch.ones((1, *(1,) * grid.dimensions), dtype=torch.float64)
    for axis, lower, size, n, kind in zip(
        grid.axes, grid.lower, grid.size, grid.resolution, layout.boundaries, strict=True
    ):
        x = points[axis] - lower
        if kind == "periodic":
            waves = [2 * math.pi * k / size for k in range(n // 2)]
            shapes = [torch.ones_like(x)] + [math.sqrt(2) * f(k * x) for k in waves[1:] for f in (torch.cos, torch.sin)]
            numbers = [0.0] + [k for k in waves[1:] for _ in range(2)]
        else:
            numbers = [math.pi * k / size for k in range(1 if kind == "dirichlet" else 0, n)]
            f = torch.sin if kind == "dirichlet" else torch.cos
            shapes = [math.sqrt(2) * f(k * x) if k else torch.ones_like(x) for k in numbers]
        stds = torch.tensor([math.exp(-0.25 * (k * prior.length_scale) ** 2) for k in numbers], dtype=torch.float64)
        stds = stds / stds.norm()
        keep = [i for i, s in enumerate(stds) if s > _NEGLIGIBLE * float(stds.max())]
        along = torch.stack([stds[i] * shapes[i] for i in keep])
        fields = (fields[:, None] * along[None]).flatten(0, 1)
    size_of = fields.flatten(1).square().mean(dim=1).sqrt()
    fields = fields[size_of > _NEGLIGIBLE * float(size_of.max())]
    return prior.amplitude * fields
