"""Figures as PNG for the screen and as PDF for a journal; none where there is nothing to show."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_pdf  # noqa: F401 - else each process that writes a file would import it
from kedro.io import AbstractDataset
from kedro_datasets._typing import ImagePreview
from matplotlib.figure import Figure

from hyco.datasets.previews import NOTHING, image
from hyco.plots.style import FigureOfWords, settled
from hyco.runtime.beside import PDFS
from hyco.runtime.storage import write_atomically


class FigureDataset(AbstractDataset[Figure, bytes | None]):
    """A matplotlib figure, saved as PNG and, beside it, as PDF with lines and letters as vectors.

    The PDF file is there when `PDFS.finish` returns, the PNG file at once. A figure of words, which only says why there
    is nothing to see, is no file: one of an earlier run is removed.

    Args:
        filepath: of the PNG file.
        dpi: its pixels per inch.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, dpi: float = 150.0, metadata: dict[str, Any] | None = None) -> None:
        self._filepath, self._dpi = Path(filepath), dpi
        self.metadata = metadata

    def load(self) -> bytes | None:
        """The PNG file; None where there was nothing to show."""
        return self._filepath.read_bytes() if self._exists() else None

    def save(self, data: Figure) -> None:
        """Write both files, or none."""
        files = {"png": self._filepath, "pdf": self._filepath.with_suffix(".pdf")}
        PDFS.wait_for(str(files["pdf"]))
        if isinstance(data, FigureOfWords):
            for path in files.values():
                path.unlink(missing_ok=True)
            return
        box = settled(data)
        _write(data, "png", files["png"], dpi=self._dpi, bbox_inches=box)
        PDFS.start(str(files["pdf"]), partial(_write, data, "pdf", files["pdf"], dpi=self._dpi, bbox_inches=box))

    def preview(self) -> ImagePreview:
        """The picture."""
        data = self.load()
        return NOTHING if data is None else image(data)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dpi": self._dpi}


def _write(figure: Figure, form: str, path: Path, **options: Any) -> None:
    buffer = BytesIO()
    # The same numbers make the same file.
    dateless = {"CreationDate": None} if form == "pdf" else {}
    figure.savefig(buffer, format=form, metadata=dateless, **options)
    write_atomically(path, buffer.getvalue())
