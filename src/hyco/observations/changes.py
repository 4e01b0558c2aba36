"""How much states change in a step, as far as the measurements tell."""

from __future__ import annotations

import torch
from torch import Tensor

from hyco.observations.observations import Observations
from hyco.observations.statistics import all_but_channels
from hyco.observations.time_interpolation import steps_between


def change_std(observations: Observations) -> Tensor:
    """Standard deviation `[C]` of the change per step in the training simulations, noise taken off.

    From pairs of observed states k steps apart, for the smallest k that there is, divided by k; the standard
    deviation of the states where there is no pair at all. At least a hundredth of that standard deviation.
    With measurements at points the first state of a pair is the initial one, read at the points of the other. Of a
    channel that was never measured it is that of the states, too.
    """
    seen, train = observations, observations.train
    _, std = seen.statistics()
    values, mask = seen.training_states() if seen.on_grid else (seen.values[train], seen.mask[train])
    hidden = ~mask.any(dim=0).any(dim=0).flatten(1).any(dim=1)
    for k in range(1, seen.steps + 1):
        if seen.on_grid:
            pairs, change, noise = mask[:, k:] & mask[:, :-k], values[:, k:] - values[:, :-k], 2.0
        else:
            initial = seen.initial_states[train]
            start = seen.operator(train, k, k)(initial[:, None], before=initial)
            pairs, change = mask[:, k : k + 1], values[:, k : k + 1] - start
            noise = 1.0 if seen.initial_known else 2.0
        count = pairs.sum(all_but_channels(pairs))
        steps = float(k)
        if seen.offsets is not None and bool(pairs.any()):
            steps = steps_between(seen.offsets[train, k : k + 1], k, pairs)
        # Half a step at least: less is noise.
        if bool((count > 0)[~hidden].all()) and steps >= 0.5:
            squares = (change * pairs).square().sum(all_but_channels(pairs))
            variance = squares / count.clamp_min(1) - noise * seen.noise_std**2
            return torch.where(hidden, std, variance.clamp_min(0).sqrt().div(steps).maximum(1e-2 * std))
    return std
