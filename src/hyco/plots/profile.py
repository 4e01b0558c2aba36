"""Profile likelihoods: how the misfit rises with each number, beside the parabola that error bars take it for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hyco.plots.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    MethodStyle,
    figure_of_words,
    in_style,
    method_styles,
    new_figure,
    numbers,
    shortened,
    with_unit,
)
from hyco.plots.ticks import few_ticks

# What χ² rises by at the ends of a 95 % interval, and how much of the curves is shown.
_LIMIT, _HIGHEST = 3.84, 10.0
_COLUMNS = 3


def profiles(
    estimates: Mapping[str, Mapping[str, Mapping[str, Any]]], units: Mapping[str, str] | None = None
) -> Figure:
    """Every profile that was worked out, one panel per number: the rise of χ² with the 3.84 of a 95 % interval.

    The dashed parabola is what the standard deviation alone makes of it; the grey band is the interval.

    Args:
        estimates: method → number → its entry of the report: `estimate`, `std`, `interval` and, where there is one,
            `profile` with `values` and `chi_square`.
        units: unit of each number.
    """
    units = units or {}
    found = {
        method: {name: entry for name, entry in entries.items() if entry.get("profile")}
        for method, entries in estimates.items()
    }
    names = list(dict.fromkeys(name for entries in found.values() for name in entries))
    if not names:
        return figure_of_words("no profile was worked out: see physical.profile")
    styles = method_styles(found)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(TWO_COLUMNS if columns > 1 else ONE_COLUMN, 0.45 + 2.0 * rows)
    with in_style():
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(names) :]:
            axis.set_axis_off()
        for axis, name in zip(axes, names, strict=False):
            for method, style in styles.items():
                if name in found[method]:
                    _draw(axis, found[method][name], style)
            axis.axhline(_LIMIT, color="black", linestyle=":", linewidth=0.9)
            axis.set_ylim(0, _HIGHEST)
            axis.xaxis.set_major_locator(few_ticks(4))
            axis.set_xlabel(with_unit(shortened(name, 30), units.get(name, "")))
        for row in range(rows):
            axes[row * columns].set_ylabel("rise of χ²")
        drawn = [style for method, style in styles.items() if found[method]]
        handles = [Line2D([], [], label=style.label, **style.line_options()) for style in drawn]
        handles.append(Line2D([], [], label="by the std alone", color="0.4", linestyle="--", linewidth=0.9))
        handles.append(Line2D([], [], label="95 %: 3.84", color="black", linestyle=":", linewidth=0.9))
        figure.legend(handles=handles, loc="outside upper left", ncols=3)
    return figure


def _draw(axis: Axes, entry: Mapping[str, Any], style: MethodStyle) -> None:
    """The profile of one method, its interval and the parabola."""
    values, rise = numbers(entry["profile"]["values"]), numbers(entry["profile"]["chi_square"])
    shown = np.isfinite(rise)
    low, high = float(values.min()), float(values.max())
    if entry["interval"] is not None:
        axis.axvspan(*entry["interval"], color=style.colour, alpha=0.1, linewidth=0)
    if entry["std"]:
        grid = np.linspace(low, high, 200)
        parabola = ((grid - entry["estimate"]) / entry["std"]) ** 2
        axis.plot(grid, parabola, color=style.colour, linestyle="--", linewidth=0.8, alpha=0.7)
    axis.plot(values[shown], rise[shown], **style.line_options(), markersize=3)
