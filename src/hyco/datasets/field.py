"""Trajectories as PhiFlow Fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from hyco.datasets.previews import table
from hyco.fields import Layout, layout_of, to_fields, to_tensor
from hyco.runtime.storage import Bundle, read_bundle, write_bundle

DIMENSIONS = ("simulation", "time")


class FieldDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """Fields by name with batch dimensions `simulation` and `time`, in the file of the trajectories.

    The file is the one of `TensorDataset`: tensor `trajectories` `[S, T+1, C, *space]`, layout in the metadata.

    Args:
        filepath: of the file.
        dt: time between two states, for the metadata of what is saved (Fields do not hold it).
        metadata: for plugins such as Kedro-Viz; ignored here.
    """

    def __init__(self, filepath: str, dt: float | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._dt = dt
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Fields by name, bit for bit what was saved."""
        bundle = read_bundle(self._filepath)
        return to_fields(bundle.tensors["trajectories"], Layout.from_dict(bundle.metadata["layout"]), DIMENSIONS)

    def save(self, data: dict[str, Any]) -> None:
        """Write Fields by name; the layout is theirs.

        Raises:
            ValueError: they do not share a grid, or are on none.
        """
        layout = layout_of(data)
        metadata: dict[str, Any] = {"kind": "trajectories", "layout": layout.to_dict()}
        if self._dt is not None:
            metadata["dt"] = self._dt
        write_bundle(self._filepath, Bundle({"trajectories": to_tensor(data, layout, DIMENSIONS)}, metadata))

    def preview(self) -> TablePreview:
        """One row per channel: where it sits, its boundary and its range."""
        columns = ["channel", "points", "domain", "boundary", "states", "min", "max"]
        if not self._exists():
            return table(columns, [])
        bundle = read_bundle(self._filepath)
        layout, states = Layout.from_dict(bundle.metadata["layout"]), bundle.tensors["trajectories"]
        grid = layout.grid
        domain = ", ".join(
            f"{low:g} ≤ {axis} ≤ {low + size:g}"
            for axis, low, size in zip(grid.axes, grid.lower, grid.size, strict=True)
        )
        cells = " × ".join(map(str, grid.resolution))
        rows = []
        specs = [field for field in layout.fields for _ in field.channels]
        for index, (name, field) in enumerate(zip(layout.channels, specs, strict=True)):
            values = states[layout.index(index, 2)]
            low, high = (float(v) for v in torch.aminmax(values))
            points = f"{'faces' if field.staggered else 'centres'} of {cells} cells"
            rows.append(
                [name, points, domain, str(field.boundary), f"{states.shape[0]} × {states.shape[1]}", low, high]
            )
        return table(columns, rows)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "dt": self._dt}
