"""Where a run computes: what its pipeline cannot do on disk, side by side or in several processes is told before."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from hyco.runtime import forerunner
from hyco.runtime.torchrun import launched

if TYPE_CHECKING:
    from hyco.config import Configuration

log = logging.getLogger(__name__)

# What a pipeline makes whose training is shared by processes of torchrun, and what reads observations into memory.
_NETWORKS, _IN_MEMORY = {"synthetic_checkpoint", "hybrid_checkpoint"}, {"physical_checkpoint", "hybrid_checkpoint"}


def begin_early(asked: Mapping[str, Any]) -> None:
    """Let what workers need be imported while this process imports the same, where the command line asks for workers.

    Args:
        asked: parameters of the command line, not checked yet.
    """
    compute = asked.get("compute")
    workers = compute.get("workers") if isinstance(compute, Mapping) else None
    if isinstance(workers, int) and workers > 1:
        forerunner.begin()


def require_computable(parameters: Mapping[str, Any], outputs: Collection[str]) -> None:
    """Refuse what cannot be computed where the section `compute`, or torchrun, says; warn of keys without effect.

    Args:
        parameters: of the run, complete.
        outputs: names of what its pipeline makes.

    Raises:
        ConfigurationError: one line.
    """
    made, several = set(outputs), launched()
    compute = parameters.get("compute") or {}
    said = compute.get("on_disk") or compute.get("scheduler") or compute.get("workers", 1) != 1
    if several == 1 and not said:
        return
    from hyco.config import ConfigurationError, parse

    if several > 1 and not made & _NETWORKS:
        instead = "compute.workers does them side by side" if "comparison" in made else "start it without torchrun"
        raise ConfigurationError(
            f"torchrun has started {several} processes, which train one network together; this pipeline trains "
            f"{'many, each by itself' if 'comparison' in made else 'none'}: {instead}"
        )
    if not said:
        return
    c = parse(parameters)
    side_by_side = c.compute.is_elsewhere and _side_by_side(c, made)
    if side_by_side and c.compute.scheduler is None:
        forerunner.begin()
    if c.compute.on_disk and (reason := _not_on_disk(c, made)) is not None:
        raise ConfigurationError(f"compute.on_disk: {reason}")
    if c.compute.is_elsewhere and not side_by_side:
        key = "workers" if c.compute.scheduler is None else "scheduler"
        log.warning(
            "compute.%s has no effect here. Done side by side are the trainings of compare, chunks of simulations "
            "(generation.chunk, less than generation.simulations), and of the physical training alone searches "
            "(physical.starts_at_once) and profiles of several numbers (physical.profile).",
            key,
        )


def _not_on_disk(c: Configuration, made: Collection[str]) -> str | None:
    """Why data cannot stay on disk for what a pipeline makes; None: they can."""
    if "comparison" in made:
        return "a comparison makes the data of each seed anew, in memory: leave it out"
    if c.measurements is not None:
        return None  # the configuration is refused
    if _IN_MEMORY & set(made):
        from hyco.config.rules.memory import file_sizes
        from hyco.equations.registry import build_equation
        from hyco.runtime.memory import memory_bytes

        need, there = file_sizes(c, build_equation(c.equation))["observations"], memory_bytes()
        if there is not None and need > there:
            return (
                f"the physical model and the hybrid read all observations into memory, {need / 2**30:.3g} GB, and this "
                f"machine has {there / 2**30:.3g} GB: name fewer simulations in observation.train_sim, or take "
                "--pipelines synthetic"
            )
    return _open_windows(c) if "synthetic_checkpoint" in made else None


def _open_windows(c: Configuration) -> str | None:
    """Why a network cannot read its windows from disk: some start where not everything is measured; None: it can."""
    from hyco.networks.network import network_config

    own, steps = c.synthetic, c.generation.steps
    if c.observation.window_start == "truth" or not network_config(own.network).stepping:
        return None
    starts = range(0, steps - own.num_predict_steps + 1, 1 if own.use_sliding_window else own.num_predict_steps)
    later = set(starts) - {0}
    if not later or (c.observation.space.mode == "full" and later <= set(c.observation.time.indices(steps))):
        return None
    return (
        f"{len(later)} of {len(starts)} windows of a simulation start after t = 0, and not everything is measured "
        "there: a model's rollouts would fill them, which are not kept on disk. Take synthetic.num_predict_steps as "
        "long as generation.steps, observation.window_start: truth, or leave on_disk out"
    )


def _side_by_side(c: Configuration, made: Collection[str]) -> bool:
    """Whether a pipeline has pieces of work for others."""
    if "comparison" in made:
        return True
    if "trajectories" in made and c.measurements is None:
        chunk = c.generation.chunk
        # A cluster does a single chunk, too.
        alone = c.compute.scheduler is not None and (chunk is not None or c.compute.on_disk)
        if alone or (chunk is not None and chunk < c.generation.simulations):
            return True
    own = c.physical
    batches = own.starts_at_once is not None and own.starts > own.starts_at_once
    numbers = len(own.learnable_parameters) > 1 or own.learnable_parameters[0].kind != "scalar"
    return "physical_checkpoint" in made and (batches or (own.profile is not False and numbers))
