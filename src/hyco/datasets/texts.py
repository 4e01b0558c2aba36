"""Tables as CSV and texts, written atomically: a reader sees a file as it was or as it is, never a part."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview
from kedro_datasets.text import TextDataset

from hyco.datasets.figure import can_be_sent
from hyco.datasets.views import View
from hyco.runtime.beside import FIGURES
from hyco.runtime.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd


class TableFileDataset(View, AbstractDataset["pd.DataFrame", "pd.DataFrame"]):
    """A table as a local CSV file.

    Kedro's own dataset would import pandas, and SQLAlchemy with it, before there is a table.

    Args:
        filepath: of the file.
        save_args: for `pandas.DataFrame.to_csv`.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(
        self, filepath: str, save_args: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath, self._save_args = Path(filepath), save_args or {}
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """The table."""
        import pandas as pd

        return pd.read_csv(self._filepath)

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        write_atomically(self._filepath, str(data.to_csv(**self._save_args)).encode())

    def preview(self, nrows: int = 5) -> TablePreview:
        """The first rows."""
        return TablePreview(self.load().head(nrows).to_dict(orient="split"))

    def _exists(self) -> bool:
        return self._filepath.exists()

    def files(self) -> list[Path]:
        """See `View`."""
        return [self._filepath]

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "save_args": self._save_args}


class TextFileDataset(View, TextDataset):  # type: ignore[misc]
    """`kedro_datasets.text.TextDataset` of a local file.

    It may be given as what makes the text, a function without arguments. Then it is made and written beside the run, as
    figures are: see `hyco.datasets.figure`. Until then there is none, nor is there if it cannot be made: that of an
    earlier run would be taken for it.
    """

    def load(self) -> str:
        """The text.

        Raises:
            BesideError: it could not be made, or written.
        """
        FIGURES.wait_for(self._get_load_path().as_posix())
        return str(super().load())

    def save(self, data: str | Callable[[], str]) -> None:
        """Write the text."""
        path = self._get_save_path()
        FIGURES.end(path.as_posix())
        if callable(data):
            self.remove_old()
            FIGURES.start({path.as_posix(): partial(_write, Path(path), data)}, sent=can_be_sent(data))
            if self._version:  # Kedro looks for a version as soon as it is saved
                FIGURES.wait_for(path.as_posix())
        else:
            write_atomically(Path(path), data.encode())

    def files(self) -> list[Path]:
        """See `View`."""
        return [] if self._version else [Path(self._filepath)]


def _write(path: Path, made: Callable[[], str]) -> None:
    write_atomically(path, made().encode())
