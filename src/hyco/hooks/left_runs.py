"""Runs that MLflow believes to be running, though their processes have ended."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def close_left(experiment_id: str, experiment: str, folder: str) -> None:
    """End the runs of an experiment that processes of this project have left, which were killed: none other runs it."""
    import mlflow

    client = mlflow.MlflowClient()
    here = "attributes.status = 'RUNNING' and tags.experiment = '{}' and tags.project = '{}'"
    for run in client.search_runs([experiment_id], here.format(experiment, folder.replace("'", ""))):
        client.set_terminated(run.info.run_id, "KILLED")
        log.info("The run %.60s of MLflow had been left without an end: it is marked as killed.", run.info.run_name)
