"""Measurements one by one: when, where, of which trajectory, and what was measured there of each channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hyco.fields import Layout
from hyco.measurements import columns
from hyco.measurements.columns import REPLICATE, Numbers, joined, positions_of_columns
from hyco.measurements.config import ESTIMATE, REPLICATES, MeasurementsConfig, names_of
from hyco.observations.checks import MeasurementError


@dataclass(frozen=True)
class Rows:
    """n measurements, each of one or more channels at one place and time, in the units of the equation.

    Attributes:
        simulation: index of the trajectory, `[n]`.
        simulations: how many trajectories the file has.
        time: since t = 0, `[n]`; 0 for a static problem.
        position: `[n, d]`.
        values: `[n, C]`, NaN where a channel was not measured.
        sigma: standard deviation of the noise of each value, `[n, C]`; NaN where no number is known.
        entry: which entry of the file each is, `[n]`.
        time_rounding, position_rounding: by how much times and positions `[d]` are rounded in the file.
        source: the file's dimensions, which tell the place of an entry.
    """

    simulation: NDArray[np.int64]
    simulations: int
    time: Numbers
    position: Numbers
    values: Numbers
    sigma: Numbers
    entry: NDArray[np.int64]
    time_rounding: float
    position_rounding: tuple[float, ...]
    source: xr.DataArray

    def place(self, index: int) -> str:
        """Where a measurement stands in the file."""
        dims, shape, entry = tuple(map(str, self.source.dims)), self.source.shape, int(self.entry[index])
        if dims[-1:] != (REPLICATE,):
            return columns.place(self.source, dims, shape, entry)
        place = columns.place(self.source, dims[:-1], shape[:-1], entry // shape[-1])
        return f"{place}, {self.source.attrs['columns'][entry % shape[-1]]}"

    @property
    def replicate(self) -> list[NDArray[np.int64]]:
        """Which of several columns or variables of a channel each is of, from 0, `[n]`; empty where there is one."""
        several = self.source.dims[-1:] == (REPLICATE,)
        return [self.entry % self.source.shape[-1]] if several else []

    def of(self, chosen: NDArray[np.bool_]) -> Rows:
        """Some of the measurements."""
        if chosen.all():
            return self
        count = int(np.count_nonzero(chosen))
        parts: dict[str, Any] = {}
        for name in ("simulation", "time", "position", "values", "sigma", "entry"):
            part = getattr(self, name)
            same = count > 0 and part.strides[0] == 0  # then it takes no memory
            parts[name] = np.broadcast_to(part[:1], (count, *part.shape[1:])) if same else part[chosen]
        return replace(self, **parts)


def rows_of(dataset: xr.Dataset, config: MeasurementsConfig, layout: Layout) -> Rows:
    """What was measured, in the units of the equation; entries without any value are left out.

    Raises:
        MeasurementError: the dimensions do not fit, an entry is no number, or a value has no time, position or
            simulation.
    """
    first_row = dataset.attrs.get("first_row")
    dataset = dataset.squeeze() if first_row is None else dataset
    _check_dimensions(dataset, config)
    read = _variables(dataset, config, layout)
    simulations = 1
    if config.simulation is not None:
        codes, simulations = columns.labels(dataset[config.simulation])
        read["simulation"] = dataset[config.simulation].copy(data=codes)
    together = dict(zip(read, xr.broadcast(*read.values()), strict=True))
    if config.replicates > 1:
        together = {key: variable.transpose(..., REPLICATE) for key, variable in together.items()}
    shape = next(iter(together.values()))
    size = shape.size
    # What is the same for all measurements takes no memory.
    source = xr.DataArray(np.broadcast_to(np.int8(0), shape.shape), dims=shape.dims)
    names = [f"replicate {i + 1}" for i in range(config.replicates)]
    if not config.named_axes and len(config.fields) == 1:
        names = [f"column {name}" for channel in config.fields for name in config.columns_of(channel)]
    source.attrs = {"columns": names} | ({} if first_row is None else {"first_row": first_row})
    flat = {key: variable.to_numpy().ravel() for key, variable in together.items()}
    rows = Rows(
        simulation=flat.get("simulation", np.broadcast_to(np.int64(0), size)),
        simulations=simulations,
        time=flat.get("time", np.broadcast_to(0.0, size)),
        position=_side_by_side([flat[f"axes.{axis}"] for axis in layout.grid.axes], size),
        values=_side_by_side([flat.get(f"fields.{c}") for c in layout.channels], size),
        sigma=_side_by_side([flat.get(f"std.{c}") for c in layout.channels], size),
        entry=np.arange(size),
        time_rounding=_rounding(dataset, config, "time", config.time),
        position_rounding=tuple(_rounding(dataset, config, a, config.named_axes.get(a)) for a in layout.grid.axes),
        source=source,
    )
    rows = rows.of(np.asarray(np.isfinite(rows.values).any(axis=1)))
    _check_coordinates(rows, config, layout)
    return rows


def _side_by_side(columns: Sequence[Numbers | None], size: int) -> Numbers:
    """Columns `[n, len(columns)]`, NaN where there is none."""
    if all(column is None for column in columns):
        return np.broadcast_to(np.nan, (size, len(columns)))
    if len(columns) == 1 and columns[0] is not None:
        return columns[0][:, None]
    return np.stack([np.broadcast_to(np.nan, size) if column is None else column for column in columns], axis=-1)


def _scaled(variable: xr.DataArray, factor: float) -> xr.DataArray:
    return variable if factor == 1 else factor * variable


def _variables(dataset: xr.Dataset, config: MeasurementsConfig, layout: Layout) -> dict[str, xr.DataArray]:
    """Times, positions, values and standard deviations in the units of the equation."""
    read: dict[str, xr.DataArray] = {}
    if config.time is not None:
        read["time"] = _scaled(columns.times(dataset, config.time, config.start), config.scale.get("time", 1.0))
    for axis in layout.grid.axes:
        given = config.axes[axis]
        along = columns.numbers(dataset, given) if isinstance(given, str) else positions_of_columns(given)
        read[f"axes.{axis}"] = _scaled(along, config.scale.get(axis, 1.0))
    for channel in config.fields:
        values = [columns.numbers(dataset, name) for name in config.columns_of(channel)]
        for name, each in zip(config.columns_of(channel), values, strict=True):
            if not np.isfinite(each.to_numpy()).any():
                raise MeasurementError(
                    f"{name}: there is no value at all, so that {channel} was not measured: leave it out"
                )
        factor = config.scale.get(channel, 1.0)
        read[f"fields.{channel}"] = _scaled(joined(values, config.replicates), factor)
        std = config.stds.get(channel, ESTIMATE)
        if std not in (ESTIMATE, REPLICATES) and (names := names_of(std)):
            stds = [columns.numbers(dataset, name) for name in names]
            read[f"std.{channel}"] = _scaled(
                stds[0] if len(stds) == 1 else joined(stds, config.replicates), abs(factor)
            )
    return read


def _check_dimensions(dataset: xr.Dataset, config: MeasurementsConfig) -> None:
    """Whether values have the dimensions of times, positions and simulations, and no other.

    Raises:
        MeasurementError: they have not.
    """
    known = {} if config.simulation is None else {config.simulation: dataset[config.simulation].dims}
    known |= {name: dataset[name].dims for name in config.coordinates}
    every = {dim for dims in known.values() for dim in dims}
    values = {name for channel in config.fields for name in config.columns_of(channel)}
    for name in config.quantities:
        dims = set(dataset[name].dims)
        text = f"{name} has the dimensions ({', '.join(str(dim).strip() for dim in dataset[name].dims)})"
        for other in sorted(map(str, dims - every)):
            raise MeasurementError(
                f"{text}, but neither time nor axes depend on {other.strip()}: name it as simulation, or choose "
                "a part of the file"
            )
        for coordinate, needed in known.items():
            if name in values and not set(needed) <= dims:
                lacking = ", ".join(str(dim).strip() for dim in needed if dim not in dims)
                raise MeasurementError(f"{text}, but {coordinate} depends on {lacking}")


def _rounding(dataset: xr.Dataset, config: MeasurementsConfig, key: str, name: str | None) -> float:
    return 0.0 if name is None else config.scale.get(key, 1.0) * columns.resolution(dataset, name)


def _check_coordinates(rows: Rows, config: MeasurementsConfig, layout: Layout) -> None:
    """Whether every value has its time, position and simulation.

    Raises:
        MeasurementError: one has not.
    """
    lacking: Mapping[str, NDArray[np.bool_]] = {
        str(config.simulation): rows.simulation < 0,
        str(config.time): ~np.isfinite(rows.time),
        **{config.name_of(axis): ~np.isfinite(rows.position[:, i]) for i, axis in enumerate(layout.grid.axes)},
    }
    for name, missing in lacking.items():
        if missing.any():
            first = int(np.flatnonzero(missing)[0])
            raise MeasurementError(
                f"{name}, {rows.place(first)}: a value was measured, but {name} is missing; fill it in, or leave the "
                f"value empty ({int(missing.sum())} such)"
            )
