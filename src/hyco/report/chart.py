"""Lines against time or epochs as vector graphics in the page, whose values show where one points."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from matplotlib.ticker import LogLocator, MaxNLocator

from hyco.plots.style import METHODS, MethodStyle
from hyco.plots.ticks import short

# The page's pixels: of the whole, and around the axes.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 320, 76, 16, 14, 48
_DASHES = {"-": "", "--": "6 4", ":": "2 3"}
# Errors that span more than this stand on a logarithmic axis.
_WIDE = 10.0

Values = Sequence[float | None]


@dataclass(frozen=True)
class Series:
    """One line, and the band about it if it has one.

    Attributes:
        name: of the method, as in `hyco.plots.style.METHODS`.
        values: at every place of the horizontal axis; None: there is none.
        lower, upper: edges of the band.
    """

    name: str
    values: Values
    lower: Values = ()
    upper: Values = ()


@dataclass(frozen=True)
class Line:
    """A line as it is drawn: the `d` of its paths, and how it looks."""

    label: str
    colour: str
    dashes: str
    path: str
    band: str


@dataclass(frozen=True)
class Chart:
    """What the page draws.

    Attributes:
        caption, alt: words below it, and for who does not see it.
        x_label, y_label: of the axes.
        x_ticks, y_ticks: each a place in pixels and a number.
        lines: what is drawn.
        truth: height of a horizontal line; None: there is none.
        values: JSON of what is said where one points: places in pixels, and a text for each.
        width, height, left, right, top, bottom: pixels of the whole, and the edges of the axes.
    """

    caption: str
    alt: str
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    truth: float | None
    values: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = _HEIGHT - _BOTTOM


def chart(
    places: Sequence[float],
    series: Sequence[Series],
    *,
    x_name: str,
    x_unit: str = "",
    y_label: str,
    caption: str,
    alt: str,
    truth: float | None = None,
) -> Chart | None:
    """Lines over a common horizontal axis, logarithmic upwards where the values span more than a decade.

    Args:
        places: on the horizontal axis, ascending.
        series: what stands there.
        x_name, x_unit, y_label: for the labels and the values.
        caption, alt: words below it, and for who does not see it.
        truth: the true value of what is shown; None: not known.

    Returns:
        None where there are fewer than two places, or nothing finite.
    """
    shown = [v for s in series for v in (*s.values, *s.lower, *s.upper) if v is not None and math.isfinite(v)]
    shown += [] if truth is None else [truth]
    if len(places) < 2 or not shown:
        return None
    log = min(shown) > 0 and max(shown) > _WIDE * min(shown)
    scale = math.log10 if log else float
    low, high = scale(min(shown)), scale(max(shown))
    room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - room, high + room
    first, last = places[0], places[-1]

    def across(x: float) -> float:
        return round(_LEFT + (x - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT), 1)

    def up(y: float) -> float:
        return round(_HEIGHT - _BOTTOM - (scale(y) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    points = [across(x) for x in places]
    drawn = []
    for one in series:
        style = METHODS.get(one.name, MethodStyle(one.name, "#000000"))
        heights = [up(v) if _is_finite(v) else None for v in one.values]
        edges = zip(points, one.lower, one.upper, strict=False)
        band = [(x, up(a), up(b)) for x, a, b in edges if _is_finite(a) and _is_finite(b)]
        outline = [(x, b) for x, _, b in band] + [(x, a) for x, a, _ in reversed(band)]
        drawn.append(Line(style.label, style.colour, _DASHES[style.line], _path(points, heights), _closed(outline)))
    return Chart(
        caption=caption,
        alt=alt,
        x_label=f"{x_name} [{x_unit}]" if x_unit else x_name,
        y_label=y_label,
        x_ticks=[(across(x), f"{x:.4g}") for x in MaxNLocator(6).tick_values(first, last) if first <= x <= last],
        y_ticks=[(up(y), short(y, 4)) for y in _ticks(low, high, log)],
        lines=drawn,
        truth=None if truth is None else up(truth),
        values=json.dumps([points, [_said(i, x, series, x_name, x_unit) for i, x in enumerate(places)]]),
    )


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers between the ends, which are logarithms on a logarithmic axis."""
    if not log:
        return [float(y) for y in MaxNLocator(5).tick_values(low, high) if low <= y <= high]
    subs = (1.0,) if high - low > 2 else (1.0, 2.0, 5.0)
    found = LogLocator(subs=subs, numticks=8).tick_values(10 ** max(low, -307.0), 10 ** min(high, 308.0))
    return [float(y) for y in found if low <= math.log10(y) <= high]


def _path(points: Sequence[float], heights: Sequence[float | None]) -> str:
    """A line with gaps where nothing is."""
    parts, pen = [], "M"
    for x, y in zip(points, heights, strict=False):
        if y is None:
            pen = "M"
            continue
        parts.append(f"{pen}{x:g} {y:g}")
        pen = "L"
    return "".join(parts)


def _closed(outline: Sequence[tuple[float, float]]) -> str:
    return f"{_path(*zip(*outline, strict=True))}Z" if outline else ""


def _said(i: int, place: float, series: Sequence[Series], name: str, unit: str) -> str:
    """What is said of one place."""
    words = []
    for one in series:
        value = one.values[i] if i < len(one.values) else None
        text = "–" if value is None else f"{value:.4g}"
        if i < len(one.lower) and one.lower[i] is not None and one.upper[i] is not None:
            text += f" ({one.lower[i]:.4g} to {one.upper[i]:.4g})"
        words.append(f"{METHODS[one.name].label if one.name in METHODS else one.name} {text}")
    return f"{name} = {place:.4g}{f' {unit}' if unit else ''}: " + "; ".join(words)
