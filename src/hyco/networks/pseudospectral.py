"""Network of the form of a semilinear equation, stepped in Fourier space: polynomial reactions and fluxes, learnt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hyco.networks.network import NetworkConfig

# Orders of the derivatives along each axis in the linear part.
_ORDERS = (1, 2, 3, 4)
# Below this |z| the functions φ are taken from their series, of so many terms: there the formulas lose digits.
_SERIES, _TERMS = 0.05, 6
# Of the monomials' correlations: how far they are taken to be independent, so that the matrix can be inverted.
_RIDGE = 1e-6
# Monomials whose root mean square is below this are those of constant channels: their weights stay without effect.
_LEAST_SIZE = 1e-6
# Times the largest value seen: from there on values enter the polynomials as that. What the equation does to somewhat
# larger ones follows from what was seen, and the stages of a sub-step go beyond the states.
_BOUND = 10.0
# Values whose monomials are formed together.
_PART = 2**18


class PseudospectralConfig(NetworkConfig):
    """Keys of `network: {name: pseudospectral}`, for periodic domains and equations that are the same everywhere."""

    few_weights: ClassVar[bool] = True

    name: Literal["pseudospectral"] = Field(default="pseudospectral", description="name of the network in the registry")
    degree: int = Field(default=3, ge=1, le=4, description="of the polynomials in the channels")
    fluxes: bool = Field(
        default=True,
        description="whether polynomials are also carried along the axes, as by advection; without them only reactions "
        "are learnt, in less time",
    )
    substeps: PositiveInt = Field(default=8, description="of one step; more are more stable and take longer")
    cutoff: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of each axis' wave numbers that the polynomials see, from the lowest on; null: 2 / "
        "(degree + 1), from where on products would be taken for other waves",
    )

    def check(self, shape: Sequence[int], boundaries: Sequence[str]) -> tuple[str, str] | None:
        """Walls, and positions: the Fourier series of the state is all that the network sees."""
        if any(boundary != "periodic" for boundary in boundaries):
            return "name", f"pseudospectral needs periodic axes, these are {', '.join(boundaries)}: take fno or resnet"
        if self.coordinates:
            return "coordinates", "pseudospectral learns an equation that is the same everywhere: take fno or resnet"
        return super().check(shape, boundaries)


class Pseudospectral(nn.Module):
    """`[B, C, *space]` to `[B, C, *space]`: a step of u_t = Λu + R(Pu) - Σ_a ∂_a Q_a(Pu), all of it learnt.

    Λ has a number for each channel, axis a and order 1 to 4 of ∂_a (advection, diffusion, dispersion, hyperdiffusion);
    R and Q_a are polynomials of all channels, P cuts high wave numbers off (`cutoff`). Each of `substeps` is one of the
    second-order method ETDRK2 (Cox and Matthews 2002, https://doi.org/10.1006/jcph.2002.6995, eqs. 20 to 22): where
    polynomials vanish it is exact. Everything is in units of cells, steps and the normalised state, as are the weights,
    which are few: they are learnt from little data, if the equation behind the data is of this form, and mean the same
    on another number of cells of this size. All begin at zero: the first prediction is that nothing changes.

    Monomials of a state resemble each other: of one that is empty in most places they all do. Weights are therefore
    those of combinations that are uncorrelated over the values to be learnt from, which `see` is told. Values beyond
    ten times the largest of these enter the polynomials as that, so that no rollout runs away in them.
    """

    config_class: ClassVar[type[PseudospectralConfig]] = PseudospectralConfig

    basis: Tensor
    bound: Tensor
    gain: Tensor

    def __init__(
        self, config: PseudospectralConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]
    ) -> None:
        super().__init__()
        if in_channels != out_channels or any(boundary != "periodic" for boundary in boundaries):
            raise ValueError("network.name: pseudospectral needs periodic axes, and no coordinates")
        channels, axes = out_channels, len(boundaries)
        self.substeps, self.cutoff = config.substeps, config.cutoff or 2 / (config.degree + 1)
        # The first one is 1.
        self.monomials = [
            factors
            for degree in range(config.degree + 1)
            for factors in itertools.combinations_with_replacement(range(channels), degree)
        ]
        count = len(self.monomials)
        self.linear = nn.Parameter(torch.zeros(channels, axes, len(_ORDERS), dtype=torch.float32))
        self.reactions = nn.Parameter(torch.zeros(channels, count, dtype=torch.float32))
        # A constant flux changes nothing.
        self.fluxes = (
            nn.Parameter(torch.zeros(axes, channels, count - 1, dtype=torch.float32)) if config.fluxes else None
        )
        self.register_buffer("basis", torch.eye(count, dtype=torch.float32))
        self.register_buffer("bound", torch.full((channels, 1), math.inf, dtype=torch.float32))
        self.register_buffer("gain", torch.ones(channels, dtype=torch.float32))

    @torch.no_grad()
    def see(self, values: Tensor, largest: Tensor, change: Tensor) -> None:
        """The scales of the data; see `SeesValues`."""
        # A channel without values would else be zero in all polynomials.
        self.bound.copy_(_BOUND * torch.where(largest > 0, largest, largest.max())[:, None])
        self.gain.copy_(1 / change)
        if not len(values):
            return
        moments = torch.zeros_like(self.basis, dtype=torch.float64)
        for part in torch.split(values, _PART):
            monomials = self._monomials(part.T[None].double())[0]
            moments += monomials @ monomials.T / len(values)
        sizes = moments.diagonal().sqrt().clamp_min(_LEAST_SIZE)
        correlations = moments / sizes / sizes[:, None] + _RIDGE * torch.eye(len(sizes), dtype=torch.float64)
        self.basis.copy_(torch.linalg.inv(torch.linalg.cholesky(correlations)) / sizes)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised change of a normalised state."""
        # In mixed precision, too: there is no transform in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            return self._change(x if x.dtype == torch.float64 else x.float())

    def _change(self, x: Tensor) -> Tensor:
        axes, shape = tuple(range(2, x.ndim)), x.shape[2:]
        waves = _waves(shape, x)
        whole, first, second = self._factors(waves)
        low, weights = _low_pass([even for even, _ in waves], self.cutoff), self._weights()
        slopes = [] if self.fluxes is None else [-1j * odd for _, odd in waves]

        def rate(y: Tensor) -> Tensor:
            state = torch.fft.irfftn(low * y, s=shape, dim=axes).flatten(2)
            values = (weights @ self._monomials(state)).reshape(len(state), -1, *shape)
            changes: Tensor
            changes, *fluxes = torch.split(torch.fft.rfftn(values, dim=axes), x.shape[1], dim=1)
            for slope, flux in zip(slopes, fluxes, strict=True):
                changes = changes + slope * flux
            return changes

        y = torch.fft.rfftn(x, dim=axes)
        for _ in range(self.substeps):
            begin = rate(y)
            ahead = whole * y + first * begin
            y = ahead + second * (rate(ahead) - begin)
        change: Tensor = torch.fft.irfftn(y, s=shape, dim=axes) - x
        return self.gain.view(-1, *[1] * len(shape)) * change

    def _monomials(self, state: Tensor) -> Tensor:
        """Of cells `[B, C, N]`, `[B, M, N]`."""
        fields = torch.minimum(torch.maximum(state, -self.bound), self.bound).unbind(dim=1)
        found: dict[tuple[int, ...], Tensor] = {(): torch.ones_like(fields[0])}
        for factors in self.monomials[1:]:
            found[factors] = found[factors[:-1]] * fields[factors[-1]]
        return torch.stack(list(found.values()), dim=1)

    def _weights(self) -> Tensor:
        """Of the monomials, for the reactions of all channels and then the fluxes along each axis, `[(1 + A) C, M]`."""
        weights = self.reactions @ self.basis
        if self.fluxes is None:
            return weights
        return torch.cat([weights, self.fluxes.flatten(0, 1) @ self.basis[1:]])

    def _factors(self, waves: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """exp(hΛ), h φ₁(hΛ) and h φ₂(hΛ) of each channel and wave number, for a sub-step h."""
        step = 1 / self.substeps
        damping, turning = torch.zeros(()), torch.zeros(())
        for weights, (even, odd) in zip(self.linear.unbind(dim=1), waves, strict=True):
            first, second, third, fourth = weights.view(-1, len(_ORDERS), *[1] * even.ndim).unbind(dim=1)
            damping = damping + (second + fourth * (even / math.pi) ** 2) * even**2
            turning = turning + (first + third * odd**2 / math.pi) * odd
        z = -step * torch.complex(damping, turning)
        one, two = _phi(z)
        return z.exp(), step * one, step * two


def _waves(shape: Sequence[int], like: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Wave numbers of a real transform along each axis [1/cell], and those with a sign, along their axis of a state.

    Half a wave in a cell has no sign: its derivatives of odd order are zero.
    """
    waves = []
    for axis, n in enumerate(shape):
        numbers = torch.fft.rfftfreq if axis == len(shape) - 1 else torch.fft.fftfreq
        wave = numbers(n, 1 / (2 * math.pi), dtype=like.dtype, device=like.device)
        wave = wave.view([-1 if i == axis else 1 for i in range(len(shape))])
        waves.append((wave, torch.where(2 * wave.abs() > 2 * math.pi * (1 - 1e-3 / n), 0.0, wave)))
    return waves


def _low_pass(waves: Sequence[Tensor], cutoff: float) -> Tensor:
    """1 for waves that are lower along all axes, else 0."""
    low = torch.ones((), dtype=waves[0].dtype, device=waves[0].device)
    for wave in waves:
        low = low * (wave.abs() < math.pi * cutoff * (1 - 1e-6))
    return low


def _phi(z: Tensor) -> tuple[Tensor, Tensor]:
    """φ₁ = (e^z - 1)/z and φ₂ = (φ₁ - 1)/z."""
    near = z.abs() < _SERIES
    small, away = torch.where(near, z, 0), torch.where(near, 1, z)
    series = torch.full_like(z, 1 / math.factorial(_TERMS + 1))
    for k in reversed(range(2, _TERMS + 1)):
        series = series * small + 1 / math.factorial(k)
    first = (away.exp() - 1) / away
    return torch.where(near, 1 + small * series, first), torch.where(near, series, (first - 1) / away)
