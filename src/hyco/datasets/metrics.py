"""Live metrics: a line of JSON per epoch, and the active MLflow run."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import PlotlyPreview

from hyco.runtime.storage import DamagedFileError, UnwritableError, set_aside, unreadable, write_atomically

log = logging.getLogger(__name__)

Record = dict[str, Any]
# Takes the id of a run and its metrics, `[name, value, time, step]` each; gives the seconds that a call takes.
Send = Callable[[str, list[list[Any]]], float]
_CHECK = "check"

# Seconds between two calls to MLflow, and the most where nobody waits for them; what share of the time until the next
# a call may have taken (it takes some 10 ms, and a third of one for each metric, so that the next, which carries more,
# may take more); and how many metrics a call may carry.
SECONDS_BETWEEN_CALLS, _MOST_SECONDS = 2.0, 60.0
_SHARE = 0.005
_MOST_PER_CALL = 1000


class MetricsDataset(AbstractDataset[Record, list[Record]]):
    """The history of a training, appended to while it runs.

    A record is `{"epoch": int, "metrics": {name: float or None}}`. One whose epoch is not after the last one starts the
    history anew from there (a resumed or repeated training): records of that epoch and later are dropped.
    If an MLflow run is active, finite metrics go there too, some seconds late, with the epoch as step.

    Args:
        filepath: of the file, JSON lines.
        metrics_prefix: put before each name in MLflow, e.g. "hybrid/".
        metadata: for plugins such as Kedro-Viz; ignored here.

    Attributes:
        run_id: the MLflow run to log to; None: the one that is active in the thread that saves.
    """

    def __init__(self, filepath: str, metrics_prefix: str = "", metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._prefix = metrics_prefix
        self.metadata = metadata
        self.run_id: str | None = None
        self._send: Send | None = None
        self._filled: set[str] = set()
        self._logged_prefix: str | None = None
        self._epoch: int | None = None
        self._pending: dict[str, list[list[Any]]] = {}
        self._due = -math.inf

    def log_to(self, run_id: str | None, prefix: str | None = None) -> None:
        """Log to this MLflow run from now on.

        Args:
            run_id: of the run; None: the one that is active in the thread that saves.
            prefix: instead of `metrics_prefix`; None: that.
        """
        self.run_id, self._logged_prefix = run_id, prefix

    def send_by(self, send: Send | None) -> None:
        """Send to MLflow by this from now on, which must not wait for it; None: by its client, at once."""
        self._send = send

    def load(self) -> list[Record]:
        """All records in the order of their epochs."""
        return self._read()

    def save(self, data: Record) -> None:
        """Append a record.

        Raises:
            UnwritableError: the file cannot be written; a line that was begun is none.
        """
        epoch = int(data["epoch"])
        # JSON and MLflow's charts know no NaN.
        metrics = {name: _finite(value) for name, value in data["metrics"].items()}
        if self._epoch is None or epoch <= self._epoch:
            kept = self._kept(epoch)
            write_atomically(self._filepath, "".join(map(_line, kept)).encode())
            for record in kept:  # a run in MLflow that goes on from another has its epochs, too
                self._remember(record["epoch"], record["metrics"], earlier=True)
            self._filled |= self._pending.keys()
        try:
            with self._filepath.open("a", encoding="utf-8") as file:
                file.write(_line({**data, "metrics": metrics}))
        except OSError as error:
            raise UnwritableError(self._filepath, error) from error
        self._epoch = epoch
        self._remember(epoch, metrics)
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Send to MLflow what was not sent yet. A failure is logged: it shall not end a training."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        begin = time.monotonic()
        if self._send is not None:
            seconds = max(self._send(run_id, metrics) for run_id, metrics in pending.items())
            self._due = begin + min(max(SECONDS_BETWEEN_CALLS, seconds / _SHARE), _MOST_SECONDS)
            return
        from mlflow import MlflowClient
        from mlflow.entities import Metric

        for run_id, metrics in pending.items():
            try:
                client = MlflowClient()
                for start in range(0, len(metrics), _MOST_PER_CALL):
                    some = metrics[start : start + _MOST_PER_CALL]
                    client.log_batch(run_id, metrics=[Metric(*values) for values in some])
            except Exception as error:  # a tracking server can fail in any way
                log.warning("MLflow did not take %d metrics (%s); %s has them.", len(metrics), error, self._filepath)
        end = time.monotonic()
        self._due = end + max(SECONDS_BETWEEN_CALLS, (end - begin) / _SHARE)

    def preview(self) -> PlotlyPreview:
        """Losses and errors over the epochs, and below them the estimates with their standard deviations."""
        return PlotlyPreview(_figure(self._read() if self._exists() else []))

    def _read(self) -> list[Record]:
        """The records.

        Raises:
            DamagedFileError: a line is not what was written.
        """
        return [_record(self._filepath, number, line) for number, line in self._lines()]

    def _kept(self, epoch: int) -> list[Record]:
        """The records before an epoch; of a damaged file, which is set aside, the lines that are whole."""
        if epoch <= 1 or not self._exists():
            return []
        kept: list[Record] = []
        mistake: DamagedFileError | None = None
        for number, line in self._lines():
            try:
                record = _record(self._filepath, number, line)
            except DamagedFileError as error:
                mistake = mistake or error
            else:
                if record["epoch"] < epoch and (not kept or record["epoch"] > kept[-1]["epoch"]):
                    kept.append(record)
        if mistake is not None:
            aside = set_aside(self._filepath).name
            log.warning("%s. It is now %s, and the history has the lines that are whole.", mistake, aside)
        elif missing := sorted(set(range(1, epoch)) - {record["epoch"] for record in kept}):
            log.warning(
                "%s lacks %d of the %d epochs before epoch %d, the first of them %d: its end was cut off. The training "
                "is whole, its history is not.",
                self._filepath,
                len(missing),
                epoch - 1,
                epoch,
                missing[0],
            )
        return kept

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and content of the lines; a last one that a killed process left unfinished is none.

        Raises:
            UnreadableError: the file cannot be opened.
        """
        try:
            content = self._filepath.read_bytes()
        except OSError as error:
            raise unreadable(self._filepath, error) from error
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            if line:
                yield number, line

    def _remember(self, epoch: int, metrics: dict[str, float | None], *, earlier: bool = False) -> None:
        """Keep finite metrics for the next call to MLflow, if a run is active; `earlier` ones once for each run."""
        # Where nobody imported MLflow, no run is active: do not pay for the import.
        mlflow = sys.modules.get("mlflow")
        run_id = self.run_id
        if run_id is None and mlflow is not None and (run := mlflow.active_run()) is not None:
            run_id = run.info.run_id
        if run_id is None or (earlier and run_id in self._filled):
            return
        now = int(time.time() * 1000)
        prefix = self._prefix if self._logged_prefix is None else self._logged_prefix
        entries = [[prefix + name, v, now, epoch] for name, v in metrics.items() if v is not None]
        self._pending.setdefault(run_id, []).extend(entries)

    def _release(self) -> None:
        self.flush()

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "metrics_prefix": self._prefix}


def _line(record: Record) -> str:
    """A record with a checksum of it as JSON."""
    text = json.dumps(record)
    return f'{text[:-1]}, "{_CHECK}": "{zlib.crc32(text.encode()):08x}"}}\n'


def _record(path: Path, number: int, line: bytes) -> Record:
    """The record of a line, without the checksum, which a line of an earlier version has not.

    Raises:
        DamagedFileError: it is not what was written.
    """
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise TypeError("it is no mapping")
        check = record.pop(_CHECK, None)
        if (
            check is None and record.keys() <= {"epoch", "metrics"}
        ) or check == f"{zlib.crc32(json.dumps(record).encode()):08x}":
            return {"epoch": int(record["epoch"]), **record}
        reason = "it is not what was written"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
    raise DamagedFileError(f"{path}, line {number}, cannot be read ({reason})")


def _finite(value: Any) -> float | None:
    """The value as a float, None if it is missing or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def _figure(records: list[Record]) -> dict[str, Any]:
    """A Plotly figure as plain JSON values."""
    names = list(dict.fromkeys(name for record in records for name in record["metrics"]))
    losses = [name for name in names if "loss" in name or name.startswith("validation")]
    estimates = [name for name in names if name.startswith("estimate.")]
    data: list[dict[str, Any]] = []
    for name in [*losses, *estimates]:
        points = [(record["epoch"], record["metrics"].get(name), record) for record in records]
        points = [point for point in points if point[1] is not None]
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines+markers" if len(points) < 30 else "lines",
            "name": name.removeprefix("estimate.").replace("_", " "),
            "x": [epoch for epoch, _, _ in points],
            "y": [value for _, value, _ in points],
        }
        if name in estimates:
            spread = [record["metrics"].get(name.replace("estimate.", "std.", 1)) for _, _, record in points]
            trace.update(yaxis="y2", error_y={"type": "data", "array": spread, "visible": True})
        data.append(trace)
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "epoch"}, "anchor": "y2" if estimates else "y"},
        "yaxis": {
            "title": {"text": "loss, error"},
            "type": "log",
            "exponentformat": "power",
            "domain": [0.45, 1.0] if estimates else [0.0, 1.0],
        },
        "legend": {"orientation": "h", "y": 1.15},
    }
    if estimates:
        # Kedro-Viz writes the first axes small, and leaves this one to us.
        small = {"size": 8}
        layout["yaxis2"] = {
            "title": {"text": "estimate ± std", "font": small},
            "tickfont": small,
            "domain": [0.0, 0.35],
        }
    return {"data": data, "layout": layout}
