"""What the convolutional networks share: their common keys, activations and normalisation layers."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import nn

from hyco.networks.network import NetworkConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
}


class ConvolutionalConfig(NetworkConfig):
    """Keys of every convolutional network."""

    filters: PositiveInt = Field(description="channels of the hidden layers (of the finest level, in a U-Net)")
    kernel_size: PositiveInt = Field(default=5, description="extent of the kernels along each axis, odd [cells]")
    activation: Literal["none", "silu", "gelu", "relu", "tanh"] = Field(
        default="silu", description="activation function; none: a linear network, if nothing is normalised"
    )
    normalisation: Literal["none", "group"] = Field(
        default="none", description="layers that normalise hidden channels; small networks learn well without"
    )

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"{value} is even; a kernel needs an odd size to be centred")
        return value


def activation(config: ConvolutionalConfig) -> nn.Module:
    """The activation function of a network."""
    return ACTIVATIONS[config.activation]()


def normalisation(config: ConvolutionalConfig, channels: int) -> nn.Module:
    """A normalisation layer for so many channels, in at most 8 groups; the identity if there is none."""
    if config.normalisation == "none":
        return nn.Identity()
    return nn.GroupNorm(math.gcd(8, channels), channels, dtype=torch.float32)
