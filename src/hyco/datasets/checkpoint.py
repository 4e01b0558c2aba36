"""Checkpoints of a training: the last one to go on from, the best one, and one every few epochs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from hyco.datasets.previews import table
from hyco.storage import Bundle, read_bundle, serialised, write_atomically

_MOST_ROWS = 12


class CheckpointDataset(AbstractDataset[Bundle, Bundle | None]):
    """A folder of checkpoints, each one safetensors file that is written atomically.

    Each save writes `last.safetensors`; `best.safetensors` if `metadata["is_best"]`; and `epoch_NNNN.safetensors` every
    `metadata["save_interval"]` epochs unless `metadata["save_best_only"]`. A training that starts anew
    writes over the files of an earlier one, and removes none: each says in its header what it belongs to.

    With a `share` of the time given, `last` and `best` are left out where writing them would take more than that; what
    they would have said is at most one writing time over that share old: where a write takes 5 ms, with 0.01 a
    training that is killed repeats the last half second at most. The first one of a training, one with which
    it ends and that of every few epochs are always written.

    Args:
        directory: the folder, relative to the working directory.
        path: another name for it, which Kedro makes absolute in a catalog, whatever the working directory.
        share: of the time that may go into writing `last` and `best`; None: they are written at each save.
        metadata: for plugins such as Kedro-Viz; ignored here.

    Attributes:
        directory: the folder; may be replaced before the first use.
    """

    def __init__(
        self,
        directory: str | None = None,
        path: str | None = None,
        share: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if (path is None) == (directory is None):
            raise DatasetError("a checkpoint dataset needs either 'directory' or 'path', the folder of its files")
        if share is not None and not 0 < share <= 1:
            raise DatasetError(f"share is {share!r}; allowed: a number above 0, up to 1, or null")
        self.directory = Path(directory or path or "")
        self._share = share
        self._due = -math.inf
        self._best: Bundle | None = None
        self._epoch = 0
        self.metadata = metadata

    def load(self) -> Bundle | None:
        """The last checkpoint, None if there is none.

        Raises:
            ValueError: the file is not a checkpoint.
        """
        if not self._last.exists():
            return None
        try:
            return read_bundle(self._last)
        except Exception as error:
            raise ValueError(f"{self._last} cannot be read ({error}); remove it to start anew") from error

    def save(self, data: Bundle) -> None:
        """Write a checkpoint; `last` comes after the others, so that what it stands for is complete."""
        meta, begin = data.metadata, time.monotonic()
        if meta["epoch"] <= self._epoch:  # another training
            self._due, self._best = -math.inf, None
        self._epoch = meta["epoch"]
        if meta["is_best"]:
            self._best = data
        interval = meta["save_interval"]
        regular = bool(interval) and not meta["save_best_only"] and meta["epoch"] % interval == 0
        ends = meta["finished"] or bool((meta.get("physical") or {}).get("failed"))
        if not (regular or ends or begin >= self._due):
            return
        content = serialised(data)
        if self._best is not None:
            write_atomically(self._path("best"), content if self._best is data else serialised(self._best))
            self._best = None
        if regular:
            write_atomically(self._path(f"epoch_{meta['epoch']:04d}"), content)
        write_atomically(self._last, content)
        end = time.monotonic()
        self._due = end + (end - begin) / self._share if self._share is not None else -math.inf

    def preview(self) -> TablePreview:
        """One row per checkpoint: its epoch, whether training was finished, and its metrics."""
        kept = sorted(self.directory.glob("epoch_*.safetensors"), reverse=True)
        files = [f for f in (self._last, self._path("best"), *kept) if f.exists()][:_MOST_ROWS]
        metas = [(file.stem, read_bundle(file).metadata) for file in files]
        metrics = [_metrics(meta) for _, meta in metas]
        names = list(dict.fromkeys(name for values in metrics for name in values))
        rows = [
            [file, f"{meta['epoch']} of {meta.get('epochs', '?')}", bool(meta.get("finished"))]
            + [values.get(name) for name in names]
            for (file, meta), values in zip(metas, metrics, strict=True)
        ]
        return table(["checkpoint", "epoch", "finished", *names], rows)

    @property
    def _last(self) -> Path:
        return self._path("last")

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.safetensors"

    def _exists(self) -> bool:
        return self._last.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._last)}


def _metrics(meta: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the checkpoint's own epoch that a reader wants first: losses, errors and estimates."""
    return {k: v for k, v in meta.get("metrics", {}).items() if not k.startswith(("seconds.", "peak_bytes."))}
