"""Errors of methods over seeds, every seed visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyco.plots.style import (
    Array,
    MethodStyle,
    in_style,
    method_styles,
    new_figure,
    numbers,
    readable,
    say_nothing_to_show,
    scale_values,
)
from hyco.plots.ticks import few_ticks

# Panels side by side.
_COLUMNS = 2
# Values that span more than this factor stand on a logarithmic axis.
_DECADE = 10.0
# Height of the band that the seeds of one method fill, the rows being 1 apart.
_BAND = 0.5


def comparison(errors: Mapping[str, Mapping[str, Sequence[float | None]]]) -> Figure:
    """A panel for each quantity: per method a mark for every seed and a bar at the median.

    Args:
        errors: by quantity and method the values over the seeds; those missing or not finite are counted as failed.
    """
    styles = method_styles(dict.fromkeys(method for values in errors.values() for method in values))
    panels = {quantity: {m: numbers(values[m]) for m in styles if m in values} for quantity, values in errors.items()}
    columns = min(_COLUMNS, max(len(panels), 1))
    rows = -(-len(panels) // columns)
    heights = [
        0.75 + 0.24 * max(2, *(len(p) for p in list(panels.values())[row * columns :][:columns])) for row in range(rows)
    ]
    figure = new_figure(1.3 + 2.9 * columns, sum(heights) + 0.2)
    with in_style():
        axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
        for axis, (quantity, values) in zip(axes.flat, panels.items(), strict=False):
            _draw(axis, values, styles)
            axis.set_xlabel(readable(quantity))
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
    return figure


def _draw(axis: Axes, values: Mapping[str, Array], styles: Mapping[str, MethodStyle]) -> None:
    shown = np.concatenate([np.zeros(0), *values.values()])
    positive = shown[shown > 0]
    wide = positive.size > 0 and positive.max() > _DECADE * positive.min()
    log = scale_values(axis, list(values.values()), log=bool(wide), horizontal=True)
    if not log:  # saved with tight margins, matplotlib's own choice of numbers runs into each other
        axis.xaxis.set_major_locator(few_ticks(4))
    axis.grid(True, axis="x")
    labels = []
    for row, (method, errors) in enumerate(values.items()):
        style = styles[method]
        # In the order of the seeds from top to bottom, so that equal values do not hide each other.
        heights = row + _BAND * (np.arange(errors.size) - (errors.size - 1) / 2) / max(errors.size - 1, 1)
        face = style.colour if style.filled else "white"
        # A zero has no place on a logarithmic axis: it stands at the end.
        places = np.maximum(errors, axis.get_xlim()[0]) if log else errors
        axis.plot(
            places[np.isfinite(errors)],
            heights[np.isfinite(errors)],
            linestyle="none",
            marker=style.marker,
            markersize=3.5,
            color=style.colour,
            markerfacecolor=face,
            alpha=0.75,
            clip_on=False,
        )
        finite = places[np.isfinite(errors)]
        middle = [np.median(finite)] * 2 if finite.size else []
        axis.plot(middle, [row - 0.36, row + 0.36][: len(middle)], color="black", linewidth=1.5, zorder=1.9)
        missing = errors.size - finite.size
        labels.append(style.label + (f" ({missing} of {errors.size} failed)" if missing else ""))
    axis.set_yticks(range(len(values)), labels)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(max(len(values), 1) - 0.5, -0.5)
    if not np.isfinite(shown).any():
        say_nothing_to_show(axis)
