"""Sensors at the ends of the domain: what they measured may be the wall there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyco.drafts.contents import Numbers
from hyco.drafts.geometry import Axis
from hyco.drafts.points import Points
from hyco.drafts.roles import Roles
from hyco.drafts.walls import Ends
from hyco.measurements.wall_series import Series

# A wall is taken to be exact: second differences of a series that may be one are this part of its range, in the mean
# square. Of white noise they are 2.4 times its standard deviation.
_SMOOTH = 0.02
_ROUNDING = 1e-6


@dataclass(frozen=True)
class EndSeries:
    """Columns of sensors at the ends of the only axis.

    Attributes:
        columns: by end, 0 the lower and 1 the upper one.
        series: times and values, by column.
    """

    columns: Mapping[int, str]
    series: dict[str, Series]


def end_series(points: Points, field: str, roles: Roles, axes: Mapping[str, Axis]) -> EndSeries | None:
    """The sensors at the ends, with series that may be walls: without gaps, and smooth; None where there are none.

    Where all sensors are at ends there would be nothing to learn from: then there are none, too.

    Args:
        points, roles, axes: of the measurements.
        field: the only one.
    """
    if len(roles.axes) != 1 or roles.simulation is not None or field not in roles.columns:
        return None
    ((axis, given),) = roles.axes.items()
    places = [float(place) for place in given]
    columns, series = {}, {}
    for place, column in zip(places, roles.columns[field], strict=True):
        end = (place - axes[axis].lower) / axes[axis].size
        if min(abs(end), abs(1 - end)) > _ROUNDING:
            continue
        here = points.position[axis] == place
        order = np.argsort(points.time[here], kind="stable")
        times, values = points.time[here][order], points.values[field][here][order]
        if _may_be_wall(times, values):
            columns[round(end)], series[column] = column, (times.tolist(), values.tolist())
    return EndSeries(columns, series) if series and len(series) < len(places) else None


def _may_be_wall(times: Numbers, values: Numbers) -> bool:
    if len(times) < 4 or not np.isfinite([times, values]).all() or not (np.diff(times) > 0).all():
        return False
    rough = float(np.sqrt(np.mean(np.diff(values, 2) ** 2)))
    return rough <= _SMOOTH * float(np.ptp(values))


def ends_of_sensors(columns: Mapping[int, str]) -> Ends:
    """The condition with what sensors at the ends measured; without slope where there is none.

    Args:
        columns: see `EndSeries`.
    """
    names = {"lower": columns.get(0), "upper": columns.get(1)}
    walls = {end: "neumann" if name is None else {"column": name} for end, name in names.items()}
    others = "" if len(columns) == len(names) else "; nothing tells the other end"
    return Ends(walls, f"the sensor there, whose noise is not in the intervals{others}")
