"""How much each measurement counts where a model's errors are in units of their own, not in those of the noise."""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.observations.observations import Observations
from hyco.observations.statistics import all_but_channels


def root_weights(observations: Observations) -> Tensor | None:
    """√w of each measured value, `[S, T+1, C, K…]`: weights w ∝ 1/σ² whose mean over each channel is 1.

    An error is multiplied with √w: equal σ give the mean square without weights, whatever the unit of the error. The
    mean is over the training simulations. None where σ is that of the channels: all weigh alike.
    """
    sigma = observations.sigma_of_values
    if sigma is None:
        return None
    mask = observations.mask[observations.train]
    every = all_but_channels(mask)
    precision = sigma.square().reciprocal()
    mean = torch.where(mask, precision[observations.train], 0.0).sum(every) / mask.sum(every).clamp_min(1)
    mean = torch.where(mean > 0, mean, 1.0)
    return (precision / mean.reshape(-1, *[1] * (sigma.ndim - 3))).sqrt()


def sigma_of_mean_weight(observations: Observations) -> Tensor:
    """σ of a measurement that weighs as much as all do in the mean, `[C]`: (mean 1/σ²)^(-1/2); σ of the channels."""
    weights = root_weights(observations)
    if weights is None or observations.sigma_of_values is None:
        return observations.sigma.flatten()
    # √w σ is the same for all measurements of a channel.
    both = (weights * observations.sigma_of_values)[observations.train].transpose(0, 2).flatten(1)
    return both.mean(dim=1)
