"""What happens at the ends of the domain, as far as measurements on a grid tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hyco.drafts.contents import Numbers
from hyco.drafts.wall_places import WallPlaces

# The ends belong to a period where they differ as little as neighbours do, by this factor.
_NEIGHBOURS = 1.5
# A wall without flux: the slope at it is this part of the others. A wall that holds a value: it moves by this part of
# what the field does.
_FLAT, _HELD = 0.4, 0.1
_FLAT_MEAN = 0.5
_SAME = 0.05
# Both are the same place where they differ by so much less than what is beside them.
_TELLING = 3.0
# Where noise hides the slopes: differences over so many cells of the mean of all states, if that varies by this part of
# what the field does.
_APART, _STEADY = 4, 0.3


@dataclass(frozen=True)
class Ends:
    """The condition of an axis as the key `boundary` has it, and why.

    Attributes:
        repeated: both ends have the same values.
        near: both ends differ as little as neighbours do, so that the axis may be periodic.
        untold: the ends, 0 lower and 1 upper, that have a slope and a value that changes, if noise does not feign it.
    """

    condition: Any
    reason: str
    repeated: bool = False
    near: bool = False
    untold: tuple[int, ...] = ()


def ends_of(field: Numbers, axis: int, places: WallPlaces) -> Ends:
    """Guess the condition along an axis.

    Args:
        field: `[states, *space]`, NaN where not measured.
        axis: which of space, from 0.
        places: where its walls are.
    """
    along = np.moveaxis(field, axis + 1, 0)
    step = _size(np.diff(along, axis=0))
    around = _size(along[0] - along[-1])
    if not np.isfinite([step, around]).all() or step == 0:
        return Ends("neumann", "nothing tells it")
    joined = places.joined and bool(around <= _NEIGHBOURS * max(step, *map(_first_step, (along, along[::-1]))))
    repeated = bool(around <= _SAME * step)
    if joined and places.repeated is not None:
        repeated = places.repeated
    elif joined and places.rounder is not None:
        repeated = places.rounder and bool(around <= min(map(_first_step, (along, along[::-1]))))
    elif repeated and places.rounder is False:
        # Ends that rest are alike in any case.
        beside = min(map(_first_step, (along, along[::-1])))
        repeated = bool(beside > _TELLING * around)
    close = bool(around <= _NEIGHBOURS * step)
    if joined and places.excluded:
        return Ends("periodic", "the values go on from one end to the other", repeated)
    beyond = 0.0 if places.on_positions else 0.5
    near = close and not (_holds(along, beyond) and _holds(along[::-1], beyond))
    # Ends of a period may have no slope, where they are close, and in a field that hardly changes they keep a value.
    periodic = (close and "neumann" in (places.conditions or ())) or (near and places.joined)
    # Ends that are as close as neighbours are may be those of a period, unless values tell both.
    if places.conditions is not None and not periodic and not (close and places.untold is not None):
        lower, upper = places.conditions
        reason = "the values beside both ends"
        if places.untold is not None:
            reason = f"the values beside the {('upper', 'lower')[places.untold]} end; nothing tells the other one"
        return Ends(lower if lower == upper else {"lower": lower, "upper": upper}, reason)
    flat = all(_size(end[1] - end[0]) <= _FLAT * step for end in (along, along[::-1]))
    if flat:
        also = ", which are as close as neighbours are: periodic is as likely" if near else ""
        return Ends("neumann", f"hardly any slope at both ends{also}", repeated, close)
    if _flat_on_average(along):
        return Ends("neumann", "hardly any slope at both ends, on average over all states", repeated, close)
    if near:
        return Ends("periodic", "both ends are as close as neighbours are", repeated)
    found = [_wall(along, step, beyond), _wall(along[::-1], step, beyond)]
    untold = tuple(end for end, wall in enumerate(found) if wall is None)
    lower, upper = ("neumann" if wall is None else wall for wall in found)
    condition = lower if lower == upper else {"lower": lower, "upper": upper}
    return Ends(condition, "the slopes and values at both ends", repeated, close, untold)


def _size(values: Numbers) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")


def _first_step(along: Numbers) -> float:
    """How much the first two values differ."""
    return _size(along[1] - along[0])


def _flat_on_average(along: Numbers) -> bool:
    """Whether the mean of all states has hardly any slope at both ends, over some cells."""
    if len(along) <= 3 * _APART or not np.isfinite(along).any(axis=tuple(range(1, along.ndim))).all():
        return False
    mean = np.nanmean(along, axis=1)
    if _size(mean - mean.mean(axis=0)) < _STEADY * float(np.nanstd(along)):
        return False
    step = _size(mean[_APART:] - mean[:-_APART])
    return all(_size(end[_APART] - end[0]) <= _FLAT_MEAN * step for end in (mean, mean[::-1]))


def _at_wall(along: Numbers, beyond: float) -> Numbers:
    """Values so many cells beyond the first, by a straight line."""
    return np.asarray((1 + beyond) * along[0] - beyond * along[1])


def _holds(along: Numbers, beyond: float) -> bool:
    """Whether the lower end has a value of its own."""
    wall = _at_wall(along, beyond)
    known = wall[np.isfinite(wall)]
    whole = along[np.isfinite(along)]
    return len(known) > 1 and float(np.std(known)) <= _HELD * float(np.std(whole))


def _wall(along: Numbers, step: float, beyond: float) -> Any:
    """The condition at the lower end; None where it has a slope and a value that changes."""
    if _size(along[1] - along[0]) <= _FLAT * step:
        return "neumann"
    if not _holds(along, beyond):
        return None
    wall, whole = _at_wall(along, beyond), along[np.isfinite(along)]
    value, scale = float(np.nanmean(wall)), float(np.std(whole))
    return 0.0 if abs(value) <= _HELD * scale else float(f"{value:.2g}")
