"""All final models of an experiment that there are, whichever trainings have run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from hyco.api import files
from hyco.predictions.sources import Left


class TrainedModelsDataset(AbstractDataset[NoReturn, dict[str, Left]]):
    """The folder of final models, for reading: of each training the newest version that is complete.

    Args:
        path: the folder, `data/06_models/<experiment>`.
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, path: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(path)
        self.metadata = metadata

    def load(self) -> dict[str, Left]:
        """By method.

        Raises:
            ValueError: a file cannot be read.
        """
        left: dict[str, Left] = {}
        for training in files.trainings_in(self._folder):
            for method, path in files.files_of(self._folder, training).items():
                if method.endswith("physical"):
                    final, _ = files.read_physics(path, method)
                    left[method] = Left(final, files.read_initial_states(path, method))
                else:
                    left[method] = Left(files.read_network(path))
        return left

    def save(self, data: NoReturn) -> None:
        """Nothing is written here.

        Raises:
            DatasetError: always.
        """
        raise DatasetError("final models are written one by one")

    def _exists(self) -> bool:
        return bool(files.trainings_in(self._folder))

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}
