"""Fully connected network of the coordinates, with random Fourier features by option.

Fourier features: M. Tancik et al., Fourier features let networks learn high frequency functions in low dimensional
domains (2020), arXiv 2006.10739.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from hyco.networks.coordinate_config import CoordinateConfig
from hyco.networks.layers import ACTIVATIONS


class MLPConfig(CoordinateConfig):
    """Keys of `network: {name: mlp}`.

    A coordinate network maps a place and a time to the state there; it does not step states. It is for problems of a
    single trajectory.
    """

    name: Literal["mlp"] = Field(default="mlp", description="name of the network in the registry")
    width: PositiveInt = Field(default=64, description="units of each hidden layer")
    depth: PositiveInt = Field(default=4, description="hidden layers")
    activation: Literal["silu", "gelu", "relu", "tanh"] = Field(default="tanh", description="activation function")
    fourier_features: NonNegativeInt = Field(
        default=0, description="random frequencies whose sines and cosines are the first layer; 0: none"
    )
    fourier_scale: PositiveFloat = Field(
        default=1.0, description="standard deviation of these frequencies; the domain is 2 wide [1/coordinate]"
    )


class MLP(nn.Module):
    """`[N, in]` to `[N, out]`: coordinates ξ between -1 and 1, hidden layers, values.

    With Fourier features the hidden layers see sin(2πBξ) and cos(2πBξ) instead of ξ, with a random B that is not
    trained: fine structures then are learnt faster, and noise too.
    """

    config_class: ClassVar[type[MLPConfig]] = MLPConfig
    frequencies: Tensor | None

    def __init__(self, config: MLPConfig, in_channels: int, out_channels: int, boundaries: Sequence[str]) -> None:
        super().__init__()
        frequencies, size = None, in_channels
        if config.fourier_features:
            frequencies = config.fourier_scale * torch.randn(in_channels, config.fourier_features)
            size = 2 * config.fourier_features
        self.register_buffer("frequencies", frequencies)
        layers: list[nn.Module] = []
        for _ in range(config.depth):
            layers += [_linear(size, config.width), ACTIVATIONS[config.activation]()]
            size = config.width
        self.layers = nn.Sequential(*layers, _linear(size, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised values at points."""
        if self.frequencies is not None:
            angle = 2 * math.pi * x @ self.frequencies
            x = torch.cat([angle.sin(), angle.cos()], dim=-1)
        values: Tensor = self.layers(x)
        return values


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer with weights that keep the size of what goes through (X. Glorot, Y. Bengio, AISTATS 2010)."""
    layer = nn.Linear(inputs, outputs, dtype=torch.float32)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
