"""Mean and spread of what was measured, channel by channel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor

# A standard deviation below this part of a channel's values is rounding: the channel is constant.
ROUNDING = 1e-12


def mean_and_std(groups: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `[C]` of values `[S, T, C, …]` where their masks are true; 1 for a constant channel.

    A channel with less than two values, as one that was never measured, has the mean of what there is, or 0, and the
    largest standard deviation of the others.

    Args:
        groups: values and masks, over which both are taken together; they are gone through three times.

    Raises:
        ValueError: no channel has two values.
    """
    count = _total(mask.sum(all_but_channels(mask)) for _, mask in groups)
    several = count > 1
    if not bool(several.any()):
        raise ValueError("observation.space and observation.time leave nothing observed in the training simulations")
    mean = _total((values * mask).sum(all_but_channels(mask)) for values, mask in groups) / count.clamp_min(1)
    std = (_total(_squares(mean, *group) for group in groups) / count.clamp_min(1)).sqrt()
    std = torch.where(std > ROUNDING * mean.abs(), std, torch.ones_like(std))
    return mean, torch.where(several, std, std[several].max())


def nothing_known(groups: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Channels of which there is no value, `[C]`; see `mean_and_std`."""
    return _total(mask.sum(all_but_channels(mask)) for _, mask in groups) == 0


def together(groups: Iterable[tuple[Tensor, Tensor]], most: int = 4_000_000) -> Tensor:
    """Values of all channels where all of them are known, at most about `most` of each group, `[N, C]`.

    They are spread evenly over states and places; many, as high moments of a field that is empty nearly everywhere are
    those of few values. N is 0 where nowhere all channels are known.
    """
    found = []
    for values, mask in groups:
        stride = math.ceil(math.sqrt(values[:, :, 0].numel() / most)) or 1
        # Of whole states first, so that no copy of all of them is made.
        states, known = (part.flatten(0, 1)[::stride].flatten(2)[..., ::stride] for part in (values, mask))
        rows, all_known = states.transpose(1, 2).flatten(0, 1), known.all(dim=1).flatten()
        found.append(rows[all_known])
    return torch.cat(found)


def largest(groups: Iterable[tuple[Tensor, Tensor]], mean: Tensor) -> Tensor:
    """The largest distance of a value from these numbers, `[C]`; 0 of a channel of which there is no value."""
    deviations = ((values - mean.reshape(-1, *[1] * (values.ndim - 3))) * mask for values, mask in groups)
    return reduce(torch.maximum, (deviation.abs().amax(all_but_channels(deviation)) for deviation in deviations))


def all_but_channels(entries: Tensor) -> tuple[int, ...]:
    """The dimensions of `[S, T, C, …]` that a sum for each channel goes over."""
    return (0, 1, *range(3, entries.ndim))


def _squares(mean: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the squared deviations of each channel, `[C]`."""
    deviation = (values - mean.reshape(-1, *[1] * (values.ndim - 3))) * mask
    return deviation.square().sum(all_but_channels(mask))


def _total(terms: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, terms)
