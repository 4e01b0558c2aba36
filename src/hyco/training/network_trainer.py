"""What training asks of a network's trainer, whatever its network is a function of."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from hyco.networks.network_model import NetworkModel
from hyco.networks.padding import convolves_by_own_code, set_memory_format
from hyco.runtime.storage import Bundle, prefixed, unprefixed
from hyco.trained_model import Time
from hyco.training.batches import Batches
from hyco.training.best import BestWeights
from hyco.training.checkpoints import require_like
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples
from hyco.training.optimisation import Optimisation
from hyco.training.windows import Predict, States, Windows, WindowStarts

log = logging.getLogger(__name__)


class NetworkTrainer(ABC):
    """A network, its optimiser and its data; `epoch` is the whole interface of the hybrid loop.

    A `hyco.trained_model.TrainedModel`, which predicts with averaged weights where there are any. What the network
    trains on, and how, is in the subclasses: one for each kind of model.

    Args:
        model: the network, which moves to `device`.
        config: of the network's training.
        epochs: of this run, which are the hybrid's in a hybrid.
        windows: of the training simulations.
        starts: the initial states of the windows.
        dt: time between two states of the data, which the final network is for.
        device: where the network trains.

    Attributes:
        predictor: the network that predicts: with averaged weights if there are any, else `model`.
        batches: the random draws of each update.
        best: the weights that validated best so far.
    """

    batches: Batches

    def __init__(
        self,
        model: NetworkModel,
        config: SyntheticConfig,
        *,
        epochs: int,
        windows: Windows,
        starts: WindowStarts,
        dt: float,
        device: torch.device,
    ) -> None:
        self.dt = dt
        self.model, self.config, self.windows, self.starts = model.to(device), config, windows, starts
        if device.type != "cpu":
            set_memory_format(model, torch.contiguous_format)  # channels last was measured on CPUs only
        log.info("Network %s: %s weights.", model.config.name, f"{model.weight_count:,}".replace(",", " "))
        self.optimisation = Optimisation(model, config, epochs)
        self.predictor = self.optimisation.predictor
        self.best = BestWeights()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    @property
    def stepping(self) -> bool:
        """Whether the network predicts from any state; else it knows one trajectory, from t = 0."""
        return self.model.stepping

    def watch(self, call: Callable[[], None]) -> None:
        """From now on call this before each update."""
        self.optimisation.watch(call)

    def rollout(self, states: Tensor, steps: int, time: Time = 0.0) -> Tensor:
        """Rollout without gradient, in evaluation mode: `[B, C, *space]` at `time` to `[B, steps, C, *space]`."""
        return self.predictor.rollout(states, steps, time)

    def window_starts(self, predict: Predict, *, real_alone: bool) -> States:
        """The windows' initial states `[W, C, *space]`, filled by a model's rollout where nothing was observed.

        Args:
            predict: see `WindowStarts.fill`.
            real_alone: whether they are for real data alone; windows of which nothing is observed are not filled then,
                as they teach nothing.
        """
        return self.starts.fill(predict)

    def normalise(self, states: Tensor) -> Tensor:
        """Physical states `[*batch, C, *space]` normalised, float32, on the network's device."""
        return self.model.normalise(states.to(self.device))

    def prepare(self, starts: States, physical: Tensor | None = None, fresh: Tensor | None = None) -> Samples:
        """Cast and normalise what an epoch trains on.

        Args:
            starts: states `[W, C, *space]`.
            physical: predictions `[W, T, C, *space]`.
            fresh: trajectories `[F, M+1, C, *space]`, which are normalised already.
        """
        return Samples(self.normalise(starts[:]), None if physical is None else self.normalise(physical), fresh)

    @abstractmethod
    def targets(self, samples: Samples) -> tuple[Tensor, Tensor | None]:
        """What the physical model is fitted to, from the windows' starts and, behind them, the fresh ones.

        Returns:
            Predictions in physical units `[W (+ F), T, C, *space]`, float64; a mask of this shape that says where they
            count, None: everywhere.
        """

    @abstractmethod
    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """One epoch.

        Args:
            epoch: 1-based, for the learning rate and the length of the rollouts.
            samples: see `prepare`.
            alpha: weight of the real data; of no effect where there are no predictions.

        Returns:
            See `Optimisation.epoch`.
        """

    def remember_if_best(self, epoch: int, score: float) -> bool:
        """Keep the weights that predict if they validate best so far; whether they do."""
        return self.best.offer(epoch, score, self.predictor)

    def state(self) -> Bundle:
        """Everything that changes during training."""
        tensors = {**self.optimisation.state(), **prefixed("best", self.best.weights), **self.batches.state()}
        metadata = {"model": {**self.model.describe(), "dt": self.dt}, "finite": self.optimisation.finite.describe()}
        code = {"own_convolutions": convolves_by_own_code(self.model)}
        return Bundle(tensors, {**self.best.describe(), **metadata, **code})

    def load(self, state: Bundle) -> None:
        """Go on from a `state`.

        Raises:
            ValueError: its tensors are not those of this training, or not finite.
        """
        own = self.state().tensors
        require_like(state.tensors, own, complete=True)
        require_like(unprefixed("best", state.tensors), unprefixed("weights", own), complete=False)
        self.optimisation.load(state.tensors)
        self.optimisation.finite.load(state.metadata.get("finite") or {})
        self.best.load(state.metadata, unprefixed("best", state.tensors))
        self.batches.load(state.tensors)
        before, now = state.metadata.get("own_convolutions", False), convolves_by_own_code(self.model)
        if before != now:
            names = {True: "hyco's own code", False: "torch's"}
            log.info(
                "The network's convolutions were %s and are %s from here on: weights will differ in their last digits "
                "from those of a training without a break.",
                *(names[own] for own in (before, now)),
            )
