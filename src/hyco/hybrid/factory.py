"""From the configuration of a hybrid to its two models and its strategy."""

from __future__ import annotations

import torch

from hyco.equations.equation import Equation
from hyco.hybrid.choice import Choice, Fit, choose
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.correction import FrozenCorrection, correctable
from hyco.hybrid.interaction import FreshStarts, FreshTrajectories
from hyco.hybrid.models import HybridModels
from hyco.hybrid.strategies.auto import Auto
from hyco.hybrid.strategies.corrected import Corrected
from hyco.hybrid.strategies.interleaved import Interleaved
from hyco.hybrid.strategies.sequential import Sequential
from hyco.hybrid.strategy import HybridStrategy
from hyco.hybrid.trust import Trust
from hyco.hybrid.weighting import FixedAlpha, MeasuredAlpha
from hyco.inversion.calibrator import Calibrator
from hyco.networks.network import network_config
from hyco.observations import Observations
from hyco.runtime.monitoring import PhaseClock
from hyco.training.network_trainer import NetworkTrainer
from hyco.training.synthetic import synthetic_trainer, warn_of_unknown_time
from hyco.training.validation import Validation


def build_strategy(
    equation: Equation,
    observations: Observations,
    config: HybridConfig,
    seed: int,
    *,
    device: torch.device,
    clock: PhaseClock,
    choice: Choice | None = None,
) -> HybridStrategy:
    """The strategy that the configuration asks for, with both models; see `HybridTrainer` for the arguments."""
    fit: Fit | None = None
    if config.strategy != "auto":
        choice = None
    elif choice is None:
        with clock.phase("physical"):
            choice, fit = choose(equation, observations, config, device)
    config = config if choice is None else choice.applied(config)
    config = _with_fresh_starts(config, equation, observations)
    synthetic = synthetic_trainer(
        observations,
        config.network_training,
        seed,
        num_predict_steps=config.num_predict_steps,
        epochs=config.epochs,
        device=device,
        fresh_batch=config.interaction.batch_size,
        fresh_length=config.interaction.window,
        fresh_updates=config.interaction.updates,
    )
    # Of the network as it is before it corrects anything.
    correction = FrozenCorrection(correctable(synthetic.model), equation.dt) if config.correction is not None else None
    physical = Calibrator(
        equation,
        observations,
        config.physical,
        num_predict_steps=config.steps_on_data,
        device=device,
        iterations=config.iterations,
        correction=correction,
    )
    if fit is not None:
        physical.load(fit.state)
    if correction is None:  # a corrected step is that of the physics, which knows the time
        warn_of_unknown_time(synthetic, physical.problem.forward.model.equation)
    models = HybridModels(
        synthetic,
        physical,
        _fresh(equation, observations, config, seed, synthetic, physical),
        Validation(observations, rollout=config.validation_rollout),
        Trust(observations, seed),
        clock,
    )
    strategy = _choose(models, config, correction)
    strategy.choice, strategy.fit = choice, None if fit is None else fit.result
    return strategy


def _with_fresh_starts(config: HybridConfig, equation: Equation, observations: Observations) -> HybridConfig:
    """With values for what `interaction` leaves open."""
    stepping = network_config(config.network_training.network).stepping and not equation.config.is_static
    interaction = config.interaction.filled(
        wanted=config.alpha == "auto" and config.correction is None and stepping,
        length=config.num_predict_steps,
        steps=observations.steps,
        layout=observations.layout,
    )
    return config.model_copy(update={"interaction": interaction})


def _choose(models: HybridModels, config: HybridConfig, correction: FrozenCorrection | None) -> HybridStrategy:
    if correction is not None:
        return Corrected(models, config, correction)
    weighting = MeasuredAlpha(models) if config.alpha == "auto" else FixedAlpha(models, config.alpha)
    if config.sequential:
        return Sequential(models, config, weighting)
    kind = Auto if config.alpha == "auto" else Interleaved
    return kind(models, config, weighting)


def _fresh(
    equation: Equation,
    observations: Observations,
    config: HybridConfig,
    seed: int,
    synthetic: NetworkTrainer,
    physical: Calibrator,
) -> FreshTrajectories | None:
    """Trajectories from initial states beyond the observed ones, if there are to be any."""
    interaction = config.interaction
    if interaction.given_count == 0:
        return None
    starts = FreshStarts(equation, observations, interaction, seed)
    return FreshTrajectories(starts, physical, synthetic.normalise, interaction.steps or config.num_predict_steps)
