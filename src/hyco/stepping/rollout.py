"""Rollouts: repeated prediction from one initial state, which is not in the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor


class TimedStep(ABC):
    """A step of a rollout that may depend on the time, and so on how many steps were before it."""

    @abstractmethod
    def __call__(self, state: Tensor, number: int = 0) -> Tensor:
        """The state `[B, C, *space]` one step later.

        Args:
            number: steps since the rollout began.
        """


# A step that is the same at all times may be a function of the state.
Step = TimedStep | Callable[[Tensor], Tensor]


def rollout(step: Step, start: Tensor, steps: int, read: Sequence[int] | None = None) -> Tensor:
    """Apply `step` again and again: `[B, C, *space]` to `[B, steps, C, *space]`.

    Args:
        read: numbers of the states to return, rising, 1 being the first after `start`; None: all of them.
    """
    states, _ = read_states(step, start, steps, read if read is not None else range(1, steps + 1))
    return torch.stack(states, dim=1) if states else start[:, None][:, :0]


def read_states(step: Step, state: Tensor, steps: int, read: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """The states that are read, and the last one."""
    advance = step if isinstance(step, TimedStep) else partial(_untimed, step)
    wanted, states = set(read), []
    for number in range(1, steps + 1):
        state = advance(state, number - 1)
        if number in wanted:
            states.append(state)
    return states, state


def _untimed(step: Callable[[Tensor], Tensor], state: Tensor, number: int) -> Tensor:
    return step(state)
