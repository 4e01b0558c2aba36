"""Rollouts of the physical model that are kept as long as its parameters stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hyco.trained_model import Time


class PredictionCache:
    """Epochs without an update of the physical model ask for the same rollouts again.

    Args:
        predict: initial states `[B, C, *space]`, coordinates `[p]`, steps and the time of the initial states to states
            `[B, steps, C, *space]`.
        most, most_bytes: rollouts that are kept, and their bytes in all; the last ones asked for stay.
    """

    def __init__(
        self, predict: Callable[[Tensor, Tensor, int, Time], Tensor], *, most: int = 8, most_bytes: int = 2**28
    ) -> None:
        self._predict = predict
        self._most, self._most_bytes = most, most_bytes
        self._theta: Tensor | None = None
        self._rollouts: list[tuple[Tensor, Time, Tensor]] = []

    def __len__(self) -> int:
        return len(self._rollouts)

    def __call__(self, starts: Tensor, theta: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """The states `[B, steps, C, *space]` from `starts` at `time`; not to be changed in place."""
        if self._theta is None or not torch.equal(self._theta, theta):
            self._theta, self._rollouts = theta.clone(), []
        at = next((i for i, rollout in enumerate(self._rollouts) if _is_of(rollout, starts, steps, time)), None)
        states = self._predict(starts, theta, steps, time) if at is None else self._rollouts.pop(at)[2]
        self._rollouts.insert(0, (starts.clone(), time.clone() if isinstance(time, Tensor) else time, states))
        while len(self) > self._most or sum(states.nbytes for *_, states in self._rollouts) > self._most_bytes:
            self._rollouts.pop()
        return states


def _is_of(rollout: tuple[Tensor, Time, Tensor], starts: Tensor, steps: int, time: Time) -> bool:
    """Whether a rollout began with these states at this time and is as long."""
    begun, begin, states = rollout
    same_kind = begun.dtype == starts.dtype and begun.device == starts.device
    if states.shape[1] != steps or not same_kind or not torch.equal(begun, starts):
        return False
    return torch.equal(*(torch.as_tensor(t, dtype=torch.float64) for t in (begin, time)))
