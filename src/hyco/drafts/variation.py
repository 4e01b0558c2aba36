"""Over how far, and how long, what was measured varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyco.drafts.contents import Numbers
from hyco.drafts.points import Points

# Groups (places, or times) that are looked at, measurements of each, and groups of pairs that are alike in distance.
_GROUPS, _ENTRIES, _BINS = 48, 256, 24
# A field that is nowhere negative has no more than this part of its values further below zero than so many standard
# deviations of its noise (Gaussian noise: .6 %), and none further than the lowest of as many draws, and a bit.
_BELOW, _DEVIATIONS, _BEYOND = 0.0125, 2.5, 1.5
# Measurements further apart than the scale differ by more than this part of what any two do, in the mean square.
_HALF = 0.5


@dataclass(frozen=True)
class Variation:
    """Distances at which a field has changed by half of its variance.

    Where all neighbours differ by more, it is their distance: what varies faster was not measured.

    Attributes:
        length: at one time, between two places.
        time: at one place, between two times.
    """

    length: float
    time: float


def variation_of(points: Points, field: str) -> Variation | None:
    """The scales of a field that was measured; None where the measurements are too few to tell both.

    Args:
        points: of the measurements.
        field: its name in the file.
    """
    known = np.isfinite(points.values[field]) & np.isfinite(points.time)
    position = np.stack([where[known] for where in points.position.values()])
    simulation, time, values = points.simulation[known], points.time[known], points.values[field][known]
    at_once = _distance(np.stack([simulation, time]), position, values)
    at_one_place = _distance(np.vstack([simulation, position]), time[None], values)
    if at_once is None or at_one_place is None:
        return None
    return Variation(at_once, at_one_place)


def is_positive(points: Points, field: str) -> bool:
    """Whether what is negative in a field that was measured may all be noise about zero."""
    values = points.values[field][np.isfinite(points.values[field])]
    if not len(values) or values.min() >= 0:
        return bool(len(values))
    noise = _noise(points, field)
    if noise is None:
        return False
    lowest = (np.sqrt(2 * np.log(len(values))) + _BEYOND) * noise
    return bool(values.min() >= -lowest and np.mean(values < -_DEVIATIONS * noise) <= _BELOW)


def _noise(points: Points, field: str) -> float | None:
    """Standard deviation of a field's noise, by how far values are from the line between neighbours in time or place.

    What the field itself bends there counts as noise: it is the smaller of the two.
    """
    known = np.isfinite(points.values[field]) & np.isfinite(points.time)
    position = np.stack([where[known] for where in points.position.values()])
    simulation, time, values = points.simulation[known], points.time[known], points.values[field][known]
    found = [_bends(np.vstack([simulation, position]), time, values)]
    if len(position) == 1:
        found.append(_bends(np.stack([simulation, time]), position[0], values))
    return min((one for one in found if one is not None), default=None)


def _bends(group: Numbers, where: Numbers, values: Numbers) -> float | None:
    """The robust standard deviation of values `[n]` from the line between their neighbours in a group."""
    order = np.lexsort((where, *group))
    along, values = where[order], values[order]
    same = (group[:, order][:, 2:] == group[:, order][:, :-2]).all(axis=0)
    before, after = along[1:-1] - along[:-2], along[2:] - along[1:-1]
    same &= (before > 0) & (after > 0)
    if not same.any():
        return None
    weight = after[same] / (before[same] + after[same])
    off = values[1:-1][same] - weight * values[:-2][same] - (1 - weight) * values[2:][same]
    return float(1.4826 * np.median(np.abs(off) / np.sqrt(1 + weight**2 + (1 - weight) ** 2)))


def _distance(group: Numbers, where: Numbers, values: Numbers) -> float | None:
    """The distance at which half of the mean squared difference is reached, among measurements of one group.

    Args:
        group: what members of a group have in common, `[k, n]`.
        where: coordinates, `[d, n]`.
        values: `[n]`.
    """
    apart, squares = [], []
    for members in _members(group):
        one, other = np.triu_indices(len(members), 1)
        apart.append(np.linalg.norm(where[:, members[one]] - where[:, members[other]], axis=0))
        squares.append((values[members[one]] - values[members[other]]) ** 2)
    if not apart:
        return None
    distance, square = np.concatenate(apart), np.concatenate(squares)
    distance, square = distance[distance > 0], square[distance > 0]
    if not len(distance) or not square.any():
        return None
    order = np.argsort(distance, kind="stable")
    parts = np.array_split(order, min(_BINS, len(order)))
    reached = [part for part in parts if square[part].mean() >= _HALF * square.mean()]
    return float(np.median(distance[reached[0]]))


def _members(group: Numbers) -> list[NDArray[np.int64]]:
    """Indices of the members of some groups that have two or more, some of each."""
    order = np.lexsort(group)
    starts = np.flatnonzero(np.r_[True, (np.diff(group[:, order], axis=1) != 0).any(axis=0)])
    counts = np.diff(np.r_[starts, len(order)])
    several = np.flatnonzero(counts > 1)
    random = np.random.default_rng(0)  # of the choice alone
    chosen = several[np.unique(np.linspace(0, len(several) - 1, _GROUPS).astype(int))] if len(several) else several
    members = [order[starts[i] : starts[i] + counts[i]] for i in chosen]
    return [m if len(m) <= _ENTRIES else random.choice(m, _ENTRIES, replace=False) for m in members]
