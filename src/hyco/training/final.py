"""From the last checkpoint to the final models: a network, and estimates with their standard deviations."""

from __future__ import annotations

import math
from typing import Any

from hyco.runtime.monitoring import top_operators
from hyco.runtime.storage import Bundle, unprefixed


def final_synthetic_model(checkpoint: Bundle) -> Bundle:
    """The network of the best validated epoch (the last one if none was validated), ready to be rebuilt.

    Metadata: those of the network, `training` (see `training_summary`), and, from a hybrid, `hybrid`: the last `alpha`
    of each model, `interaction` and `sequential`; else None.
    """
    meta = checkpoint.metadata["synthetic"]
    tensors = unprefixed("synthetic", checkpoint.tensors)
    best = unprefixed("best", tensors)
    metadata = {
        **meta["model"],
        "training": training_summary(checkpoint),
        "hybrid": _of_hybrid(checkpoint),
        "epoch": meta["best_epoch"] if best else checkpoint.metadata["epoch"],
    }
    average = {k.removeprefix("module."): v for k, v in unprefixed("average", tensors).items() if k != "updates"}
    return Bundle(best or average or unprefixed("weights", tensors), metadata)


def final_physical_model(checkpoint: Bundle) -> dict[str, Any]:
    """The physical model as JSON values.

    `parameters` {number: {estimate, std, interval, identifiable, pull}}; `fields` {name: {estimate, std, identifiable,
    pull}} with nested lists, std null where there are too many unknowns for a covariance; `weights` of regularisations;
    `believed` {equation, resolution}: what differs from the data's equation; `pulled`: whether they come from an update
    with the network's predictions; `hybrid`, see `final_synthetic_model`; and how all of it came about.
    """
    meta = checkpoint.metadata["physical"]
    tensors = unprefixed("physical", checkpoint.tensors)
    fields = {}
    for name, field in meta["fields"].items():
        std = tensors.get(f"field_std/{name}")
        fields[name] = {
            "estimate": tensors[f"field/{name}"].tolist(),
            "std": None if std is None else std.tolist(),
            **field,
        }
    residuals = {
        key.removeprefix("residuals_"): t.tolist() for key, t in tensors.items() if key.startswith("residuals_")
    }
    return {
        "kind": "physical_model",
        "equation": checkpoint.metadata["configuration"]["equation"]["name"],
        "believed": {key: meta[key] for key in ("equation", "resolution")},
        "parameters": meta["estimates"],
        "fields": fields,
        "values": meta["values"],
        "weights": meta["weights"],
        "reduced_chi_square": meta.get("reduced_chi_square"),
        "identifiability": meta.get("identifiability"),
        "residuals": residuals,
        "outcome": meta["outcome"],
        "pulled": meta.get("pulled", True),
        "execution": meta["execution"],
        "evaluations": [
            {name: value if math.isfinite(value) else None for name, value in zip(meta["evaluated"], row, strict=True)}
            for row in tensors["evaluations"].tolist()
        ],
        "training": training_summary(checkpoint),
        "hybrid": _of_hybrid(checkpoint),
    }


def _of_hybrid(checkpoint: Bundle) -> dict[str, Any] | None:
    """What the models of a hybrid learnt from, as its strategy says; None: it was no hybrid."""
    summary: dict[str, Any] | None = checkpoint.metadata.get("strategy", {}).get("summary")
    return summary


def training_summary(checkpoint: Bundle) -> dict[str, Any]:
    """What a training was and what it cost: seconds in all and per phase, peak memory in bytes, `top_operators`."""
    meta = checkpoint.metadata
    seconds = {phase: float(value) for phase, value in meta["seconds"].items()}
    return {
        "training": meta["training"],
        "epochs": meta["epoch"],
        "wall_seconds": seconds.pop("wall", 0.0),
        "seconds": seconds,
        "peak_rss_bytes": meta["peak_rss_bytes"],
        "operators": top_operators(meta["operators"]),
    }
