"""U-Net: features at several resolutions (Ronneberger et al. 2015, https://doi.org/10.1007/978-3-319-24574-4_28)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from hyco.networks.layers import ConvolutionalConfig, activation, normalisation
from hyco.networks.padding import Convolution

_POOLING = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


class UNetConfig(ConvolutionalConfig):
    """Keys of `network: {name: unet}`."""

    name: Literal["unet"] = Field(default="unet", description="name of the network in the registry")
    filters: PositiveInt = Field(
        default=8, description="channels of the finest level; each coarser one has twice as many"
    )
    levels: PositiveInt = Field(default=2, description="times that the resolution is halved")


class UNet(nn.Module):
    """`[B, in, *space]` to `[B, out, *space]`, through means over 2, 4, … cells and back, with skip connections.

    Any resolution will do: an odd one is halved rounding up, its last coarse cell half as wide. Equivariant under
    shifts by multiples of 2^levels cells along periodic axes that 2^levels divides. The last convolution starts at
    zero, so the first prediction is that nothing changes.
    """

    config_class: ClassVar[type[UNetConfig]] = UNetConfig

    def __init__(self, config: UNetConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]) -> None:
        super().__init__()
        widths = [config.filters * 2**level for level in range(config.levels + 1)]
        self.dimensions = len(boundaries)
        self.down = nn.ModuleList()
        for before, after in zip([in_channels, *widths], widths, strict=False):
            self.down.append(_block(config, before, after, boundaries))
        self.up = nn.ModuleList()
        for fine, coarse in zip(widths[-2::-1], widths[::-1], strict=False):
            self.up.append(_block(config, coarse + fine, fine, boundaries))
        self.head = Convolution(widths[0], out_channels, config.kernel_size, boundaries, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised change of a normalised state."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(_halve(x, self.dimensions) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            skip = skips.pop()
            x = block(torch.cat([_double(x, skip), skip], 1))
        change: Tensor = self.head(x)
        return change


def _block(config: UNetConfig, before: int, after: int, boundaries: Sequence[str]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        convolution = Convolution(channels, after, config.kernel_size, boundaries)
        layers += [convolution, normalisation(config, after), activation(config)]
    return nn.Sequential(*layers)


def _halve(x: Tensor, dimensions: int) -> Tensor:
    """Means over two cells along each axis; the last cell alone where their number is odd."""
    return _POOLING[dimensions](x, 2, ceil_mode=True, count_include_pad=False)


def _double(x: Tensor, like: Tensor) -> Tensor:
    """Each cell twice along each axis, as far as the finer grid goes."""
    x = functional.interpolate(x, scale_factor=2, mode="nearest")
    for axis in range(2, x.ndim):
        x = x.narrow(axis, 0, like.shape[axis])
    return x
