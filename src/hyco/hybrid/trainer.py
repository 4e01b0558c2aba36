"""HYCO: the synthetic and the physical model train each other in interleaved epochs (arXiv 2509.14123)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.hybrid.correction import Correction, CorrectionConfig
from hyco.hybrid.fresh_starts import FreshStarts, InteractionConfig
from hyco.hybrid.progress import HybridProgress
from hyco.hybrid.trust import Trust, Variances, Weights
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.inverse_problem import Interaction
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.networks.network import network_config
from hyco.observations import Observations
from hyco.runtime.monitoring import PhaseClock
from hyco.runtime.storage import Bundle
from hyco.training.config import SyntheticConfig
from hyco.training.data import Samples
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.physical import PhysicalConfig
from hyco.training.run import Metrics, Resumable, Run, Step
from hyco.training.schedules import AdaptiveInterleave
from hyco.training.synthetic import synthetic_trainer
from hyco.training.trainer import SyntheticTrainer
from hyco.training.validation import StoppingConfig, Validation, validation_metrics

log = logging.getLogger(__name__)


class HybridConfig(StoppingConfig):
    """Keys of the `hybrid` section, its `synthetic` and `physical` parts resolved."""

    epochs: PositiveInt = Field(default=50, description="epochs in all, warm-up among them")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of every rollout, of both models")
    alpha: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        default=0.5,
        description="weight of real data; 1 - alpha of the other model; auto: from both models' estimated errors",
    )
    observed_steps: PositiveInt | None = Field(
        default=None,
        description="steps of the rollouts that the physical model is held against real data; null: num_predict_steps",
    )
    interleave_frequency: PositiveInt = Field(default=1, description="epochs from one physical update to the next")
    warmup_epochs: NonNegativeInt = Field(default=5, description="first epochs, of the synthetic model alone")
    sequential: bool = Field(
        default=False,
        description="not interleaved: first the physical model on real data alone, then the network on its predictions",
    )
    calibration_iterations: PositiveInt | None = Field(
        default=None,
        description="most iterations of the fit to real data alone that sequential and correction begin with; "
        "null: `physical.epochs`",
    )
    interaction: InteractionConfig = Field(
        default=InteractionConfig(), description="fresh initial states, from which both models predict, too"
    )
    synthetic: SyntheticConfig = Field(description="the synthetic section with the hybrid's overrides")
    physical: PhysicalConfig = Field(description="the physical section with the hybrid's overrides")
    correction: CorrectionConfig | None = Field(
        default=None,
        description="the network corrects the physical step, instead of standing for it; true: with the network of "
        "`synthetic`; null: no",
    )
    adaptive: AdaptiveInterleave = Field(default=AdaptiveInterleave(), description="adaptive interleaving")
    checkpoint_dir: str | None = Field(default=None, description="folder of the checkpoints; null: in data/06_models")
    enable_memory_monitoring: bool = Field(default=False, description="log time and peak memory of each phase")

    @field_validator("alpha", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        if not number and value != "auto":
            raise ValueError(f"{value!r} is not allowed; allowed: a number from 0 to 1, or auto")
        return value

    @field_validator("correction", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value

    @property
    def calibration(self) -> int:
        """Most iterations of the fit to real data alone that the training begins with; 0 where there is none."""
        begins = self.sequential or self.correction is not None
        return (self.calibration_iterations or self.physical.epochs) if begins else 0

    @property
    def iterations(self) -> int:
        """Of the physical model's optimiser, as many as there may be without an adaptive interval."""
        updates = 0 if self.sequential else max(0, self.epochs - self.warmup_epochs) // self.interleave_frequency
        return self.calibration + updates * (self.physical.max_iterations or self.physical.epochs)

    @model_validator(mode="after")
    def _correction_stands_alone(self) -> HybridConfig:
        if self.correction is None:
            return self
        others = {"interaction.count": self.interaction.count, "sequential": self.sequential}
        others["alpha: auto"] = self.alpha == "auto"
        for key in (key for key, value in others.items() if value):
            raise ValueError(f"correction trains on real data alone: {key} would have no effect, leave it out")
        network = network_config(self.correction.network or self.synthetic.network)
        if not network.stepping:
            raise ValueError(f"correction needs a network that steps states; {network.name} does not")
        return self


class HybridTrainer:
    """The interleaved loop.

    Epochs are counted from 1 and `epochs` includes the warm-up. In the first `warmup_epochs` the network trains on
    real data alone. After that, in each epoch, from the same initial states and equally long:

    1. the physical model rolls out;
    2. the network trains on real data (weight α) and on those predictions (1 - α);
    3. every `interleave_frequency` epochs the updated network rolls out, and
    4. the physical model is optimised on real data (α) and on those predictions (1 - α).

    The initial states are those of the training windows and the fresh ones of `interaction`. From the latter the
    physical model may predict further than a window is long; the network trains on windows out of that.

    A group of weight 0 is neither computed nor used: α = 1 is each model alone, to the bit.

    With `alpha: auto` each model has its own α, from the estimated errors of both (`hyco.hybrid.trust`). The physical
    model then is first optimised on real data alone, until nothing is left to gain; predictions of the network enter
    only where the network validates better, and what comes of them is kept only if it validates better.

    With `correction` the network corrects the physical step (`hyco.hybrid.correction`). The physical model is first
    fitted to real data by itself, before the first epoch; from then on both train on real data alone, whatever alpha
    is: the physical model's error is what the network learns. The physics as it is without it counts as epoch 0: the
    final network is that where no epoch validates better.
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
        profile: bool = False,
    ) -> None:
        self.config = config
        chosen = config.synthetic
        if config.correction is not None and config.correction.network is not None:
            chosen = chosen.model_copy(update={"network": config.correction.network})
        self.synthetic = synthetic_trainer(
            observations,
            chosen,
            seed,
            num_predict_steps=config.num_predict_steps,
            epochs=config.epochs,
            device=device,
            fresh_batch=config.interaction.batch_size,
        )
        self.physical = Calibrator(
            equation,
            observations,
            config.physical,
            num_predict_steps=config.observed_steps or config.num_predict_steps,
            device=device,
            iterations=config.iterations,
        )
        self.correction = None
        if config.correction is not None:
            assert isinstance(self.synthetic, SyntheticTrainer)  # the configuration allows no other network
            self.correction = Correction(self.synthetic, self.physical)
        self.fresh = FreshStarts(equation, observations, config.interaction, seed) if config.interaction.count else None
        self.validate = Validation(observations, rollout=config.validation_rollout)
        self.trust = Trust(observations, seed)
        # Of the fresh starts, as long as neither they nor the physical model changes: states, trajectories normalised.
        self._fresh_known: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        summary = {
            "alpha": {"rule": config.alpha, "synthetic": 1.0, "physical": 1.0},
            "interaction": config.interaction.told(),
            "sequential": config.sequential,
        }
        self.progress = HybridProgress(summary, config.interleave_frequency)
        parts: dict[str, Resumable] = {"synthetic": self.synthetic, "physical": self.physical, "hybrid": self.progress}
        if self.fresh is not None:
            parts["fresh"] = self.fresh
        clock = PhaseClock(memory=config.enable_memory_monitoring, operators=profile)
        self.synthetic.watch(clock.begin_update)
        self.physical.watch(clock.begin_update)
        self.run = Run("hybrid", configuration, config.epochs, config, parts, clock)

    def train(self, checkpoint: Bundle | None = None, resume: bool = False) -> Iterator[Step]:
        """Run the epochs that are left; yields `(checkpoint, metrics)` after each.

        Raises:
            NotConverged, Diverged: from a physical update, after its epoch was yielded.
            ResumeError: the checkpoint belongs to another configuration.
        """
        yield from self.run.resume(checkpoint, resume)
        while not self.run.finished:
            epoch = self.run.epoch + 1
            metrics, result = self._epoch(epoch)
            best = self._validate(epoch, metrics)
            with self.run.clock.phase("physical"):
                if self.run.stopped or epoch == self.config.epochs:
                    self.physical.conclude()
                metrics.update(self.physical.metrics())  # the first time, the covariance is computed
            yield self.run.record(epoch, metrics, is_best=best)
            if result is not None:
                self.physical.check(result)

    def _epoch(self, epoch: int) -> tuple[Metrics, OptimisationResult | None]:
        """One epoch: its metrics, and the outcome of its physical update if there was one."""
        clock, steps, result = self.run.clock, self.config.num_predict_steps, None
        if self.config.calibration and self.physical.updates == 0:
            with clock.phase("physical"):
                result = self.physical.calibrate(self.config.calibration)
            if self.correction is not None:
                self.correction.follow()
                if self.validate.available:
                    self.synthetic.remember_if_best(0, self.validate(self.synthetic)["score"])
        weights = self._weights(epoch)
        self._share_initial_states(weights)
        filler = self._filler(weights)
        with clock.phase("synthetic"):
            real_alone = weights.network == weights.physics == 1
            starts = self.synthetic.window_starts(filler.rollout, real_alone=real_alone)
        predicted, fresh = None, None
        if weights.network < 1:
            with clock.phase("physical"):
                predicted = self._finite(self.physical.rollout(starts, steps), "physical")
                if predicted is not None and self.fresh is not None:
                    fresh = self._fresh_trajectories(epoch, filler)
        with clock.phase("conversion"):
            samples = self.synthetic.prepare(starts, predicted, None if fresh is None else fresh[1])
        with clock.phase("synthetic"):
            metrics: Metrics = {**self.synthetic.epoch(epoch, samples, weights.network)}
        # A fit that failed ends the training after this epoch; no update may take its place.
        failed = result is not None and self.physical.failed is not None
        if self._due(epoch) and not failed:
            begun = starts if fresh is None else torch.cat([starts, fresh[0]])
            result = self._update_physics(begun, samples, metrics, weights.physics)
            self._schedule_next(epoch, result)
        metrics["physical_loss"] = None if result is None else result.value
        if result is not None:
            metrics["physical_evaluations"] = float(result.evaluations)
        metrics["alpha"] = weights.network if predicted is not None else 1.0
        if self.config.alpha == "auto":
            metrics["alpha_physical"] = weights.physics
        last = {"synthetic": metrics["alpha"], "physical": 1.0 if self.config.sequential else weights.physics}
        self.progress.summary = {**self.progress.summary, "alpha": {"rule": self.config.alpha, **last}}
        return metrics, result

    def _weights(self, epoch: int) -> Weights:
        """Weight of the real data for each model in an epoch."""
        if epoch <= self.config.warmup_epochs or self.correction is not None:
            return Weights(1.0, 1.0)
        if self.config.alpha != "auto":
            return Weights(self.config.alpha, self.config.alpha)
        return (self.progress.variances or self._measure()).weights

    def _fresh_trajectories(self, epoch: int, filler: NetworkTrainer | Calibrator) -> tuple[Tensor, Tensor] | None:
        """The fresh states `[F, C, *space]`, and the physical model's trajectories from them, normalised.

        States whose trajectory is not finite are left out; None where there is no other.
        """
        assert self.fresh is not None
        drawn = self.fresh.draw(epoch, filler.rollout)
        known = self._fresh_known
        if known is not None and known[0] is drawn and torch.equal(known[1], self.physical.unit):
            return known[2], known[3]
        steps = self.config.interaction.steps or self.config.num_predict_steps
        trajectories = torch.cat([drawn[:, None], self.physical.rollout(drawn, steps)], dim=1)
        finite = torch.isfinite(trajectories).flatten(1).all(dim=1)
        if not bool(finite.all()):
            log.warning("%d of the fresh starts are left out: not finite.", int((~finite).sum()))
        if not bool(finite.any()):
            return None
        states, normalised = drawn[finite], self.synthetic.normalise(trajectories[finite])
        self._fresh_known = drawn, self.physical.unit.clone(), states, normalised
        return states, normalised

    def _update_physics(
        self, starts: Tensor, samples: Samples, metrics: Metrics, alpha: float
    ) -> OptimisationResult | None:
        """Optimise the physical model, on the updated network's predictions too where α < 1."""
        if self.correction is not None:
            with self.run.clock.phase("physical"):
                return self.correction.update()
        if self.config.alpha == "auto":
            return self._update_cautiously(starts, samples, alpha)
        interaction = self._interaction(starts, samples) if alpha < 1 else None
        with self.run.clock.phase("physical"):
            return self.physical.update(alpha if interaction is not None else 1.0, interaction)

    def _interaction(self, starts: Tensor, samples: Samples) -> Interaction | None:
        """The updated network's predictions from these starts; None where they are not finite."""
        with self.run.clock.phase("synthetic"):
            predictions, entries = self.synthetic.targets(samples)
        with self.run.clock.phase("conversion"):
            targets = self._finite(predictions.to(starts), "synthetic")
        if targets is None:
            return None
        initial = self.synthetic.windows.initial.nonzero().flatten()
        return Interaction(starts, targets, initial, entries)

    def _update_cautiously(self, starts: Tensor, samples: Samples, alpha: float) -> OptimisationResult | None:
        """On real data alone, then with the network's predictions, which are taken back where they do no good.

        None where nothing is left to gain on real data, and predictions have no weight.
        """
        physical, result = self.physical, None
        with self.run.clock.phase("physical"):
            if physical.own is not None:
                physical.place(physical.own)
            if not physical.settled:
                result = physical.update(to_the_end=True)
            physical.own = physical.unit.clone()
        # Where real data alone have just moved the parameters, the weight is that of what they were before.
        interaction = self._interaction(starts, samples) if alpha < 1 and result is None else None
        if interaction is None:
            return result
        with self.run.clock.phase("physical"):
            outcome, failed, before = physical.outcome, physical.failed, self.trust.validation(physical)
            pulled = physical.update(alpha, interaction)
            after = self.trust.validation(physical)
            if self.trust.is_better(after, than=before):
                return pulled
            physical.place(physical.own)
            physical.outcome, physical.failed = outcome, failed
        log.info("The network's predictions do not help the physical model: its parameters stay as they were.")
        return result

    def _share_initial_states(self, weights: Weights) -> None:
        """Where the initial states are not known exactly, the network starts from the physical model's estimate.

        Only where it learns from the physical model at all: α = 1 is the network alone.
        """
        learns = weights.network < 1 or self.correction is not None
        trusted = learns and self.physical.updates > 0
        estimated = self.physical.initial_states if trusted else None
        self.synthetic.starts.set_initial(estimated)
        if self.fresh is not None:
            self.fresh.pool.set_initial(estimated)

    def _due(self, epoch: int) -> bool:
        """Whether an epoch has a physical update."""
        since = epoch - self.config.warmup_epochs
        if since < 1 or self.config.sequential:
            return False
        if self.config.adaptive.enabled and self.progress.next_update is not None:
            return epoch >= self.progress.next_update
        return since % self.config.interleave_frequency == 0

    def _schedule_next(self, epoch: int, result: OptimisationResult | None) -> None:
        # An update that was left out or taken back gained nothing.
        before, after = (1.0, 1.0) if result is None else (result.initial_value, result.value)
        interval = self.config.adaptive.next_interval(
            self.progress.interval, self.config.interleave_frequency, before, after
        )
        self.progress.interval, self.progress.next_update = interval, epoch + interval

    def _filler(self, weights: Weights) -> NetworkTrainer | Calibrator:
        """The model whose rollout fills unobserved window starts: the better one."""
        return self.physical if weights.network < 1 and self.progress.physics_is_better else self.synthetic

    @staticmethod
    def _finite(prediction: Tensor, name: str) -> Tensor | None:
        """A prediction, or None with a warning where it is not finite: it must not reach an optimiser."""
        if bool(torch.isfinite(prediction).all()):
            return prediction
        log.warning("The %s model's predictions are not finite: this epoch uses real data alone.", name)
        return None

    def _measure(self) -> Variances:
        """Estimate both models' error variances, and remember them."""
        with self.run.clock.phase("validation"):
            found = self.trust.variances(self.synthetic, self.physical)
        self.progress.variances, self.progress.physics_is_better = found, found.physics_is_better
        return found

    def _validate(self, epoch: int, metrics: Metrics) -> bool:
        """Add the validation errors of both models; whether the network is the best so far."""
        if not self.config.due(epoch, self.config.epochs):
            return False
        if self.config.alpha == "auto":
            found = self._measure()
            metrics.update(variance_synthetic=found.synthetic, variance_physical=found.physical)
        elif not self.validate.available and self.needs_filling:
            with self.run.clock.phase("validation"):
                fits = self.trust.training(self.physical) < self.trust.training(self.synthetic)
            self.progress.physics_is_better = fits
        if not self.validate.available:
            return False
        with self.run.clock.phase("validation"):
            synthetic, physical = self.validate(self.synthetic), self.validate(self.physical)
        metrics.update(validation_metrics("synthetic", synthetic) | validation_metrics("physical", physical))
        if self.config.alpha != "auto":
            self.progress.physics_is_better = physical["score"] < synthetic["score"]
        best = self.synthetic.remember_if_best(epoch, synthetic["score"])
        if epoch > self.config.warmup_epochs:  # before, the physical model may not have had its turn
            self.run.watch(best, self.config.early_stopping)
        return best

    @property
    def needs_filling(self) -> bool:
        """Whether a model's rollout stands in for states that were not observed."""
        return not self.synthetic.starts.complete or (self.fresh is not None and not self.fresh.pool.complete)
