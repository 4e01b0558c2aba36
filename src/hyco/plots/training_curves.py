"""Losses and validation errors over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hyco.plots.style import (
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
)

_Curve = tuple[str, Array, Array]


def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], *, warmup_epochs: int | None = None, noise_free: bool = False
) -> Figure:
    """Network loss, physics loss and validation errors, side by side on logarithmic axes.

    Args:
        histories: per pipeline (`synthetic`, `physical`, `hybrid`) its records
            `{"epoch": int, "metrics": {"synthetic_loss", "physical_loss", "validation_synthetic",
            "validation_physical": float | None}}`. Missing and non-finite values are left out, a panel without any
            series too.
        warmup_epochs: epochs of the hybrid run before the physics takes part, shaded; by default read off the
            missing physics losses at its beginning.
        noise_free: the noise is not known, or there is none: the physics works in thousandths of the data's standard
            deviation, or in units of the residuals that a fit ends with.
    """
    titles = {
        "network loss\n(normalised units)": ("synthetic_loss",),
        f"physics loss\n({'normalised units' if noise_free else 'units of the noise'})": ("physical_loss",),
        "validation error (nRMSE)": ("validation_synthetic", "validation_physical"),
    }
    panels = {title: [c for k in keys for c in _curves(histories, k)] for title, keys in titles.items()}
    panels = {title: curves for title, curves in panels.items() if curves} or {"loss": []}
    if all(len(epochs) == 1 for curves in panels.values() for _, epochs, _ in curves) and any(panels.values()):
        return figure_of_words("one epoch: there is no curve")
    styles = method_styles(dict.fromkeys(name for curves in panels.values() for name, _, _ in curves))
    if warmup_epochs is None:
        warmup_epochs = _warmup(histories.get("hybrid", ()))
    every = [epochs for curves in panels.values() for _, epochs, _ in curves]
    figure = new_figure(TWO_COLUMNS * max(len(panels), 1.5) / 3, 2.5)
    with in_style():
        for axis, (title, curves) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
            _draw(axis, title, curves, warmup_epochs)
            epoch_axis(axis, every)
        handles: list[Line2D | Patch] = [Line2D([], [], label=s.label, **s.line_options()) for s in styles.values()]
        if warmup_epochs:
            handles.append(Patch(facecolor="0.93", label="warm-up"))
        if handles:
            columns = len(handles) if len(panels) == 3 else 2
            figure.legend(handles=handles, loc="outside upper center", ncols=columns)
    return figure


def _draw(axis: Axes, title: str, curves: Sequence[_Curve], warmup_epochs: int) -> None:
    axis.set_ylabel(title)
    axis.grid(True)
    if not scale_values(axis, [values for _, _, values in curves]) and not curves:
        say_nothing_to_show(axis)
    if warmup_epochs:
        axis.axvspan(0.5, warmup_epochs + 0.5, color="0.93", linewidth=0, zorder=0)
    styles = method_styles(name for name, _, _ in curves)
    for name, epochs, values in curves:
        axis.plot(epochs, values, markevery=marker_step(len(epochs), 14), **styles[name].line_options())


def _curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> list[_Curve]:
    """Every run's values of one metric where it has any, named after the method that they belong to."""
    side = "physical" if "physical" in key else "synthetic"
    result = []
    for run, records in histories.items():
        epochs, values = _series(records, key)
        if values.size:
            method = f"hybrid_{side}" if run == "hybrid" else run
            result.append((method, epochs, values))
    return result


def _series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[Array, Array]:
    values = numbers(record["metrics"].get(key) for record in records)
    epochs = numbers(record["epoch"] for record in records)
    finite = np.isfinite(values)
    return epochs[finite], values[finite]


def _warmup(records: Sequence[Mapping[str, Any]]) -> int:
    """Epochs before the physics could first have been optimised: its first update less the interval of updates."""
    updates, _ = _series(records, "physical_loss")
    if not updates.size:
        return 0
    interval = int(np.diff(updates).min()) if updates.size > 1 else 1
    return max(0, int(updates[0]) - interval)
