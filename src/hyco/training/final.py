"""From the last checkpoint to the final models: a network, and estimates with their standard deviations."""

from __future__ import annotations

from typing import Any

from hyco.inversion.estimate import PhysicalEstimate
from hyco.runtime.monitoring import top_operators
from hyco.runtime.storage import Bundle, unprefixed
from hyco.training.checkpoints import OBSERVATIONS, configuration_digest


def final_synthetic_model(checkpoint: Bundle) -> Bundle:
    """The network of the best validated epoch (the last one if none was validated), ready to be rebuilt.

    Metadata: those of the network, `dt` of the data, `training` (see `training_summary`), and, from a hybrid, `hybrid`:
    the last `alpha` of each model, `interaction` and `sequential`; else None.
    """
    meta = checkpoint.metadata["synthetic"]
    tensors = unprefixed("synthetic", checkpoint.tensors)
    best = unprefixed("best", tensors)
    metadata = {
        **meta["model"],
        "training": training_summary(checkpoint),
        "hybrid": _hybrid_summary(checkpoint),
        "epoch": meta["best_epoch"] if best else checkpoint.metadata["epoch"],
    }
    average = {k.removeprefix("module."): v for k, v in unprefixed("average", tensors).items() if k != "updates"}
    return Bundle(best or average or unprefixed("weights", tensors), metadata)


def physical_estimate(checkpoint: Bundle) -> PhysicalEstimate:
    """The physical model's estimates as a checkpoint holds them, bit for bit."""
    tensors = unprefixed("estimate", unprefixed("physical", checkpoint.tensors))
    return PhysicalEstimate.from_bundle(Bundle(tensors, checkpoint.metadata["physical"]["estimate"]))


def final_initial_states(checkpoint: Bundle) -> Bundle:
    """The training simulations' initial states as the physical model has them, and draws of what was unknown.

    Tensors: see `hyco.inversion.posterior.Posterior.tensors`. Metadata: `layout`, `dt` and `steps` of the data;
    `train`, the simulations' positions among the observed ones; `estimated`, whether they were unknown.

    Raises:
        ValueError: the checkpoint does not hold them.
    """
    tensors = unprefixed("posterior", unprefixed("physical", checkpoint.tensors))
    if not tensors:
        raise ValueError(
            "the checkpoint holds no initial states: its training has not ended, or was that of an earlier version of "
            "hyco; run it again with resume=false"
        )
    return Bundle(tensors, dict(checkpoint.metadata["physical"]["posterior"]))


def final_physical_model(checkpoint: Bundle) -> dict[str, Any]:
    """The physical model as JSON values: its `PhysicalEstimate`, and how it came about.

    Further keys: `equation`, the name of the data's; `equation_section`, all of it, and `learnable_parameters`, the
    section's list, so that the file is enough to predict and to judge; `training`, see `training_summary`; `hybrid`,
    see `final_synthetic_model`.
    """
    configuration = checkpoint.metadata["configuration"]
    physical = configuration.get("physical") or configuration.get("hybrid", {}).get("physical", {})
    return {
        "kind": "physical_model",
        "equation": configuration["equation"]["name"],
        "equation_section": configuration["equation"],
        "learnable_parameters": physical.get("learnable_parameters", []),
        **physical_estimate(checkpoint).to_json(),
        "training": training_summary(checkpoint),
        "hybrid": _hybrid_summary(checkpoint),
    }


def _hybrid_summary(checkpoint: Bundle) -> dict[str, Any] | None:
    """What a hybrid says of itself; None from other trainings."""
    state = checkpoint.metadata.get("strategy")
    return None if state is None else dict(state["summary"])


def training_summary(checkpoint: Bundle) -> dict[str, Any]:
    """What a training was, of what, and what it cost.

    `observations` is a digest of what it learnt from (None: not known), `configuration` one of all that its result
    depends on; then there are seconds in all and per phase,
    peak memory in bytes, and the operators that took most.
    """
    meta = checkpoint.metadata
    seconds = {phase: float(value) for phase, value in meta["seconds"].items()}
    return {
        "training": meta["training"],
        "epochs": meta["epoch"],
        "observations": meta["configuration"].get(OBSERVATIONS),
        "configuration": configuration_digest(meta["configuration"]),
        "wall_seconds": seconds.pop("wall", 0.0),
        "seconds": seconds,
        "peak_rss_bytes": meta["peak_rss_bytes"],
        "operators": top_operators(meta["operators"]),
    }
