"""Training of the synthetic model: multi-step rollouts against observations, and against the physical model."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator
from torch import Tensor

from hyco.losses import mean_square, weighted_loss
from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations
from hyco.randomness import stream
from hyco.storage import Bundle
from hyco.training.checkpoints import optimizer_tensors, prefixed, restore_optimizer, unprefixed
from hyco.training.loop import Metrics, Run, Step
from hyco.training.schedules import SchedulerConfig
from hyco.training.validation import Validation, ValidationConfig, validation_metrics
from hyco.training.windows import Windows, WindowStarts

log = logging.getLogger(__name__)

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class SyntheticConfig(ValidationConfig):
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

    @field_validator("network")
    @classmethod
    def _known_network(cls, data: dict[str, Any]) -> dict[str, Any]:
        from hyco.networks.network import network_config

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
    """

    starts: Tensor
    physical: Tensor | None


class SyntheticTrainer:
    """The network, its optimiser and its data; `epoch` is the whole interface of the hybrid loop.

    Args:
        observations: what was measured; the trainer takes its statistics, windows and targets from them.
        config: of the network's training.
        seed: of the run; weights and batches have streams of their own.
        num_predict_steps, epochs: of this run, which are the hybrid's in a hybrid.
        device: where the network trains.
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
    ) -> None:
        self.config, self.epochs, self.device = config, epochs, device
        mean, std = observations.statistics()
        self.model = SyntheticModel.create(
            config.network,
            observations.layout,
            mean=mean,
            std=std,
            change_std=observations.change_std(),
            seed=seed,
        ).to(device)
        weights = f"{self.model.count_parameters():,}".replace(",", " ")
        log.info("Network %s: %s weights.", self.model.config.name, weights)
        self.optimizer = _OPTIMIZERS[config.optimizer](
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.windows = Windows.of(observations, num_predict_steps, config.use_sliding_window)
        self.starts = WindowStarts(observations, self.windows)
        values, mask = observations.values[observations.train], observations.mask[observations.train]
        # Normalised float32, on the device once; a batch of windows is an index into them.
        self._values = _normalised(values.to(device), self.model.mean, self.model.std)
        self._mask = mask.to(device)
        operator = observations.operator(observations.train, 1, observations.steps)
        self._operator = operator.normalised(mean, std).to(device, torch.float32)
        # Windows of which anything is observed: without predictions the others teach nothing.
        self._observed = self.windows.targets(self._mask).flatten(1).any(dim=1).cpu()
        self._batches = stream(seed, "batches")
        self.best_score, self.best_epoch = math.inf, 0
        self.best_weights: dict[str, Tensor] = {}

    def predict(self, starts: Tensor, steps: int) -> Tensor:
        """Rollout without gradient, in evaluation mode: `[B, C, *space]` to `[B, steps, C, *space]`."""
        return synthetic_rollout(self.model, starts, steps)

    @torch.no_grad()
    def predict_normalised(self, starts: Tensor, steps: int) -> Tensor:
        """The same from normalised states to normalised states, on the network's device."""
        self.model.eval()
        return self.model.rollout_normalised(starts, steps)

    def prepare(self, starts: Tensor, physical: Tensor | None = None) -> Samples:
        """Cast and normalise what an epoch trains on: states `[W, C, *space]`, predictions `[W, T, C, *space]`."""
        return Samples(
            starts=self.model.normalise(starts.to(self.device)),
            physical=None if physical is None else self.model.normalise(physical.to(self.device)),
        )

    def epoch(self, epoch: int, samples: Samples, alpha: float = 1.0) -> dict[str, float]:
        """One pass over all windows, in random order.

        Args:
            epoch: 1-based, for the learning rate.
            samples: see `prepare`.
            alpha: weight of the real data; of no effect where there are no predictions.

        Returns:
            `synthetic_loss`, the mean over the updates; `learning_rate`; `synthetic_skipped`, the updates left out
            because their loss was not finite.
        """
        rate = self.config.learning_rate * self.config.scheduler.factor(epoch, self.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        losses, skipped = [], 0
        for which in torch.split(torch.randperm(len(self.windows), generator=self._batches), self.config.batch_size):
            loss = self._loss(samples, alpha, which)
            if loss is None:
                continue
            if not bool(torch.isfinite(loss)):
                skipped += 1
                continue
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.config.gradient_clip is not None:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
            self.optimizer.step()
            losses.append(loss.detach())
        if skipped:
            log.warning("Epoch %d: %d of the network's updates were skipped: the loss is not finite.", epoch, skipped)
        mean = float(torch.stack(losses).mean()) if losses else math.nan
        return {"synthetic_loss": mean, "learning_rate": rate, "synthetic_skipped": float(skipped)}

    def _loss(self, samples: Samples, alpha: float, which: Tensor) -> Tensor | None:
        """Weighted loss of some windows; None where there is nothing to learn from.

        Windows without observations count for the physical model's predictions alone.
        """
        if samples.physical is None:
            which = which[self._observed[which]]
            if not len(which):
                return None
        other = None if samples.physical is None else samples.physical[which]
        mask = self.windows.targets(self._mask, which)
        with_real = (alpha > 0 or other is None) and bool(mask.any())
        prediction = self.model.rollout_normalised(samples.starts[which], self.windows.length)
        real = None
        if with_real:
            simulation, time = self.windows.indices(which)
            measured = self._operator.select(simulation, time - 1)(prediction)
            real = mean_square(measured - self.windows.targets(self._values, which), mask)
        if other is None:
            return real
        valid = None if self.model.valid is None else self.model.valid.expand(prediction.shape)
        return weighted_loss(alpha, real, mean_square(prediction - other, valid))

    def remember_if_best(self, epoch: int, score: float) -> bool:
        """Keep the weights if they validate best so far; whether they do."""
        if not score < self.best_score:
            return False
        self.best_score, self.best_epoch = score, epoch
        self.best_weights = copy.deepcopy(self.model.state_dict())
        return True

    def state(self) -> Bundle:
        """Everything that changes during training."""
        tensors = {
            **prefixed("weights", self.model.state_dict()),
            **prefixed("best", self.best_weights),
            **prefixed("optimizer", optimizer_tensors(self.optimizer)),
            "batches": self._batches.get_state(),
        }
        score = self.best_score if math.isfinite(self.best_score) else None
        metadata = {"best_score": score, "best_epoch": self.best_epoch, "model": self.model.to_bundle().metadata}
        return Bundle(tensors, metadata)

    def load(self, state: Bundle) -> None:
        """Go on from a `state`."""
        self.model.load_state_dict(unprefixed("weights", state.tensors))
        self.best_weights = unprefixed("best", state.tensors)
        restore_optimizer(self.optimizer, unprefixed("optimizer", state.tensors))
        self._batches.set_state(state.tensors["batches"])
        score = state.metadata["best_score"]
        self.best_score = math.inf if score is None else score
        self.best_epoch = state.metadata["best_epoch"]


def _normalised(entries: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Measured entries `[S, T, C, K…]` in units of the network, with statistics `[C]`."""
    shape = (-1, *[1] * (entries.ndim - 3))
    return ((entries - mean.reshape(shape)) / std.reshape(shape)).float()


@torch.no_grad()
def synthetic_rollout(model: SyntheticModel, starts: Tensor, num_predict_steps: int) -> Tensor:
    """Autoregressive rollout of a network, without gradient, in evaluation mode.

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
) -> Iterator[Step]:
    """Train the network on real data alone; yields `(checkpoint, metrics)` after each epoch.

    Raises:
        ResumeError: the checkpoint belongs to another configuration.
    """
    trainer = SyntheticTrainer(
        observations,
        config,
        seed,
        num_predict_steps=config.num_predict_steps,
        epochs=config.epochs,
        device=device,
    )
    validate = Validation(observations, rollout=config.validation_rollout)
    run = Run("synthetic", configuration, config.epochs, config, synthetic=trainer)
    yield from run.resume(checkpoint, resume)
    for epoch in range(run.epoch + 1, config.epochs + 1):
        with run.clock.phase("synthetic"):
            starts = trainer.starts.fill(trainer.predict)
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
        yield run.record(epoch, metrics, is_best=best)
