"""Fresh initial states: where the two models teach each other beyond what was measured."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from hyco.observations import Observations
from hyco.physics.equation import Equation
from hyco.randomness import stream
from hyco.storage import Bundle
from hyco.training.windows import Predict, Windows, WindowStarts


class InteractionConfig(BaseModel):
    """Keys of `hybrid.interaction`: initial states beyond the observed ones, from which both models predict.

    - `trajectories`: mixtures λ a + (1 - λ) b of two states of the training simulations, at any time, λ uniform in
      [0, 1]; along periodic axes each is first moved by a random number of cells (`shift`). States are as they were
      observed, and a model's own rollout where they were not.
    - `distribution`: random initial states as the equation draws them, with a given correlation length and standard
      deviation. That is knowledge which the observations do not hold, and the report says so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: NonNegativeInt = Field(default=0, description="fresh initial states; 0: the observed ones alone")
    source: Literal["trajectories", "distribution"] = Field(
        default="trajectories", description="mixtures of training states, or draws from a known distribution"
    )
    steps: PositiveInt | None = Field(
        default=None, description="steps of the physical model's rollouts from them; null: num_predict_steps"
    )
    refresh_every: PositiveInt = Field(default=10, description="epochs after which they are drawn anew")
    batch_size: PositiveInt | None = Field(
        default=None, description="windows of these rollouts in each of the network's updates; null: its batch_size"
    )
    shift: bool = Field(default=True, description="trajectories: move the states along periodic axes before mixing")
    length_scale: PositiveFloat | None = Field(
        default=None, description="distribution: correlation length of the initial states [length]"
    )
    amplitude: PositiveFloat | None = Field(
        default=None, description="distribution: standard deviation of the initial states"
    )

    @model_validator(mode="after")
    def _known_distribution(self) -> InteractionConfig:
        if self.source == "distribution" and (self.length_scale is None or self.amplitude is None):
            raise ValueError("source: distribution needs length_scale and amplitude of the initial states")
        return self


class FreshStarts:
    """Draws the fresh initial states of a hybrid and keeps them until the next draw."""

    def __init__(self, equation: Equation, observations: Observations, config: InteractionConfig, seed: int) -> None:
        self.equation, self.config = equation, config
        self.states: Tensor | None = None
        self._drawn = 0  # the epoch of the last draw
        self._draws = stream(seed, "fresh_starts")
        # A window of one step at every state: all states but the last.
        self.pool = WindowStarts(observations, Windows.of(observations, 1, sliding=True))

    def due(self, epoch: int) -> bool:
        """Whether this epoch draws anew."""
        return self.states is None or epoch - self._drawn >= self.config.refresh_every

    def draw(self, epoch: int, predict: Predict) -> Tensor:
        """The fresh states `[F, C, *space]` float64 of an epoch: the last ones, or new ones where they are due.

        Args:
            predict: rolls out where the training simulations were not observed.
        """
        if self.states is None or self.due(epoch):
            self._drawn = epoch
            config = self.config
            if config.source == "distribution":
                scale, amplitude = config.length_scale or 1.0, config.amplitude or 1.0  # both are given: validated
                self.states = self.equation.initial_states(config.count, scale, amplitude, self._draws)
            else:
                self.states = self._mixtures(self.pool.fill(predict))
        return self.states

    def _mixtures(self, pool: Tensor) -> Tensor:
        count = self.config.count
        which = torch.randint(0, len(pool), (2, count), generator=self._draws)
        first, second = (pool[indices] for indices in which)
        if self.config.shift:
            first, second = self._shifted(first), self._shifted(second)
        weight = torch.rand(count, generator=self._draws, dtype=pool.dtype).reshape(-1, *[1] * (pool.ndim - 1))
        return weight * first + (1 - weight) * second

    def _shifted(self, states: Tensor) -> Tensor:
        """Each state moved by a random number of cells along periodic axes without padding."""
        layout = self.equation.layout
        for axis, (kind, n) in enumerate(zip(layout.boundaries, layout.grid.resolution, strict=True), start=1):
            if kind == "periodic" and layout.shape[axis - 1] == n:
                moves = torch.randint(0, n, (len(states),), generator=self._draws)
                moved = [state.roll(int(move), axis) for state, move in zip(states, moves, strict=True)]
                states = torch.stack(moved)
        return states

    def state(self) -> Bundle:
        """Everything that changes during training."""
        tensors = {"draws": self._draws.get_state()}
        if self.states is not None:
            tensors["states"] = self.states
        return Bundle(tensors, {"drawn": self._drawn})

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        self._draws.set_state(state.tensors["draws"])
        self.states, self._drawn = state.tensors.get("states"), state.metadata["drawn"]
