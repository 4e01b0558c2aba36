"""Measurements one by one, before there is an equation: trajectory, time, place and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.drafts.contents import Numbers
from hyco.drafts.roles import Roles
from hyco.measurements import columns
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.source import load


@dataclass(frozen=True)
class Points:
    """n measurements in the file's units.

    Attributes:
        simulation: index of the trajectory, `[n]`.
        simulations: how many there are.
        time: since the earliest, `[n]`; 0 in a static problem.
        position: by axis, `[n]` each.
        values: by name in the file, `[n]` each, NaN where missing.
        rounding: by how much positions may be rounded, by axis.
    """

    simulation: NDArray[np.int64]
    simulations: int
    time: Numbers
    position: dict[str, Numbers]
    values: dict[str, Numbers]
    rounding: dict[str, float]

    @property
    def duration(self) -> float:
        """The latest time."""
        return float(np.nanmax(self.time))

    def told_by_coordinates(self, name: str) -> bool:
        """Whether a field only numbers the places or the times: it is the same at all times, or at all places."""
        values = self.values[name]
        if self.duration <= 0 or not np.isfinite(values).all():
            return False
        places = np.unique(np.stack(list(self.position.values())), axis=1, return_inverse=True)[1].ravel()
        times = np.unique(self.time, return_inverse=True)[1]
        return any(len(np.unique(groups)) == len(_pairs(groups, values)) for groups in (places, times))

    def spread(self, name: str) -> float:
        """Standard deviation of a field; 1 if it is constant."""
        values = self.values[name]
        return float(np.nanstd(values)) or 1.0


def _pairs(groups: NDArray[np.int64], values: Numbers) -> Numbers:
    return np.unique(np.stack([groups, values]), axis=1).T


def points_of(path: Path, roles: Roles, trajectories: Sequence[int] | None = None) -> Points:
    """Read the measurements that the roles name.

    Args:
        path: of the file.
        roles: what is what.
        trajectories: those that are read of a layout of many; None: all.

    Raises:
        MeasurementError: they do not fit together.
    """
    config = MeasurementsConfig(
        file=str(path),
        time=roles.time,
        axes={axis: given if isinstance(given, str) else list(given) for axis, given in roles.axes.items()},
        simulation=roles.simulation,
        fields={name: list(roles.columns_of(name)) for name in roles.fields},
    )
    # The names in the file may have spaces, which those of channels have not.
    config = config.model_copy(update={"fields": {name: list(roles.columns_of(name)) for name in roles.fields}})
    dataset = load(path, config, trajectories)
    parts: dict[str, xr.DataArray] = {
        f"axis {a}": columns.numbers(dataset, n) if isinstance(n, str) else columns.positions_of_columns(list(n))
        for a, n in roles.axes.items()
    }
    for name in roles.fields:
        each = [columns.numbers(dataset, column) for column in roles.columns_of(name)]
        parts[f"field {name}"] = columns.joined(each, len(each))
    if roles.time is not None:
        parts["time"] = columns.times(dataset, roles.time, None)
    simulations = 1
    if roles.simulation is not None:
        codes, simulations = columns.labels(dataset[roles.simulation])
        parts["simulation"] = dataset[roles.simulation].copy(data=codes)
    together = dict(zip(parts, xr.broadcast(*parts.values()), strict=True))
    flat = {key: np.asarray(variable.to_numpy().ravel()) for key, variable in together.items()}
    count = next(iter(flat.values())).size
    return Points(
        simulation=flat.get("simulation", np.zeros(count)).astype(np.int64),
        simulations=simulations,
        time=flat.get("time", np.zeros(count)),
        position={axis: flat[f"axis {axis}"] for axis in roles.axes},
        values={name: flat[f"field {name}"] for name in roles.fields},
        rounding={
            axis: columns.resolution(dataset, name) if isinstance(name, str) else 0.0
            for axis, name in roles.axes.items()
        },
    )
