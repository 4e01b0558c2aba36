"""Tables as CSV and texts, written atomically: a reader sees a file as it was or as it is, never a part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview
from kedro_datasets.text import TextDataset

from hyco.runtime.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd


class TableFileDataset(AbstractDataset["pd.DataFrame", "pd.DataFrame"]):
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

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "save_args": self._save_args}


class TextFileDataset(TextDataset):  # type: ignore[misc]
    """`kedro_datasets.text.TextDataset` of a local file."""

    def save(self, data: str) -> None:
        """Write the text."""
        write_atomically(Path(self._get_save_path()), data.encode())
