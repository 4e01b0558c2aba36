"""HYCO: the synthetic and the physical model train each other in interleaved epochs (arXiv 2509.14123)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from hyco.inversion.result import OptimisationResult
from hyco.monitoring import PhaseClock
from hyco.observations import Observations
from hyco.physics.equation import Equation
from hyco.storage import Bundle
from hyco.training.loop import Metrics, Run, Step
from hyco.training.physical import Interaction, PhysicalConfig, PhysicalTrainer
from hyco.training.schedules import AdaptiveInterleave
from hyco.training.synthetic import Samples, SyntheticConfig, SyntheticTrainer
from hyco.training.validation import Validation, ValidationConfig, validation_metrics

log = logging.getLogger(__name__)


class HybridConfig(ValidationConfig):
    """Keys of the `hybrid` section, its `synthetic` and `physical` parts resolved."""

    epochs: PositiveInt = Field(default=50, description="epochs in all, warm-up among them")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of every rollout, of both models")
    alpha: float = Field(default=0.5, ge=0, le=1, description="weight of real data; 1 - alpha of the other model")
    interleave_frequency: PositiveInt = Field(default=1, description="epochs from one physical update to the next")
    warmup_epochs: NonNegativeInt = Field(default=5, description="first epochs, of the synthetic model alone")
    synthetic: SyntheticConfig = Field(description="the synthetic section with the hybrid's overrides")
    physical: PhysicalConfig = Field(description="the physical section with the hybrid's overrides")
    adaptive: AdaptiveInterleave = Field(default=AdaptiveInterleave(), description="adaptive interleaving")
    checkpoint_dir: str | None = Field(default=None, description="folder of the checkpoints; null: in data/06_models")
    enable_memory_monitoring: bool = Field(default=False, description="log time and peak memory of each phase")


class HybridTrainer:
    """The interleaved loop.

    Epochs are counted from 1 and `epochs` includes the warm-up. In the first `warmup_epochs` the network trains on
    real data alone. After that, in each epoch, from the same initial states and equally long:

    1. the physical model rolls out;
    2. the network trains on real data (weight α) and on those predictions (1 - α);
    3. every `interleave_frequency` epochs the updated network rolls out, and
    4. the physical model is optimised on real data (α) and on those predictions (1 - α).

    A group of weight 0 is neither computed nor used: α = 1 is each model alone, to the bit.
    """

    def __init__(
        self,
        equation: Equation,
        observations: Observations,
        config: HybridConfig,
        seed: int,
        *,
        configuration: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        self.config = config
        self.synthetic = SyntheticTrainer(
            observations,
            config.synthetic,
            seed,
            num_predict_steps=config.num_predict_steps,
            epochs=config.epochs,
            device=device,
        )
        self.physical = PhysicalTrainer(
            equation, observations, config.physical, num_predict_steps=config.num_predict_steps, device=device
        )
        self.validate = Validation(observations, rollout=config.validation_rollout)
        self.run = Run(
            "hybrid",
            configuration,
            config.epochs,
            config,
            self.synthetic,
            self.physical,
            PhaseClock(memory=config.enable_memory_monitoring),
            extra={"interval": config.interleave_frequency, "next_update": None, "physics_validates_better": False},
        )

    def train(self, checkpoint: Bundle | None = None, resume: bool = False) -> Iterator[Step]:
        """Run the epochs that are left; yields `(checkpoint, metrics)` after each.

        Raises:
            NotConverged, Diverged: from a physical update, after its epoch was yielded.
            ResumeError: the checkpoint belongs to another configuration.
        """
        yield from self.run.resume(checkpoint, resume)
        if self.physical.updates:
            self._share_initial_states()
        for epoch in range(self.run.epoch + 1, self.config.epochs + 1):
            metrics, result = self._epoch(epoch)
            best = self._validate(epoch, metrics)
            yield self.run.record(epoch, metrics, is_best=best)
            if result is not None:
                self.physical.check(result)

    def _epoch(self, epoch: int) -> tuple[Metrics, OptimisationResult | None]:
        """One epoch: its metrics, and the outcome of its physical update if there was one."""
        clock, interacting = self.run.clock, epoch > self.config.warmup_epochs and self.config.alpha < 1
        with clock.phase("synthetic"):
            starts = self.synthetic.starts.fill(self._filler(interacting).predict)
        predicted = None
        if interacting:
            with clock.phase("physical"):
                predicted = self._finite(self.physical.predict(starts, self.config.num_predict_steps), "physical")
        with clock.phase("conversion"):
            samples = self.synthetic.prepare(starts, predicted)
        with clock.phase("synthetic"):
            metrics: Metrics = {**self.synthetic.epoch(epoch, samples, self.config.alpha)}
        metrics["physical_loss"] = None
        result = self._update_physics(starts, samples, metrics, interacting) if self._due(epoch) else None
        if result is not None:
            self._schedule_next(epoch, result)
            self._share_initial_states()
        if epoch == self.config.epochs:
            self.physical.conclude()
        metrics.update(self.physical.metrics())
        metrics["alpha"] = self.config.alpha if predicted is not None else 1.0
        return metrics, result

    def _update_physics(
        self, starts: Tensor, samples: Samples, metrics: Metrics, interacting: bool
    ) -> OptimisationResult:
        """Optimise the physical model, on the updated network's predictions too."""
        clock, interaction = self.run.clock, None
        if interacting:
            with clock.phase("synthetic"):
                normalised = self.synthetic.predict_normalised(samples.starts, self.config.num_predict_steps)
            with clock.phase("conversion"):
                targets = self._finite(self.synthetic.model.denormalise(normalised).to(starts), "synthetic")
            if targets is not None:
                initial = self.synthetic.windows.initial.nonzero().flatten()
                interaction = Interaction(starts, targets, initial)
        with clock.phase("physical"):
            result = self.physical.update(self.config.alpha if interaction is not None else 1.0, interaction)
        metrics["physical_loss"] = result.value
        metrics["physical_evaluations"] = float(result.evaluations)
        return result

    def _share_initial_states(self) -> None:
        """Where the initial states are not known exactly, the network starts from the physical model's estimate."""
        estimated = self.physical.initial_states
        if estimated is not None:
            self.synthetic.starts.set_initial(estimated)

    def _due(self, epoch: int) -> bool:
        """Whether an epoch has a physical update."""
        since = epoch - self.config.warmup_epochs
        if since < 1:
            return False
        if self.config.adaptive.enabled and self.run.extra["next_update"] is not None:
            return bool(epoch >= self.run.extra["next_update"])
        return since % self.config.interleave_frequency == 0

    def _schedule_next(self, epoch: int, result: OptimisationResult) -> None:
        interval = self.config.adaptive.next_interval(
            self.run.extra["interval"], self.config.interleave_frequency, result.initial_value, result.value
        )
        self.run.extra.update(interval=interval, next_update=epoch + interval)

    def _filler(self, interacting: bool) -> SyntheticTrainer | PhysicalTrainer:
        """The model whose rollout fills unobserved window starts: the one that validated better."""
        return self.physical if interacting and self.run.extra["physics_validates_better"] else self.synthetic

    @staticmethod
    def _finite(prediction: Tensor, name: str) -> Tensor | None:
        """A prediction, or None with a warning where it is not finite: it must not reach an optimiser."""
        if bool(torch.isfinite(prediction).all()):
            return prediction
        log.warning("The %s model's predictions are not finite: this epoch uses real data alone.", name)
        return None

    def _validate(self, epoch: int, metrics: Metrics) -> bool:
        """Add the validation errors of both models; whether the network is the best so far."""
        if not self.validate.available or not self.config.due(epoch, self.config.epochs):
            return False
        with self.run.clock.phase("validation"):
            synthetic, physical = self.validate(self.synthetic), self.validate(self.physical)
        metrics.update(validation_metrics("synthetic", synthetic) | validation_metrics("physical", physical))
        self.run.extra["physics_validates_better"] = physical["score"] < synthetic["score"]
        return self.synthetic.remember_if_best(epoch, synthetic["score"])
