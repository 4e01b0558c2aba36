"""Optimisation of the physical model's parameters on observations alone: the loop around its updates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from hyco.equations.equation import Equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.config import InversionConfig
from hyco.inversion.optimisers.result import Status
from hyco.inversion.parts import Parts
from hyco.observations import Observations
from hyco.runtime.monitoring import PhaseClock
from hyco.runtime.storage import Bundle
from hyco.training.run import Metrics, Run, Step
from hyco.training.validation import Validation, ValidationConfig, validation_metrics


class PhysicalConfig(InversionConfig, ValidationConfig):
    """Keys of the `physical` section."""


def train_physical(
    equation: Equation,
    observations: Observations,
    config: PhysicalConfig,
    *,
    configuration: Mapping[str, Any],
    device: torch.device,
    checkpoint: Bundle | None = None,
    resume: bool = False,
    profile: bool = False,
    parts: Parts | None = None,
) -> Iterator[Step]:
    """Optimise the parameters on real data alone; yields `(checkpoint, metrics)` after each update.

    With `max_iterations: null` there is one update of up to `epochs` iterations, else `epochs` updates of up to
    `max_iterations`, until one of them finds nothing better.

    Args:
        parts: who does parts that know nothing of each other; None: this process, one after the other.

    Raises:
        NotConverged, Diverged: from an update, after it was yielded.
        ResumeError: the checkpoint belongs to another configuration.
    """
    steps = config.num_predict_steps
    trainer = Calibrator(equation, observations, config, num_predict_steps=steps, device=device, parts=parts)
    validate = Validation(observations, rollout=config.validation_rollout)
    epochs = 1 if config.max_iterations is None else config.epochs
    clock = PhaseClock(operators=profile)
    trainer.watch(clock.begin_update)
    run = Run("physical", configuration, epochs, config, {"physical": trainer}, clock)
    yield from run.resume(checkpoint, resume)
    while not run.finished:
        epoch = run.epoch + 1
        with run.clock.phase("physical"):
            result = trainer.update()
        if trainer.settled:
            run.stop()
        metrics: Metrics = {"physical_loss": result.value, "physical_evaluations": float(result.evaluations)}
        with run.clock.phase("physical"):
            if run.stopped or epoch == epochs:
                trainer.conclude()
            metrics.update(trainer.model.metrics())
        if validate.available and (run.stopped or config.due(epoch, epochs)):
            with run.clock.phase("validation"):
                metrics.update(validation_metrics("physical", validate(trainer.model, trainer.model.initial_states)))
        # The first update may have reached its point on a shorter horizon, or with the choice of a weight.
        best = result.improved or (trainer.updates == 1 and result.status is not Status.DIVERGED)
        yield run.record(epoch, metrics, is_best=best)
        trainer.check(result)
