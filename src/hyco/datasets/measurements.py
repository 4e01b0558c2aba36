"""A file of measurements, as an experiment's configuration names it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from hyco.runtime.storage import Bundle

if TYPE_CHECKING:
    import xarray as xr

    from hyco.measurements.config import MeasurementsConfig


class MeasurementsDataset(AbstractDataset[None, "xr.Dataset | Bundle | None"]):
    """The columns or variables of a file that the section `measurements` names, or the observations that they are.

    Which file it is the configuration says, not the catalog: without the section, None is loaded.

    Args:
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata
        self._config: MeasurementsConfig | None = None
        self._path = Path()
        self._content: xr.Dataset | Bundle | None = None

    def read(self, config: MeasurementsConfig, project: Path, content: xr.Dataset | None = None) -> None:
        """From now on load this file.

        Args:
            config: the section.
            project: the folder that the path in the section is relative to.
            content: what the file holds, where that has been read already.
        """
        self._config, self._path, self._content = config, project / config.file, content

    def keep(self, observations: Bundle) -> None:
        """Give the next load what the file holds as observations, which have been made of it."""
        self._content = observations

    def load(self) -> xr.Dataset | Bundle | None:
        """What the file holds, as it stands there or as observations; None where the experiment simulates.

        Raises:
            hyco.observations.checks.MeasurementError: there is no such file, format, column or variable.
        """
        if self._config is None:
            return None
        if self._content is None:
            from hyco.measurements.read import naming
            from hyco.measurements.source import load

            with naming(self._config):
                return load(self._path, self._config)
        # Once: it may be large.
        content, self._content = self._content, None
        return content

    def save(self, data: None) -> None:
        """Measurements are not written.

        Raises:
            DatasetError: always.
        """
        raise DatasetError("a file of measurements is not written")

    def _exists(self) -> bool:
        return self._config is None or self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": None if self._config is None else str(self._path)}
