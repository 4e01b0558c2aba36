"""Sensors at the ends of the domain: what they measured may be the wall there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyco.drafts.contents import Numbers
from hyco.drafts.geometry import Axis
from hyco.drafts.points import Points
from hyco.drafts.walls import Ends
from hyco.measurements.sensor_series import SensorSeries

# A sensor at an end of the domain is a wall where its series may be one: second differences are this part of its range,
# in the mean square. Of white noise they are 2.4 times its standard deviation.
_SMOOTH = 0.02
_ROUNDING = 1e-6
# Elsewhere an outermost sensor is the wall where the field has a slope and a value that changes, so that no number
# stands there. A polynomial is laid through so many positions beside it, of at most this degree.
_POSITIONS, _DEGREE = 6, 3
# Mean squares of slopes and of changes of the value, in units of their noise.
_SLOPES, _CHANGES = 4.0, 9.0
# Slopes beside the field's differences over as many positions, changes beside its standard deviation.
_STEEP, _MOVED = 0.3, 0.1
# Fewest positions, of scattered sensors and of a grid, whose walls may be beyond; fewest times, part of these that has
# to be measured, and the smallest noise there is.
_SENSORS, _PLACES = 5, 12
_TIMES, _FILLED, _LEAST = 4, 0.6, 1e-7


@dataclass(frozen=True)
class EndSensors:
    """Sensors whose measurements are walls of the only axis.

    Attributes:
        places: their positions by end, 0 the lower and 1 the upper one.
        series: what they measured, as `with_sensor_tables` takes it.
    """

    places: Mapping[int, float]
    series: SensorSeries


def end_sensors(points: Points, field: str, axes: Mapping[str, Axis], ends: Mapping[str, Ends]) -> EndSensors | None:
    """The sensors that are walls; None where there are none.

    Where all sensors are at ends there would be nothing to learn from: then there are none, too.

    Args:
        points, axes: of the measurements.
        field: the only one.
        ends: what is guessed without them; where it is a period, there are none.
    """
    table = _table(points, field, axes)
    if table is None:
        return None
    (axis,), (guessed,) = axes.values(), ends.values()
    times, values = table
    places: dict[int, float] = {}
    for end in guessed.untold:
        order = slice(None, None, -1 if end else None)
        place, along = float(axis.places[order][0]), values[order]
        wall = axis.lower + end * axis.size
        stands_there = not axis.on_grid and abs(place - wall) <= _ROUNDING * axis.size
        enough = len(axis.places) >= (_PLACES if axis.on_grid else _SENSORS)
        if (stands_there and _may_be_wall(along[0])) or (enough and _moves(along, axis.places[order])):
            places[end] = place
    if not places or len(axis.places) <= len(places):
        return None
    return EndSensors(places, {(None, place): _series(times, values[-end]) for end, place in places.items()})


def _table(points: Points, field: str, axes: Mapping[str, Axis]) -> tuple[Numbers, Numbers] | None:
    """Times `[n]` and values by position and time `[places, n]`, of one trajectory along one axis.

    None where there is no such, or sensors do not stay where they are.
    """
    if len(axes) != 1 or points.simulations > 1 or points.duration <= 0:
        return None
    ((name, axis),) = axes.items()
    position, measured = points.position[name], points.values[field]
    known = np.isfinite(position) & np.isfinite(points.time) & np.isfinite(measured)
    times, when = np.unique(points.time[known], return_inverse=True)
    size = len(axis.places) * len(times)
    if len(times) < _TIMES or not _FILLED * size <= known.sum():
        return None
    where = np.searchsorted((axis.places[1:] + axis.places[:-1]) / 2, position[known])
    key = where * len(times) + when
    count = np.bincount(key, minlength=size)
    with np.errstate(invalid="ignore"):
        means = np.bincount(key, measured[known], minlength=size) / count
    return (times, means.reshape(len(axis.places), -1)) if np.mean(count > 0) >= _FILLED else None


def _series(times: Numbers, values: Numbers) -> tuple[list[float], list[float]]:
    known = np.isfinite(values)
    return times[known].tolist(), values[known].tolist()


def _may_be_wall(values: Numbers) -> bool:
    if not np.isfinite(values).all():
        return False
    rough = float(np.sqrt(np.mean(np.diff(values, 2) ** 2)))
    return rough <= _SMOOTH * float(np.ptp(values))


def _moves(along: Numbers, places: Numbers) -> bool:
    """Whether the field has a slope, and a value that changes, at the first of some positions.

    Half a distance beyond it, too, where a wall may be.

    Args:
        along: `[n, times]`, NaN where not measured.
        places: rising or falling, `[n]`.
    """
    count = min(_POSITIONS, max(len(places) // 2, 4))
    block = along[:count, np.isfinite(along[:count]).all(axis=0)]
    if block.shape[1] < _TIMES:
        return False
    typical = float(np.nanmean((along[count - 1 :] - along[: 1 - count]) ** 2))
    whole, extent = float(np.nanvar(along)), places[count - 1] - places[0]
    return all(
        _moves_at((places[:count] - wall) / extent, block, typical, whole)
        for wall in (places[0], 1.5 * places[0] - 0.5 * places[1])
    )


def _moves_at(distance: Numbers, block: Numbers, typical: float, whole: float) -> bool:
    """Whether it has these at distance 0.

    Args:
        distance: of some positions, `[count]`.
        block: values there, `[count, times]`.
        typical: mean square of the field's differences over a distance of 1.
        whole: variance of the field.
    """
    basis = distance[:, None] ** np.arange(min(_DEGREE, len(distance) - 2) + 1)
    inverse = np.linalg.pinv(basis)
    found = inverse @ block
    free = block.shape[1] * (len(distance) - basis.shape[1])
    noise = max(float(((block - basis @ found) ** 2).sum()) / free, _LEAST**2 * whole)
    of_value, of_slope = (noise * float(row @ row) for row in inverse[:2])
    slopes, changes = float(np.mean(found[1] ** 2)), float(np.var(found[0]))
    if slopes < _SLOPES * of_slope or changes < _CHANGES * of_value:
        return False
    return bool(slopes - of_slope >= _STEEP**2 * typical and changes - of_value >= _MOVED**2 * whole)


def ends_of_sensors(places: Mapping[int, float], other: Ends, *, known: bool) -> Ends:
    """The condition with what sensors at the ends measured.

    Args:
        places: see `EndSensors`.
        other: what is guessed of the ends without them.
        known: whether something tells that.
    """
    one = other.condition
    walls: dict[str, Any] = dict(one) if isinstance(one, Mapping) else {"lower": one, "upper": one}
    for end, place in places.items():
        walls[("lower", "upper")[end]] = {"sensor": place}
    reason = "the sensor there"
    if len(places) < len(walls):
        reason += f"; of the other end {other.reason}" if known else "; nothing tells the other end"
    return Ends(walls, reason)
