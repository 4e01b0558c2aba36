"""Train the network alone, and make the final model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyco.runtime.storage import Bundle


def train_synthetic_model(
    observations: Bundle,
    resume_point: Bundle | None,
    equation: dict[str, Any],
    generation: dict[str, Any],
    observation: dict[str, Any],
    synthetic: dict[str, Any],
    seed: int,
    device: str,
    resume: bool,
    profile: bool,
) -> Iterator[tuple[Bundle, dict[str, Any]]]:
    """Yield a checkpoint and live metrics after each epoch.

    `equation`, `generation` and `observation` only decide whether a checkpoint may be resumed, and the equation whether
    there is a warning.
    """
    from hyco.config import depends_on, identity, parse_device
    from hyco.equations.registry import build_equation
    from hyco.observations import Observations
    from hyco.training.config import SyntheticConfig
    from hyco.training.synthetic import train_synthetic

    sections = {
        "equation": equation,
        "generation": generation,
        "observation": observation,
        "synthetic": synthetic,
        "seed": seed,
    }
    yield from train_synthetic(
        Observations.from_bundle(observations),
        SyntheticConfig.model_validate(synthetic),
        seed,
        configuration=depends_on("synthetic", sections, identity(observations)),
        device=parse_device(device),
        equation=build_equation(equation),
        checkpoint=resume_point,
        resume=resume,
        profile=profile,
    )


def finalise_synthetic_model(checkpoint: Bundle) -> Bundle:
    """The network of the best validated epoch, with the cost of its training."""
    from hyco.training.final import final_synthetic_model

    return final_synthetic_model(checkpoint)
