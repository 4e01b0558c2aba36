"""What every kind of network with units has in common: what trainers, files and evaluation ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from hyco.fields import Layout
from hyco.networks.network import NetworkConfig
from hyco.runtime.storage import Bundle
from hyco.trained_model import Time


class NetworkModel(nn.Module, ABC):
    """A network with the units that it was trained in; a `hyco.trained_model.TrainedModel`.

    Inside, states are normalised and float32; results have the dtype of the states that a rollout starts from.
    Statistics, and the change of units, are in float64.

    Attributes:
        network: the bare network, in normalised units.
        config: of the network.
        layout: of the states.
        mean, std: statistics of the states, per channel.
    """

    network: nn.Module
    config: NetworkConfig
    layout: Layout
    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, config: NetworkConfig, layout: Layout) -> None:
        super().__init__()
        self.network, self.config, self.layout = network, config, layout

    @property
    def stepping(self) -> bool:
        """Whether it predicts from any state; else it knows one trajectory, from t = 0."""
        return self.config.stepping

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.mean.device

    @cached_property
    def weight_count(self) -> int:
        """Number of trainable weights."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Physical states `[*batch, C, *space]`, float32 or float64, as normalised float32."""

    @abstractmethod
    def denormalise(self, z: Tensor) -> Tensor:
        """The inverse of `normalise`, in float64."""

    @abstractmethod
    def rollout_normalised(self, z: Tensor, steps: int, *, time: Time = 0.0) -> Tensor:
        """`[B, C, *space]` to the `steps` states after it, `[B, steps, C, *space]`, normalised, with gradient.

        Args:
            time: t of the states; a network does not know it, but a physical step that it corrects may.

        Raises:
            ValueError: the state is not one of the layout, or there is no step.
        """

    @abstractmethod
    def rollout_with_gradient(self, state: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """The same in physical units, in the dtype of `state`, which must be on the model's device."""

    @torch.no_grad()
    def rollout(self, states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """The same without gradient and in evaluation mode, for states on any device; the result is on theirs."""
        training = self.training
        self.eval()
        try:
            return self.rollout_with_gradient(states.to(self.device), steps, time).to(states)
        finally:
            self.train(training)

    def to_bundle(self) -> Bundle:
        """Weights and statistics as tensors; `describe` as metadata."""
        tensors = {name: value.detach().clone() for name, value in self.state_dict().items()}
        return Bundle(tensors, self.describe())

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What it is made of beside its tensors, as JSON values: `kind`, and the network's configuration and layout."""

    @classmethod
    @abstractmethod
    def from_bundle(cls, bundle: Bundle) -> NetworkModel:
        """The inverse of `to_bundle`, bit for bit; entries of the metadata that it does not know are ignored.

        Raises:
            ValueError: the bundle holds something else.
        """


def check_rollout(z: Tensor, steps: int, layout: Layout) -> None:
    """Refuse what no rollout can begin with.

    Raises:
        ValueError: the state is not `[B, C, *space]` of the layout, or there is no step.
    """
    expected = (len(layout.channels), *layout.shape)
    if z.ndim != len(expected) + 1 or tuple(z.shape[1:]) != expected:
        raise ValueError(f"the model steps states [B] + {list(expected)}, got {list(z.shape)}")
    if steps < 1:
        raise ValueError(f"a rollout needs at least one step, got {steps}")


def channel_statistic(name: str, values: Tensor, layout: Layout) -> Tensor:
    """A statistic as `[C]`, float64, on the CPU; all but the mean are scales, which must be positive.

    Raises:
        ValueError: it has not one entry per channel, one is not finite, or a scale is not positive.
    """
    values = torch.as_tensor(values, dtype=torch.float64).detach().cpu().flatten()
    if values.numel() != len(layout.channels):
        raise ValueError(f"{name} needs one entry for each of {', '.join(layout.channels)}, got {values.tolist()}")
    positive = name != "mean"
    if not bool(torch.isfinite(values).all()) or (positive and not bool((values > 0).all())):
        raise ValueError(f"{name} must be finite{' and positive' if positive else ''}, got {values.tolist()}")
    return values.clone()
