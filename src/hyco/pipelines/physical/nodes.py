"""Optimise the physical model's parameters alone, and make the final model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from hyco.runtime.storage import Bundle


def train_physical_model(
    observations: Bundle,
    resume_point: Bundle | None,
    results: Path,
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

    Raises:
        NotConverged, Diverged: see `hyco.training.physical`.
        ComputeError: there is no cluster as the section `compute` says, or it is gone.
    """
    from hyco.compute import ComputeConfig
    from hyco.config import depends_on, identity, parse_device
    from hyco.equations.registry import build_equation
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
    with ExitStack() as stack:
        parts, elsewhere = None, ComputeConfig.model_validate(compute)
        if elsewhere.is_elsewhere:
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


def finalise_physical_model(checkpoint: Bundle) -> dict[str, Any]:
    """The estimates with their standard deviations, and the cost of the training."""
    from hyco.training.final import final_physical_model

    return final_physical_model(checkpoint)


def collect_initial_states(checkpoint: Bundle) -> Bundle:
    """The initial states of the training simulations, estimated where they are unknown, with their error bars."""
    from hyco.training.final import final_initial_states

    return final_initial_states(checkpoint)
