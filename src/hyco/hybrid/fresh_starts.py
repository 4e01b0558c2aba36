"""Fresh initial states: where the two models teach each other beyond what was measured."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.initial_states import random_smooth_states
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.runtime.storage import Bundle
from hyco.training.windows import Predict, Windows, WindowStarts


class InteractionConfig(BaseModel):
    """Keys of `hybrid.interaction`: initial states beyond the observed ones, from which both models predict.

    - `trajectories`: mixtures λ a + (1 - λ) b of two states of the training simulations, at any time. Along periodic
      axes each is first moved by a random number of cells (`shift`). States are as they were observed, and a model's
      own rollout where they were not. The weight λ lies between 0 and 1, so that no mixture leaves the range of what
      was seen (unless `scale` says so). It varies smoothly in space (a random field with the correlation length
      `mixing_length`, most of the weight near 0 and 1), so that mixtures have other shapes than what they are made of.
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
    mixing_length: PositiveFloat | None = Field(
        default=None,
        description="trajectories: correlation length of the weight of a mixture [length]; null: a sixth of the domain",
    )
    scale: tuple[float, float] = Field(
        default=(1.0, 1.0),
        description="trajectories: range of a random factor on each mixture, for equations that bear it; [1, 1]: none",
    )
    length_scale: PositiveFloat | None = Field(
        default=None, description="distribution: correlation length of the initial states [length]"
    )
    amplitude: PositiveFloat | None = Field(
        default=None, description="distribution: standard deviation of the initial states"
    )

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] > scale[1]:
            raise ValueError(f"scale is [lowest, highest], got {list(scale)}")
        return scale

    @model_validator(mode="after")
    def _known_distribution(self) -> InteractionConfig:
        if self.source == "distribution" and (self.length_scale is None or self.amplitude is None):
            raise ValueError("source: distribution needs length_scale and amplitude of the initial states")
        return self

    def told(self) -> dict[str, Any]:
        """What a report says of it: how many fresh states, from where, and whether that was known beforehand."""
        if self.count == 0:
            return {"count": 0}
        found: dict[str, Any] = {"count": self.count, "source": self.source}
        found["prior_knowledge"] = self.source == "distribution"
        if self.source == "distribution":
            found |= {"length_scale": self.length_scale, "amplitude": self.amplitude}
        elif self.scale != (1.0, 1.0):
            found["scale"] = list(self.scale)
        return found


# Standard deviation of a weight's log-odds.
_CONTRAST = 4.0


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
        weight = self._weights(count).to(pool)
        mixed = weight * first + (1 - weight) * second
        lowest, highest = self.config.scale
        if lowest == highest == 1:
            return mixed
        factor = torch.rand(count, generator=self._draws, dtype=mixed.dtype)
        return (lowest + (highest - lowest) * factor).reshape(-1, *[1] * (mixed.ndim - 1)) * mixed

    def _weights(self, count: int) -> Tensor:
        """Weights of mixtures, `[count, 1, *space]` between 0 and 1; one number each for staggered fields.

        A weight that varies in space would give a divergence to mixtures of incompressible flows.
        """
        layout = self.equation.layout
        if layout.shape != layout.grid.resolution:
            shape = (count, *[1] * (1 + layout.grid.dimensions))
            return torch.rand(shape, generator=self._draws, dtype=torch.float64)
        length = self.config.mixing_length or min(layout.grid.size) / 6
        axes = zip(layout.grid.axes, layout.periodic, strict=True)
        boundary = {axis: "periodic" if wraps else "neumann" for axis, wraps in axes}
        smooth = random_smooth_states(layout.grid, 1, count, length, _CONTRAST, self._draws, boundary)
        return torch.sigmoid(smooth)

    def _shifted(self, states: Tensor) -> Tensor:
        """Each state moved by a random number of cells along periodic axes without padding."""
        layout = self.equation.layout
        for axis, (wraps, n) in enumerate(zip(layout.periodic, layout.grid.resolution, strict=True), start=2):
            if wraps and layout.shape[axis - 2] == n:
                moves = torch.randint(0, n, (len(states),), generator=self._draws)
                shape = [len(states) if i == 0 else n if i == axis else 1 for i in range(states.ndim)]
                cells = ((torch.arange(n) - moves[:, None]) % n).reshape(shape)
                states = states.gather(axis, cells.expand_as(states))
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
