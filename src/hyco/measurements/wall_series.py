"""Columns of a file that say what a wall holds: one series in time for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from hyco.measurements import columns
from hyco.measurements.columns import Numbers
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.source import load
from hyco.observations.checks import MeasurementError

# Values at one time differ by no more than this part of the largest: rounding.
_SAME = 1e-6

Series = tuple[list[float], list[float]]


def wall_columns(section: Any) -> list[str]:
    """The columns that `{column: name}` in a section `equation` names, each once."""
    if isinstance(section, Mapping):
        if set(section) == {"column"} and isinstance(section["column"], str):
            return [section["column"]]
        section = list(section.values())
    if not isinstance(section, list):
        return []
    return list(dict.fromkeys(name for part in section for name in wall_columns(part)))


def with_tables(section: Any, series: Mapping[str, Series]) -> Any:
    """The section with a table of times and values for each column."""
    if isinstance(section, Mapping):
        if set(section) == {"column"} and section["column"] in series:
            times, values = series[section["column"]]
            return {"table": {"times": list(times), "values": list(values)}}
        return {key: with_tables(part, series) for key, part in section.items()}
    return [with_tables(part, series) for part in section] if isinstance(section, list) else section


def wall_series(
    path: Path, config: MeasurementsConfig, names: Sequence[str], needed: Sequence[int] | None = None
) -> dict[str, Series]:
    """Times (of the equation, rising) and values (as the file has them) of columns.

    Args:
        path: of the file.
        config: the section.
        names: of the columns or variables.
        needed: the trajectories that count; None: all.

    Raises:
        MeasurementError: there is no such column, or no time; it holds no number, or different ones at one time.
    """
    if not names:
        return {}
    if config.time is None:
        raise MeasurementError(f"equation.boundary: column {names[0]} is a series in time, and time is null")
    own = config.model_copy(update={"fields": {name: name for name in names}, "std": 1.0})
    try:
        dataset = load(path, own)
    except MeasurementError as error:
        raise MeasurementError(str(error).replace("fields.", "equation.boundary: column ")) from error
    return {name: _series(dataset, config, name, needed) for name in names}


def _series(dataset: xr.Dataset, config: MeasurementsConfig, name: str, needed: Sequence[int] | None) -> Series:
    assert config.time is not None
    every = config.scale.get("time", 1.0) * columns.times(dataset, config.time, config.start)
    parts = [every, columns.numbers(dataset, name)]
    if config.simulation is not None:
        variable = dataset[config.simulation]
        parts.append(variable.copy(data=columns.labels(variable)[0]))
    times, values, *labels = (part.to_numpy().ravel() for part in xr.broadcast(*parts))
    counted = np.isfinite(times) & np.isfinite(values)
    if labels and needed is not None:
        counted &= np.isin(labels[0], list(needed))
    if not counted.any():
        raise MeasurementError(f"equation.boundary: column {name} has no values")
    times, values = times[counted], values[counted]
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    distinct, first = np.unique(times, return_index=True)
    _refuse_different(name, distinct, first, values, labels[0][counted][order] if labels else None)
    return distinct.tolist(), values[first].tolist()


def _refuse_different(
    name: str, times: Numbers, first: np.ndarray[Any, Any], values: Numbers, labels: np.ndarray[Any, Any] | None
) -> None:
    """Refuse several values at one time.

    Args:
        times: each once, rising.
        first: the position of the first value at each time, in `values`, which are in the order of times.
        labels: the simulation of each value.
    """
    low, high = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    wrong = np.flatnonzero(high - low > _SAME * np.abs(values).max())
    if not len(wrong):
        return
    i = int(wrong[0])
    here = slice(first[i], first[i + 1] if i + 1 < len(first) else None)
    text = f"equation.boundary: column {name} has the values {low[i]:g} and {high[i]:g} at t = {times[i]:g}"
    if labels is not None and all(np.ptp(values[here][labels[here] == one]) == 0 for one in np.unique(labels[here])):
        text += " in different simulations, but a wall holds the same in all: fit them one by one (train_sim)"
    else:
        text += ": a wall holds one value at a time; name a column that has the same in all rows of a time"
    raise MeasurementError(text)
