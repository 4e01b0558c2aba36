"""A JSON file that is written again and again while a run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import JSONPreview

from hyco.runtime.storage import read_json, serialised_json, write_atomically


class GrowingJSONDataset(AbstractDataset[dict[str, Any], dict[str, Any] | None]):
    """JSON values in a file; a reader, and a run that was killed, sees the last state that was saved, never a part.

    Args:
        filepath: of the file.
        must_exist: if False, a missing file loads as None.
        preview: the keys that Kedro-Viz shows; empty: all.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(
        self,
        filepath: str,
        must_exist: bool = True,
        preview: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._must_exist = must_exist
        self._shown = preview or []
        self._ignored = False
        self.metadata = metadata

    def ignore(self) -> None:
        """From now on load None, whatever there is."""
        self._ignored = True

    def load(self) -> dict[str, Any] | None:
        """The values, without the checksum; None where there may be no file.

        Raises:
            hyco.runtime.storage.DamagedFileError: the file is not what was written.
        """
        if self._ignored or (not self._must_exist and not self._filepath.exists()):
            return None
        return read_json(self._filepath)

    def save(self, data: dict[str, Any]) -> None:
        """Write the values.

        Raises:
            ValueError, TypeError: they hold something that JSON does not know.
        """
        write_atomically(self._filepath, serialised_json(data, 2))

    def preview(self) -> JSONPreview:
        """The values, or some of them."""
        if not self._exists():
            return JSONPreview("")
        data = read_json(self._filepath)
        return JSONPreview(json.dumps({key: data.get(key) for key in self._shown or data}))

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "must_exist": self._must_exist}
