"""Tensors with metadata, in one safetensors file."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import ImagePreview

from hyco.datasets.previews import NOTHING, picture
from hyco.runtime.storage import Bundle, DamagedFileError, is_of_user, read_bundle, set_aside, write_bundle

log = logging.getLogger(__name__)


class TensorDataset(AbstractDataset[Bundle, Bundle | None]):
    """A `Bundle` in a safetensors file, written atomically.

    Args:
        filepath: of the file.
        must_exist: if False, a missing file loads as None, and a damaged one is set aside.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, must_exist: bool = True, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._must_exist = must_exist
        self.metadata = metadata

    def load(self) -> Bundle | None:
        """The bundle, or None where there may be no file.

        A file that need not exist and cannot be read is set aside, with a warning, unless it may be a user's own.

        Raises:
            DamagedFileError: the file is no bundle, or a part of one.
        """
        if self._must_exist:
            return read_bundle(self._filepath)
        try:
            return read_bundle(self._filepath)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            if is_of_user(self._filepath):
                raise
            log.warning("%s. It is now %s.", error, set_aside(self._filepath).name)
            return None

    def save(self, data: Bundle) -> None:
        """Write the bundle; the folder that its file was made in is removed, where there is one."""
        write_bundle(self._filepath, data)
        if data.file is not None and data.unnamed:
            shutil.rmtree(data.file.parent, ignore_errors=True)

    def preview(self) -> ImagePreview:
        """A picture of the first simulation."""
        return picture(read_bundle(self._filepath)) if self._exists() else NOTHING

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "must_exist": self._must_exist}
