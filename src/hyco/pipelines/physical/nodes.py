"""Optimise the physical model's parameters alone, and make the final model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from hyco.runtime.storage import Bundle


def train_physical_model(
    observations: Bundle,
    resume_point: Bundle | None,
    results: Path | None,
    equation: dict[str, Any],
    generation: dict[str, Any],
    observation: dict[str, Any],
    physical: dict[str, Any],
    compute: dict[str, Any],
    seed: int,
    device: str,
    resume: bool,
    profile: bool,
) -> Iterator[tuple[Bundle, dict[str, Any]]]:
    """Yield a checkpoint and live metrics after each update.

    Args:
        results: the folder of what parts of it have found, until it has ended; None: it has no parts.

    Raises:
        NotConverged, Diverged: see `hyco.training.physical`.
        ComputeError: there is no cluster as the section `compute` says, or it is gone.
    """
    from hyco.compute import ComputeConfig
    from hyco.config import depends_on, identity, parse_device
    from hyco.equations.registry import build_equation
    from hyco.inversion.optimisers.result import Diverged, NotConverged
    from hyco.observations import Observations, in_memory
    from hyco.training.physical import PhysicalConfig, train_physical

    sections = {
        "equation": equation,
        "generation": generation,
        "observation": observation,
        "physical": physical,
        "seed": seed,
    }
    seen, where = in_memory(Observations.from_bundle(observations)), parse_device(device)
    try:
        with ExitStack() as stack:
            parts, elsewhere = None, ComputeConfig.model_validate(compute)
            if elsewhere.is_elsewhere and results is not None:
                from hyco.training.physical_parts import Workers

                parts = stack.enter_context(
                    Workers(elsewhere, results, equation, physical, seen, device=where, resume=resume)
                )
            yield from train_physical(
                build_equation(equation),
                seen,
                PhysicalConfig.model_validate(physical),
                configuration=depends_on("physical", sections, identity(observations)),
                device=where,
                checkpoint=resume_point,
                resume=resume,
                profile=profile,
                parts=parts,
            )
    except (NotConverged, Diverged):  # an end, too
        _remove(results)
        raise
    _remove(results)


def _remove(results: Path | None) -> None:
    """Remove what parts have left, also of a run that was killed, which had workers where this one has none."""
    if results is not None:
        shutil.rmtree(results, ignore_errors=True)


def finalise_physical_model(checkpoint: Bundle) -> dict[str, Any]:
    """The estimates with their standard deviations, and the cost of the training."""
    from hyco.training.final import final_physical_model

    return final_physical_model(checkpoint)


def collect_initial_states(checkpoint: Bundle) -> Bundle:
    """The initial states of the training simulations, estimated where they are unknown, with their error bars."""
    from hyco.training.final import final_initial_states

    return final_initial_states(checkpoint)
