"""Generate trajectories, and observe them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyco.runtime.storage import Bundle

log = logging.getLogger(__name__)


def generate_trajectories(
    cached: Bundle | None, equation: dict[str, Any], generation: dict[str, Any], seed: int
) -> Bundle:
    """Simulate, or take over the file of an earlier run with the same equation, generation and seed.

    Raises:
        ConfigurationError: the file holds a user's own trajectories, which are not made here.
        ValueError, FloatingPointError: the equation's step does not cover these simulations.
    """
    from hyco.config import ConfigurationError, is_measured
    from hyco.equations.registry import build_equation
    from hyco.stepping.generation import GenerationConfig, generate

    origin = {"equation": equation, "generation": generation, "seed": seed}
    if cached is not None and cached.metadata.get("origin") == origin:
        log.info("The trajectories of this equation, generation and seed exist already: they are reused.")
        return cached
    if cached is not None and is_measured(cached.metadata):
        raise ConfigurationError(
            "the trajectories of this experiment are measurements, which simulations would overwrite: begin with "
            "`--from-nodes train_hybrid_models` (or train_physical_model, train_synthetic_model), or take another "
            "experiment"
        )
    bundle = generate(build_equation(equation), GenerationConfig.model_validate(generation), seed)
    return replace(bundle, metadata={**bundle.metadata, "origin": origin})


def observe_trajectories(trajectories: Bundle, cached: Bundle | None, observation: dict[str, Any], seed: int) -> Bundle:
    """Measure the training and validation simulations, with noise, where `observation` says.

    Args:
        cached: the file that the result replaces, if there is one.

    Raises:
        ConfigurationError: that file holds a user's own observations, which are not made here.
    """
    from hyco.config import ConfigurationError, is_measured
    from hyco.observations import ObservationConfig, observe

    if cached is not None and is_measured(cached.metadata):
        raise ConfigurationError(
            "the observations of this experiment are measurements, or of an earlier version: simulated ones would "
            "overwrite them. Begin with `--from-nodes train_hybrid_models` (or train_physical_model, "
            "train_synthetic_model), take another experiment, or remove data/05_model_input/<experiment>"
        )
    bundle = observe(trajectories, ObservationConfig.model_validate(observation), seed).to_bundle()
    origin = {"trajectories": trajectories.metadata.get("origin"), "observation": observation}
    return replace(bundle, metadata={**bundle.metadata, "origin": origin})
