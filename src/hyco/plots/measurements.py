"""Where and when something was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyco.grid import Grid
from hyco.plots.fields import box
from hyco.plots.style import ONE_COLUMN, TWO_COLUMNS, Array, figure_of_words, in_style, new_figure, with_unit
from hyco.plots.ticks import few_ticks

# Times `[n]` and places `[n, d]`.
Measured = tuple[Array, Array]

# Points that are drawn of each panel.
_MOST = 6000
_INK = "#0072B2"
_DOTS: dict[str, Any] = {"linestyle": "", "marker": ".", "markersize": 2.5, "markeredgewidth": 0, "color": _INK}
# What was held back.
_CROSSES: dict[str, Any] = {
    "linestyle": "",
    "marker": "x",
    "markersize": 3.5,
    "markeredgewidth": 0.8,
    "color": "#D55E00",
}


def measurements(
    grid: Grid, taken: Measured, kept_back: Measured | None = None, units: Mapping[str, str] | None = None
) -> Figure:
    """Places of the training data: in 1-D against time, in 2-D and 3-D on the plane, and how many there are when.

    What is held back to judge the models has crosses.

    Args:
        grid: of the equation.
        taken: when and where something was measured that is trained on.
        kept_back: when and where something was measured that is not; None: nothing.
        units: of `time` and the axes, as far as they are known.
    """
    units = units or {}
    times, places = taken
    if not len(times):
        return figure_of_words("nothing was measured")
    with in_style():
        if grid.dimensions == 1:
            figure = new_figure(ONE_COLUMN + 1.0, 2.4)
            axis = figure.subplots()
            axis.grid(True)
            chosen = slice(None, None, -(-len(times) // _MOST))
            axis.plot(places[chosen, 0], times[chosen], clip_on=False, label="trained on", **_DOTS)
            if kept_back is not None:
                axis.plot(kept_back[1][:_MOST, 0], kept_back[0][:_MOST], clip_on=False, label="held back", **_CROSSES)
                _legend(axis)
            axis.set_xlabel(_label(grid.axes[0], units))
            axis.set_ylabel(with_unit("time $t$", units.get("time", "")))
            axis.set_xlim(grid.lower[0], grid.lower[0] + grid.size[0])
            axis.set_title(f"{len(times)} places and times", loc="left")
            return figure
        lasting = float(np.ptp(times)) > 0
        figure = new_figure(TWO_COLUMNS if lasting else ONE_COLUMN, 2.7)
        axes = figure.subplots(1, 2 if lasting else 1, squeeze=False)[0]
        _plane(axes[0], places, None if kept_back is None else kept_back[1], grid, units)
        if lasting:
            moments, counts = np.unique(times, return_counts=True)
            axes[1].grid(True)
            axes[1].plot(moments, counts, linestyle="", marker=".", color=_INK)
            axes[1].set_ylim(0, 1.1 * counts.max())
            if kept_back is not None:
                moments, counts = np.unique(kept_back[0], return_counts=True)
                axes[1].plot(moments, counts, **_CROSSES)
            axes[1].set_xlabel(with_unit("time $t$", units.get("time", "")))
            axes[1].set_ylabel("places measured")
    return figure


def _legend(axis: Axes) -> None:
    """Above the panel, to the right of its title."""
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, borderaxespad=0.1)


def _plane(axis: Axes, places: Array, kept_back: Array | None, grid: Grid, units: Mapping[str, str]) -> None:
    different = np.unique(places[:, :2].round(12), axis=0)
    shown = different[:: -(-len(different) // _MOST)]
    box(axis)
    size = float(np.clip(60 / np.sqrt(len(shown)), 2.0, 7.0))
    axis.plot(shown[:, 0], shown[:, 1], clip_on=False, label="trained on", **_DOTS | {"markersize": size})
    if kept_back is not None:
        crosses = np.unique(kept_back[:, :2].round(12), axis=0)[:_MOST]
        axis.plot(crosses[:, 0], crosses[:, 1], clip_on=False, label="held back", **_CROSSES | {"markersize": size + 2})
        _legend(axis)
    axis.set_aspect("equal")
    axis.set_xlim(grid.lower[0], grid.lower[0] + grid.size[0])
    axis.set_ylim(grid.lower[1], grid.lower[1] + grid.size[1])
    axis.xaxis.set_major_locator(few_ticks(4))
    axis.set_xlabel(_label(grid.axes[0], units))
    axis.set_ylabel(_label(grid.axes[1], units))
    third = f", all ${grid.axes[2]}$ together" if grid.dimensions > 2 else ""
    axis.set_title(f"{len(different)} places{third}", loc="left")


def _label(axis: str, units: Mapping[str, str]) -> str:
    return with_unit(f"${axis}$", units.get(axis, ""))
