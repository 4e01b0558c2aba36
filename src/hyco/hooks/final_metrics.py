"""What of a run goes to MLflow at its end, whether it was evaluated or only trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyco.hooks.records import is_finite_number, report_metrics, summary_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from hyco.runtime.storage import Bundle

_PHYSICAL_MODELS = ("physical_model", "hybrid_physical_model")
# By training the methods whose errors its validation has.
_VALIDATED = {
    "synthetic": {"validation_synthetic": "synthetic"},
    "physical": {"validation_physical": "physical"},
    "hybrid": {"validation_synthetic": "hybrid_synthetic", "validation_physical": "hybrid_physical"},
}


def problem_of(run_params: Mapping[str, Any], experiment: str) -> str:
    """The name of the MLflow experiment: that of the problem, which all runs of one configuration folder share.

    Args:
        run_params: of the run.
        experiment: the parameter of that name, for sessions without an environment.
    """
    if run_params.get("env"):
        return str(run_params["env"])
    from kedro.framework.project import settings

    arguments = settings.CONFIG_LOADER_ARGS
    return str((arguments or {}).get("default_run_env") or experiment)


def final_metrics(paths: Mapping[str, Path]) -> dict[str, float]:
    """Errors, estimates and held-out errors of what a run has made, evaluated or not, and medians of a comparison.

    Args:
        paths: of its files, by the name of the dataset.
    """
    metrics: dict[str, Any] = {}
    for name, path in paths.items():
        training = name.removesuffix("_metrics")
        if not path.exists():
            continue
        if name in _PHYSICAL_MODELS:
            metrics |= model_metrics(name.removesuffix("_model"), json.loads(path.read_text(encoding="utf-8")))
        elif name != training and training in _VALIDATED:
            lines = path.read_text(encoding="utf-8").splitlines()
            metrics |= heldout_metrics(training, [json.loads(line) for line in lines if line])
    if "report" in paths and paths["report"].exists():
        metrics |= report_metrics(json.loads(paths["report"].read_text(encoding="utf-8")))
    if "comparison" in paths and paths["comparison"].exists():
        metrics |= summary_metrics(json.loads(paths["comparison"].read_text(encoding="utf-8")))
    return {key: float(value) for key, value in metrics.items() if is_finite_number(value)}


def model_metrics(method: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """`estimate|std/METHOD/PARAMETER` of a final physical model, as a report has them."""
    metrics: dict[str, Any] = {}
    for name, entry in (model.get("parameters") or {}).items():
        for key in ("estimate", "std"):
            metrics[f"{key}/{method}/{name}"] = entry.get(key)
    return metrics


def heldout_metrics(training: str, history: list[dict[str, Any]]) -> dict[str, Any]:
    """`heldout_error/METHOD`: the last validation errors of a training, comparable whatever its loss is."""
    metrics: dict[str, Any] = {}
    for key, method in _VALIDATED[training].items():
        values = [record["metrics"].get(key) for record in history]
        known = [value for value in values if value is not None]
        if known:
            metrics[f"heldout_error/{method}"] = known[-1]
    return metrics


def data_of(observations: Bundle, experiment: str) -> dict[str, str]:
    """The fields of a dataset of MLflow for the observations: name, digest and where they come from."""
    from hyco.runtime.storage import digest

    origin = observations.metadata.get("origin") or {}
    file = (origin.get("measurements") or {}).get("file")
    shape = {name: list(tensor.shape) for name, tensor in observations.tensors.items()}
    return {
        "name": str(file or f"{experiment} (simulated)"),
        "digest": digest(observations)[:36],
        "source_type": "local" if file else "simulation",
        "source": json.dumps({"uri": str(file)} if file else {"generation": "see the parameters"}),
        "profile": json.dumps({"shapes": shape}),
    }
