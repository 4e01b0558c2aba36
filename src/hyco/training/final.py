"""From the last checkpoint to the final models: a network, and estimates with their standard deviations."""

from __future__ import annotations

from typing import Any

from hyco.storage import Bundle
from hyco.training.checkpoints import unprefixed


def final_synthetic_model(checkpoint: Bundle) -> Bundle:
    """The network of the best validated epoch (the last one if none was validated), ready to be rebuilt.

    Metadata: those of the network, and `training` (see `training_summary`).
    """
    meta = checkpoint.metadata["synthetic"]
    tensors = unprefixed("synthetic", checkpoint.tensors)
    best = unprefixed("best", tensors)
    metadata = {
        **meta["model"],
        "training": training_summary(checkpoint),
        "epoch": meta["best_epoch"] if best else checkpoint.metadata["epoch"],
    }
    return Bundle(best or unprefixed("weights", tensors), metadata)


def final_physical_model(checkpoint: Bundle) -> dict[str, Any]:
    """The estimates as JSON values: `parameters` {name: {estimate, std, identifiable}}, and how they came about."""
    meta = checkpoint.metadata["physical"]
    return {
        "kind": "physical_model",
        "equation": checkpoint.metadata["configuration"]["equation"]["name"],
        "parameters": meta["estimates"],
        "reduced_chi_square": meta["reduced_chi_square"],
        "execution": meta["execution"],
        "evaluations": meta["evaluations"],
        "training": training_summary(checkpoint),
    }


def training_summary(checkpoint: Bundle) -> dict[str, Any]:
    """What a training was and what it cost: wall seconds, seconds per phase, peak memory in bytes."""
    meta = checkpoint.metadata
    seconds = {phase: float(value) for phase, value in meta["seconds"].items()}
    return {
        "training": meta["training"],
        "epochs": meta["epoch"],
        "wall_seconds": seconds.pop("wall", 0.0),
        "seconds": seconds,
        "peak_rss_bytes": meta["peak_rss_bytes"],
    }
