"""Averaged weights of a network: they predict better than the last ones, which each batch pulls its own way."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hyco.networks.network_model import NetworkModel


class AveragedWeights(nn.Module):
    """An exponential moving average a ← d a + (1 - d) w of the weights w of a model, for each update that was taken.

    The decay grows from 2/11 to `decay`, d = min(decay, (1 + n) / (10 + n)) after n updates: the first weights would
    else dominate. `torch.optim.swa_utils.AveragedModel` reads its count from the device in every update.

    Args:
        model: what is averaged; its buffers are not.
        decay: between 0 and 1.

    Attributes:
        module: the model with averaged weights.
        updates: how many were taken, `[]`.
    """

    updates: Tensor

    def __init__(self, model: NetworkModel, decay: float) -> None:
        super().__init__()
        self.module, self._decay = copy.deepcopy(model), decay
        device = next(model.parameters()).device
        self.register_buffer("updates", torch.zeros((), dtype=torch.float64, device=device))

    @torch.no_grad()
    def update(self, model: nn.Module, taken: Tensor) -> None:
        """Take the model's present weights in, where `taken` `[]` is true; else nothing changes."""
        count = self.updates
        decay = ((1 + count) / (10 + count)).clamp_max(self._decay)
        rate = (torch.where(count == 0, 1.0, 1 - decay) * taken).float()
        averaged: list[Tensor] = [*self.module.parameters()]
        current: list[Tensor] = [*model.parameters()]
        torch._foreach_lerp_(averaged, current, [rate] * len(averaged))
        self.updates += taken
