"""A run in MLflow for every run of a pipeline: parameters, live metrics, figures, report and final models."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kedro.framework.hooks import hook_impl

from hyco.hooks.errors import TrackingError, for_user
from hyco.hooks.final_metrics import data_of, final_metrics, problem_of
from hyco.hooks.joining import Joining
from hyco.hooks.leaving import end_monitor, leave
from hyco.hooks.mlflow_calls import join
from hyco.hooks.mlflow_process import Caller, Elsewhere, EndedError, Here, MlflowError, take
from hyco.hooks.mlmodel import model_files
from hyco.hooks.outbox import HURRY, Outbox, redacted
from hyco.hooks.parameter_files import obstacle
from hyco.hooks.records import (
    LONGEST_VALUE,
    changed_keys,
    compared_metrics,
    flatten,
    pipeline_name,
    run_name,
)
from hyco.hooks.reporting import COMPARISON, REPORT
from hyco.hooks.run_table import columns_of
from hyco.runtime.garbage import first_import

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from hyco.datasets.metrics import MetricsDataset

log = logging.getLogger(__name__)

_MODEL = "_model"
_OBSERVATIONS = "observations"


class MlflowHooks:
    """Follows a pipeline run in MLflow.

    The database and the artefacts are `mlflow.db` and `mlruns/` in the project's folder, wherever the command was
    started, unless a tracking URI is set already (`MLFLOW_TRACKING_URI` or `mlflow.set_tracking_uri`). The MLflow
    experiment is the problem, a folder of conf/, and `experiment` a tag of the run; its name is what `--params` changed
    and the pipeline. If a run is active already, this one is nested in it. Every run of a comparison, one method and
    seed, is a run nested in that of the pipeline.
    """

    def __init__(self) -> None:
        self._run_id: str | None = None
        self._outbox: Outbox | None = None
        self._mlflow: Caller = Here()
        self._joining: Joining | None = None
        self._experiment = ""
        self._metrics: list[MetricsDataset] = []
        self._compared: set[tuple[str, int]] = set()
        self._conf_catalog: dict[str, Any] = {}
        self._save_version: str | None = None
        self._equation: dict[str, Any] = {}

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any], save_version: str | None, parameters: Any) -> None:
        """Remember where the datasets are, and what the models are of."""
        self._equation = parameters["parameters"].get("equation") or {}
        self._conf_catalog = conf_catalog
        self._save_version = save_version

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Start a run with the parameters, and let live metrics go there.

        Raises:
            TrackingError: MLflow does not take a run; on the command line, a `click.ClickException`.
        """
        # A run that is still open was interrupted: Kedro calls no hook then.
        self._end("KILLED")
        parameters = catalog.load("parameters")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._mlflow = take()
        with first_import("mlflow") if isinstance(self._mlflow, Here) else nullcontext():
            try:
                self._start(run_params, parameters)
            except EndedError:
                message = "MLflow's process was killed, as a system does for want of memory: start the run again"
                raise for_user(TrackingError(message)) from None
            except Exception as error:  # a tracking server can fail in any way
                message = (
                    f"MLflow takes no run at {redacted(self._uri())} ({redacted(error)}). Start its server, or say "
                    "where runs go with MLFLOW_TRACKING_URI; without it they go to mlflow.db in the project's folder."
                )
                raise for_user(TrackingError(message)) from None

        from hyco.datasets.metrics import MetricsDataset

        datasets = [catalog.get(name) for name in sorted(pipeline.all_outputs()) if name in catalog]
        self._metrics = [dataset for dataset in datasets if isinstance(dataset, MetricsDataset)]
        # The curves of one training in a run have the same names whichever it is: they are to be compared.
        prefix = "" if len(self._metrics) == 1 else None
        for dataset in self._metrics:
            dataset.log_to(self._run_id, prefix)
            dataset.send_by(None if self._outbox is None else self._outbox.metrics)

    @hook_impl
    def after_node_run(self) -> None:
        """Send the live metrics that wait."""
        self._flush()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log the data, and the runs that a comparison has grown by."""
        if dataset_name == _OBSERVATIONS and self._outbox is not None:
            self._outbox.put({"run": self._run_id, "data": data_of(data, self._experiment)})
        if dataset_name == COMPARISON:
            self._log_compared(data)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Send what the run made, and end it. A failure is logged: what was asked for is there."""
        status = "FAILED"
        try:
            self._log_outputs(pipeline.all_outputs(), changed_keys(run_params))
            status = "FINISHED"
        except Exception as error:
            log.warning("MLflow did not take all that was made (%s); the files are in the project.", redacted(error))
        finally:
            self._end(status)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Keep what there is, and end the run as failed."""
        self._end("FAILED")

    def interrupted(self) -> None:
        """Keep what there is, and end the run as killed."""
        self._end("KILLED")

    def run_ended(self) -> None:
        """Let MLflow's process end."""
        self._end("KILLED")
        self._mlflow.close()

    def _uri(self) -> str:
        """Where runs go, as far as it can be asked for."""
        try:
            return str(self._mlflow.call("tracking_uri"))
        except MlflowError as error:
            return str(error)

    def _start(self, run_params: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Start a run.

        Raises:
            Exception: whatever MLflow raises.
        """
        project_path = Path(run_params["project_path"])
        self._experiment = experiment = str(parameters.get("experiment", "hyco"))
        folder = f"{socket.gethostname()}:{project_path}"
        tags = {"experiment": experiment, "pipeline": pipeline_name(run_params), "project": folder}
        if run_params.get("env"):
            tags["environment"] = run_params["env"]
        asked = {"project": str(project_path), "experiment": experiment, "folder": folder, "tags": tags}
        asked |= {"problem": problem_of(run_params, experiment), "name": run_name(run_params)}
        head = self._mlflow.call("start", asked | {"notes": parameters.get("notes") or None})
        self._run_id, self._compared = head["id"], set()
        atexit.register(self._end, "KILLED")
        artifacts, store = head.pop("artifacts"), head.pop("store")
        self._joining = None
        if isinstance(self._mlflow, Elsewhere):
            self._joining = Joining(partial(join, head["id"], store))
            self._joining.begin()
        self._outbox = Outbox(project_path, head, self._mlflow)
        self._outbox.params(head["id"], flatten(parameters))
        _tell_of_folder(artifacts)

    def _log_outputs(self, outputs: set[str], changed: list[str]) -> None:
        """Figures, report, tables, metrics and final models as artefacts; the report's numbers as metrics."""
        if self._run_id is None or self._outbox is None:
            return
        client, run_id = self._outbox, self._run_id
        report = self._filepath(REPORT)
        if report is not None:
            for file in self._reporting_files(report.parent, outputs):
                folder = Path("report") / file.parent.relative_to(report.parent)
                client.artifact(run_id, file, folder.as_posix())
        models = {name: path for name in outputs if name.endswith(_MODEL) and (path := self._filepath(name))}
        for file in model_files(models, self._equation, run_id):
            client.artifact(run_id, file, "models")
        metrics = final_metrics({name: path for name in outputs if (path := self._filepath(name)) is not None})
        if metrics:
            client.metrics(run_id, _entries(metrics))
        client.put({"run": run_id, "columns": columns_of(changed, metrics)})

    def _log_compared(self, comparison: Mapping[str, Any]) -> None:
        """A nested run for each method and seed that has none yet; a failed one has its reason as a tag."""
        if self._outbox is None:
            return
        for record in comparison["runs"]:
            method, seed = record["method"], record["seed"]
            if (method, seed) in self._compared:
                continue
            self._compared.add((method, seed))
            self._outbox.put({"run": self._run_id, "nested": _nested(record, comparison)})

    def _filepath(self, name: str) -> Path | None:
        """Where a dataset of the catalog was saved in this run."""
        filepath = self._conf_catalog.get(name, {}).get("filepath")
        if filepath is None:
            return None
        path = Path(filepath)
        if self._conf_catalog[name].get("versioned") and self._save_version:
            return path / self._save_version / path.name
        return path

    def _reporting_files(self, folder: Path, outputs: set[str]) -> list[Path]:
        """The files of the report's folder, but for those that other pipelines left there."""
        others = {self._filepath(name) for name in self._conf_catalog if name not in outputs}
        mine = {self._filepath(name) for name in outputs}
        beside = REPORT in outputs  # files that the catalog does not know belong to the report
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [path for path in files if path in mine or (beside and path not in others)]

    def _flush(self) -> None:
        for dataset in self._metrics:
            dataset.flush()

    def _end(self, status: str) -> None:
        """End the run, if there is one, and those that nodes left open in it."""
        if self._run_id is None:
            return
        self._flush()
        for dataset in self._metrics:
            dataset.log_to(None)
            dataset.send_by(None)
        run_id, self._run_id, self._metrics = self._run_id, None, []
        outbox, self._outbox = self._outbox, None
        atexit.unregister(self._end)
        if self._joining is not None:
            self._joining.end()
        hurry = HURRY if status == "KILLED" else None
        try:
            if "mlflow" in sys.modules:
                end_monitor(run_id, wait=hurry is None and outbox is not None and not outbox.path.exists())
        except KeyboardInterrupt:
            hurry = HURRY
            raise
        finally:
            _send_end(outbox, run_id, status, hurry)


def _send_end(outbox: Outbox | None, run_id: str, status: str, patience: float | None) -> None:
    """Send what is left of a run and its end, and leave it; also where that is interrupted."""
    all_sent = outbox is None
    try:
        if outbox is not None:
            # By its thread, as all the rest: nobody else waits where MLflow does not answer.
            outbox.put({"run": run_id, "end": status, "time": int(time.time() * 1000)})
            all_sent = outbox.close(patience)
        if all_sent and "mlflow" in sys.modules:
            _end_opened(run_id, status)
    finally:
        if "mlflow" in sys.modules:
            leave(run_id)
        if outbox is not None:
            outbox.release()
            if not all_sent:
                text = "MLflow has not got all of this run: `hyco mlflow-sync` sends the rest, from %s."
                log.warning(text, outbox.path)


def _end_opened(run_id: str, status: str) -> None:
    """End the runs that nodes left open in this one."""
    import mlflow

    try:
        while (active := mlflow.active_run()) is not None and active.info.run_id != run_id:
            mlflow.end_run(status)
    except Exception as error:  # it must not hide why a pipeline failed
        log.warning("MLflow did not end a run that was opened in this one (%s).", redacted(error))


def _tell_of_folder(uri: str) -> None:
    """Say at the start that files of a run will have to wait, where MLflow keeps them in a folder of this machine."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return
    folder, reason = obstacle(Path(url2pathname(parts.path) if parts.scheme else uri) / "report")
    if reason is not None:
        log.warning(
            "MLflow's folder %s cannot be written (%s): figures and models of this run wait in the project, until "
            "`hyco mlflow-sync` can send them.",
            folder,
            reason,
        )


def _nested(record: Mapping[str, Any], comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A method with a seed as a nested run: its name, parameters, tags, outcome and metrics."""
    method, seed, training = record["method"], record["seed"], record["training"]
    params = {"method": method, "seed": str(seed), "training": training}
    tags = {"experiment": comparison["experiment"], "pipeline": "compare"}
    if record["reason"] is not None:
        tags["reason"] = record["reason"][:LONGEST_VALUE]
    return {
        "name": f"{method} seed {seed}",
        "params": params | flatten(comparison["trainings"][training]["configuration"]),
        "tags": tags,
        "status": "FINISHED" if record["status"] == "finished" else "FAILED",
        "metrics": compared_metrics(record),
    }


def _entries(metrics: Mapping[str, float]) -> list[list[Any]]:
    """Metrics of now, as the outbox has them."""
    now = int(time.time() * 1000)
    return [[key, value, now, 0] for key, value in metrics.items()]
