"""Tables as CSV and texts, written atomically: what Kedro's own datasets read and preview."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from kedro_datasets.pandas import CSVDataset
from kedro_datasets.text import TextDataset

from hyco.runtime.storage import write_atomically


class TableFileDataset(CSVDataset):  # type: ignore[misc]
    """`kedro_datasets.pandas.CSVDataset` of a local file, which a reader sees as it was or as it is, never a part."""

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        write_atomically(Path(self._get_save_path()), str(data.to_csv(**self._save_args)).encode())


class TextFileDataset(TextDataset):  # type: ignore[misc]
    """`kedro_datasets.text.TextDataset` of a local file, which a reader sees as it was or as it is, never a part."""

    def save(self, data: str) -> None:
        """Write the text."""
        write_atomically(Path(self._get_save_path()), data.encode())
