"""Network of products of linear features (gated linear units, Dauphin et al. 2017, https://arxiv.org/abs/1612.08083)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from hyco.networks.layers import ConvolutionalConfig, activation, normalisation
from hyco.networks.padding import Convolution
from hyco.networks.residual import ResidualNetwork


class GatedConfig(ConvolutionalConfig):
    """Keys of `network: {name: gated}`.

    An output sees `(kernel_size // 2) * (blocks + 2)` cells to each side: 8 by default. That should be more than
    information travels in one step.
    """

    name: Literal["gated"] = Field(default="gated", description="name of the network in the registry")
    filters: PositiveInt = Field(default=24, description="channels of the hidden layers")
    blocks: PositiveInt = Field(default=2, description="residual blocks, of one product and one convolution each")
    activation: Literal["none", "silu", "gelu", "relu", "tanh"] = Field(
        default="none",
        description="of one of a product's two factors; none: polynomials of the state, if nothing is normalised",
    )


class Product(nn.Module):
    """a · σ(b) of the two halves a, b of the channels: `[B, 2C, *space]` to `[B, C, *space]`."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        factor, gate = x.chunk(2, dim=1)
        out: Tensor = factor * self.activation(gate)
        return out


class Gated(ResidualNetwork):
    """`[B, in, *space]` to `[B, out, *space]`: x ← x + conv(Ax · σ(Bx)) in each block, A and B within a cell.

    Without an activation it is a polynomial of the state, of degree 2 to the power of `blocks`, as the steps of
    equations with products are nearly: advection, reactions. It learns these with fewer weights than `resnet`, and
    like every polynomial grows fast where states are larger than those it learnt from.

    Equivariant under shifts along periodic axes. The last convolution starts at zero, so the first prediction is
    that nothing changes.
    """

    config_class: ClassVar[type[GatedConfig]] = GatedConfig

    def __init__(self, config: GatedConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]) -> None:
        super().__init__()
        width, kernel = config.filters, config.kernel_size
        self.lift = Convolution(in_channels, width, kernel, boundaries)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                normalisation(config, width),
                Convolution(width, 2 * width, 1, boundaries),
                Product(activation(config)),
                Convolution(width, width, kernel, boundaries),
            )
            for _ in range(config.blocks)
        )
        self.head = Convolution(width, out_channels, kernel, boundaries, zero=True)
        self.join()
