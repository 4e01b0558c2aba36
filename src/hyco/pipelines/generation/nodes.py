"""Make the data: simulate and observe, or read what was measured."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from hyco.runtime.storage import Bundle

log = logging.getLogger(__name__)


def generate_trajectories(
    cached: Bundle | None,
    cached_observations: Bundle | None,
    equation: dict[str, Any],
    generation: dict[str, Any],
    measurements: dict[str, Any],
    seed: int,
    compute: dict[str, Any] | None = None,
    results: Path | None = None,
) -> Bundle:
    """Simulate, or take over the file of an earlier run with the same equation, generation and seed.

    Where the data are measured there is nothing to simulate: the result then holds no states. A user's own trajectories
    are taken over as they are.

    Args:
        cached, cached_observations: files of an earlier run, or a user's own.
        equation, generation, measurements, seed, compute: of the configuration.
        results: the folder of chunks until all are there.

    Raises:
        ConfigurationError: there are a user's own trajectories, and the experiment reads a file; or the equation's
            step does not cover these simulations.
        ComputeError: there is no cluster as the section `compute` says, or it is gone.
    """
    from hyco.compute import ComputeConfig
    from hyco.config import ConfigurationError, is_own
    from hyco.equations.registry import build_equation
    from hyco.runtime.storage import Bundle, read_whole
    from hyco.stepping.chunks import generate_in_chunks
    from hyco.stepping.generation import GenerationConfig, generate

    own = cached is not None and is_own(cached.metadata)
    if measurements:
        if own:
            raise ConfigurationError(
                f"measurements.file is {measurements['file']}, but the experiment's folder holds trajectories of your "
                "own, which would be overwritten: take another experiment, or remove them from data/02_intermediate"
            )
        return Bundle({}, {"kind": "trajectories", "origin": {"measurements": measurements}})
    origin = {"equation": equation, "generation": generation, "seed": seed}
    if cached is not None and cached.metadata.get("origin") == origin:
        log.info("The trajectories of this equation, generation and seed exist already: they are reused.")
        return cached if (compute or {}).get("on_disk") else read_whole(cached)
    if cached is not None and own:
        log.warning("The trajectories in the experiment's folder are your own: nothing is simulated.")
        return cached
    if cached_observations is not None and is_own(cached_observations.metadata):
        return Bundle({}, {"kind": "trajectories", "origin": {"measurements": {"file": "observations"}}})
    try:
        config, where = GenerationConfig.model_validate(generation), ComputeConfig.model_validate(compute or {})
        in_chunks = where.on_disk or (config.chunk is not None and where.is_elsewhere)
        if in_chunks and results is not None:
            bundle = generate_in_chunks(equation, config, seed, where, results)
        else:
            bundle = generate(build_equation(equation), config, seed)
    except (ValueError, FloatingPointError) as error:
        raise ConfigurationError(f"seed {seed}: {error}") from error
    return replace(bundle, metadata={**bundle.metadata, "origin": origin})


def make_observations(
    trajectories: Bundle,
    cached: Bundle | None,
    measured: xr.Dataset | Bundle | None,
    equation: dict[str, Any],
    measurements: dict[str, Any],
    observation: dict[str, Any],
    seed: int,
) -> Bundle:
    """What the trainings see: of a file of measurements, or of simulations, with noise, as `observation` says.

    A user's own observations are taken over as they are.

    Args:
        trajectories: simulations; without states where the data are measured.
        cached: the file that the result replaces, if there is one.
        measured: what the file of measurements holds, or the observations of it; None: the experiment has none.
        equation, measurements, observation, seed: of the configuration.

    Raises:
        ConfigurationError: there are a user's own observations, and the experiment reads a file; or there are a user's
            own trajectories and no observations.
        MeasurementError: something is wrong with the measurements: a line for each.
    """
    from hyco.config import ConfigurationError, is_own
    from hyco.equations.registry import build_equation
    from hyco.observations import ObservationConfig
    from hyco.training.measured import measured_observations
    from hyco.training.starts import observed, observed_on_disk

    own = cached is not None and is_own(cached.metadata)
    if measured is not None:
        if own:
            raise ConfigurationError(
                f"measurements.file is {measurements['file']}, but the experiment's folder holds observations of your "
                "own, which would be overwritten: take another experiment, or remove them from data/05_model_input"
            )
        return measured_observations(measured, equation, measurements, observation, seed)
    if cached is not None and own:
        log.warning("The observations in the experiment's folder are your own: they are used as they are.")
        _require_test_starts(trajectories, cached, observation)
        return cached
    if is_own(trajectories.metadata):
        raise ConfigurationError(
            "the trajectories in the experiment's folder are your own, and there are no observations of them: write "
            "those too, or name the file of the measurements in the section measurements"
        )
    try:
        section, built = ObservationConfig.model_validate(observation), build_equation(equation)
        if trajectories.file is None:
            bundle = observed(trajectories, section, seed, built).to_bundle()
        else:
            folder = trajectories.file.parent / "observing"
            bundle = observed_on_disk(trajectories, section, seed, built, folder)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    origin = {"trajectories": trajectories.metadata.get("origin"), "observation": observation}
    return replace(bundle, metadata={**bundle.metadata, "origin": origin})


def _require_test_starts(trajectories: Bundle, observations: Bundle, observation: dict[str, Any]) -> None:
    """Refuse a user's own trajectories whose test rollouts could not begin, before anything is trained.

    Raises:
        ConfigurationError: says what is missing.
    """
    from hyco.config import ConfigurationError
    from hyco.evaluation import initial_states_of_tests
    from hyco.observations import ObservationConfig, Observations

    states, tests = trajectories.tensors.get("trajectories"), ObservationConfig.model_validate(observation).test_sim
    if states is None or not tests:
        return
    seen = Observations.from_bundle(observations)
    try:
        initial_states_of_tests(states, tests, seen.layout, seen.test_initial_states)
    except ValueError as error:
        raise ConfigurationError(f"the experiment's own trajectories: {error}") from error
