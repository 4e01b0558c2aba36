"""Rollouts: repeated prediction from one initial state, which is not in the result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

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

    def states(self, state: Tensor, steps: int, read: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States `[B, R, C, *space]` after the steps that are read, rising numbers from 1 on, and the last one."""
        wanted, states, start = set(read), [], state
        for number in range(1, steps + 1):
            state = self(state, number - 1)
            if number in wanted:
                states.append(state)
        return (torch.stack(states, dim=1) if states else start[:, None][:, :0]), state


# A step that is the same at all times may be a function of the state.
Step = TimedStep | Callable[[Tensor], Tensor]


def rollout(step: Step, start: Tensor, steps: int, read: Sequence[int] | None = None) -> Tensor:
    """Apply `step` again and again: `[B, C, *space]` to `[B, steps, C, *space]`.

    Args:
        read: numbers of the states to return, rising, 1 being the first after `start`; None: all of them.
    """
    timed = step if isinstance(step, TimedStep) else _Untimed(step)
    return timed.states(start, steps, read if read is not None else range(1, steps + 1))[0]


class _Untimed(TimedStep):
    """A step that is the same at all times."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        self._step = step

    def __call__(self, state: Tensor, number: int = 0) -> Tensor:
        """The state one step later."""
        return self._step(state)
