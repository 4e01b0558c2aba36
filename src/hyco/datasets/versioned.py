"""Tensors with metadata, one safetensors file per version."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, Version
from kedro_datasets._typing import JSONPreview

from hyco.runtime.storage import Bundle, read_bundle, write_bundle


class VersionedTensorDataset(AbstractVersionedDataset[Bundle, Bundle]):
    """A `Bundle` in a safetensors file, a new version with every run: for final models.

    Args:
        filepath: of the file; with `versioned: true` a folder of that name holds the versions.
        version: given by Kedro for `versioned: true`.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> Bundle:
        """The bundle of the version asked for, or of the newest one."""
        return read_bundle(Path(self._get_load_path()))

    def save(self, data: Bundle) -> None:
        """Write a new version."""
        write_bundle(Path(self._get_save_path()), data)

    def preview(self) -> JSONPreview:
        """The metadata of the newest version, and name, type and shape of its tensors."""
        if not self.exists():
            return JSONPreview("")
        # Not `self.load`, which Kedro wraps with logging.
        bundle = read_bundle(Path(self._get_load_path()))
        tensors = {name: f"{str(t.dtype).split('.')[-1]} {list(t.shape)}" for name, t in bundle.tensors.items()}
        return JSONPreview(json.dumps({**bundle.metadata, "tensors": tensors}))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
