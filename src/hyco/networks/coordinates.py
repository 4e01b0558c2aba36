"""Where a cell is, as extra channels of a network's input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def coordinate_channels(shape: Sequence[int], periodic: Sequence[bool], waves: int = 1) -> Tensor:
    """Coordinates `[K, *space]` of the cell centres, float32, between -1 and 1.

    For an axis of length L with n cells, x = (i + 1/2) L / n gives sin(2πkx/L) and cos(2πkx/L) for k = 1 to `waves`
    where it is periodic, so that both sides of the boundary agree; elsewhere 2x/L - 1, and cos(πkx/L) for k = 2 to
    `waves`.
    """
    channels = []
    for axis, (n, wraps) in enumerate(zip(shape, periodic, strict=True)):
        position = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        numbers = range(1, waves + 1)
        if wraps:
            along = [wave for k in numbers for wave in _waves(2 * math.pi * k * position)]
        else:
            along = [2 * position - 1, *((math.pi * k * position).cos() for k in numbers[1:])]
        for values in along:
            channels.append(values.reshape([n if i == axis else 1 for i in range(len(shape))]).expand(*shape))
    return torch.stack(channels).float()


def _waves(angle: Tensor) -> tuple[Tensor, Tensor]:
    return angle.sin(), angle.cos()
