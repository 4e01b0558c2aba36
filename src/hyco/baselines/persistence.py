"""Persistence: nothing changes. What no model may be worse than."""

from __future__ import annotations

from torch import Tensor


def persistence(start: Tensor, steps: int) -> Tensor:
    """The initial states again and again: `[B, C, *space]` to `[B, steps, C, *space]`."""
    return start[:, None].expand(-1, steps, *start.shape[1:])
