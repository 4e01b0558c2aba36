"""Unknown initial states: what an inversion estimates beside the parameters where the states at t = 0 are noisy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hyco.equations.initial_states import relaxed_wall_field, wall_field, waves
from hyco.fields import Layout
from hyco.inversion.initial_prior import InitialStatePrior
from hyco.walls.boundary import AxisWalls

# Modes whose prior standard deviation is below this part of the largest are left out; fewer where the correlation
# length is an estimate, since under a shorter one they are not negligible.
_NEGLIGIBLE, _NEGLIGIBLE_IF_FOUND = 1e-3, 1e-5


class InitialStates:
    """The initial states of some simulations as coordinates ξ, `n` for each simulation.

    Without a prior, u₀ = y₀ + σ ξ with the observed state y₀ and its noise σ: one coordinate per cell or face.

    With one, u₀ = m + Σ_k s_k φ_k ξ_k, and ξ has a standard normal prior. The mean m has the walls' values (see
    `wall_field` and, where the prior has a mean, `relaxed_wall_field`), the modes φ_k keep zero walls and no slope at
    Neumann walls (see `waves`), s_k are the prior's standard deviations. With open walls, and along an
    axis with a wall whose condition is not known beforehand (`Wall.constant`), the modes are the eigenvectors of its
    covariance, which no wall holds.

    Args:
        observed: measured or guessed initial states, `[S, C, *space]`, where ξ = 0 without a prior; with one, ξ starts
            at their projection.
        sigma: standard deviation of the noise per channel, `[C, 1, …]`.
        layout: of the states.
        prior: knowledge beforehand, in numbers.
        open_walls: whether states need not keep the boundary conditions; see `Equation`.
        found: whether the prior's correlation length was taken from the measurements.

    Raises:
        ValueError: a prior, but staggered fields or fields with different boundaries.
    """

    def __init__(
        self,
        observed: Tensor,
        sigma: Tensor,
        layout: Layout,
        prior: InitialStatePrior | None,
        *,
        open_walls: bool = False,
        found: bool = False,
    ) -> None:
        self.prior = prior
        self.simulations = observed.shape[0]
        self._shape = tuple(observed.shape[1:])
        channels = len(layout.channels)
        if prior is None:
            self._observed = observed
            self._valid = layout.valid.to(observed.device)
            self._sigma = sigma.expand(self._shape)[self._valid]
            self.per_simulation = len(self._sigma)
            self.initial = observed.new_zeros(self.simulations * self.per_simulation)
            return
        if layout.shape != layout.grid.resolution:
            raise ValueError("physical.initial_state is for centred fields; this equation has staggered ones: set null")
        if any(field.boundary != layout.fields[0].boundary for field in layout.fields):
            raise ValueError("physical.initial_state is for fields with one boundary; here they differ: set null")
        length, amplitudes, mean = prior.by_channel(layout.channels)
        negligible = _NEGLIGIBLE_IF_FOUND if found else _NEGLIGIBLE
        basis = _modes(layout, length, amplitudes[0], negligible, open_walls=open_walls).to(observed)
        self._basis = basis.flatten(1)
        # Eigenvectors of one covariance are not those of another.
        free = any(_is_free(layout.fields[0].walls[axis], open_walls) for axis in layout.grid.axes)
        self._chosen = None if free else (layout, negligible)
        # The amplitudes of the channels relative to the first, `[C, 1]`; None: all are the same.
        alike = all(amplitude == amplitudes[0] for amplitude in amplitudes)
        self._relative = None if alike else observed.new_tensor(amplitudes)[:, None] / amplitudes[0]
        self._mean = _mean(layout, length, mean).to(observed)
        self.per_simulation = channels * len(basis)
        deviation = (observed - self._mean).reshape(-1, self._basis.shape[1])
        # The modes are orthogonal: each coordinate is a projection of its own.
        projected = deviation @ self._basis.T / self._basis.square().sum(dim=1)
        if self._relative is not None:
            projected = projected.reshape(self.simulations, channels, -1) / self._relative
        self.initial = projected.reshape(-1).clamp(-4, 4)

    def __len__(self) -> int:
        return self.simulations * self.per_simulation

    def states(self, xi: Tensor) -> Tensor:
        """Coordinates `[K, S·n]` to initial states `[K, S, C, *space]`."""
        parts = xi.reshape(xi.shape[0], self.simulations, self.per_simulation)
        if self.prior is None:
            states = self._observed.repeat(len(xi), *[1] * (self._observed.ndim - 1)).reshape(-1, *self._observed.shape)
            moved = self._observed[:, self._valid] + self._sigma * parts
            return states.masked_scatter(self._valid, moved)
        coefficients = parts.reshape(*parts.shape[:2], self._shape[0], -1)
        if self._relative is not None:
            coefficients = coefficients * self._relative
        return self._mean + (coefficients @ self._basis).reshape(*parts.shape[:2], *self._shape)

    def other_scales(self, lengths: Sequence[float]) -> Tensor | None:
        """The modes' standard deviations under other correlation lengths, in units of the prior's own, `[L, S·n]`.

        None where there is no prior, or the modes themselves would be others.
        """
        if self.prior is None or self._chosen is None:
            return None
        own, (layout, negligible) = float(self.prior.length_scale), self._chosen
        kept = _kept(layout, own, negligible)
        scales = [(_sizes(layout, length) / _sizes(layout, own))[kept] for length in lengths]
        return torch.stack(scales).repeat(1, self.simulations * self._shape[0])

    def prior_residuals(self, xi: Tensor) -> Tensor:
        """ξ itself where there is a prior, else none."""
        return xi if self.prior is not None else xi[..., :0]


def _mean(layout: Layout, length: float, mean: list[float] | None) -> Tensor:
    """The prior's mean, `[C, *space]`, or `[*space]` where it is the same for all channels."""
    walls = layout.fields[0].walls
    if mean is None:
        return wall_field(layout.grid, walls)
    return torch.stack([relaxed_wall_field(layout.grid, walls, value, length) for value in mean])


def _is_free(walls: AxisWalls, open_walls: bool) -> bool:
    """Whether the prior knows nothing of the walls of an axis: states need not keep them, or what they say varies."""
    return not walls.periodic and (open_walls or not all(wall.constant for wall in walls))


def _modes(layout: Layout, length_scale: float, amplitude: float, negligible: float, *, open_walls: bool) -> Tensor:
    """The fields s_k φ_k, `[n, *space]`: orthogonal, Σ s_k² = amplitude² (of the mean square in space)."""
    grid = layout.grid
    fields = torch.ones((1, *(1,) * grid.dimensions), dtype=torch.float64)
    for i, (axis, size, n) in enumerate(zip(grid.axes, grid.size, grid.resolution, strict=True)):
        walls = layout.fields[0].walls[axis]
        if _is_free(walls, open_walls):
            stds, shapes = _free_modes(n, grid.spacing[i], length_scale)
        else:
            numbers, shapes = waves(walls, size, n)
            stds = _deviations(numbers, length_scale)
        keep = stds > negligible * stds.max()
        along = ((stds / stds.norm())[:, None] * shapes)[keep]
        along = along.reshape(-1, *[n if j == i else 1 for j in range(grid.dimensions)])
        fields = (fields[:, None] * along[None]).flatten(0, 1)
    size_of = fields.flatten(1).square().mean(dim=1).sqrt()
    return amplitude * fields[size_of > negligible * size_of.max()]


def _sizes(layout: Layout, length_scale: float) -> Tensor:
    """Root mean squares of all modes that `_modes` chooses from, of closed walls and amplitude 1, `[n]`."""
    sizes = torch.ones(1, dtype=torch.float64)
    for axis, size, n in zip(layout.grid.axes, layout.grid.size, layout.grid.resolution, strict=True):
        stds = _deviations(waves(layout.fields[0].walls[axis], size, n)[0], length_scale)
        sizes = (sizes[:, None] * (stds / stds.norm())).flatten()
    return sizes


def _kept(layout: Layout, length_scale: float, negligible: float) -> Tensor:
    """Numbers of those that `_modes` keeps at a correlation length."""
    keep = torch.ones(1, dtype=torch.bool)
    for axis, size, n in zip(layout.grid.axes, layout.grid.size, layout.grid.resolution, strict=True):
        stds = _deviations(waves(layout.fields[0].walls[axis], size, n)[0], length_scale)
        keep = (keep[:, None] & (stds > negligible * stds.max())).flatten()
    sizes = _sizes(layout, length_scale)
    return (keep & (sizes > negligible * sizes[keep].max())).nonzero().flatten()


def _deviations(numbers: Tensor, length_scale: float) -> Tensor:
    """Standard deviations of waves with some wavenumbers `[n]`, in units of the first one's."""
    # Relative to the first: those of a long correlation length would all be rounded to zero.
    return torch.exp(-0.25 * (numbers.square() - numbers[0] ** 2) * length_scale**2)


def _free_modes(n: int, spacing: float, length_scale: float) -> tuple[Tensor, Tensor]:
    """Standard deviations `[n]` and modes `[n, n]`, of mean square one, of a Gaussian covariance without walls."""
    x = spacing * torch.arange(n, dtype=torch.float64)
    covariance = torch.exp(-((x[:, None] - x) ** 2) / (2 * length_scale**2))
    values, vectors = torch.linalg.eigh(covariance)
    return values.clamp(min=0).sqrt(), math.sqrt(n) * vectors.T
