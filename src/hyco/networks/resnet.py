"""Residual network at one resolution (He et al. 2016, https://doi.org/10.1109/CVPR.2016.90, with pre-activation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt
from torch import nn

from hyco.networks.layers import ConvolutionalConfig, activation, normalisation
from hyco.networks.padding import Convolution
from hyco.networks.residual import ResidualNetwork


class ResNetConfig(ConvolutionalConfig):
    """Keys of `network: {name: resnet}`.

    Without dilation an output sees `(kernel_size // 2) * (2 * blocks + 2)` cells to each side: 12 by default. That
    should be more than information travels in one step.
    """

    name: Literal["resnet"] = Field(default="resnet", description="name of the network in the registry")
    filters: PositiveInt = Field(default=24, description="channels of the hidden layers")
    blocks: PositiveInt = Field(default=2, description="residual blocks, of two convolutions each")
    dilations: tuple[PositiveInt, ...] = Field(
        default=(1,), min_length=1, description="distance of the kernel's points, block by block in turn [cells]"
    )


class ResNet(ResidualNetwork):
    """`[B, in, *space]` to `[B, out, *space]`: x ← x + conv(σ(conv(σ(x)))) in each block, zero at the start.

    Equivariant under shifts along periodic axes. The last convolution starts at zero, so the first prediction is
    that nothing changes.
    """

    config_class: ClassVar[type[ResNetConfig]] = ResNetConfig

    def __init__(self, config: ResNetConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]) -> None:
        super().__init__()
        width, kernel = config.filters, config.kernel_size
        self.lift = Convolution(in_channels, width, kernel, boundaries)
        self.blocks = nn.ModuleList()
        for block in range(config.blocks):
            dilation = config.dilations[block % len(config.dilations)]
            layers: list[nn.Module] = []
            for _ in range(2):
                convolution = Convolution(width, width, kernel, boundaries, dilation=dilation)
                layers += [normalisation(config, width), activation(config), convolution]
            self.blocks.append(nn.Sequential(*layers))
        self.head = nn.Sequential(activation(config), Convolution(width, out_channels, kernel, boundaries, zero=True))
        self.join()
