"""Checkpoints of a training: the last one to go on from, the best one, and one every few epochs."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from hyco.datasets.previews import table
from hyco.runtime.beginning import begun
from hyco.runtime.once import Once
from hyco.runtime.storage import Bundle, DamagedFileError, read_bundle, serialised, set_aside, write_atomically

log = logging.getLogger(__name__)

_MOST_ROWS = 12


class CheckpointDataset(AbstractDataset[Bundle, Bundle | None]):
    """A folder of checkpoints, each one safetensors file that is written atomically.

    Each save writes `last.safetensors`, and keeps the one before as `previous.safetensors`, from which a training goes
    on where the last one is damaged; `best.safetensors` if `metadata["is_best"]`; and `epoch_NNNN.safetensors` every
    `metadata["kept_every"]` epochs, unless that is None. A training that starts anew writes over the files of an
    earlier one, and removes none: each says in its header what it belongs to.

    A thread of its own writes, so that a training does not wait for the disk: only for the files before where these
    must be written, and at its end. What went wrong is raised at the next save, and at the latest at the end.

    With a `share` of the time given, `last` and `best` are left out where writing them would take more than that; what
    they would have said is at most one writing time over that share old: where a write takes 5 ms, with 0.01 a
    training that is killed repeats the last half second at most, and on the slowest disk no more than `interval`. The
    first one of a training, one with which it ends and that of every few epochs are always written; that of an epoch
    in which a training is interrupted is when `finish` is called.

    Args:
        directory: the folder, relative to the working directory.
        path: another name for it, which Kedro makes absolute in a catalog, whatever the working directory.
        share: of the time in which `last` and `best` may be in writing; None: they are written at each save.
        interval: most seconds from one `last` to the next, whatever `share` says.
        metadata: for plugins such as Kedro-Viz; ignored here.

    Attributes:
        directory: the folder.
    """

    def __init__(
        self,
        directory: str | None = None,
        path: str | None = None,
        share: float | None = None,
        interval: float = 60.0,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if (path is None) == (directory is None):
            raise DatasetError("a checkpoint dataset needs either 'directory' or 'path', the folder of its files")
        if share is not None and not 0 < share <= 1:
            raise DatasetError(f"share is {share!r}; allowed: a number above 0, up to 1, or null")
        if not interval > 0:
            raise DatasetError(f"interval is {interval!r}; allowed: seconds above 0")
        self.directory = Path(directory or path or "")
        self._share, self._interval = share, interval
        self._newest: Bundle | None = None  # of what was saved
        self._written: Bundle | None = None  # of what is `last` on the disk
        self._ignored = False
        self._due = -math.inf
        self._best: Bundle | None = None
        self._epoch = 0
        self._writing: Once | None = None
        self.metadata = metadata

    def move_to(self, directory: Path) -> None:
        """Keep the files in another folder; only before the first use."""
        self.directory = directory

    def ignore(self) -> None:
        """From now on load None, whatever there is: a training that starts anew needs none of it."""
        self._ignored = True

    def load(self) -> Bundle | None:
        """The last checkpoint, None if there is none; where it is damaged, which is said, the one before.

        Raises:
            DamagedFileError: neither can be read.
        """
        self.wait()
        if self._ignored or not self._exists():
            return None
        previous = self._path("previous")
        try:
            return read_bundle(self._last)
        except FileNotFoundError:
            return read_bundle(previous)
        except DamagedFileError as error:
            try:
                checkpoint = read_bundle(previous)
            except (OSError, DamagedFileError):
                raise error from None
            aside = set_aside(self._last)
            log.warning(
                "%s It is now %s, and the checkpoint before it is used, of epoch %s.",
                f"{error}.".replace("; remove it and run again what makes it", ""),
                aside.name,
                checkpoint.metadata.get("epoch"),
            )
            return checkpoint

    def save(self, data: Bundle) -> None:
        """Have a checkpoint written, which must not be changed any more; one that ends a training is when it returns.

        Raises:
            OSError: a file could not be written, of this checkpoint or the one before.
        """
        # First: an interrupt may come at any time.
        self._newest, meta = data, data.metadata
        if meta["epoch"] <= self._epoch:  # another training
            self.wait()
            self._due, self._best = -math.inf, None
        self._epoch = meta["epoch"]
        if meta["is_best"]:
            self._best = data
        regular = meta["kept_every"] is not None and meta["epoch"] % meta["kept_every"] == 0
        ends = meta["finished"] or bool((meta.get("physical") or {}).get("failed"))
        busy = self._writing is not None and not self._writing.done
        due = self._share is None or (time.monotonic() >= self._due and not busy)
        if not (regular or ends or due):
            return
        self.wait()
        files = {} if self._best is None else {self._path("best"): self._best}
        if regular:
            files[self._path(f"epoch_{meta['epoch']:04d}")] = data
        # `last` comes after the others, so that what it stands for is complete.
        self._writing = Once(partial(self._write, {**files, self._last: data}))
        if not begun(threading.Thread(target=self._writing.do, name="checkpoints")):
            self._writing.do()
        self._best = None
        if ends:
            self.wait()

    def wait(self) -> None:
        """Return when all that was saved is written.

        Raises:
            OSError: a file could not be written.
        """
        if self._writing is not None:
            try:
                self._writing.result()
            finally:
                if self._writing.done:  # else an interrupt has ended the waiting, not the writing
                    self._writing = None

    def finish(self) -> int:
        """Write what was saved and is not on the disk yet, whatever `share` says; the epoch of it, 0: there is none.

        Raises:
            OSError: it cannot be written.
        """
        self.wait()
        newest, best = self._newest, self._best
        if newest is None:
            return 0
        if newest is not self._written:
            files = {} if best is None else {self._path("best"): best}
            self._write({**files, self._last: newest})
            self._best = None
        return int(newest.metadata["epoch"])

    def _write(self, files: dict[Path, Bundle]) -> None:
        begin = time.monotonic()
        contents: dict[int, bytes] = {}
        for path, data in files.items():
            if id(data) not in contents:
                contents[id(data)] = serialised(data)
            if path == self._last:
                self._keep_previous()
            write_atomically(path, contents[id(data)])
        self._written = files[self._last]
        end = time.monotonic()
        wait = 0.0 if self._share is None else min((end - begin) / self._share, self._interval)
        self._due = end + wait if wait else -math.inf

    def _keep_previous(self) -> None:
        """Let `previous` be what `last` is; a reader sees either at every moment, where the disk has links."""
        previous = self._path("previous")
        link = previous.with_name(f".{previous.name}.{os.getpid()}.part")
        try:
            link.unlink(missing_ok=True)
            os.link(self._last, link)
            link.replace(previous)
        except FileNotFoundError:
            return
        except OSError:
            self._last.replace(previous)
        finally:
            # Two names of one file stay two.
            link.unlink(missing_ok=True)

    def preview(self) -> TablePreview:
        """One row per checkpoint: its epoch, whether training was finished, and its metrics."""
        self.wait()
        kept = sorted(self.directory.glob("epoch_[0-9]*.safetensors"), reverse=True)
        files = [f for f in (self._last, self._path("best"), *kept) if f.exists()][:_MOST_ROWS]
        metas = [(file.stem, meta) for file in files if (meta := _metadata(file)) is not None]
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
        return self._last.exists() or self._path("previous").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._last)}


def _metadata(file: Path) -> dict[str, Any] | None:
    """Of a checkpoint; None where it is damaged, which its next use says."""
    try:
        return read_bundle(file).metadata
    except DamagedFileError:
        return None


def _metrics(meta: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the checkpoint's own epoch that a reader wants first: losses, errors and estimates."""
    return {k: v for k, v in meta.get("metrics", {}).items() if not k.startswith(("seconds.", "peak_bytes."))}
