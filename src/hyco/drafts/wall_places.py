"""Where the walls are beside measurements on a grid: at the outermost positions, or half a spacing beyond them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyco.drafts.contents import Numbers
from hyco.drafts.geometry import Axis

# Positions at each end that a polynomial is laid through, at most and at least, and its largest degree.
_POINTS, _FEWEST, _DEGREE = 8, 6, 5
# The better place of the walls lowers χ² by so much at least, and the squares of the residuals by this factor; and its
# own condition raises χ² by no more than this per state, or there is another condition than those looked at.
_LEAST, _FACTOR, _MOST = 10.0, 1.3, 4.0
# Significant digits of a round length.
_ROUND = 3
# Positions at each end that a polynomial over both is laid through, and how many times the squares that polynomials
# leave elsewhere it leaves of a period's, at most; chance adds so many standard deviations of theirs.
_JOINED, _SMOOTH = 4, 1.5
_CHANCE = 3.0
# What a condition leaves of values without noise is of the polynomial's degree up to this part of what they do there.
_OF_DEGREE = 0.01
# Columns (states, and rows of cells beside the axis) that are looked at, at most; and the smallest noise there is, of
# the standard deviation of all.
_COLUMNS, _ROUNDING = 2000, 1e-7


@dataclass(frozen=True)
class WallPlaces:
    """Where the walls of an axis are, and what happens there.

    Attributes:
        on_positions: at the outermost positions; else half a spacing beyond.
        reason: what tells it.
        conditions: at the lower and the upper end, where the values tell them at both: `neumann`, or a value.
        joined: the values go on smoothly from the upper end to the lower one, as those of a period do.
        repeated: whether the outermost positions then are one place, a period apart; None: nothing tells it.
        excluded: at an end there is neither a value that is held nor no slope.
        untold: the end, 0 lower or 1 upper, whose condition is `neumann` because values tell nothing against it.
        rounder: whether the distance of the outermost positions is a rounder number than that from half a spacing
            beyond to half a spacing beyond; None: neither is round, or both alike.
    """

    on_positions: bool
    reason: str
    conditions: tuple[Any, Any] | None = None
    joined: bool = False
    repeated: bool | None = None
    excluded: bool = False
    untold: int | None = None
    rounder: bool | None = None


@dataclass(frozen=True)
class _Fit:
    """What a condition at an end leaves.

    Attributes:
        squares: in units of the noise, beyond those of a polynomial without a condition.
        columns: in which there are squares.
        share: the squares as a part of those of what the values do along the axis.
        value: there; None: it has no slope.
    """

    squares: float
    columns: int
    share: float
    value: float | None = None


def wall_places(field: Numbers, i: int, axis: Axis) -> WallPlaces:
    """Where the walls of an axis are, by the values there, else by the numbers of the positions.

    At a wall the field is its own mirror image, or has the same value at all times. Beside each end a polynomial that
    is so at the outermost position is laid through the nearest values, and one that is so half a spacing beyond it; the
    places at which they fit better, by 10 in χ² and by 1.3 times, are those of the walls. Where the values do not tell
    it, they are at the outermost positions if the distance between these is the rounder number (0, 0.1, …, 1; not 0.05,
    0.15, …, 0.95).

    Args:
        field: `[states, *space]`, NaN where not measured.
        i: the axis of space, from 0.
        axis: a grid of positions.
    """
    along = np.moveaxis(field, i + 1, 0)
    flat = along.reshape(len(along), -1)
    fits = _fits(flat)
    excluded = fits is not None and any(map(_is_excluded, _best(fits)))
    if fits is not None and any(fit.squares > _MOST * fit.columns for fit in _best(fits)):
        fits = None  # there is another condition
    told = None if fits is None else _told(fits)
    extent = float(axis.places[-1] - axis.places[0])
    beyond = extent * len(axis.places) / (len(axis.places) - 1)
    few, others = _digits(extent), _digits(beyond)
    rounder = few < others if few != others and min(few, others) <= _ROUND else None
    if told is not None:
        place, reason = told, "the values beside them tell it"
    elif rounder is not None:
        place, reason = rounder, f"{extent if rounder else beyond:.6g} is a round length; the values do not tell it"
    else:
        place, reason = False, "nothing tells it: the outermost positions may be on the walls"
    conditions, untold = (None, None) if fits is None else _conditions(fits, place)
    joined, repeated = _are_joined(flat)
    return WallPlaces(place, reason, conditions, joined, repeated, excluded, untold, rounder)


def _fits(along: Numbers) -> dict[tuple[int, bool], list[_Fit]] | None:
    """No slope, and a value, at each end (0, 1) on the outermost of values `[n, columns]` and half a spacing beyond.

    None where too few were measured.
    """
    count = min(_POINTS, len(along) // 2)
    if count < _FEWEST:
        return None
    degree, whole = min(_DEGREE, count - 2), float(np.nanstd(along))
    found = {}
    for end, values in enumerate((along[:count], along[::-1][:count])):
        block = values[:, np.isfinite(values).all(axis=0)]
        block = block[:, :: max(1, block.shape[1] // _COLUMNS)]
        columns = block.shape[1]
        if columns < 3 or (scale := float(np.std(block))) == 0:
            return None
        free, _ = _left(block, np.arange(degree + 1), 0.0)
        own = max(float(np.sum((block - block.mean(axis=0)) ** 2)), (_ROUNDING * scale) ** 2)
        noise = max(free / (columns * (count - degree - 1)), (_ROUNDING * scale) ** 2)
        for here, beyond in ((True, 0.0), (False, 0.5)):
            # As many unknowns for each condition, or noise decides between them.
            mirrored, _ = _left(block, np.arange(0, 2 * degree, 2), beyond)
            fixed, held = _left(block, np.arange(1, degree + 1), beyond)
            value = _rounded(*held, noise, whole)
            found[end, here] = [
                _Fit((mirrored - free) / noise, columns, (mirrored - free) / own),
                _Fit((fixed - free) / noise, columns, (fixed - free) / own, value),
            ]
    return found


def _best(fits: dict[tuple[int, bool], list[_Fit]]) -> list[_Fit]:
    """The condition, and the place of the wall, that fits best, at each end."""
    return [min((fit for here in (True, False) for fit in fits[end, here]), key=lambda f: f.squares) for end in (0, 1)]


def _is_excluded(fit: _Fit) -> bool:
    """Whether noise alone hardly ever leaves so much: a square in each column, the noise told by two in each.

    Nor the degree of the polynomial.
    """
    chance = fit.columns + _CHANCE * math.sqrt(3 * fit.columns)
    return fit.squares > chance and fit.share > _OF_DEGREE**2


def _are_joined(along: Numbers) -> tuple[bool, bool | None]:
    """Whether one polynomial fits to both ends of values `[n, columns]`, put beside each other, as to each of them.

    And whether the last position then is the first one, a period later; None where both fit alike.
    """
    count, degree = 2 * _JOINED, _DEGREE
    if len(along) < 2 * count:
        return False, None

    def left(block: Numbers) -> tuple[float, int]:
        known = block[:, np.isfinite(block).all(axis=0)]
        columns = known.shape[1]
        return (_left(known, np.arange(degree + 1), 0.0)[0] / columns if columns else math.inf), columns

    over = [
        left(np.concatenate([along[len(along) - _JOINED - last : len(along) - last], along[:_JOINED]]))
        for last in (0, 1)
    ]
    ends = [left(along[:count]), left(along[::-1][:count])]
    noise = max(*(squares for squares, _ in ends), (_ROUNDING * float(np.nanstd(along))) ** 2)
    columns = min(count for _, count in (*over, *ends))
    if not columns or not noise < math.inf:
        return False, None
    chance = _CHANCE * math.sqrt(2 / (columns * (count - degree - 1)))
    best, other = sorted(squares for squares, _ in over)
    alike = other <= (_SMOOTH + chance) * best
    return best <= (_SMOOTH + chance) * noise, None if alike else over[1][0] == best


def _told(fits: dict[tuple[int, bool], list[_Fit]]) -> bool | None:
    """Whether walls are at the outermost positions; None where the values do not tell it."""
    squares = {here: sum(min(fit.squares for fit in fits[end, here]) for end in (0, 1)) for here in (True, False)}
    better = squares[True] < squares[False]
    return better if _clear(squares[better], squares[not better]) else None


def _conditions(fits: dict[tuple[int, bool], list[_Fit]], place: bool) -> tuple[tuple[Any, Any] | None, int | None]:
    """The conditions at walls there, and the end at which the values do not tell it; None where they tell too little.

    Beside a wall that clearly holds a value the other one may be without a slope where nothing speaks against that.
    """
    found: list[Any] = []
    untold: list[int] = []
    for end in (0, 1):
        best, other = sorted(fits[end, place], key=lambda fit: fit.squares)
        slope = fits[end, place][0].squares
        if not _clear(best.squares, other.squares):
            if slope - best.squares >= _LEAST:
                return None, None
            untold.append(end)
            best = fits[end, place][0]
        found.append("neumann" if best.value is None else best.value)
    if untold and (len(untold) > 1 or found[1 - untold[0]] == "neumann"):
        return None, None
    return (found[0], found[1]), untold[0] if untold else None


def _clear(best: float, other: float) -> bool:
    return other - best >= _LEAST and other >= _FACTOR * best


def _left(block: Numbers, powers: NDArray[np.int64], beyond: float) -> tuple[float, tuple[float, float]]:
    """Squares that polynomials of the distance from a wall leave of values `[m, columns]`, and their value at the wall.

    Without the power 0 the value is the same in all columns; with it is its variance for noise of 1.

    Args:
        beyond: where the wall is, in spacings beyond the first value.
    """
    distance = (np.arange(len(block)) + beyond) / len(block)
    basis, _ = np.linalg.qr(distance[:, None] ** powers)
    rest, value = block - basis @ (basis.T @ block), (0.0, 0.0)
    if powers[0] == 1:
        one = 1.0 - basis @ basis.sum(axis=0)
        weight = float(one @ one)
        value = float((one @ rest).mean()) / weight, 1 / (weight * block.shape[1])
        rest = rest - value[0] * one[:, None]
    return float(np.sum(rest**2)), value


def _rounded(value: float, variance: float, noise: float, whole: float) -> float:
    """A value as exact as it is known, or a fiftieth of what the field does: 0 where it is no larger.

    Args:
        variance: of the value, for noise of 1.
        noise: its variance.
        whole: standard deviation of the field.
    """
    known = max(3 * math.sqrt(variance * noise), whole / 50)
    return 0.0 if abs(value) <= known else round(value, -math.floor(math.log10(known))) + 0.0


def _digits(value: float) -> int:
    """Significant digits that a number needs, six at most."""
    text = f"{value:.5e}".split("e")[0].replace(".", "").rstrip("0")
    return len(text)
