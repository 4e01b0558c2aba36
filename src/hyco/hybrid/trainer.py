"""HYCO: the synthetic and the physical model train each other in interleaved epochs (arXiv 2509.14123)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.hybrid.choice import Choice
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.factory import build_strategy
from hyco.hybrid.models import HybridModels
from hyco.hybrid.schedule import UpdateSchedule
from hyco.hybrid.strategy import REAL_ALONE, HybridStrategy
from hyco.hybrid.variances import Weights
from hyco.hybrid.weighting import Scores
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import Observations
from hyco.runtime.monitoring import PhaseClock
from hyco.runtime.storage import Bundle
from hyco.training.data import Samples
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.run import Metrics, Resumable, Run, Step
from hyco.training.validation import validation_metrics

log = logging.getLogger(__name__)


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

    What the weights are, what is before the first epoch, and how the physical model is updated, the strategy says; see
    `hyco.hybrid.strategies`:

    - `alpha` a number: as above.
    - `alpha: auto`: each model has its own α, from the estimated errors of both (`hyco.hybrid.trust`). The physical
      model then is first optimised on real data alone, until nothing is left to gain; predictions of the network enter
      only where the network validates better, and what comes of them is kept only if it validates better.
    - `sequential`: the physical model is fitted to real data before the first epoch, and is not updated.
    - `correction`: the network corrects the physical step (`hyco.hybrid.correction`). The physical model is first
      fitted to real data by itself, before the first epoch; from then on both train on real data alone, whatever alpha
      is: the physical model's error is what the network learns. The physics as it is without it counts as epoch 0: the
      final network is that where no epoch validates better.

    Args:
        equation: that of the data.
        observations: what was measured.
        config: of the hybrid.
        seed: of the run.
        configuration: the sections that the result depends on, as they go into the checkpoints.
        device: where both models train.
        profile: whether to record tensor operators.
        choice: of `strategy: auto`, that of the training that is to be resumed (`Choice.of` its checkpoint); None: the
            physics is fitted, and judged, here.
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
        choice: Choice | None = None,
    ) -> None:
        self.config = config
        clock = PhaseClock(memory=config.enable_memory_monitoring, operators=profile)
        self.strategy: HybridStrategy = build_strategy(
            equation, observations, config, seed, device=device, clock=clock, choice=choice
        )
        self.schedule = UpdateSchedule(config.warmup_epochs, config.interleave_frequency, config.adaptive)
        models = self.models
        models.synthetic.watch(clock.begin_update)
        models.physical.watch(clock.begin_update)
        parts: dict[str, Resumable] = {"synthetic": models.synthetic, "physical": models.physical}
        if models.fresh is not None:
            parts["fresh"] = models.fresh.starts
        parts |= {"strategy": self.strategy, "schedule": self.schedule}
        self.run = Run("hybrid", configuration, config.epochs, config, parts, clock)

    @property
    def models(self) -> HybridModels:
        """Both models, and what they are measured with."""
        return self.strategy.models

    @property
    def synthetic(self) -> NetworkTrainer:
        """The network with its training."""
        return self.models.synthetic

    @property
    def physical(self) -> Calibrator:
        """The physical model with its training."""
        return self.models.physical

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
                metrics.update(self.physical.model.metrics())  # the first time, the covariance is computed
            yield self.run.record(epoch, metrics, is_best=best)
            if result is not None:
                self.physical.check(result)

    def _epoch(self, epoch: int) -> tuple[Metrics, OptimisationResult | None]:
        """One epoch: its metrics, and the outcome of its physical update if there was one."""
        strategy = self.strategy
        result = strategy.begin() if epoch == 1 else None
        weights = strategy.weights(epoch)
        if strategy.changes_teachers(weights):
            self.synthetic.optimisation.forget()
        self._share_initial_states(weights)
        starts, times, samples = self._roll_out_physics(epoch, weights)
        with self.run.clock.phase("synthetic"):
            metrics: Metrics = {**self.synthetic.epoch(epoch, samples, weights.network)}
        # A fit that failed ends the training after this epoch; no update may take its place.
        failed = result is not None and self.physical.failed is not None
        if strategy.updates_physics and self.schedule.due(epoch) and not failed:
            result = strategy.update(weights.physics, lambda: self._roll_out_network(starts, times, samples))
            self.schedule.plan_next(epoch, result)
        metrics["physical_loss"] = None if result is None else result.value
        if result is not None:
            metrics["physical_evaluations"] = float(result.evaluations)
        network = weights.network if samples.physical is not None else 1.0
        metrics.update(strategy.finish_epoch(Weights(network, weights.physics)))
        return metrics, result

    def _share_initial_states(self, weights: Weights) -> None:
        """Where the initial states are not known exactly, the network may start from the physical model's estimate."""
        shares = self.strategy.shares_initial_states(weights) and self.physical.updates > 0
        estimated = self.physical.model.initial_states if shares else None
        self.synthetic.starts.set_initial(estimated)
        if self.models.fresh is not None:
            self.models.fresh.starts.pool.set_initial(estimated)

    def _roll_out_physics(self, epoch: int, weights: Weights) -> tuple[Tensor, Tensor, Samples]:
        """Initial states of both models' rollouts `[W (+ F), C, *space]`, t of them, and what the network trains on."""
        clock, fill = self.run.clock, self.strategy.fills_with(weights)
        times = self.synthetic.windows.start_times(self.synthetic.dt)
        with clock.phase("synthetic"):
            starts = self.synthetic.window_starts(fill, real_alone=weights == REAL_ALONE)[:]
        predicted, fresh = None, None
        if weights.network < 1:
            with clock.phase("physical"):
                steps = self.config.num_predict_steps
                predicted = _finite(self.physical.model.rollout(starts, steps, times), "physical")
                if predicted is not None and self.models.fresh is not None:
                    fresh = self.models.fresh.of_epoch(epoch, fill)
        with clock.phase("conversion"):
            samples = self.synthetic.prepare(starts, predicted)
        if fresh is None:
            return starts, times, samples
        starts, times = torch.cat([starts, fresh.states]), torch.cat([times, fresh.times])
        return starts, times, replace(samples, fresh=fresh.normalised)

    def _roll_out_network(self, starts: Tensor, times: Tensor, samples: Samples) -> SyntheticTargets | None:
        """The updated network's predictions from these starts; None where they are not finite."""
        with self.run.clock.phase("synthetic"):
            predictions, entries = self.synthetic.targets(samples)
        with self.run.clock.phase("conversion"):
            targets = _finite(predictions.to(starts), "synthetic")
        if targets is None:
            return None
        initial = self.synthetic.windows.initial.nonzero().flatten()
        return SyntheticTargets(starts, targets, initial, entries, times)

    def _validate(self, epoch: int, metrics: Metrics) -> bool:
        """Add the validation errors of both models; whether the network is the best so far."""
        if not self.config.due(epoch, self.config.epochs):
            return False
        validate = self.models.validate
        if not validate.available:
            metrics.update(self.strategy.validated(None))
            return False
        with self.run.clock.phase("validation"):
            synthetic = validate(self.synthetic, self.synthetic.starts.initial_states)
            physical = validate(self.physical.model, self.physical.model.initial_states)
        metrics.update(self.strategy.validated(Scores(synthetic["score"], physical["score"])))
        metrics.update(validation_metrics("synthetic", synthetic) | validation_metrics("physical", physical))
        # Before its physical update the epoch may have had better weights.
        best = self.synthetic.remember_if_best(epoch, synthetic["score"]) or self.synthetic.best.epoch == epoch
        if epoch > self.config.warmup_epochs:  # before, the physical model may not have had its turn
            self.run.note_validation(best, self.config.early_stopping)
        return best


def _finite(prediction: Tensor, name: str) -> Tensor | None:
    """A prediction, or None with a warning where it is not finite: it must not reach an optimiser."""
    if bool(torch.isfinite(prediction).all()):
        return prediction
    log.warning("The %s model's predictions are not finite: this epoch uses real data alone.", name)
    return None
