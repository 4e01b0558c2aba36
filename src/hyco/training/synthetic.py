"""Training of the network alone: the loop around its epochs, and the trainer for each kind of network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from hyco.equations.equation import Equation
from hyco.networks import coordinate_model, synthetic
from hyco.networks.models import kind_of
from hyco.networks.network import network_config
from hyco.networks.network_model import NetworkModel
from hyco.networks.synthetic import SyntheticModel
from hyco.observations import Observations
from hyco.runtime.monitoring import PhaseClock
from hyco.runtime.storage import Bundle
from hyco.trained_model import TrainedModel
from hyco.training.config import SyntheticConfig
from hyco.training.coordinate import CoordinateTrainer
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.run import Metrics, Run, Step
from hyco.training.trainer import SyntheticTrainer
from hyco.training.validation import Validation, validation_metrics

log = logging.getLogger(__name__)

# By the kind of model that the network makes.
_TRAINERS: dict[str, type[SyntheticTrainer] | type[CoordinateTrainer]] = {
    synthetic.KIND: SyntheticTrainer,
    coordinate_model.KIND: CoordinateTrainer,
}


def synthetic_trainer(
    observations: Observations,
    config: SyntheticConfig,
    seed: int,
    *,
    num_predict_steps: int,
    epochs: int,
    device: torch.device,
    fresh_batch: int | None = None,
    fresh_length: int | None = None,
    fresh_updates: int | None = None,
) -> NetworkTrainer:
    """The trainer for the kind of network that is configured; see `SyntheticTrainer` for the arguments."""
    return _TRAINERS[kind_of(network_config(config.network))](
        observations,
        config,
        seed,
        num_predict_steps=num_predict_steps,
        epochs=epochs,
        device=device,
        fresh_batch=fresh_batch,
        fresh_length=fresh_length,
        fresh_updates=fresh_updates,
    )


def unknown_time(network: TrainedModel, equation: Equation) -> str | None:
    """Why a network that steps states cannot stand for an equation whose step depends on the time, or None."""
    if not isinstance(network, NetworkModel) or not network.stepping or equation.autonomous:
        return None
    # A corrected step is that of the physics, which knows the time.
    if equation.config.is_static or (isinstance(network, SyntheticModel) and network.base is not None):
        return None
    return (
        f"the step of {equation.config.name} depends on the time, which the network {network.config.name} does not "
        "know: it learns one step for all times. A network of coordinates knows the time: synthetic.network.name mlp."
    )


def warn_of_unknown_time(trainer: NetworkTrainer, equation: Equation) -> None:
    """Log `unknown_time` of what trains."""
    if words := unknown_time(trainer.model, equation):
        log.warning("%s%s", words[0].upper(), words[1:])


def train_synthetic(
    observations: Observations,
    config: SyntheticConfig,
    seed: int,
    *,
    configuration: Mapping[str, Any],
    device: torch.device,
    equation: Equation | None = None,
    checkpoint: Bundle | None = None,
    resume: bool = False,
    profile: bool = False,
) -> Iterator[Step]:
    """Train the network on real data alone; yields `(checkpoint, metrics)` after each epoch.

    Args:
        equation: that of the data, which the network does not know: for a warning; None: it is not known.

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
    if equation is not None:
        warn_of_unknown_time(trainer, equation)
    validate = Validation(observations, rollout=config.validation_rollout)
    clock = PhaseClock(operators=profile)
    trainer.watch(clock.begin_update)
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
            run.note_validation(best, config.early_stopping)
        yield run.record(epoch, metrics, is_best=best)
