"""Rollouts: repeated prediction from one initial state, which is not in the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def rollout(step: Callable[[Tensor], Tensor], start: Tensor, steps: int, read: Sequence[int] | None = None) -> Tensor:
    """Apply `step` again and again: `[B, C, *space]` to `[B, steps, C, *space]`.

    Args:
        read: numbers of the states to return, rising, 1 being the first after `start`; None: all of them.
    """
    states, _ = read_states(step, start, steps, read if read is not None else range(1, steps + 1))
    return torch.stack(states, dim=1) if states else start[:, None][:, :0]


def read_states(
    step: Callable[[Tensor], Tensor], state: Tensor, steps: int, read: Sequence[int]
) -> tuple[list[Tensor], Tensor]:
    """The states that are read, and the last one."""
    wanted, states = set(read), []
    for number in range(1, steps + 1):
        state = step(state)
        if number in wanted:
            states.append(state)
    return states, state
