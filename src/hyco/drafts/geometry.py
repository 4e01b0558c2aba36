"""Where was measured: the domain that this asks for, and whether its cells are where the sensors are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyco.drafts.contents import Numbers
from hyco.drafts.points import Points

# Positions are a regular grid where neighbours differ in distance by less than this part of it.
_UNEVEN = 1e-3
# Part of the places of a grid that has to be measured at all.
_SPARSE = 0.3
# Cells along the longest axis, by the number of axes: of a domain with scattered sensors, and the fewest of a grid.
_SCATTERED = {1: 64, 2: 32, 3: 16}
_FEWEST = {1: 32, 2: 24, 3: 12}
# States of each trajectory that tell the walls without the earliest one; that is no later than this part of all times.
_LATER, _START = 4, 1e-6
# Part that is added to what sensors span, at most, to come to round numbers.
_ROUNDED = 0.15


@dataclass(frozen=True)
class Axis:
    """An axis of the domain.

    Attributes:
        lower, size, resolution: as in the section `equation`.
        places: different positions, rising.
        on_grid: whether they are a grid, of centres of cells unless they are `on_walls`.
        reason: why it is so, for a comment.
        refined: cells for each position of a grid along this axis, odd; for each distance where walls are on positions.
        on_walls: the outermost positions of a grid are on the walls, so that none is the centre of a cell.
    """

    lower: float
    size: float
    resolution: int
    places: Numbers
    on_grid: bool
    reason: str
    refined: int = 1
    on_walls: bool = False

    @property
    def of_cells(self) -> bool:
        """Whether the positions are the centres of all cells."""
        return self.on_grid and self.refined == 1 and not self.on_walls


def axes_of(points: Points) -> dict[str, Axis]:
    """Guess the domain from the positions."""
    places = {axis: _distinct(position, points.rounding[axis]) for axis, position in points.position.items()}
    dimensions = len(places)
    regular = all(_is_regular(where, points.rounding[axis]) for axis, where in places.items()) and _is_filled(
        points, places
    )
    if regular:
        return {axis: _of_cells(where, dimensions, points.rounding[axis]) for axis, where in places.items()}
    extents = {axis: _rounded_out(float(where[0]), float(where[-1])) for axis, where in places.items()}
    longest = max(size for _, size in extents.values())
    found = {}
    for axis, (lower, size) in extents.items():
        cells = max(8, round(_SCATTERED[dimensions] * size / longest / 4) * 4)
        reason = f"{len(places[axis])} positions from {places[axis][0]:.6g} to {places[axis][-1]:.6g}, rounded out"
        found[axis] = Axis(lower, size, cells, places[axis], False, reason)
    return found


def _distinct(position: Numbers, rounding: float) -> Numbers:
    known = np.unique(position[np.isfinite(position)])
    tolerance = max(4 * rounding, 1e-9 * float(np.ptp(known)) if len(known) else 0.0)
    kept = np.concatenate([[True], np.diff(known) > tolerance]) if len(known) else np.zeros(0, dtype=bool)
    return np.asarray(known[kept])


def _is_regular(places: Numbers, rounding: float) -> bool:
    if len(places) < 4:
        return False
    steps = np.diff(places)
    written = max(4 * rounding, 4 * float(np.finfo(np.float32).eps) * float(np.abs(places).max()))
    return bool(np.ptp(steps) <= _UNEVEN * steps.mean() + written)


def _is_filled(points: Points, places: dict[str, Numbers]) -> bool:
    """Whether most places of the grid were measured at some time."""
    known = np.all([np.isfinite(p) for p in points.position.values()], axis=0)
    whole = math.prod(map(len, places.values()))
    indices = [_index(points.position[axis][known], where) for axis, where in places.items()]
    flat = np.ravel_multi_index(tuple(indices), tuple(map(len, places.values())))
    return len(np.unique(flat)) >= _SPARSE * whole


def _index(position: Numbers, places: Numbers) -> NDArray[np.int64]:
    h = (places[-1] - places[0]) / (len(places) - 1)
    return np.asarray(np.clip(np.rint((position - places[0]) / h), 0, len(places) - 1), dtype=np.int64)


def _of_cells(places: Numbers, dimensions: int, rounding: float) -> Axis:
    """Cells whose centres are the positions, but for their rounding; odd parts of these, if they are few."""
    n, h = len(places), float(places[-1] - places[0]) / (len(places) - 1)
    refined = 1
    while n * refined < _FEWEST[dimensions]:
        refined += 2
    reason = f"{n} positions from {places[0]:.6g} to {places[-1]:.6g}, a distance of {h:.6g} apart: centres of cells"
    if refined > 1:
        reason += f", each cut into {refined}"
    lower, size = _roundest(float(places[0]) - h / 2, n * h, places, rounding)
    return Axis(lower, size, n * refined, places, True, reason, refined)


def _roundest(lower: float, size: float, places: Numbers, rounding: float) -> tuple[float, float]:
    """The lower end and size of fewest digits with which the centres of cells are the positions, but for rounding."""
    for digits in range(3, 9):
        decimals = digits - math.floor(math.log10(size))
        ends = round(lower, decimals) + 0.0, round(size, decimals)
        centres = ends[0] + (np.arange(len(places)) + 0.5) * ends[1] / len(places)
        if np.abs(centres - places).max() <= rounding:
            return ends
    return _clean(lower, size), _clean(size, size)


def closed(axis: Axis) -> Axis:
    """The same axis where the last position is the first one, a period later."""
    n = len(axis.places) - 1
    h = float(axis.places[-1] - axis.places[0]) / n
    reason = axis.reason.replace("centres of cells", "centres of cells; the last is the first, a period later")
    size = _clean(n * h, n * h)
    return replace(axis, size=size, resolution=n * axis.refined, reason=reason)


def between_walls(axis: Axis, dimensions: int, *, on_positions: bool, reason: str) -> Axis:
    """The same axis between walls, which are at the outermost positions or half a distance beyond.

    Args:
        reason: what tells it.
    """
    if not on_positions:
        return replace(axis, reason=f"{axis.reason} ({reason})")
    n = len(axis.places) - 1
    extent = float(axis.places[-1] - axis.places[0])
    refined = math.ceil(_FEWEST[dimensions] / n)
    words = f"{axis.reason.split(': centres of cells')[0]}: the outermost are on the walls ({reason})"
    lower, size = _clean(float(axis.places[0]), extent), _clean(extent, extent)
    return Axis(lower, size, n * refined, axis.places, True, words, refined, on_walls=True)


def reaching(axis: Axis, places: Mapping[int, float]) -> Axis:
    """The same axis with walls at some positions.

    Args:
        places: by end, 0 the lower and 1 the upper one.
    """
    upper = places.get(1, axis.lower + axis.size)
    lower = places.get(0, axis.lower)
    size = _clean(upper - lower, upper - lower)
    where = " and ".join(f"{place:.6g}" for place in places.values())
    if not axis.on_grid and (lower, size) == (axis.lower, axis.size):
        return axis
    if not axis.on_grid:
        cells = max(8, math.ceil(axis.resolution * size / axis.size / 4) * 4)
        return replace(axis, lower=lower, size=size, resolution=cells, reason=f"{axis.reason}, but for {where}")
    # Half a spacing is a number of cells, too.
    h = float(axis.places[-1] - axis.places[0]) / (len(axis.places) - 1)
    refined = axis.refined + axis.refined % 2
    words = f"{axis.reason.split(': ')[0]}: the wall is at {where}"
    return Axis(lower, size, round(size / h * refined), axis.places, True, words, refined, on_walls=True)


def _clean(value: float, scale: float) -> float:
    """Without errors of rounding."""
    digits = 9 - math.floor(math.log10(scale))
    return round(value, digits) + 0.0


def _rounded_out(low: float, high: float) -> tuple[float, float]:
    """Lower end and size of a domain with round ends that holds the positions, and little more."""
    extent = high - low or abs(high) or 1.0
    power = math.floor(math.log10(extent))
    for unit in (10.0**power, 0.5 * 10.0**power, 0.2 * 10.0**power, 0.1 * 10.0**power, 0.05 * 10.0**power):
        lower, upper = math.floor(low / unit + 1e-9) * unit, math.ceil(high / unit - 1e-9) * unit
        if upper > lower and upper - lower <= (1 + _ROUNDED) * extent:
            return _clean(lower, extent), _clean(upper - lower, extent)
    return low, extent


def later_states(points: Points, field: Numbers) -> Numbers:
    """The states after the earliest, as far as there are enough: that may be of before the walls became what they are.

    Args:
        points: the measurements.
        field: of them, as `on_grid` has it.
    """
    times = np.unique(np.stack([points.simulation, points.time]), axis=1)[1]
    later = times > _START * points.duration
    return field[later] if np.count_nonzero(later) >= _LATER * points.simulations else field


def on_grid(points: Points, field: str, axes: dict[str, Axis], most: int = 50_000_000) -> Numbers | None:
    """A field as an array `[times and trajectories, *space]`, NaN where it was not measured; None if it has no grid."""
    if not all(axis.on_grid for axis in axes.values()):
        return None
    _, state = np.unique(np.stack([points.simulation, points.time]), axis=1, return_inverse=True)
    shape = (int(state.max()) + 1, *(len(axis.places) for axis in axes.values()))
    if math.prod(shape) > most:
        return None
    values = np.full(shape, np.nan)
    known = np.all([np.isfinite(p) for p in points.position.values()], axis=0)
    indices = [_index(points.position[name][known], axis.places) for name, axis in axes.items()]
    values[(state[known], *indices)] = points.values[field][known]
    return values
