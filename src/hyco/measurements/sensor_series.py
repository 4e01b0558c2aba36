"""What sensors at walls measured: one series in time for each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from hyco.measurements import columns
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.wall_series import Series
from hyco.observations.checks import MeasurementError
from hyco.walls.table import cubics

log = logging.getLogger(__name__)

# A series jumps where one of so many steps or more is this part of all it does, and so many times the others.
_FEWEST, _MOST, _BESIDE = 3, 0.5, 3.0
# A sensor is where a wall says it is if it is no farther away than this part of what all sensors span.
_SAME = 1e-6
# Fewest values that tell whether cubics suit them.
_ENOUGH = 8

SensorSeries = Mapping[tuple[str | None, float], Series]


def wall_sensors(equation: Any) -> list[tuple[str | None, float]]:
    """Channels and positions of `{sensor: position}` in a section `equation`, each once; None: the only channel."""
    if not isinstance(equation, Mapping):
        return []
    return list(dict.fromkeys(found for part, channel in _boundaries(equation) for found in _sensors(part, channel)))


def with_sensor_tables(equation: Mapping[str, Any], series: SensorSeries) -> dict[str, Any]:
    """The section with a table of times and values for each sensor, see `Sensor`."""
    result = dict(equation)
    if "boundary" in result:
        result["boundary"] = _filled(result["boundary"], None, series)
    if isinstance(fields := result.get("fields"), Mapping):
        result["fields"] = {name: _filled(field, name, series) for name, field in fields.items()}
    return result


def require_at_walls(equation: Any) -> None:
    """Refuse sensors of walls that are not where these are: what was measured elsewhere is no condition there.

    Args:
        equation: the section.

    Raises:
        MeasurementError: one is elsewhere; the message has the domain that ends there.
    """
    domain = equation.get("domain") if isinstance(equation, Mapping) else None
    if not isinstance(domain, Mapping) or len(domain) != 1:
        return
    ((axis, keys),) = domain.items()
    try:
        lower, size = float(keys.get("lower", 0.0)), float(keys["size"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return  # said where the domain is read
    for part, channel in _boundaries(equation):
        section = part.get("boundary") if channel is not None and isinstance(part, Mapping) else part
        walls = section.get(axis, section) if isinstance(section, Mapping) else section
        for end, name in enumerate(("lower", "upper")):
            wall = walls.get(name, walls) if isinstance(walls, Mapping) else walls
            if not isinstance(wall, Mapping) or not _is_sensor(wall):
                continue
            at = float(_position(wall["sensor"]) or 0.0)
            if abs(at - lower - end * size) <= _SAME * size:
                continue
            ends = (at, lower + size) if end == 0 else (lower, at)
            there = f" (equation.domain.{axis}: lower {ends[0]:g}, size {ends[1] - ends[0]:g})"
            raise MeasurementError(
                f"equation{'' if channel is None else f'.fields.{channel}'}.boundary: the {name} wall of {axis} is at "
                f"{lower + end * size:g}, and would hold what was measured at {at:g}. Let the domain end there"
                f"{there if ends[1] > ends[0] else ''}, name a sensor at the wall, or give it {{column: …}}"
            )


def warn_of_jumps(series: SensorSeries) -> None:
    """Log a line for each series that changes mostly between two of its times: what a wall does there is a guess."""
    for (_, at), (times, values) in series.items():
        steps = np.abs(np.diff(values))
        if len(steps) < _FEWEST:
            continue
        i = int(np.argmax(steps))
        if steps[i] > _MOST * np.ptp(values) and steps[i] > _BESIDE * np.sqrt(np.mean(np.delete(steps, i) ** 2)):
            text = (
                "The sensor at %g, a wall, goes from %.4g to %.4g between t = %.6g and %.6g: what the wall does in "
                "between is not known, and taken for a line. Where the wall itself holds a value, say where and which."
            )
            log.warning(text, at, values[i], values[i + 1], times[i], times[i + 1])


def sensor_series(
    dataset: xr.Dataset,
    config: MeasurementsConfig,
    wanted: Sequence[tuple[str | None, float]],
    needed: Sequence[int] | None = None,
) -> dict[tuple[str | None, float], Series]:
    """Times (rising) and values, both of the equation, of sensors; the mean of what was measured at one time.

    Args:
        dataset: the columns or variables that the section names, from `hyco.measurements.source.load`.
        config: the section.
        wanted: channels and positions, see `wall_sensors`.
        needed: the trajectories that count; None: all.

    Raises:
        MeasurementError: nothing was measured there, there are several axes or trajectories, or no time.
    """
    return {(channel, at): _series(dataset, config, channel, at, needed) for channel, at in wanted}


def interpolation(times: Sequence[float], values: Sequence[float]) -> str:
    """Linear or cubic: what tells every second value better from the others; linear of few values.

    A line loses a part of what comes and goes: of a wave (ω h)²/12, h the distance of the times. Cubics lose less, but
    overshoot beside jumps and follow noise.
    """
    t, v = np.asarray(times), np.asarray(values)
    if len(t) < _ENOUGH:
        return "linear"
    asked = slice(1, len(t) - 1 + len(t) % 2, 2)
    line = np.interp(t[asked], t[::2], v[::2]) - v[asked]
    curve = cubics(t[::2], v[::2])(t[asked]) - v[asked]
    return "cubic" if np.square(curve).sum() < np.square(line).sum() else "linear"


def _boundaries(equation: Mapping[str, Any]) -> Iterator[tuple[Any, str | None]]:
    yield equation.get("boundary"), None
    if isinstance(fields := equation.get("fields"), Mapping):
        yield from ((field, name) for name, field in fields.items())


def _is_sensor(section: Any) -> bool:
    return isinstance(section, Mapping) and set(section) == {"sensor"} and _position(section["sensor"]) is not None


def _position(given: Any) -> float | None:
    """The position in `{sensor: 0.5}` or `{sensor: {position: 0.5, …}}`."""
    value = given.get("position") if isinstance(given, Mapping) else given
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sensors(section: Any, channel: str | None) -> list[tuple[str | None, float]]:
    if _is_sensor(section):
        return [(channel, float(_position(section["sensor"]) or 0.0))]
    parts = section.values() if isinstance(section, Mapping) else section if isinstance(section, list) else ()
    return [found for part in parts for found in _sensors(part, channel)]


def _filled(section: Any, channel: str | None, series: SensorSeries) -> Any:
    if _is_sensor(section):
        key = (channel, float(_position(section["sensor"]) or 0.0))
        if key not in series:
            return section
        times, values = series[key]
        given = section["sensor"]
        between = given.get("interpolation", "auto") if isinstance(given, Mapping) else "auto"
        between = interpolation(times, values) if between == "auto" else between
        return {"table": {"times": list(times), "values": list(values), "interpolation": between, "measured": True}}
    if isinstance(section, Mapping):
        return {name: _filled(part, channel, series) for name, part in section.items()}
    return [_filled(part, channel, series) for part in section] if isinstance(section, list) else section


def _series(
    dataset: xr.Dataset, config: MeasurementsConfig, channel: str | None, at: float, needed: Sequence[int] | None
) -> Series:
    where = f"equation.boundary: sensor {at:g}" if channel is None else f"equation.fields.{channel}: sensor {at:g}"
    if config.time is None or len(config.axes) != 1:
        raise MeasurementError(f"{where} is a series in time along one axis, which this file has not")
    if channel is None and len(config.fields) > 1:
        raise MeasurementError(f"{where}: of which field? Say it in equation.fields.NAME.boundary")
    channel = channel or next(iter(config.fields))
    if channel not in config.fields:
        raise MeasurementError(f"{where}: {channel} was not measured (measurements.fields)")
    times, place, values = _measured(dataset, config, channel, needed, where)
    near = np.abs(place - at) <= _SAME * (np.ptp(place) or 1.0)
    if not near.any():
        places = np.unique(place)
        nearest = ", ".join(f"{one:g}" for one in np.sort(places[np.argsort(np.abs(places - at))[:3]]))
        raise MeasurementError(f"{where}: nothing was measured there; the nearest are {nearest}")
    distinct, which = np.unique(times[near], return_inverse=True)
    means = np.bincount(which, values[near]) / np.bincount(which)
    return distinct.tolist(), means.tolist()


def _measured(
    dataset: xr.Dataset, config: MeasurementsConfig, channel: str, needed: Sequence[int] | None, where: str
) -> tuple[np.ndarray[Any, Any], ...]:
    """Times, positions and values of all measurements of a channel, `[n]` each."""
    ((axis, given),) = config.axes.items()
    along = columns.numbers(dataset, given) if isinstance(given, str) else columns.positions_of_columns(list(given))
    each = [columns.numbers(dataset, name) for name in config.columns_of(channel)]
    parts = [
        config.scale.get("time", 1.0) * columns.times(dataset, str(config.time), config.start),
        config.scale.get(axis, 1.0) * along,
        config.scale.get(channel, 1.0) * columns.joined(each, config.replicates),
    ]
    if config.simulation is not None:
        variable = dataset[config.simulation]
        parts.append(variable.copy(data=columns.labels(variable)[0]))
    times, place, values, *labels = (part.to_numpy().ravel() for part in xr.broadcast(*parts))
    counted = np.isfinite(times) & np.isfinite(place) & np.isfinite(values)
    if labels:
        counted &= np.isin(labels[0], list(needed)) if needed is not None else True
        if len(np.unique(labels[0][counted])) > 1:
            raise MeasurementError(f"{where}: a wall holds the same in all simulations: fit them one by one")
    return times[counted], place[counted], values[counted]
