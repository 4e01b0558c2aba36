"""All that a run asks of MLflow, in whichever process that is imported."""

from __future__ import annotations

import logging
import os
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyco.hooks.database import address, prepare_database
from hyco.hooks.leaving import end_monitor
from hyco.hooks.left_runs import close_left
from hyco.hooks.notebook import without_ipython
from hyco.hooks.provenance import git_state
from hyco.hooks.run_table import show

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What MLflow says where another run stands in the way for a moment: of a write that SQLite will not queue, or of an
# experiment that both make. Seconds to begin again in, and between two tries.
_TRANSIENT = ("database is locked", "already exists")
_PATIENCE, _PAUSE = 120.0, 0.5
# How many parameters MLflow takes in one call.
MOST_PARAMS = 100

# MLflow's client would wait two minutes for an answer, try seven times, and import IPython to ask it for a cluster of
# Databricks. Who sets these decides instead.
_QUICK = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_SGC_RUN_RESUMPTION_FOR_DATABRICKS_JOBS": "false",
}

Entry = dict[str, Any]

# The database of a project, once it was taken.
_own_uri: str | None = None


def be_quick() -> None:
    """Let MLflow's client give up soon, and say what went wrong in its error alone, not in a traceback of its own."""
    for name, value in _QUICK.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def get_ready() -> None:
    """Import what the other calls need."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    be_quick()
    import_module("mlflow.store.tracking.sqlalchemy_store")
    from sqlalchemy.orm import configure_mappers

    configure_mappers()


def start(asked: Entry) -> Entry:
    """Start a run, among others that start at the same time.

    Args:
        asked: `project`, the path of its folder; `problem`, the name of the MLflow experiment; `experiment`, a tag;
            `folder`, which says the machine, too; `tags`, `name` and `notes` of the run.

    Returns:
        What a queue says of the run: `id`, `experiment` (that of MLflow), `name`, `start`, `tags`; and where its
        files go, `artifacts`, and it, `store`: see `join`.

    Raises:
        Exception: whatever MLflow raises, if it is not for a moment only.
    """
    be_quick()
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _started(asked)
        except Exception as error:  # a tracking server can fail in any way
            if not any(text in str(error) for text in _TRANSIENT) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)


def _started(asked: Entry) -> Entry:
    import mlflow

    logging.getLogger("mlflow").setLevel(os.environ.get("MLFLOW_LOGGING_LEVEL", "WARNING"))
    project_path, active = Path(asked["project"]), mlflow.active_run()
    if active is None:
        _use_project_store(project_path)
        experiment_id = _experiment_id(asked["problem"], project_path if _is_own_store() else None)
        close_left(experiment_id, asked["experiment"], asked["folder"])
    else:
        experiment_id = active.info.experiment_id
    tags = asked["tags"] | git_state(project_path)
    with without_ipython():
        run = mlflow.start_run(
            experiment_id=experiment_id,
            run_name=asked["name"],
            nested=active is not None,
            tags=tags,
            description=asked["notes"],
        )
    experiment = mlflow.MlflowClient().get_experiment(experiment_id).name
    head = {"id": run.info.run_id, "experiment": experiment, "tags": tags, "name": run.info.run_name}
    head |= {"start": run.info.start_time, "artifacts": str(run.info.artifact_uri)}
    return head | {"store": (tracking_uri(), _is_own_store())}


def join(run_id: str, store: tuple[str, bool]) -> None:
    """Make a run that another process has started active in this one.

    Args:
        run_id: of the run.
        store: where runs go, and whether that is the project's own database: the next run may be another project's.

    Raises:
        Exception: whatever MLflow raises.
    """
    global _own_uri
    import mlflow

    uri, own = store
    mlflow.set_tracking_uri(uri)
    if own:
        _own_uri = uri
    mlflow.start_run(run_id=run_id, log_system_metrics=False)


def tracking_uri() -> str:
    """Where runs go."""
    import mlflow

    return str(mlflow.get_tracking_uri())


def deliver(entry: Entry) -> None:
    """Send one entry: metrics, params, tags, what is trained on, a file, a run nested in this one, columns, or its end.

    Raises:
        Exception: whatever MLflow raises.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    client, run_id = MlflowClient(), entry["run"]
    if "metrics" in entry:
        client.log_batch(run_id, metrics=[Metric(*values) for values in entry["metrics"]])
    if "params" in entry:
        client.log_batch(run_id, params=[Param(*values) for values in entry["params"]])
    if "tags" in entry:
        client.log_batch(run_id, tags=[RunTag(*values) for values in entry["tags"].items()])
    if "data" in entry:
        data = DatasetInput(Dataset(**entry["data"]), [InputTag("mlflow.data.context", "training")])
        client.log_inputs(run_id, [data])
    if "artifact" in entry and Path(entry["artifact"]).is_file():
        client.log_artifact(run_id, entry["artifact"], entry["folder"])
    if "nested" in entry:
        _nest(client, run_id, entry["nested"], entry["at"])
    if "columns" in entry:
        show(client, run_id, entry["columns"])
    if "end" in entry:
        end_monitor(run_id, wait=entry["end"] != "KILLED")
        client.set_terminated(run_id, entry["end"], end_time=entry["time"])


def present(run: Entry) -> str:
    """The id of the run of a queue in MLflow, made anew where its database has been lost."""
    from mlflow import MlflowClient, MlflowException

    client = MlflowClient()
    try:
        return str(client.get_run(run["id"]).info.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    experiment = client.get_experiment_by_name(run["experiment"])
    found = client.create_experiment(run["experiment"]) if experiment is None else experiment.experiment_id
    made = client.create_run(found, start_time=run["start"], tags=run["tags"], run_name=run["name"])
    return str(made.info.run_id)


def _nest(client: MlflowClient, parent: str, nested: Entry, time_of: int) -> None:
    """A whole run nested in another: name, params, metrics, tags and status."""
    from mlflow.entities import Metric, Param
    from mlflow.tracking.context.registry import resolve_tags

    if "id" not in nested:  # else it was made before MLflow failed
        experiment = client.get_run(parent).info.experiment_id
        with without_ipython():
            tags = resolve_tags({**nested["tags"], "mlflow.parentRunId": parent})
        made = client.create_run(experiment, start_time=time_of, tags=tags, run_name=nested["name"])
        nested["id"] = made.info.run_id
    params = [Param(*items) for items in nested["params"].items()]
    for first in range(0, len(params), MOST_PARAMS):
        client.log_batch(nested["id"], params=params[first : first + MOST_PARAMS])
    client.log_batch(nested["id"], metrics=[Metric(k, v, time_of, 0) for k, v in nested["metrics"].items()])
    client.set_terminated(nested["id"], nested["status"], end_time=time_of)


def _use_project_store(project_path: Path) -> None:
    """The database in the project's folder, unless the user chose one. An absolute path: any folder may be current."""
    global _own_uri
    import mlflow

    if not mlflow.is_tracking_uri_set() or _is_own_store():  # type: ignore[no-untyped-call]
        prepare_database(project_path / "mlflow.db")
        _own_uri = address(project_path / "mlflow.db")
        mlflow.set_tracking_uri(_own_uri)


def _is_own_store() -> bool:
    return _own_uri is not None and tracking_uri() == _own_uri


def _experiment_id(name: str, project_path: Path | None) -> str:
    """The MLflow experiment of that name, made if there is none; given the project, with its artefacts there."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = (project_path / "mlruns" / name).as_uri() if project_path is not None else None
        return str(client.create_experiment(name, artifact_location=location))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
