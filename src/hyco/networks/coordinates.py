"""Where a cell is, as extra channels of a network's input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def coordinate_channels(shape: Sequence[int], periodic: Sequence[bool]) -> Tensor:
    """Coordinates `[K, *space]` of the cell centres, float32, between -1 and 1.

    For an axis of length L with n cells, x = (i + 1/2) L / n gives sin(2πx/L) and cos(2πx/L) where it is periodic,
    so that both sides of the boundary agree, and 2x/L - 1 elsewhere.
    """
    channels = []
    for axis, (n, wraps) in enumerate(zip(shape, periodic, strict=True)):
        position = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        angle = 2 * math.pi * position
        for values in [angle.sin(), angle.cos()] if wraps else [2 * position - 1]:
            along = [n if i == axis else 1 for i in range(len(shape))]
            channels.append(values.reshape(along).expand(*shape))
    return torch.stack(channels).float()
