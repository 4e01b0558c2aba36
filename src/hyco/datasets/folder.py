"""A folder that a node itself reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class FolderDataset(AbstractDataset[NoReturn, Path]):
    """The path of a folder, which need not exist; it can be loaded, not saved.

    Args:
        filepath: of the folder.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """The path."""
        return self._filepath

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self._filepath} is a folder: nothing is saved over it")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
