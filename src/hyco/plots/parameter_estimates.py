"""Parameter estimates over epochs, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hyco.plots.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    Array,
    epoch_axis,
    in_style,
    marker_step,
    method_styles,
    new_figure,
    numbers,
    readable,
    say_nothing_to_show,
    scale_values,
    with_unit,
)

# Half width of a 95% interval in standard deviations, and the ratio of values from which an axis is logarithmic.
_INTERVAL, _WIDE = 1.96, 10.0

_History = tuple[Array, Array, Array]


def parameter_estimates(
    estimates: Mapping[str, Mapping[str, Mapping[str, Sequence[float | None] | None]]],
    true: Mapping[str, float | None],
    initial: Mapping[str, float | None] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    *,
    units: Mapping[str, str] | None = None,
) -> Figure:
    """Every parameter's estimate over epochs with its 95% interval, one panel per parameter.

    Args:
        estimates: method → parameter → `{"epoch": […], "estimate": […], "std": […] or None}`; `epoch` defaults to
            1, 2, …
        true: true values; None where unknown, then no line is drawn.
        initial: first guesses, drawn at epoch 0.
        bounds: lower and upper limits, drawn where they lie within the range of the estimates.
        units: unit of each parameter.
    """
    initial, bounds, units = initial or {}, bounds or {}, units or {}
    names = list(dict.fromkeys(name for method in estimates.values() for name in method))
    styles = method_styles(estimates)
    columns = min(3, max(1, len(names)))
    rows = -(-max(1, len(names)) // columns)
    width = ONE_COLUMN + 0.2 if columns == 1 else TWO_COLUMNS
    figure = new_figure(width, 0.45 + 2.0 * rows)
    with in_style():
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for unused in panels[max(1, len(names)) :]:
            unused.set_axis_off()
        for axis, name in zip(panels, names, strict=False):
            histories = {m: _history(estimates[m][name]) for m in styles if name in estimates[m]}
            _draw(axis, histories, true.get(name), initial.get(name))
            axis.set_ylabel(with_unit(readable(name), units.get(name, "")))
        if not names:
            say_nothing_to_show(panels[0])
        handles: list[Line2D | Patch] = [Line2D([], [], label=s.label, **s.line_options()) for s in styles.values()]
        if any(np.isfinite(_history(h)[2]).any() for method in estimates.values() for h in method.values()):
            handles.append(Patch(facecolor="0.5", alpha=0.25, label="95% interval"))
        if any(true.get(name) is not None for name in names):
            handles.append(Line2D([], [], label="truth", **_TRUTH))
        if any(initial.get(name) is not None for name in names):
            handles.append(Line2D([], [], label="first guess", **_GUESS))
        bounded = [_draw_bounds(axis, bounds.get(name, ())) for axis, name in zip(panels, names, strict=False)]
        if any(bounded):
            handles.append(Line2D([], [], label="bound", **_BOUND))
        if handles:
            figure.legend(handles=handles, loc="outside upper center", ncols=3 if columns == 1 else len(handles))
    return figure


_TRUTH: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9}
_BOUND: dict[str, Any] = {"color": "0.5", "linestyle": "-.", "linewidth": 0.7}
_GUESS: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "D", "markerfacecolor": "white", "markersize": 4}


def _draw(axis: Axes, histories: Mapping[str, _History], true: float | None, initial: float | None) -> None:
    """One parameter."""
    marks = numbers([true, initial])
    centres = np.concatenate([marks, *(estimate for _, estimate, _ in histories.values())])
    # The last interval must be visible; earlier ones may be so wide that they would hide everything else.
    ends = [edge for _, estimate, std in histories.values() for edge in _last_interval(estimate, std)]
    known = centres[np.isfinite(centres)]
    wide = known.size > 0 and known.min() > 0 and known.max() / known.min() > _WIDE
    log = scale_values(axis, [centres, numbers(ends)], log=bool(wide))
    axis.grid(True)
    if not known.size:
        say_nothing_to_show(axis)
    low, high = axis.get_ylim()
    for name, style in method_styles(histories).items():
        epochs, estimate, std = histories[name]
        lower, upper = estimate - _INTERVAL * std, estimate + _INTERVAL * std
        if log:
            lower = np.maximum(lower, low / 10)
        shown = np.isfinite(std) & np.isfinite(estimate)
        if shown.sum() == 1:
            axis.vlines(epochs[shown], lower[shown], upper[shown], color=style.colour, alpha=0.45, linewidth=3)
        else:
            axis.fill_between(epochs[shown], lower[shown], upper[shown], color=style.colour, alpha=0.2, linewidth=0)
        axis.plot(epochs, estimate, markevery=marker_step(epochs.size, 20), **style.line_options())
    if true is not None:
        axis.axhline(true, **_TRUTH, zorder=1.9)
    if initial is not None:
        axis.plot([0], [initial], clip_on=False, zorder=4, **_GUESS)
    axis.set_ylim(low, high)
    start = np.zeros(0 if initial is None else 1)
    epoch_axis(axis, [start, *(epochs for epochs, _, _ in histories.values())])


def _draw_bounds(axis: Axes, bounds: Sequence[float]) -> bool:
    """Draw the bounds that lie within the panel; whether there are any."""
    low, high = axis.get_ylim()
    inside = [bound for bound in bounds if low <= bound <= high]
    for bound in inside:
        axis.axhline(bound, **_BOUND, zorder=1.8)
    return bool(inside)


def _history(data: Mapping[str, Sequence[float | None] | None]) -> _History:
    """Epochs, estimates and standard deviations `[n]`, NaN where missing."""
    estimate = numbers(data["estimate"] or [])
    epochs, std = data.get("epoch"), data.get("std")
    return (
        np.arange(1.0, estimate.size + 1) if epochs is None else numbers(epochs),
        estimate,
        np.full_like(estimate, np.nan) if std is None else numbers(std),
    )


def _last_interval(estimate: Array, std: Array) -> list[float]:
    known = np.flatnonzero(np.isfinite(estimate) & np.isfinite(std))
    if not known.size:
        return []
    centre, half = float(estimate[known[-1]]), _INTERVAL * float(std[known[-1]])
    return [centre - half, centre + half]
