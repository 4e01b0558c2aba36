"""How residuals are correlated, over time and over space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hyco.plots.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    Units,
    figure_of_words,
    in_style,
    method_styles,
    new_figure,
    with_unit,
)


def residual_correlation(structures: Mapping[str, Mapping[str, Any] | None], *, units: Units | None = None) -> Figure:
    """Correlation of residuals against the time between two measurements of a sensor, and against their distance.

    The grey band holds 95 % of the values of white noise, the narrowest of the methods'.

    Args:
        structures: for each physical method `time` and `space`, each `{"distances": [n], "correlations": [n],
            "band": [n]}` or None; None where nothing was tested.
        units: units for the labels.
    """
    units = units or Units()
    kinds = {"time": with_unit("time between", units.time), "space": with_unit("distance", units.length)}
    found = {
        kind: {name: part for name, tests in structures.items() if tests and (part := tests.get(kind))}
        for kind in kinds
    }
    found = {kind: methods for kind, methods in found.items() if methods}
    if not found:
        return figure_of_words("there are no residuals near each other, or none that noise is in")
    with in_style():
        figure = new_figure(TWO_COLUMNS if len(found) > 1 else ONE_COLUMN + 0.6, 2.6)
        axes = figure.subplots(1, len(found), squeeze=False)[0]
        for axis, (kind, methods) in zip(axes, found.items(), strict=True):
            _panel(axis, methods, kinds[kind])
        axes[0].set_ylabel("correlation of residuals")
        styles = method_styles({name for methods in found.values() for name in methods})
        handles: list[Line2D | Patch] = [Line2D([], [], label=s.label, **s.line_options()) for s in styles.values()]
        handles.append(Patch(facecolor="0.88", label="95% of white noise"))
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _panel(axis: Axes, methods: Mapping[str, Mapping[str, Any]], label: str) -> None:
    axis.grid(True)
    axis.axhline(0.0, color="black", linewidth=0.7)
    narrowest = min(methods.values(), key=lambda part: float(part["band"][0]))
    band = np.asarray(narrowest["band"], dtype=np.float64)
    at = np.asarray(narrowest["distances"], dtype=np.float64)
    if len(at) == 1:  # a band has a width
        at, band = at[0] * np.array([0.8, 1.2]), np.repeat(band, 2)
    axis.fill_between(at, -band, band, color="0.88", linewidth=0, zorder=0)
    for name, style in method_styles(methods).items():
        axis.plot(methods[name]["distances"], methods[name]["correlations"], **style.line_options())
    axis.set_xlim(left=0.0)
    lowest, highest = axis.get_ylim()
    axis.set_ylim(min(lowest, -0.2), min(max(highest, 0.4), 1.05))
    axis.set_xlabel(label)
