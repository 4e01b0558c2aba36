"""The table of the runs of a problem in MLflow's pages: what was changed, errors and estimates, the best run on top."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The tag of an experiment in which MLflow's pages look for a view that is shared by link, and its name in their menu.
VIEW = "mlflow.sharedViewState.hyco"
NAME = "Errors and estimates"

# Metrics that are comparable whatever the losses are weighted with, in this order.
_SHOWN = ("median_nrmse/", "nrmse/", "heldout_error/", "estimate/", "std/")
_MOST = 24
# What a letter takes, and what stands beside a name [pixels].
_LETTER, _BESIDE = 8, 38


def columns_of(changed: Iterable[str], metrics: Iterable[str]) -> list[str]:
    """The columns of a run as MLflow names them, those of the parameters that it changed first, then the networks'.

    None of a run without any of these metrics.
    """
    known = sorted(metrics, key=lambda name: (not name.endswith("synthetic"), name))
    shown = [name for start in _SHOWN for name in known if name.startswith(start) and not name.endswith("persistence")]
    if not shown:
        return []
    return [f"params.`{name}`" for name in changed] + [f"metrics.`{name}`" for name in shown]


def show(client: MlflowClient, run_id: str, columns: list[str]) -> None:
    """Let the view of the run's experiment have these columns too; one that somebody has changed stays as it is.

    Raises:
        Exception: whatever MLflow raises.
    """
    experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    former = _former(experiment.tags.get(VIEW))
    if former is None:
        return
    together = [*former, *(column for column in columns if column not in former)]
    together.sort(key=_rank)  # stable
    if together == former:
        return
    together, now = together[:_MOST], int(time.time() * 1000)
    errors = [column for column in together if "nrmse/" in column]
    state: dict[str, Any] = {
        "selectedColumns": together,
        "columnOrder": together,
        "columnWidths": {c: _BESIDE + _LETTER * len(c.split("`")[1]) for c in together},
    }
    if errors:
        state |= {"orderByKey": errors[0], "orderByAsc": True}
    view = {"name": NAME, "createdAt": now, "updatedAt": now, "state": json.dumps(state)}
    client.set_experiment_tag(experiment.experiment_id, VIEW, json.dumps(view))


def _former(tag: str | None) -> list[str] | None:
    """The columns of the view as it is, or None where it is not as it was made here."""
    if tag is None:
        return []
    try:
        view = json.loads(tag)
        columns: list[str] = json.loads(view["state"])["selectedColumns"]
    except (ValueError, KeyError, TypeError):
        return None
    return columns if view.get("updatedAt") == view.get("createdAt") else None


def _rank(column: str) -> int:
    """Parameters first, then the metrics in their order."""
    kind, _, name = column.partition(".`")
    if kind == "params":
        return -1
    return next((rank for rank, start in enumerate(_SHOWN) if name.startswith(start)), len(_SHOWN))
