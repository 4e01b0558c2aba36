"""Fresh initial states: where the two models teach each other beyond what was measured."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
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
from hyco.fields import Layout
from hyco.hybrid.mixtures import mixtures
from hyco.hybrid.surrogates import Spectra, has_spectra
from hyco.inversion.calibrator import Calibrator
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.runtime.storage import Bundle
from hyco.training.windows import Predict, Windows, WindowStarts

log = logging.getLogger(__name__)

# Of `count: auto`: updates of the network in an epoch; entries of the windows in each, if these are not too few or too
# many; and of how many states windows are drawn.
_UPDATES, _ENTRIES = 16, 4096
_FEWEST_WINDOWS, _MOST_WINDOWS = 4, 32
_FEWEST, _MOST = 16, 64


class InteractionConfig(BaseModel):
    """Keys of `hybrid.interaction`: initial states beyond the observed ones, from which both models predict.

    - `estimated`: random states with the power spectra of the training states (`hyco.hybrid.surrogates`), half of them
      with that of the initial ones. States on faces, or of channels with different boundaries, have no such spectra:
      there it is mixtures, with a warning.
    - `trajectories`: mixtures λ a + (1 - λ) b of two states of the training simulations, at any time. Along periodic
      axes each is first moved by a random number of cells (`shift`). The weight λ lies between 0 and 1, so that no
      mixture leaves the range of what was seen (unless `scale` says so). It varies smoothly in space (a random field
      with the correlation length `mixing_length`, most of the weight near 0 and 1), so that mixtures have other shapes
      than what they are made of. Where the equation depends on the time, a mixture is at one between those of its two
      states.
    - `distribution`: random initial states as the equation draws them, with a given correlation length and standard
      deviation, at t = 0. That is knowledge which the observations do not hold, and the report says so.

    Training states are as they were observed, and a model's own rollout where they were not.

    `count: auto` is 16 to 64, by the size of a state, with `alpha: auto` and networks that step states: there the
    network learns from the physical model no more than that is trusted. With a number as alpha there are none, as in
    the published method. Of what is null, `auto` makes: `steps` as many as the data have, `window` 1, `updates` 16, and
    a `batch_size` of 4 to 32, by the size of a state.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    count: NonNegativeInt | Literal["auto"] = Field(
        default="auto",
        description="fresh initial states; 0: the observed ones alone; auto: none with a number as alpha, else 16 to "
        "64, by the size of a state",
    )
    source: Literal["estimated", "trajectories", "distribution"] = Field(
        default="estimated",
        description="draws from the distribution that the training states show, mixtures of these, or draws from a "
        "given distribution",
    )
    steps: PositiveInt | None = Field(
        default=None,
        description="steps of the physical model's rollouts from them; null: num_predict_steps, with count auto as "
        "many as the data have",
    )
    refresh_every: PositiveInt = Field(default=10, description="epochs after which they are drawn anew")
    batch_size: PositiveInt | None = Field(
        default=None,
        description="windows of these rollouts in each of the network's updates; null: its batch_size, with count auto "
        "4 to 32",
    )
    window: PositiveInt | None = Field(
        default=None,
        description="steps of these windows, at most num_predict_steps: short ones teach as much per step and cost "
        "less; null: num_predict_steps, with count auto 1",
    )
    updates: PositiveInt | None = Field(
        default=None,
        description="most updates of the network in an epoch that these windows make; null: one pass over the "
        "rollouts, with count auto 16",
    )
    shift: bool = Field(default=True, description="trajectories: move the states along periodic axes before mixing")
    mixing_length: PositiveFloat | None = Field(
        default=None,
        description="trajectories: correlation length of the weight of a mixture [length]; null: a sixth of the domain",
    )
    scale: tuple[float, float] = Field(
        default=(1.0, 1.0),
        description="trajectories: range of a random factor on each mixture, for equations that bear it; estimated: on "
        "the deviations from the mean; [1, 1]: none",
    )
    length_scale: PositiveFloat | None = Field(
        default=None, description="distribution: correlation length of the initial states [length]"
    )
    amplitude: PositiveFloat | None = Field(
        default=None, description="distribution: standard deviation of the initial states"
    )

    @field_validator("count", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise ValueError(f"{value!r} is not allowed; allowed: a number of states from 0 on, or auto")
        return value

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] > scale[1]:
            raise ValueError(f"scale is [lowest, highest], got {list(scale)}")
        return scale

    @model_validator(mode="after")
    def _complete_distribution(self) -> InteractionConfig:
        if self.source == "distribution" and (self.length_scale is None or self.amplitude is None):
            raise ValueError("source: distribution needs length_scale and amplitude of the initial states")
        return self

    @property
    def given_count(self) -> int:
        """The count where it is a number, else 0."""
        return 0 if self.count == "auto" else self.count

    def filled(self, *, wanted: bool, length: int, steps: int, layout: Layout) -> InteractionConfig:
        """With numbers for `auto` and what follows from it, and a source that the states have.

        Args:
            wanted: whether `auto` shall be more than none.
            length: of the training windows.
            steps: of the data.
            layout: of the states.
        """
        filled = self
        if self.count == "auto":
            numbers = self._numbers(length, steps, layout.valid.numel()) if wanted else {"count": 0}
            filled = self.model_copy(update=numbers)
        if filled.count and filled.source == "estimated" and not has_spectra(layout):
            log.warning("States like these have no spectra to draw fresh starts from: they are mixtures of states.")
            return filled.model_copy(update={"source": "trajectories"})
        return filled

    def _numbers(self, length: int, steps: int, cells: int) -> dict[str, Any]:
        """What `count: auto` makes of itself and of what is null; arguments as those of `filled`."""
        return {
            "count": min(max(_ENTRIES // cells, 1) * _FEWEST, _MOST),
            "steps": max(self.steps or steps, length),
            "batch_size": self.batch_size or min(max(_ENTRIES // cells, _FEWEST_WINDOWS), _MOST_WINDOWS),
            "window": self.window or 1,
            "updates": self.updates or _UPDATES,
        }

    def summary(self) -> dict[str, Any]:
        """What a report says of it: how many fresh states, from where, and whether that is prior knowledge."""
        if self.given_count == 0:
            return {"count": 0}
        known = self.source == "distribution"
        summary: dict[str, Any] = {"count": self.count, "source": self.source, "prior_knowledge": known}
        if known:
            summary |= {"length_scale": self.length_scale, "amplitude": self.amplitude}
        elif self.scale != (1.0, 1.0):
            summary["scale"] = list(self.scale)
        return summary


class FreshStarts:
    """Draws the fresh initial states of a hybrid and keeps them until the next draw.

    Attributes:
        states: the last ones, `[F, C, *space]` float64; None: not drawn yet.
        times: t of them, `[F]`: 0 of draws from a given distribution; of estimated ones that of the states whose
            spectrum they have; of mixtures see `mixtures`.
    """

    def __init__(self, equation: Equation, observations: Observations, config: InteractionConfig, seed: int) -> None:
        self.equation, self.config = equation, config
        self.states: Tensor | None = None
        self.times = torch.zeros(config.given_count, dtype=torch.float64)
        self._drawn = 0  # the epoch of the last draw
        self._draws = stream(seed, "fresh_starts")
        # A window of one step at every state: all states but the last.
        windows = Windows.of(observations, 1, sliding=True)
        self.pool, self._facts = WindowStarts(observations, windows), _Facts.of(observations, windows)

    def due(self, epoch: int) -> bool:
        """Whether this epoch draws anew."""
        return self.states is None or epoch - self._drawn >= self.config.refresh_every

    def draw(self, epoch: int, predict: Predict) -> Tensor:
        """The fresh states `[F, C, *space]` float64 of an epoch: the last ones, or new ones where they are due.

        Values that a field may not have are cut off: an equation may lead ever farther from there.

        Args:
            predict: rolls out where the training simulations were not observed.
        """
        if self.states is None or self.due(epoch):
            self._drawn = epoch
            config = self.config
            if config.source == "distribution":
                scale, amplitude = config.length_scale or 1.0, config.amplitude or 1.0  # both are given: validated
                self.states = self.equation.initial_states(config.given_count, scale, amplitude, self._draws)
            elif config.source == "estimated":
                facts = self._facts
                spectra = Spectra.of(self.pool.fill(predict)[:], facts.numbers, self.equation.layout, facts.noise)
                self.states, number = spectra.draw(config.given_count, self._draws, config.scale)
                self.times = facts.dt * number.double()
            else:
                self.states, self.times = mixtures(
                    self.pool.fill(predict)[:],
                    self._facts.dt * self._facts.numbers.double(),
                    config.given_count,
                    self.equation.layout,
                    self._draws,
                    shift=config.shift,
                    length=config.mixing_length,
                    scale=config.scale,
                )
            self.states = self.equation.admissible(self.states)
        return self.states

    def state(self) -> Bundle:
        """Everything that changes during training."""
        tensors = {"draws": self._draws.get_state()}
        if self.states is not None:
            tensors |= {"states": self.states, "times": self.times}
        return Bundle(tensors, {"drawn": self._drawn})

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        self._draws.set_state(state.tensors["draws"])
        self.states, self._drawn = state.tensors.get("states"), state.metadata["drawn"]
        self.times = state.tensors.get("times", self.times)


@dataclass(frozen=True)
class _Facts:
    """What is known of the states of a pool.

    Attributes:
        numbers: of steps from t = 0 to each, `[N]`.
        noise: variance of the noise in each and by channel, averaged over its cells, `[N, C]`.
        dt: length of a step.
    """

    numbers: Tensor
    noise: Tensor
    dt: float

    @classmethod
    def of(cls, observations: Observations, windows: Windows) -> _Facts:
        """Of the states that windows begin with."""
        _, mask = observations.training_states()
        measured = mask.flatten(3).double().mean(dim=3)[windows.simulation, windows.time]
        if observations.initial_known:
            measured[windows.initial] = 0.0
        return cls(windows.time, measured * observations.noise_std.square(), observations.dt)


@dataclass(frozen=True)
class Trajectories:
    """The physical model's trajectories from fresh states.

    Attributes:
        states: `[F, C, *space]`.
        normalised: the trajectories, these states among them, `[F, M+1, C, *space]`, as the network takes them.
        times: t of the states, `[F]`.
    """

    states: Tensor
    normalised: Tensor
    times: Tensor


class FreshTrajectories:
    """The physical model's trajectories from fresh states, kept as long as neither these nor its parameters change.

    Args:
        starts: draws the states.
        physical: rolls out from them.
        normalise: from physical states to what the network takes.
        steps: M, of each trajectory.
    """

    def __init__(
        self, starts: FreshStarts, physical: Calibrator, normalise: Callable[[Tensor], Tensor], steps: int
    ) -> None:
        self.starts, self.steps = starts, steps
        self._physical, self._normalise = physical, normalise
        self._kept: tuple[Tensor, Tensor, Trajectories] | None = None  # states as drawn, coordinates, what came of them

    def of_epoch(self, epoch: int, predict: Predict) -> Trajectories | None:
        """Those of an epoch; states whose trajectory is not finite are left out; None where there is no other.

        Args:
            predict: see `FreshStarts.draw`.
        """
        states, kept = self.starts.draw(epoch, predict), self._kept
        if kept is not None and kept[0] is states and torch.equal(kept[1], self._physical.model.coordinates):
            return kept[2]
        times = self.starts.times
        trajectories = torch.cat([states[:, None], self._physical.model.rollout(states, self.steps, times)], dim=1)
        finite = torch.isfinite(trajectories).flatten(1).all(dim=1)
        if not bool(finite.all()):
            log.warning("%d of the fresh starts are left out: not finite.", int((~finite).sum()))
        if not bool(finite.any()):
            return None
        made = Trajectories(states[finite], self._normalise(trajectories[finite]), times[finite])
        self._kept = states, self._physical.model.coordinates.clone(), made
        return made
