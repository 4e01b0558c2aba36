"""A run of MLflow is left at once, whatever its own threads wait for."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import mlflow
import pytest
from mlflow.tracking import fluent

from hyco.hooks import leaving


class Monitor:
    """Metrics of the machine, whose last call waits for MLflow."""

    def __init__(self) -> None:
        self._shutdown_event, self.called = threading.Event(), False

    def finish(self) -> None:
        self.called = True
        time.sleep(0.5)


@pytest.mark.parametrize("wait", [True, False])
def test_metrics_of_the_machine_are_waited_for_some_seconds_or_not_at_all(monkeypatch, wait):
    monkeypatch.setattr(leaving, "_PATIENCE", 0.1)
    monitor = Monitor()
    monkeypatch.setattr(fluent, "run_id_to_system_metrics_monitor", {"run": monitor})
    begin = time.monotonic()
    leaving.end_monitor("run", wait=wait)
    leaving.end_monitor("run", wait=wait)
    assert time.monotonic() - begin < 0.4
    assert (monitor.called, monitor._shutdown_event.is_set()) == (wait, True)
    assert fluent.run_id_to_system_metrics_monitor == {}


def test_a_run_that_was_left_is_the_last_active_one(monkeypatch):
    run = SimpleNamespace(info=SimpleNamespace(run_id="run"))
    fluent._active_run_stack.get().append(run)
    monkeypatch.setattr(fluent, "get_run", lambda name: name)
    leaving.leave("run")
    assert mlflow.active_run() is None
    assert mlflow.last_active_run() == "run"
    fluent._last_active_run_id.set(None)
