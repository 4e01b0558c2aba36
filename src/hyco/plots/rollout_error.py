"""Error of rollouts over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyco.plots.style import (
    Array,
    MethodStyle,
    Units,
    in_style,
    marker_step,
    method_styles,
    new_figure,
    numbers,
    say_nothing_to_show,
    scale_values,
    with_unit,
)
from hyco.plots.ticks import few_ticks

# Least distance of two labels, as a share of the height of the axes.
_LABEL_GAP = 0.085


def rollout_error(
    per_step: Mapping[str, Sequence[float | None]],
    dt: float,
    *,
    steps: Sequence[int] | None = None,
    units: Units | None = None,
    log: bool = True,
    of: str = "",
    bands: Mapping[str, tuple[Sequence[float | None], Sequence[float | None]]] | None = None,
) -> Figure:
    """Normalised error (nRMSE) against time, one labelled line per method; without time steps one point per method.

    Args:
        per_step: for each method the nrmse of the steps; missing and non-finite values end or interrupt a line.
        dt: time between two steps [time].
        steps: which steps these are; None: 1, 2, …
        units: unit of time for the label.
        log: logarithmic errors; a value of zero is then not drawn.
        of: what the errors are of, in words.
        bands: for a method the lower and the upper edge of a band about its line, such as quartiles over seeds.
    """
    units = units or Units()
    styles = method_styles(per_step)
    values = {name: numbers(per_step[name]) for name in styles}
    count = max((v.size for v in values.values()), default=0)
    times = dt * np.asarray(range(1, count + 1) if steps is None else steps, dtype=np.float64)
    figure = new_figure(5.0, 2.8 if count > 1 else 0.8 + 0.24 * max(len(styles), 2))
    with in_style():
        axis = figure.subplots()
        axis.grid(True)
        if count > 1:
            log = _draw_lines(axis, values, styles, times, units, log)
            for name, edges in (bands or {}).items():
                low, high = (numbers(edge) for edge in edges)
                shown = (low > 0) | (not log)
                axis.fill_between(
                    times[: low.size], low, high, where=shown, color=styles[name].colour, alpha=0.18, linewidth=0
                )
        else:
            _draw_points(axis, values, styles, log)
        if not any(np.isfinite(v).any() for v in values.values()):
            say_nothing_to_show(axis)
        if of:
            axis.set_title(of, loc="left", color="0.3")
    return figure


def _draw_lines(
    axis: Axes, values: Mapping[str, Array], styles: Mapping[str, MethodStyle], times: Array, units: Units, log: bool
) -> bool:
    """Draw the lines, and say whether the errors stand on a logarithmic axis."""
    axis.set_xlabel(with_unit("time $t$", units.time))
    axis.set_ylabel("nRMSE")
    axis.xaxis.set_major_locator(few_ticks(6))
    log = scale_values(axis, list(values.values()), log=log)
    steps = times.size
    axis.set_xlim(0, times[-1] * 1.02)
    labels: list[_Label] = []
    for name, style in styles.items():
        shown = np.where(values[name] > 0, values[name], np.nan) if log else values[name]
        axis.plot(times[: shown.size], shown, markevery=marker_step(steps, 20), clip_on=False, **style.line_options())
        finite = np.flatnonzero(np.isfinite(shown))
        if not finite.size:
            reason = "zero" if np.isfinite(values[name]).any() else "not finite"
            labels.append(_Label(f"{style.label} ({reason})", style.colour, 0.0))
            continue
        end = (float(times[finite[-1]]), float(shown[finite[-1]]))
        early = f" (until $t$ = {end[0]:.3g})" if finite[-1] + 1 < steps else ""
        height = axis.transAxes.inverted().transform(axis.transData.transform(end))[1]
        labels.append(_Label(style.label + early, style.colour, float(height), end))
    _write_labels(axis, labels)
    return log


def _draw_points(axis: Axes, values: Mapping[str, Array], styles: Mapping[str, MethodStyle], log: bool) -> None:
    """A static problem has no time: errors to the right, methods below each other."""
    axis.set_xlabel("nRMSE")
    shown = [v for v in values.values() if v.size]
    scale_values(axis, shown, log=log, horizontal=True)
    for row, (name, style) in enumerate(styles.items()):
        axis.plot(values[name], [row] * values[name].size, clip_on=False, **style.line_options())
    axis.set_yticks(range(len(styles)), [style.label for style in styles.values()])
    axis.set_ylim(max(len(styles), 1) - 0.5, -0.5)


@dataclass(frozen=True)
class _Label:
    """A method's name, the height at which it would best stand (share of the axes), and the end of its line."""

    text: str
    colour: str
    height: float
    end: tuple[float, float] | None = None


def _write_labels(axis: Axes, labels: Sequence[_Label]) -> None:
    """Write each method's name to the right of the axes, at the height where its line ends."""
    labels = sorted(labels, key=lambda label: label.height)
    for label, height in zip(labels, _spread([label.height for label in labels]), strict=True):
        place: dict[str, Any] = {"ha": "left", "va": "center", "color": label.colour, "annotation_clip": False}
        if label.end is not None:
            dots = ":" if "until" in label.text else "-"
            place["arrowprops"] = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "linestyle": dots}
            place["arrowprops"] |= {"shrinkA": 1, "shrinkB": 3}
        axis.annotate(label.text, label.end or (0, 0), (1.06, height), textcoords="axes fraction", **place)


def _spread(heights: Sequence[float]) -> list[float]:
    """The heights closest to the given ascending ones (least squares) that keep labels apart."""
    blocks: list[list[float]] = []
    for i, height in enumerate(heights):
        blocks.append([height - i * _LABEL_GAP])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    level = [float(np.mean(block)) for block in blocks for _ in block]
    highest = 1.0 - _LABEL_GAP * (len(level) - 1)
    return [min(max(value, 0.0), max(highest, 0.0)) + i * _LABEL_GAP for i, value in enumerate(level)]
