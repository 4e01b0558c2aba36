"""What training, validation and evaluation ask of any model, physical, synthetic or both in one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TrainedModel(Protocol):
    """Answers one question: what do you predict from these initial states?"""

    @property
    def stepping(self) -> bool:
        """Whether it predicts from any state; else it knows one trajectory, and predicts from t = 0 alone."""

    def rollout(self, states: Tensor, steps: int) -> Tensor:
        """Without gradient, `[B, C, *space]` to the `steps` states after it, `[B, steps, C, *space]`.

        In the units of the data, in the dtype and on the device of `states`.
        """
