"""Parameter estimates over epochs, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from hyco.plots.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    Array,
    epoch_axis,
    figure_of_words,
    in_style,
    marker_step,
    method_styles,
    new_figure,
    numbers,
    say_nothing_to_show,
    scale_values,
    shortened,
    with_unit,
)
from hyco.plots.ticks import few_ticks

# Half width of a 95% interval in standard deviations, and the ratio of values from which an axis is logarithmic.
_INTERVAL, _WIDE = 1.96, 10.0
# An interval that takes less of a panel's height than this needs a panel of its own, with so much room beside it.
_SMALL, _ROOM = 0.1, 0.6
# The truth is near an estimate within so many widths of its interval.
_NEAR = 3.0


class _History(NamedTuple):
    """Of one parameter: epochs, estimates and the ends of their intervals `[n]`, NaN where missing."""

    epochs: Array
    estimate: Array
    lower: Array
    upper: Array

    @property
    def has_interval(self) -> NDArray[np.bool_]:
        """Where there is an interval."""
        complete: NDArray[np.bool_] = np.isfinite(self.estimate) & np.isfinite(self.lower) & np.isfinite(self.upper)
        return complete


class _Window(NamedTuple):
    """The part of a panel that is enlarged: the first epoch, the smallest and the largest value."""

    start: float
    low: float
    high: float


def parameter_estimates(
    estimates: Mapping[str, Mapping[str, Mapping[str, Sequence[float | None] | None]]],
    true: Mapping[str, float | None],
    initial: Mapping[str, Mapping[str, float]] | None = None,
    bounds: Mapping[str, Sequence[float]] | None = None,
    *,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Every parameter's estimate over epochs with its 95% interval, one panel per parameter.

    Where the last interval is too small to be seen beside the way from the first guess, a second panel enlarges the
    last epochs: those from which on the estimate stays near its last value. Each method's last interval has caps.

    Args:
        estimates: method → parameter → `{"epoch": […], "estimate": […], "std": […] or None}`; `epoch` defaults to
            1, 2, …; `lower` and `upper`, the ends of the intervals, to 1.96 standard deviations from the estimate.
        true: true values; None where unknown, then no line is drawn.
        initial: method → parameter → first guess, drawn at epoch 0.
        bounds: limits of each parameter, those of all methods, drawn where they lie within the range of the estimates.
        units: unit of each parameter.
    """
    initial, bounds, units = initial or {}, bounds or {}, units or {}
    names = list(dict.fromkeys(name for method in estimates.values() for name in method))
    if not names:
        return figure_of_words("no number is learnt")
    styles = method_styles(estimates)
    histories = {n: {m: _history(estimates[m][n]) for m in styles if n in estimates[m]} for n in names}
    guesses = {n: {m: initial[m][n] for m in styles if n in initial.get(m, {})} for n in names}
    scales = {name: _scale(histories[name], true.get(name), guesses[name]) for name in names}
    windows = {name: _window(histories[name], true.get(name), *scales[name]) for name in names}
    enlarged = any(window is not None for window in windows.values())
    # An overview and its enlargement are halves of one place; an overview alone takes all of it.
    halves = 2 if enlarged else 1
    columns = min(3 if not enlarged else 1 if len(names) <= 3 else 2, len(names))
    rows = -(-len(names) // columns)
    width = TWO_COLUMNS if columns * halves > 1 else ONE_COLUMN + 0.2
    figure = new_figure(width, 0.45 + 2.0 * rows)
    with in_style():
        places = figure.add_gridspec(rows, columns * halves)
        bounded = False
        for i, name in enumerate(names):
            row, first = i // columns, (i % columns) * halves
            values, log = scales[name]
            window = windows[name]
            overview = figure.add_subplot(places[row, first : first + (halves if window is None else 1)])
            scale_values(overview, [values], log=log)
            _draw(overview, histories[name], true.get(name), guesses[name])
            panels = [overview]
            if window is not None:
                panels.append(figure.add_subplot(places[row, first + 1]))
                _enlarge(panels[1], histories[name], true.get(name), window)
                overview.set_title("all epochs", loc="left")
            for panel in panels:
                bounded |= _draw_bounds(panel, bounds.get(name, ()))
                panel.set_ylabel(with_unit(shortened(name, 26), units.get(name, "")))
        handles: list[Line2D | Patch] = [Line2D([], [], label=s.label, **s.line_options()) for s in styles.values()]
        if any(history.has_interval.any() for methods in histories.values() for history in methods.values()):
            handles.append(Patch(facecolor="0.5", alpha=0.25, label="95% interval"))
        if any(true.get(name) is not None for name in names):
            handles.append(Line2D([], [], label="truth", **_TRUTH))
        if any(guesses.values()):
            handles.append(Line2D([], [], label="first guess", **_GUESS))
        if bounded:
            handles.append(Line2D([], [], label="bound", **_BOUND))
        if handles:
            narrow = columns * halves == 1
            figure.legend(handles=handles, loc="outside upper center", ncols=3 if narrow else min(6, len(handles)))
    return figure


_TRUTH: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9}
_BOUND: dict[str, Any] = {"color": "0.5", "linestyle": "-.", "linewidth": 0.7}
_GUESS: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "D", "markerfacecolor": "white", "markersize": 4}


def _scale(histories: Mapping[str, _History], true: float | None, initial: Mapping[str, float]) -> tuple[Array, bool]:
    """The values that an overview must show, and whether its axis is logarithmic."""
    marks = numbers([true, *initial.values()])
    centres = np.concatenate([marks, *(history.estimate for history in histories.values())])
    # The last interval must be visible; earlier ones may be so wide that they would hide everything else.
    ends = [edge for history in histories.values() for edge in _last_interval(history)[1:]]
    finite = centres[np.isfinite(centres)]
    wide = finite.size > 0 and finite.min() > 0 and finite.max() / finite.min() > _WIDE
    return np.concatenate([finite, numbers(ends)]), bool(wide)


def _window(histories: Mapping[str, _History], true: float | None, values: Array, log: bool) -> _Window | None:
    """What to enlarge: the last intervals of all methods, and the truth if it is near. None: they are visible."""
    last = [interval for history in histories.values() if (interval := _last_interval(history))]
    if not last:
        return None
    lower, upper = min(low for _, low, _ in last), max(high for _, _, high in last)
    smallest, widest = min(high - low for _, low, high in last), max(high - low for _, low, high in last)
    if true is not None and lower - _NEAR * widest <= true <= upper + _NEAR * widest:
        lower, upper = min(lower, true), max(upper, true)
    room = 0.5 * _ROOM * (upper - lower)
    low, high = lower - room, upper + room
    if log and (low <= 0 or not (values > 0).all()):
        return None
    edges = np.log(values) if log else values
    whole = float(np.ptp(edges)) if edges.size else 0.0
    # On a logarithmic axis a small interval is as high as its width relative to the value.
    scale = 0.5 * (lower + upper) if log else 1.0
    if not 0 < smallest / scale < _SMALL * whole or not (high - low) / scale < 0.5 * whole:
        return None
    settled = [_settled(history, low, high) for history in histories.values() if _last_interval(history)]
    return _Window(min(settled), low, high)


def _settled(history: _History, low: float, high: float) -> float:
    """The epoch from which on the estimates stay within a range."""
    finite = np.isfinite(history.estimate)
    epochs, estimate = history.epochs[finite], history.estimate[finite]
    outside = np.flatnonzero((estimate < low) | (estimate > high))
    return float(epochs[outside[-1] + 1 if outside.size else 0])


def _draw(
    axis: Axes,
    histories: Mapping[str, _History],
    true: float | None,
    initial: Mapping[str, float],
    *,
    capped: bool = False,
) -> None:
    """All epochs of one parameter, on an axis whose limits are set; `capped`: a single interval is drawn elsewhere."""
    axis.grid(True)
    if not any(np.isfinite(history.estimate).any() for history in histories.values()):
        say_nothing_to_show(axis)
    low, high = axis.get_ylim()
    log = axis.get_yscale() == "log"
    for name, style in method_styles(histories).items():
        epochs, estimate, lower, upper = histories[name]
        # Ends far outside of the panel would overflow when they are drawn.
        span = high - low
        lower = np.maximum(lower, low / 10 if log else low - span)
        upper = np.minimum(upper, high + span)
        shown = histories[name].has_interval
        if shown.sum() == 1 and not capped:
            axis.vlines(epochs[shown], lower[shown], upper[shown], color=style.colour, alpha=0.45, linewidth=3)
        elif shown.sum() > 1:
            axis.fill_between(epochs[shown], lower[shown], upper[shown], color=style.colour, alpha=0.25, linewidth=0)
        # Counted from the end, so that the last estimate has a marker.
        step = marker_step(epochs.size, 20)
        axis.plot(epochs, estimate, markevery=slice((epochs.size - 1) % step, None, step), **style.line_options())
        if name in initial and np.isfinite(estimate[:1]).any():
            axis.plot([0, epochs[0]], [initial[name], estimate[0]], color=style.colour, linestyle=":", linewidth=0.9)
    if true is not None:
        axis.axhline(true, **_TRUTH, zorder=1.9)
    for guess in sorted(set(initial.values())):
        axis.plot([0], [guess], clip_on=False, zorder=4, **_GUESS)
    axis.set_ylim(low, high)
    start = np.zeros(1 if initial else 0)
    epoch_axis(axis, [start, *(history.epochs for history in histories.values())])


def _enlarge(axis: Axes, histories: Mapping[str, _History], true: float | None, window: _Window) -> None:
    """The last epochs of one parameter, each method's last interval with caps."""
    axis.set_ylim(window.low, window.high)
    _draw(axis, histories, true, {}, capped=True)
    axis.yaxis.set_major_locator(few_ticks(5))
    # Caps of different widths, for methods that end at the same epoch.
    for i, (name, style) in enumerate(method_styles(histories).items()):
        if interval := _last_interval(histories[name]):
            epoch, low, high = interval
            centre, half = 0.5 * (low + high), 0.5 * (high - low)
            look: dict[str, Any] = {"color": style.colour, "capsize": 3 + 1.5 * i, "elinewidth": 1.2, "clip_on": False}
            axis.errorbar(epoch, centre, yerr=half, fmt="none", **look)
    axis.set_title("last epochs, enlarged", loc="left")
    later = [history.epochs[history.epochs >= window.start] for history in histories.values()]
    epoch_axis(axis, later)


def _draw_bounds(axis: Axes, bounds: Sequence[float]) -> bool:
    """Draw the bounds that lie within the panel; whether there are any."""
    low, high = axis.get_ylim()
    inside = [bound for bound in bounds if low <= bound <= high]
    for bound in inside:
        axis.axhline(bound, **_BOUND, zorder=1.8)
    return bool(inside)


def _history(data: Mapping[str, Sequence[float | None] | None]) -> _History:
    estimate = numbers(data["estimate"] or [])
    epochs = np.arange(1.0, estimate.size + 1) if data.get("epoch") is None else numbers(data["epoch"] or [])
    half = _INTERVAL * numbers(data.get("std") or [None] * estimate.size)
    # Epochs of an earlier version have no ends.
    lower, upper = (numbers(data.get(end) or [None] * estimate.size) for end in ("lower", "upper"))
    lower = np.where(np.isfinite(lower), lower, estimate - half)
    upper = np.where(np.isfinite(upper), upper, estimate + half)
    return _History(epochs, estimate, lower, upper)


def _last_interval(history: _History) -> tuple[float, float, float] | tuple[()]:
    """Epoch, lower and upper end of the last interval that there is."""
    complete = np.flatnonzero(history.has_interval)
    if not complete.size:
        return ()
    last = complete[-1]
    return float(history.epochs[last]), float(history.lower[last]), float(history.upper[last])
