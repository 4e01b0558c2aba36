"""Checkpoints of a training: the last one to go on from, the best one, and one every few epochs."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from hyco.datasets.previews import table
from hyco.runtime.storage import Bundle, read_bundle, serialised, write_atomically

_MOST_ROWS = 12


class CheckpointDataset(AbstractDataset[Bundle, Bundle | None]):
    """A folder of checkpoints, each one safetensors file that is written atomically.

    Each save writes `last.safetensors`; `best.safetensors` if `metadata["is_best"]`; and `epoch_NNNN.safetensors` every
    `metadata["kept_every"]` epochs, unless that is None. A training that starts anew writes over the files of an
    earlier one, and removes none: each says in its header what it belongs to.

    A thread of its own writes, so that a training does not wait for the disk: only for the files before where these
    must be written, and at its end. What went wrong is raised at the next save, and at the latest at the end.

    With a `share` of the time given, `last` and `best` are left out where writing them would take more than that; what
    they would have said is at most one writing time over that share old: where a write takes 5 ms, with 0.01 a
    training that is killed repeats the last half second at most. The first one of a training, one with which
    it ends and that of every few epochs are always written.

    Args:
        directory: the folder, relative to the working directory.
        path: another name for it, which Kedro makes absolute in a catalog, whatever the working directory.
        share: of the time in which `last` and `best` may be in writing; None: they are written at each save.
        metadata: for plugins such as Kedro-Viz; ignored here.

    Attributes:
        directory: the folder.
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
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self.metadata = metadata

    def move_to(self, directory: Path) -> None:
        """Keep the files in another folder; only before the first use."""
        self.directory = directory

    def load(self) -> Bundle | None:
        """The last checkpoint, None if there is none.

        Raises:
            ValueError: the file is not a checkpoint.
        """
        self.wait()
        if not self._last.exists():
            return None
        try:
            return read_bundle(self._last)
        except Exception as error:
            raise ValueError(
                f"{self._last} cannot be read ({error.__cause__ or error}); remove it to start anew"
            ) from error

    def save(self, data: Bundle) -> None:
        """Have a checkpoint written, which must not be changed any more; one that ends a training is when it returns.

        Raises:
            OSError: a file could not be written, of this checkpoint or the one before.
        """
        meta = data.metadata
        if meta["epoch"] <= self._epoch:  # another training
            self.wait()
            self._due, self._best = -math.inf, None
        self._epoch = meta["epoch"]
        if meta["is_best"]:
            self._best = data
        regular = meta["kept_every"] is not None and meta["epoch"] % meta["kept_every"] == 0
        ends = meta["finished"] or bool((meta.get("physical") or {}).get("failed"))
        busy = self._writing is not None and not self._writing.done()
        due = self._share is None or (time.monotonic() >= self._due and not busy)
        if not (regular or ends or due):
            return
        self.wait()
        files = {} if self._best is None else {self._path("best"): self._best}
        if regular:
            files[self._path(f"epoch_{meta['epoch']:04d}")] = data
        self._best = None
        if self._writer is None:
            self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        # `last` comes after the others, so that what it stands for is complete.
        self._writing = self._writer.submit(self._write, {**files, self._last: data})
        if ends:
            self.wait()

    def wait(self) -> None:
        """Return when all that was saved is written.

        Raises:
            OSError: a file could not be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, files: dict[Path, Bundle]) -> None:
        begin = time.monotonic()
        contents: dict[int, bytes] = {}
        for path, data in files.items():
            if id(data) not in contents:
                contents[id(data)] = serialised(data)
            write_atomically(path, contents[id(data)])
        end = time.monotonic()
        self._due = end + (end - begin) / self._share if self._share is not None else -math.inf

    def preview(self) -> TablePreview:
        """One row per checkpoint: its epoch, whether training was finished, and its metrics."""
        self.wait()
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
        self.wait()
        return self._last.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._last)}


def _metrics(meta: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the checkpoint's own epoch that a reader wants first: losses, errors and estimates."""
    return {k: v for k, v in meta.get("metrics", {}).items() if not k.startswith(("seconds.", "peak_bytes."))}
