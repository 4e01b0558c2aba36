"""A run of MLflow is left, whether MLflow answers or not; its own way to do so waits for it."""

from __future__ import annotations

import threading

from hyco.runtime.beginning import begun

# Seconds that the end of a run waits for the last metrics of the machine.
_PATIENCE = 10.0


def end_monitor(run_id: str, *, wait: bool) -> None:
    """End MLflow's metrics of the machine, if it logs them for a run: it makes calls to do so.

    Args:
        wait: for these calls, some seconds; or let its thread end by itself.
    """
    from mlflow.tracking.fluent import run_id_to_system_metrics_monitor

    monitor = run_id_to_system_metrics_monitor.pop(run_id, None)
    if monitor is None:
        return
    if (event := getattr(monitor, "_shutdown_event", None)) is not None:
        event.set()
    if wait:
        ending = threading.Thread(target=monitor.finish, name="mlflow monitor", daemon=True)
        if begun(ending):
            ending.join(_PATIENCE)


def leave(run_id: str) -> None:
    """Let a run, and those in it, be active no more, without a call to MLflow: its own way to do so makes one."""
    from mlflow.tracking import fluent

    runs = fluent._active_run_stack.get()  # type: ignore[no-untyped-call]
    while run_id in [run.info.run_id for run in runs]:
        runs.pop()
    if (last := getattr(fluent, "_last_active_run_id", None)) is not None:
        last.set(run_id)  # for `mlflow.last_active_run`
