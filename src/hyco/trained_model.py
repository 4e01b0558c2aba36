"""What training, validation and evaluation need of a model, physical, synthetic or corrected physics."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

# t of the states that a rollout begins with: a number, or one for each of them, `[B]`.
Time = float | Tensor


class TrainedModel(Protocol):
    """Something that predicts: from initial states to the states after them."""

    @property
    def stepping(self) -> bool:
        """Whether it predicts from any state; else it represents one trajectory, and predicts from t = 0 alone."""

    def rollout(self, states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """Without gradient, `[B, C, *space]` to the `steps` states after it, `[B, steps, C, *space]`.

        In the units of the data, in the dtype and on the device of `states`. Their `time` has an effect where the model
        knows t.
        """
