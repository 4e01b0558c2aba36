"""Fourier neural operator (Li et al. 2021, https://arxiv.org/abs/2010.08895): convolutions as wide as the domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hyco.networks.layers import ConvolutionalConfig, activation, normalisation
from hyco.networks.padding import Convolution, mirrored_sides


class FNOConfig(ConvolutionalConfig):
    """Keys of `network: {name: fno}`.

    Most weights are those of the modes: `2 * blocks * filters² * modes * (2 * modes - 1)^(d - 1)` in d dimensions.
    """

    name: Literal["fno"] = Field(default="fno", description="name of the network in the registry")
    filters: PositiveInt = Field(default=12, description="channels of the hidden layers")
    modes: PositiveInt = Field(
        default=6,
        description="Fourier modes: wave numbers 0 to modes - 1 along each axis; at most half its cells, rounded up; "
        "an axis with walls is doubled, so there at most its cells, or tripled where one is neumann and one holds a "
        "value",
    )
    blocks: PositiveInt = Field(default=4, description="Fourier layers")
    kernel_size: PositiveInt = Field(
        default=1,
        description="extent of the local kernels beside the modes, odd [cells]; 1, as published, means the same on "
        "every resolution",
    )

    def check(self, shape: Sequence[int], boundaries: Sequence[str]) -> tuple[str, str] | None:
        """More modes than the grid can hold: their weights would never be used."""
        most = min(_held(length) for length in _lengths(shape, boundaries))
        if self.modes <= most:
            return super().check(shape, boundaries)
        cells = f"{' x '.join(map(str, shape))} cells ({', '.join(boundaries)})"
        return "modes", f"{self.modes} is more than {cells} can hold; allowed: 1 to {most}"


class SpectralConvolution(nn.Module):
    """A convolution `[B, in, *space]` to `[B, out, *space]` with a kernel of a few Fourier modes.

    y = F⁻¹(R(k) F(x)(k)) for wave numbers |kᵢ| < modes, zero beyond, with a complex in × out matrix R for each k.
    A periodic axis is transformed as it is. An axis with walls is first extended by what is behind them, as far as a
    kernel of the domain's width reaches, and cut after: by its mirror image (neumann), by zeros (dirichlet), or by both
    where the walls differ, each behind its own wall.

    The transform is divided by the number of cells, so that the weights mean the same on every resolution. On a grid
    too coarse for some modes those are left out.
    """

    def __init__(self, in_channels: int, out_channels: int, modes: int, boundaries: Sequence[str]) -> None:
        super().__init__()
        self.modes, self.boundaries = modes, tuple(boundaries)
        kept = [2 * modes - 1] * (len(boundaries) - 1) + [modes]
        # Real and imaginary parts, as optimisers and files want them. The modes kept are as large as they came in.
        scale = 1 / math.sqrt(2 * in_channels)
        self.weight = nn.Parameter(scale * torch.randn(in_channels, out_channels, *kept, 2, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Extend, transform, multiply, and back."""
        dimensions, shape = len(self.boundaries), x.shape[2:]
        lengths = _lengths(shape, self.boundaries)
        modes = [min(self.modes, _held(length)) for length in lengths]
        for axis, boundary in enumerate(self.boundaries):
            if behind := _behind(x, boundary, 2 + axis):
                x = torch.cat([x, *behind], 2 + axis)
        weight = torch.view_as_complex(self.weight).narrow(-1, 0, modes[-1])
        # Axis by axis, so that modes cut from one axis need no transform along the next.
        # In float32, also in mixed precision: there is no transform in bfloat16.
        x = x if x.dtype == torch.float64 else x.float()
        y = torch.fft.rfft(x, dim=-1, norm="forward").narrow(-1, 0, modes[-1])
        for axis in range(dimensions - 1):
            y = _low(torch.fft.fft(y, dim=2 + axis, norm="forward"), modes[axis], 2 + axis)
            weight = _low(weight, modes[axis], 2 + axis)
        y = torch.einsum("bi...,io...->bo...", y, weight)
        for axis in range(dimensions - 1):
            y = torch.fft.ifft(_spread(y, modes[axis], lengths[axis], 2 + axis), dim=2 + axis, norm="forward")
            y = y.narrow(2 + axis, 0, shape[axis])
        out: Tensor = torch.fft.irfft(y, n=lengths[-1], dim=-1, norm="forward").narrow(-1, 0, shape[-1])
        return out


class FNO(nn.Module):
    """`[B, in, *space]` to `[B, out, *space]`: x ← σ(W x + K x) in each block, W local, K in Fourier modes.

    The last block has no activation, as published; a pointwise network of one hidden layer makes the change of it.
    Every output sees the whole domain. Equivariant under shifts along periodic axes, and with `kernel_size: 1` the
    weights give the same answer on a finer grid, as far as the first one resolves the state. The last layer starts at
    zero, so the first prediction is that nothing changes.
    """

    config_class: ClassVar[type[FNOConfig]] = FNOConfig

    def __init__(self, config: FNOConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]) -> None:
        super().__init__()
        width = config.filters
        self.lift = Convolution(in_channels, width, 1, boundaries)
        self.local, self.spectral, self.after = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for block in range(config.blocks):
            last = block == config.blocks - 1
            self.local.append(Convolution(width, width, config.kernel_size, boundaries))
            self.spectral.append(SpectralConvolution(width, width, config.modes, boundaries))
            self.after.append(
                nn.Sequential(normalisation(config, width), nn.Identity() if last else activation(config))
            )
        self.head = nn.Sequential(
            Convolution(width, 4 * width, 1, boundaries),
            activation(config),
            Convolution(4 * width, out_channels, 1, boundaries, zero=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The normalised change of a normalised state."""
        x = self.lift(x)
        for local, spectral, after in zip(self.local, self.spectral, self.after, strict=True):
            x = after(local(x) + spectral(x))
        change: Tensor = self.head(x)
        return change


def _lengths(shape: Sequence[int], boundaries: Sequence[str]) -> list[int]:
    """Cells of each axis in the transform."""
    return [n * (1 + len(_sides(boundary))) for n, boundary in zip(shape, boundaries, strict=True)]


def _sides(boundary: str) -> list[bool]:
    """Which walls mirror, the upper one first; one for both where they are alike, none where the axis goes round."""
    lower, upper = mirrored_sides(boundary) or (None, None)
    return [side for side in dict.fromkeys((upper, lower)) if side is not None]


def _behind(x: Tensor, boundary: str, axis: int) -> list[Tensor]:
    """What follows an axis with walls in the transform, which goes round: what is behind the lower wall comes last."""
    return [x.flip(axis) if mirrored else torch.zeros_like(x) for mirrored in _sides(boundary)]


def _held(length: int) -> int:
    """Modes that an axis of so many cells can hold; the highest of an even number has no phase, and is left out."""
    return (length + 1) // 2


def _low(y: Tensor, modes: int, axis: int) -> Tensor:
    """The wave numbers 0, …, modes - 1, 1 - modes, …, -1 of a transform."""
    n = y.shape[axis]
    if n == 2 * modes - 1:
        return y
    return torch.cat([y.narrow(axis, 0, modes), y.narrow(axis, n - modes + 1, modes - 1)], axis)


def _spread(y: Tensor, modes: int, length: int, axis: int) -> Tensor:
    """The inverse: zeros between the positive and the negative wave numbers."""
    if length == 2 * modes - 1:
        return y
    shape = list(y.shape)
    shape[axis] = length - 2 * modes + 1
    return torch.cat([y.narrow(axis, 0, modes), y.new_zeros(shape), y.narrow(axis, modes, modes - 1)], axis)
