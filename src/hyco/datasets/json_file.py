"""JSON files with a checksum, written atomically, one per version where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io.core import AbstractVersionedDataset, Version
from kedro_datasets._typing import JSONPreview

from hyco.runtime.storage import read_json, serialised_json, write_atomically


class JSONDataset(AbstractVersionedDataset[dict[str, Any], dict[str, Any]]):
    """JSON values by name in a file, which a reader sees as it was or as it is, never a part.

    Args:
        filepath: of the file; with `versioned: true` a folder of that name holds the versions.
        indent: spaces of a level; None: all in one line.
        version: given by Kedro for `versioned: true`.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(
        self,
        filepath: str,
        indent: int | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(PurePosixPath(filepath), version)
        self._indent = indent
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """The values, without the checksum.

        Raises:
            hyco.runtime.storage.DamagedFileError: the file is not what was written.
        """
        return read_json(Path(self._get_load_path()))

    def save(self, data: dict[str, Any]) -> None:
        """Write the values.

        Raises:
            TypeError: they hold something that JSON does not know.
        """
        write_atomically(Path(self._get_save_path()), serialised_json(data, self._indent, allow_nan=True))

    def preview(self) -> JSONPreview:
        """The values of the newest version."""
        if not self.exists():
            return JSONPreview("")
        # Not `self.load`, which Kedro wraps with logging.
        return JSONPreview(json.dumps(read_json(Path(self._get_load_path()))))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
