"""Dilated residual network (Stachenfeld et al. 2022, https://arxiv.org/abs/2112.15275), for wide reach on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt
from torch import nn

from hyco.networks.layers import ConvolutionalConfig, activation, normalisation
from hyco.networks.padding import Convolution
from hyco.networks.residual import ResidualNetwork

DILATIONS = (1, 2, 4, 8, 4, 2, 1)


class DilatedResNetConfig(ConvolutionalConfig):
    """Keys of `network: {name: dilated_resnet}`.

    An output sees `(kernel_size // 2) * (22 * blocks + 2)` cells to each side: 46 by default. The published network
    has 48 filters, 4 blocks and `relu`.
    """

    name: Literal["dilated_resnet"] = Field(default="dilated_resnet", description="name of the network in the registry")
    filters: PositiveInt = Field(default=24, description="channels of the hidden layers")
    blocks: PositiveInt = Field(
        default=2, description="residual blocks, of seven convolutions each with dilations 1, 2, 4, 8, 4, 2, 1"
    )
    kernel_size: PositiveInt = Field(default=3, description="points of the kernels along each axis, odd")


class DilatedResNet(ResidualNetwork):
    """`[B, in, *space]` to `[B, out, *space]`: x ← x + F₇(… F₁(x)) in each block, with Fᵢ(x) = conv_dᵢ(σ(x)).

    The distance dᵢ of a kernel's points is 1, 2, 4, 8, 4, 2, 1, so that a few layers see far, and the layers beside
    the widest one fill the gaps that it leaves. As in `resnet`, the activation comes before its convolution, not
    after it, so that a block can take away as well as add.

    Equivariant under shifts along periodic axes. The last convolution starts at zero, so the first prediction is
    that nothing changes.
    """

    config_class: ClassVar[type[DilatedResNetConfig]] = DilatedResNetConfig

    def __init__(
        self, config: DilatedResNetConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]
    ) -> None:
        super().__init__()
        width, kernel = config.filters, config.kernel_size
        self.lift = Convolution(in_channels, width, kernel, boundaries)
        self.blocks = nn.ModuleList()
        for _ in range(config.blocks):
            layers: list[nn.Module] = []
            for dilation in DILATIONS:
                convolution = Convolution(width, width, kernel, boundaries, dilation=dilation)
                # PyTorch's own start shrinks the signal in each layer; seven in a row would leave next to nothing.
                nn.init.kaiming_normal_(convolution.convolution.weight, nonlinearity="relu")
                layers += [normalisation(config, width), activation(config), convolution]
            self.blocks.append(nn.Sequential(*layers))
        self.head = Convolution(width, out_channels, kernel, boundaries, zero=True)
        self.join()
