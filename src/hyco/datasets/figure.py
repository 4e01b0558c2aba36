"""Figures as PNG files, written atomically."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview

from hyco.datasets.previews import NOTHING, image
from hyco.runtime.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureDataset(AbstractDataset["Figure", NoReturn]):
    """A figure of Matplotlib in an image file, which a reader sees as it was or as it is, never a part.

    Args:
        filepath: of the file; its ending says the format.
        save_args: for `Figure.savefig`.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(
        self, filepath: str, save_args: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self._save_args = save_args or {}
        self.metadata = metadata

    def load(self) -> NoReturn:
        """A picture is no figure any more.

        Raises:
            DatasetError: always.
        """
        raise DatasetError("a figure is only written")

    def save(self, data: Figure) -> None:
        """Write the picture."""
        buffer = BytesIO()
        data.savefig(buffer, **{"format": self._filepath.suffix[1:], **self._save_args})
        write_atomically(self._filepath, buffer.getvalue())

    def preview(self) -> ImagePreview:
        """The picture."""
        return image(self._filepath.read_bytes()) if self._exists() else NOTHING

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "save_args": self._save_args}
