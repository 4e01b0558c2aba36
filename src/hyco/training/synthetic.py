"""Training of the synthetic model: multi-step rollouts against observations, and against the physical model."""

from __future__ import annotations

import copy
import logging
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator
from torch import Tensor

from hyco.losses import mean_square, weighted_loss
from hyco.networks.models import NetworkModel
from hyco.networks.network import network_config
from hyco.networks.padding import set_memory_format
from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations
from hyco.runtime.monitoring import PhaseClock, unwatched
from hyco.runtime.random_streams import stream
from hyco.runtime.storage import Bundle, prefixed, unprefixed
from hyco.training.averaging import AveragedWeights
from hyco.training.checkpoints import optimizer_tensors, restore_optimizer
from hyco.training.run import Metrics, Run, Step
from hyco.training.schedules import SchedulerConfig
from hyco.training.validation import StoppingConfig, Validation, validation_metrics
from hyco.training.windows import Predict, Windows, WindowStarts

log = logging.getLogger(__name__)

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class Curriculum(BaseModel):
    """Keys of `curriculum`: training rollouts that grow from `start` steps to `num_predict_steps`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: PositiveInt = Field(default=1, description="steps of the first training rollouts")
    epochs: PositiveInt = Field(description="epoch from which they have their whole length")

    def length(self, epoch: int, longest: int) -> int:
        """Steps of the rollouts in an epoch, counted from 1."""
        if epoch >= self.epochs or self.start >= longest:
            return longest
        return self.start + int((longest - self.start) * (epoch - 1) / max(self.epochs - 1, 1))


class SyntheticConfig(StoppingConfig):
    """Keys of the `synthetic` section."""

    network: dict[str, Any] = Field(description="architecture: `name` and its own keys")
    epochs: PositiveInt = Field(default=100, description="epochs, when trained alone")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of each training rollout, when trained alone")
    learning_rate: PositiveFloat = Field(default=1e-3, description="first learning rate")
    batch_size: PositiveInt = Field(default=16, description="windows per update")
    optimizer: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="optimiser")
    scheduler: SchedulerConfig = Field(default=SchedulerConfig(), description="learning rate over the epochs")
    weight_decay: NonNegativeFloat = Field(default=0.0, description="weight decay of the optimiser")
    use_sliding_window: bool = Field(default=False, description="a window at every state, not one after the other")
    gradient_clip: PositiveFloat | None = Field(default=1.0, description="largest norm of the gradient; null: none")
    curriculum: Curriculum | None = Field(default=None, description="rollouts that grow over the epochs; null: none")
    backpropagation_steps: PositiveInt | None = Field(
        default=None,
        description="steps that the gradient flows through at a time (1: the pushforward trick); null: all",
    )
    input_noise: NonNegativeFloat = Field(
        default=0.0,
        description="std of noise on the windows' initial states while it trains; that of the states is 1",
    )
    ema_decay: float | None = Field(
        default=None, gt=0, lt=1, description="decay per update of the averaged weights that predict; null: no average"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: mixed precision inside the network while it trains"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="compute each step again for the gradient instead of storing it"
    )
    points_per_update: PositiveInt = Field(default=1000, description="coordinate networks: measured points per update")
    updates_per_epoch: PositiveInt = Field(default=50, description="coordinate networks: updates per epoch")
    ghost_points: PositiveInt = Field(
        default=200,
        description="coordinate networks, in a hybrid: places and times per update where the models meet",
    )

    @field_validator("network")
    @classmethod
    def _known_network(cls, data: dict[str, Any]) -> dict[str, Any]:
        return network_config(data).model_dump()

    @field_validator("scheduler", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


@dataclass
class Samples:
    """What an epoch trains on, normalised, on the network's device.

    Attributes:
        starts: initial states of the windows, `[W, C, *space]`.
        physical: the physical model's predictions from them, `[W, T, C, *space]`; None: real data alone.
        fresh: the physical model's trajectories from other states, these among them, `[F, M+1, C, *space]`, M >= T;
            None: there are none.
    """

    starts: Tensor
    physical: Tensor | None
    fresh: Tensor | None = None


class SyntheticTrainer:
    """The network, its optimiser and its data; `epoch` is the whole interface of the hybrid loop.

    Args:
        observations: what was measured; the trainer takes its statistics, windows and targets from them.
        config: of the network's training.
        seed: of the run; weights and batches have streams of their own.
        num_predict_steps, epochs: of this run, which are the hybrid's in a hybrid.
        device: where the network trains.
        fresh_batch: windows of fresh trajectories in an update; None: `batch_size`.
    """

    def __init__(
        self,
        observations: Observations,
        config: SyntheticConfig,
        seed: int,
        *,
        num_predict_steps: int,
        epochs: int,
        device: torch.device,
        fresh_batch: int | None = None,
    ) -> None:
        self.config, self.epochs, self.device = config, epochs, device
        self.model = self._create(observations, seed).to(device)
        if device.type != "cpu":
            set_memory_format(self.model, torch.contiguous_format)  # channels last was measured on CPUs only
        weights = f"{self.model.weights:,}".replace(",", " ")
        log.info("Network %s: %s weights.", self.model.config.name, weights)
        # Fused optimisers can leave out an update by themselves, so that no value need be read for it.
        self.optimizer = _OPTIMIZERS[config.optimizer](
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._batches = stream(seed, "batches")
        self.fresh_batch = fresh_batch or config.batch_size
        self.averaged = None
        if config.ema_decay is not None:
            self.averaged = AveragedWeights(self.model, config.ema_decay)
        self._take(observations, num_predict_steps, seed)
        self.best_score, self.best_epoch = math.inf, 0
        self.best_weights: dict[str, Tensor] = {}
        self.before_update: Callable[[], None] = unwatched

    def _create(self, observations: Observations, seed: int) -> SyntheticModel:
        """The network, with the statistics of the data."""
        mean, std = observations.statistics()
        change_std = observations.change_std()
        return SyntheticModel.create(
            self.config.network, observations.layout, mean=mean, std=std, change_std=change_std, seed=seed
        )

    def _take(self, observations: Observations, num_predict_steps: int, seed: int) -> None:
        """Windows, and what was measured in them."""
        self.windows = Windows.of(observations, num_predict_steps, self.config.use_sliding_window)
        self.starts = WindowStarts(observations, self.windows)
        values, mask = observations.values[observations.train], observations.mask[observations.train]
        # Normalised float32, on the device once; a batch of windows is an index into them.
        self._values = _normalised(values.to(self.device), self.model.mean, self.model.std)
        self._mask = mask.to(self.device)
        operator = observations.operator(observations.train, 1, observations.steps)
        self._operator = operator.normalised(*observations.statistics()).to(self.device, torch.float32)
        # Steps to the first state of each window of which anything is observed, on the CPU, where batches are drawn.
        observed = self.windows.targets(mask).flatten(2).any(dim=2)
        self._first_observed = torch.where(observed.any(dim=1), 1 + observed.int().argmax(dim=1), len(observed[0]) + 1)
        # Windows of which anything is: without predictions the others teach nothing; and those of which all is.
        self._observed = observed.any(dim=1)
        self._complete = self.windows.targets(mask).flatten(1).all(dim=1)

    @property
    def predictor(self) -> SyntheticModel:
        """The network that predicts: with averaged weights if there are any, else the one that trains."""
        if self.averaged is None:
            return self.model
        return self.averaged.module

    def rollout(self, starts: Tensor, steps: int) -> Tensor:
        """Rollout without gradient, in evaluation mode: `[B, C, *space]` to `[B, steps, C, *space]`."""
        return synthetic_rollout(self.predictor, starts, steps)

    def window_starts(self, predict: Predict, *, real_alone: bool) -> Tensor:
        """The windows' initial states `[W, C, *space]`, filled by a model's rollout where nothing was observed.

        Args:
            predict: see `WindowStarts.fill`.
            real_alone: whether they are for real data alone; windows of which nothing is observed are not filled then,
                as they teach nothing.
        """
        return self.starts.fill(predict, self._observed if real_alone else None)

    def normalise(self, states: Tensor) -> Tensor:
        """Physical states `[*batch, C, *space]` normalised, float32, on the network's device."""
        return self.model.normalise(states.to(self.device))

    def prepare(self, starts: Tensor, physical: Tensor | None = None) -> Samples:
        """Cast and normalise what an epoch trains on: states `[W, C, *space]`, predictions `[W, T, C, *space]`."""
        return Samples(self.normalise(starts), None if physical is None else self.normalise(physical))

    @torch.no_grad()
    def targets(self, samples: Samples) -> tuple[Tensor, Tensor | None]:
        """What the physical model is held against, from the windows' starts and, behind them, the fresh ones.

        Returns:
            Predictions in physical units `[W (+ F), T, C, *space]`, float64; a mask of this shape that says where they
            count, None: everywhere.
        """
        starts = samples.starts if samples.fresh is None else torch.cat([samples.starts, samples.fresh[:, 0]])
        model = self.predictor.eval()
        return model.denormalise(model.rollout_normalised(starts, self.windows.length)), None

    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """One pass over all windows, in random order.

        With fresh trajectories each update has windows of both kinds, and the epoch is one pass over the larger kind:
        all real windows, or as many random windows of the trajectories as they are long.

        Args:
            epoch: 1-based, for the learning rate and the length of the rollouts.
            samples: see `prepare`.
            alpha: weight of the real data; of no effect where there are no predictions.

        Returns:
            `synthetic_loss`, the mean over the updates; `learning_rate`; `synthetic_skipped`, the updates left out
            because their loss or its gradient was not finite.
        """
        curriculum, length = self.config.curriculum, self.windows.length
        if curriculum is not None:
            length = curriculum.length(epoch, length)
        batches = self._updates(samples, length)
        return self._optimise(epoch, (self._loss(samples, alpha, which, fresh, length) for which, fresh in batches))

    def _optimise(self, epoch: int, updates: Iterable[Tensor | None]) -> dict[str, float]:
        """One step of the optimiser for each loss, as it is computed; None: nothing to learn from."""
        rate = self.config.learning_rate * self.config.scheduler.factor(epoch, self.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        limit = math.inf if self.config.gradient_clip is None else self.config.gradient_clip
        values, taken = [], []
        for loss in updates:
            self.before_update()
            if loss is None:
                continue
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
            finite = torch.isfinite(loss.detach() + norm)
            self.optimizer.found_inf = (~finite).float()  # it skips the update where this is 1
            self.optimizer.step()
            if self.averaged is not None:
                self.averaged.update(self.model, finite)
            values.append(loss.detach())
            taken.append(finite)
        # Read once per epoch, so that nothing waits for the device before.
        losses = torch.where(torch.stack(taken), torch.stack(values), math.nan).tolist() if values else []
        found = [loss for loss in losses if not math.isnan(loss)]
        skipped = len(losses) - len(found)
        if skipped:
            log.warning(
                "Epoch %d: %d of the network's updates were skipped: the loss or its gradient is not finite.",
                epoch,
                skipped,
            )
        if not losses:
            log.warning("Epoch %d: nothing is observed in the training rollouts: the network learnt nothing.", epoch)
        mean = statistics.fmean(found) if found else math.nan
        return {"synthetic_loss": mean, "learning_rate": rate, "synthetic_skipped": float(skipped)}

    def _updates(self, samples: Samples, length: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """For each update the real windows `[w]`, and the fresh ones: trajectories' states `[f, length + 1, C, …]`."""
        real = torch.split(torch.randperm(len(self.windows), generator=self._batches), self.config.batch_size)
        if samples.fresh is None:
            yield from ((which, None) for which in real)
            return
        count, states = samples.fresh.shape[:2]
        each = max(1, (states - 1) // self.windows.length)
        trajectory = torch.arange(count).repeat(each)[torch.randperm(count * each, generator=self._batches)]
        first = torch.randint(0, states - length, (count * each,), generator=self._batches)
        times = first[:, None] + torch.arange(length + 1)
        fresh = torch.split(torch.arange(count * each), self.fresh_batch)
        while len(real) < len(fresh):
            again = torch.randperm(len(self.windows), generator=self._batches)
            real = (*real, *torch.split(again, self.config.batch_size))
        for i in range(max(len(fresh), math.ceil(len(self.windows) / self.config.batch_size))):
            which = fresh[i % len(fresh)]
            yield real[i], samples.fresh[trajectory[which, None], times[which]]

    def _loss(
        self,
        samples: Samples,
        alpha: float,
        which: Tensor,
        fresh: Tensor | None = None,
        length: int | None = None,
    ) -> Tensor | None:
        """Weighted loss of some windows; None where there is nothing to learn from.

        Windows without observations count for the physical model's predictions alone.

        Args:
            which: the windows, `[w]`.
            fresh: trajectories beside them, `[f, length + 1, C, *space]`.
            length: of the rollouts; None: of the windows.
        """
        length = length or self.windows.length
        if samples.physical is None:
            which = which[self._observed[which]]
            if not len(which) and fresh is None:
                return None
        starts, other = samples.starts[which], None
        if samples.physical is not None:
            other = samples.physical[which, :length]
        if fresh is not None:
            starts = torch.cat([starts, fresh[:, 0]])
            other = fresh[:, 1:] if other is None else torch.cat([other, fresh[:, 1:]])
        with_real = (alpha > 0 or other is None) and bool((self._first_observed[which] <= length).any())
        prediction = self._roll_out(starts, length)
        real = None
        if with_real:
            simulation, time = self.windows.indices(which)
            measured = self._operator.select(simulation, time[:, :length] - 1)(prediction[: len(which)])
            error = measured - self.windows.targets(self._values, which)[:, :length]
            complete = bool(self._complete[which].all())
            real = mean_square(error, None if complete else self.windows.targets(self._mask, which)[:, :length])
        if other is None:
            return real
        distance = prediction[len(prediction) - len(other) :] - other
        valid = None if self.model.valid is None else self.model.valid.expand(distance.shape)
        return weighted_loss(alpha, real, mean_square(distance, valid))

    def _roll_out(self, starts: Tensor, length: int) -> Tensor:
        """The training rollout from normalised states, as the options say."""
        config = self.config
        if config.input_noise > 0:
            noise = torch.randn(starts.shape, generator=self._batches).to(starts) * config.input_noise
            starts = starts + (noise if self.model.valid is None else noise * self.model.valid)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            return self.model.rollout_normalised(
                starts,
                length,
                backpropagation_steps=config.backpropagation_steps,
                checkpointing=config.gradient_checkpointing,
            )

    def remember_if_best(self, epoch: int, score: float) -> bool:
        """Keep the weights if they validate best so far; whether they do."""
        if not score < self.best_score:
            return False
        self.best_score, self.best_epoch = score, epoch
        self.best_weights = copy.deepcopy(self.predictor.state_dict())
        return True

    def state(self) -> Bundle:
        """Everything that changes during training."""
        tensors = {
            **prefixed("weights", self.model.state_dict()),
            **prefixed("best", self.best_weights),
            **prefixed("optimizer", optimizer_tensors(self.optimizer)),
            "batches": self._batches.get_state(),
        }
        if self.averaged is not None:
            tensors |= prefixed("average", self.averaged.state_dict())
        score = self.best_score if math.isfinite(self.best_score) else None
        metadata = {"best_score": score, "best_epoch": self.best_epoch, "model": self.model.describe()}
        return Bundle(tensors, metadata)

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        self.model.load_state_dict(unprefixed("weights", state.tensors))
        if self.averaged is not None:
            self.averaged.load_state_dict(unprefixed("average", state.tensors))
        self.best_weights = unprefixed("best", state.tensors)
        restore_optimizer(self.optimizer, unprefixed("optimizer", state.tensors))
        self._batches.set_state(state.tensors["batches"])
        score = state.metadata["best_score"]
        self.best_score = math.inf if score is None else score
        self.best_epoch = state.metadata["best_epoch"]


def synthetic_trainer(
    observations: Observations,
    config: SyntheticConfig,
    seed: int,
    *,
    num_predict_steps: int,
    epochs: int,
    device: torch.device,
    fresh_batch: int | None = None,
) -> SyntheticTrainer:
    """The trainer for the kind of network that is configured; see `SyntheticTrainer` for the arguments."""
    trainer = SyntheticTrainer
    if not network_config(config.network).stepping:
        from hyco.training.coordinate import CoordinateTrainer

        trainer = CoordinateTrainer
    return trainer(
        observations,
        config,
        seed,
        num_predict_steps=num_predict_steps,
        epochs=epochs,
        device=device,
        fresh_batch=fresh_batch,
    )


def _normalised(entries: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Measured entries `[S, T, C, K…]` in units of the network, with statistics `[C]`."""
    shape = (-1, *[1] * (entries.ndim - 3))
    return ((entries - mean.reshape(shape)) / std.reshape(shape)).float()


@torch.no_grad()
def synthetic_rollout(model: NetworkModel, starts: Tensor, num_predict_steps: int) -> Tensor:
    """Rollout of a network, without gradient, in evaluation mode.

    `[B, C, *space]` to `[B, T, C, *space]`, in the dtype and on the device of `starts`.
    """
    training = model.training
    model.eval()
    try:
        return model.rollout(starts.to(model.device), num_predict_steps).to(starts)
    finally:
        model.train(training)


def train_synthetic(
    observations: Observations,
    config: SyntheticConfig,
    seed: int,
    *,
    configuration: Mapping[str, Any],
    device: torch.device,
    checkpoint: Bundle | None = None,
    resume: bool = False,
    profile: bool = False,
) -> Iterator[Step]:
    """Train the network on real data alone; yields `(checkpoint, metrics)` after each epoch.

    Raises:
        ResumeError: the checkpoint belongs to another configuration.
    """
    trainer = synthetic_trainer(
        observations,
        config,
        seed,
        num_predict_steps=config.num_predict_steps,
        epochs=config.epochs,
        device=device,
    )
    validate = Validation(observations, rollout=config.validation_rollout)
    clock = PhaseClock(operators=profile)
    run = Run("synthetic", configuration, config.epochs, config, {"synthetic": trainer}, clock)
    yield from run.resume(checkpoint, resume)
    while not run.finished:
        epoch = run.epoch + 1
        with run.clock.phase("synthetic"):
            starts = trainer.window_starts(trainer.rollout, real_alone=True)
        with run.clock.phase("conversion"):
            samples = trainer.prepare(starts)
        with run.clock.phase("synthetic"):
            metrics: Metrics = {**trainer.epoch(epoch, samples)}
        best = False
        if validate.available and config.due(epoch, config.epochs):
            with run.clock.phase("validation"):
                errors = validate(trainer)
            metrics.update(validation_metrics("synthetic", errors))
            best = trainer.remember_if_best(epoch, errors["score"])
            run.watch(best, config.early_stopping)
        yield run.record(epoch, metrics, is_best=best)
