"""Figures as PNG for the screen and as PDF for a journal; none where there is nothing to show."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import ImagePreview

from hyco.datasets.previews import NOTHING, image
from hyco.datasets.views import View
from hyco.runtime.beside import FIGURES
from hyco.runtime.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox


class FigureDataset(View, AbstractDataset["Figure | Callable[[], Figure]", bytes | None]):
    """A matplotlib figure, saved as PNG and, beside it, as PDF with lines and letters as vectors.

    It may be given as what draws it, a function without arguments: where that can be pickled, this process need not
    know matplotlib; where it does, its settings are those of the figure. Both files are drawn beside the run: the PNG
    file is there when it is loaded, all are when `FIGURES.finish` returns. Those of an earlier run are removed first. A
    figure of words, which only says why there is nothing to see, is no file.

    Args:
        filepath: of the PNG file.
        dpi: its pixels per inch.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, dpi: float = 150.0, metadata: dict[str, Any] | None = None) -> None:
        self._filepath, self._dpi = Path(filepath), dpi
        self.metadata = metadata

    def load(self) -> bytes | None:
        """The PNG file; None where there was nothing to show.

        Raises:
            BesideError: it could not be drawn, or written.
        """
        FIGURES.wait_for(str(self._filepath))
        return self._filepath.read_bytes() if self._exists() else None

    def save(self, data: Figure | Callable[[], Figure]) -> None:
        """Write both files, or none."""
        files = {"png": self._filepath, "pdf": self._filepath.with_suffix(".pdf")}
        FIGURES.end(str(files["pdf"]))
        self.remove_old()
        sheet = _Sheet(data, self._dpi)
        if not callable(data) and sheet.is_words:
            return
        jobs = {str(path): partial(sheet.write, form, path) for form, path in files.items()}
        FIGURES.start(jobs, sent=can_be_sent(data))

    def preview(self) -> ImagePreview:
        """The picture."""
        data = self.load()
        return NOTHING if data is None else image(data)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def files(self) -> list[Path]:
        """See `View`."""
        return [self._filepath, self._filepath.with_suffix(".pdf")]

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dpi": self._dpi}


def can_be_sent(data: object) -> bool:
    """Whether it may be drawn without what this process knows: not with settings of matplotlib's made in it."""
    return callable(data) and "matplotlib" not in sys.modules


class _Sheet:
    """A figure that is drawn and laid out once for all of its files."""

    def __init__(self, data: Figure | Callable[[], Figure], dpi: float) -> None:
        self._data, self._dpi = data, dpi

    @cached_property
    def _figure(self) -> Figure:
        return self._data() if callable(self._data) else self._data

    @cached_property
    def is_words(self) -> bool:
        """Whether it only says why there is nothing to see."""
        from hyco.plots.style import FigureOfWords

        return isinstance(self._figure, FigureOfWords)

    @cached_property
    def _box(self) -> Bbox:
        from hyco.plots.style import settled

        return settled(self._figure)

    def write(self, form: str, path: Path) -> None:
        """Write one file; none of words alone."""
        from hyco.plots.fonts import without_layout_tables

        if self.is_words:
            return
        buffer = BytesIO()
        # The same numbers make the same file.
        dateless = {"CreationDate": None} if form == "pdf" else {}
        with without_layout_tables():
            self._figure.savefig(buffer, format=form, dpi=self._dpi, bbox_inches=self._box, metadata=dateless)
        write_atomically(path, buffer.getvalue())
