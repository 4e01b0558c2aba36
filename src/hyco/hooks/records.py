"""Runs as MLflow has them: names, parameters as texts, and the numbers of reports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

# MLflow's limits on a value and on a run's name.
LONGEST_VALUE = 6000
_LONGEST_NAME = 250


def flatten(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as MLflow wants them, one text per key.

    Keys are joined with dots, as in `--params`. A list of plain values is one JSON text; the items of a list of
    sections are numbered: `physical.learnable_parameters.0.name`.
    """
    return {re.sub(r"[^\w\-. :/]", "_", key): text[:LONGEST_VALUE] for key, text in _leaves(parameters, "")}


def run_name(run_params: Mapping[str, Any]) -> str:
    """What differs from other runs first, as lists show the beginning of a name: `alpha=0.3 seed=1 (hybrid)`.

    That is the parameters of this run alone, those of the pipeline's own section without its name, and the pipeline.
    """
    pipeline = pipeline_name(run_params)
    words = [f"{key.removeprefix(f'{pipeline}.')}={value}" for key, value in _changed(run_params).items()]
    name = f"{' '.join(words)} ({pipeline})" if words else pipeline
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def changed_keys(run_params: Mapping[str, Any]) -> list[str]:
    """The parameters of this run alone."""
    return list(_changed(run_params))


def _changed(run_params: Mapping[str, Any]) -> dict[str, str]:
    given = {k: v for k, v in (run_params.get("runtime_params") or {}).items() if k != "experiment"}
    return {key: value for key, value in flatten(given).items() if key}


def report_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a report that are worth comparing over runs.

    `nrmse/METHOD`, `training_seconds/METHOD`, `estimate|std|relative_error/METHOD/PARAMETER` and `cost/KEY`; what is
    missing or not finite is left out.
    """
    metrics: dict[str, Any] = {f"cost/{key}": value for key, value in report.get("cost", {}).items()}
    for method, entry in report.get("methods", {}).items():
        metrics[f"nrmse/{method}"] = entry.get("nrmse", {}).get("mean")
        metrics[f"training_seconds/{method}"] = entry.get("training_seconds")
        for parameter, values in entry.get("parameters", {}).items():
            for key in ("estimate", "std", "relative_error"):
                metrics[f"{key}/{method}/{parameter}"] = values.get(key)
    return {key: float(value) for key, value in metrics.items() if is_finite_number(value)}


def compared_metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one run of a comparison: `nrmse`, `nrmse_all`, seconds and `estimate|std|relative_error/NAME`."""
    metrics = {key: record[key] for key in ("nrmse", "nrmse_all", "training_seconds", "wall_seconds")}
    for name, values in record["parameters"].items():
        for key in ("estimate", "std", "relative_error"):
            metrics[f"{key}/{name}"] = values.get(key)
    return {key: float(value) for key, value in metrics.items() if is_finite_number(value)}


def summary_metrics(comparison: Mapping[str, Any]) -> dict[str, float]:
    """The medians of a comparison, `median_nrmse/METHOD`, and how many of its runs failed."""
    methods = comparison["summary"]["methods"]
    metrics = {f"median_nrmse/{name}": entry["nrmse"]["median"] for name, entry in methods.items() if entry["nrmse"]}
    return {**metrics, "failed_runs": float(sum(entry["failed"] for entry in methods.values()))}


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    prefix = f"{key}." if key else ""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{prefix}{name}")
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{prefix}{index}")
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def is_finite_number(value: Any) -> bool:
    """Whether MLflow can take it as a metric."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def pipeline_name(run_params: Mapping[str, Any]) -> str:
    """The pipelines of a run as they were asked for."""
    return ",".join(run_params.get("pipeline_names") or ["__default__"])
