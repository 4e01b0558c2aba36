"""Over how far, and how long, what was measured varies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyco.drafts.contents import Numbers
from hyco.drafts.points import Points

# Groups (places, or times) that are looked at, measurements of each, and groups of pairs that are alike in distance.
_GROUPS, _ENTRIES, _BINS = 48, 256, 24
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
