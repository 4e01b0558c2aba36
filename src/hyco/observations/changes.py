"""How much states change in a step, as far as the measurements tell."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

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
    noise = 2.0 if seen.on_grid or not seen.initial_known else 1.0
    for k in range(1, seen.steps + 1):
        steps = float(k)
        if seen.on_grid:
            count, squares, known = _sums(_pairs(part, k) for part in seen.training_parts)
        else:
            initial, mask = seen.initial_states[train], seen.mask[train]
            start = seen.operator(train, k, k)(initial[:, None], before=initial)
            pairs, change = mask[:, k : k + 1], seen.values[train, k : k + 1] - start
            count, squares, known = _sums([(pairs, change, mask)])
            if seen.offsets is not None and bool(pairs.any()):
                steps = steps_between(seen.offsets[train, k : k + 1], k, pairs)
        hidden = known == 0
        # Half a step at least: less is noise.
        if bool((count > 0)[~hidden].all()) and steps >= 0.5:
            variance = squares / count.clamp_min(1) - noise * seen.noise_std**2
            return torch.where(hidden, std, variance.clamp_min(0).sqrt().div(steps).maximum(1e-2 * std))
    return std


def _pairs(states: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which pairs of states k steps apart are known, their change, and which states are; of values and their mask."""
    values, mask = states
    return mask[:, k:] & mask[:, :-k], values[:, k:] - values[:, :-k], mask


def _sums(parts: Iterable[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
    """Of each channel, `[C]`: pairs, the squares of their changes, and known values."""
    each = (
        [
            pairs.sum(all_but_channels(pairs)),
            (change * pairs).square().sum(all_but_channels(pairs)),
            mask.sum(all_but_channels(mask)),
        ]
        for pairs, change, mask in parts
    )
    return reduce(lambda total, part: [a + b for a, b in zip(total, part, strict=True)], each)
