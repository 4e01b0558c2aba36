"""What the data determine: singular values, and the combinations of parameters that they belong to."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyco.plots.fields import box
from hyco.plots.style import (
    ERROR_COLOURS,
    TWO_COLUMNS,
    Array,
    figure_of_words,
    in_style,
    marker_step,
    method_styles,
    new_figure,
    numbers,
    shortened,
)
from hyco.plots.ticks import tidy_log_ticks

# Up to so many coordinates all directions are shown, else so many of the strongest and of the weakest.
_ALL, _STRONGEST, _WEAKEST = 12, 2, 4
# Up to so many the numbers stand in the map.
_WRITTEN = 6
# Singular values are shown down to this share of the threshold, the rest at the edge.
_LOWEST = 1e-5
_LINE_WIDTH, _MOST_LINES = 44, 14

_Report = Mapping[str, Any]


def identifiability(reports: Mapping[str, _Report | None]) -> Figure:
    """Singular values with the threshold on the left, on the right the directions that they belong to.

    Every coordinate is measured in units of what was known of it beforehand (its bounds, or its prior's 95 %
    interval); a direction is a combination of coordinates, drawn as a column of a map. Where there are too many
    coordinates for a map, the directions that are not determined are given in words.

    Args:
        reports: for each physical method what `hyco.inversion.identifiability` says of it: `singular_values`
            (largest first), `threshold`, `labels`, `directions` (rows, or None) and `undetermined`; None where there
            were too many unknowns, or no update of the physical model.
    """
    styles = method_styles(reports)
    assessed: dict[str, _Report] = {
        name: report for name in styles if (report := reports[name]) and report["singular_values"]
    }
    if not assessed:
        reason = "what the data determine is not known: too many unknowns, or no update of the physical model"
        reason = reason if reports else "no physical model"
        return figure_of_words(reason)
    most = max(len(report["labels"]) for report in assessed.values())
    if most == 1:
        # A lone dot: the interval of the number says the same.
        determined = [not _weak(report)[0] for report in assessed.values()]
        words = (
            "determine it" if all(determined) else "do not determine it" if not any(determined) else "differ by method"
        )
        return figure_of_words(f"one number is learnt; the data {words}")
    mapped = {n: r for n, r in assessed.items() if r["directions"] is not None} if most > 1 else {}
    rows = max((len(r["labels"]) for r in mapped.values()), default=0)
    row_height = 0.19 if rows <= _ALL else 0.125
    height = max(2.5, 0.75 + row_height * rows)
    panels = 1 if most == 1 else 1 + len(assessed) if mapped else 2
    with in_style():
        figure = new_figure(TWO_COLUMNS if panels > 1 else 3.6, height)
        axes = figure.subplots(1, panels, squeeze=False, width_ratios=[1.15, *[1.0] * (panels - 1)])[0]
        _draw_values(axes[0], assessed)
        image = None
        for axis, (name, report) in zip(axes[1:], assessed.items(), strict=False):
            if name in mapped:
                image = _draw_directions(axis, report, named=axis is axes[1] or not _same_labels(assessed))
                axis.set_title(styles[name].label)
            elif mapped:
                _write(axis, {styles[name].label: report["undetermined"]})
        if mapped and image is not None:
            bar = figure.colorbar(image, ax=axes[1:], aspect=30, pad=0.02, ticks=[-1, 0, 1])
            bar.set_label("share in the direction", labelpad=0)
            bar.outline.set_linewidth(0.4)
        elif panels > 1:
            _write(axes[1], {styles[name].label: report["undetermined"] for name, report in assessed.items()})
        handles = [Line2D([], [], label=styles[name].label, **_look(styles[name].line_options())) for name in assessed]
        if any(_weak(report).any() for report in assessed.values()):
            handles.append(Line2D([], [], label="not determined", color="0.4", linestyle="", marker="o", **_OPEN))
        if any(_at_edge(report).any() for report in assessed.values()):
            handles.append(Line2D([], [], label="smaller still", color="0.4", linestyle="", marker="v", **_OPEN))
        figure.legend(handles=handles, loc="outside upper left", ncols=2 if panels == 1 else 4)
    return figure


_OPEN: dict[str, Any] = {"markerfacecolor": "white"}


def _weak(report: _Report) -> NDArray[np.bool_]:
    """Which directions the data do not determine."""
    weak: NDArray[np.bool_] = numbers(report["singular_values"]) <= report["threshold"]
    return weak


def _at_edge(report: _Report) -> NDArray[np.bool_]:
    """Which singular values are too small for the axis."""
    small: NDArray[np.bool_] = numbers(report["singular_values"]) <= _LOWEST * report["threshold"]
    return small


def _look(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "markerfacecolor": options["color"]}


def _same_labels(assessed: Mapping[str, _Report]) -> bool:
    return len({tuple(report["labels"]) for report in assessed.values()}) == 1


def _draw_values(axis: Axes, assessed: Mapping[str, _Report]) -> None:
    """Singular values of all methods; filled where the data determine the direction."""
    threshold = float(next(iter(assessed.values()))["threshold"])
    values = {name: numbers(report["singular_values"]) for name, report in assessed.items()}
    positive = np.concatenate([v[v > _LOWEST * threshold] for v in values.values()])
    low = min([*positive, 0.3 * threshold])
    high = max([*positive, 3.0 * threshold])
    small = any(_at_edge(report).any() for report in assessed.values())
    high *= 1.8
    # Below the threshold there must be room for what it means.
    low = min(low / (4.0 if small else 1.6), threshold * (threshold / high) ** 0.3)
    count = max(v.size for v in values.values())
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    tidy_log_ticks(axis.yaxis, np.log10(high / low))
    axis.grid(True)
    axis.axhspan(low, threshold, color="0.94", linewidth=0, zorder=0)
    axis.axhline(threshold, color="black", linestyle="--", linewidth=0.9)
    words = "95% interval as wide as\nwhat was known beforehand"
    # Values fall to the right: the lower left is empty, unless most of many are below the threshold.
    determined = max(int((~_weak(report)).sum()) for report in assessed.values())
    x, side = (0.98, "right") if count > _ALL and determined < 0.5 * count else (0.02, "left")
    place: dict[str, Any] = {"xycoords": axis.get_yaxis_transform(), "xytext": (0, -3), "textcoords": "offset points"}
    axis.annotate(words, (x, threshold), ha=side, va="top", fontsize=6.5, **place)
    styles = method_styles(values)
    for on_top, (name, style) in enumerate(styles.items(), 1):
        # Values of two methods are often the same: the lower mark is larger, to be seen.
        size = 4.0 + 3.0 * (len(styles) - on_top)
        spectrum = values[name]
        index = np.arange(1, spectrum.size + 1)
        shown = np.maximum(spectrum, low * 1.25)
        weak, edge = _weak(assessed[name]), _at_edge(assessed[name])
        options = _look(style.line_options())
        axis.plot(index, shown, color=style.colour, linestyle=style.line, linewidth=0.9)
        step = marker_step(spectrum.size, 60)
        for which, marker, face in (
            (~weak, options["marker"], style.colour),
            (weak & ~edge, options["marker"], "white"),
            (edge, "v", "white"),
        ):
            at = np.flatnonzero(which)[::step]
            look: dict[str, Any] = {"color": style.colour, "marker": marker, "markerfacecolor": face}
            axis.plot(index[at], shown[at], linestyle="", markersize=size, **look)
    axis.set_xlim(0.5, count + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axis.set_ylabel("singular value")
    if count == 1:
        axis.set_xticks([1], [shortened(next(iter(assessed.values()))["labels"][0], 40)])
    else:
        axis.set_xlabel("direction, best determined first")


def _chosen(count: int) -> list[int]:
    """Which directions are drawn, counted from 0."""
    if count <= _ALL:
        return list(range(count))
    return [*range(_STRONGEST), *range(count - _WEAKEST, count)]


def _draw_directions(axis: Axes, report: _Report, *, named: bool) -> AxesImage:
    """A map: coordinates downward, directions to the right, a sign for each so that its largest share is positive."""
    directions: Array = np.array(report["directions"], dtype=np.float64)
    labels: Sequence[str] = report["labels"]
    chosen = _chosen(len(labels))
    columns = directions[chosen].T
    largest = np.abs(columns).argmax(axis=0)
    columns = columns * np.sign(columns[largest, np.arange(columns.shape[1])])
    box(axis)
    image = axis.imshow(columns, cmap=ERROR_COLOURS, vmin=-1, vmax=1, origin="upper", aspect="auto")
    axis.set_yticks(range(len(labels)), [shortened(label, 22) for label in labels] if named else [])
    axis.set_xticks(range(len(chosen)), [str(k + 1) for k in chosen])
    axis.tick_params(length=0, labelsize=6.5 if len(labels) <= _ALL else 5.5)
    axis.set_xlabel("direction")
    for tick, undetermined in zip(axis.get_xticklabels(), _weak(report)[chosen], strict=True):
        tick.set_color("0.55" if undetermined else "black")
        tick.set_fontweight("normal" if undetermined else "bold")
    if len(chosen) < len(labels):
        axis.axvline(_STRONGEST - 0.5, color="white", linewidth=3)
        axis.axvline(_STRONGEST - 0.5, color="black", linewidth=0.6, linestyle=":")
    if len(labels) <= _WRITTEN:
        for (row, column), share in np.ndenumerate(columns):
            colour = "white" if abs(share) > 0.65 else "black"
            words = f"{share:.2f}".replace("-", "−")
            axis.text(column, row, words, ha="center", va="center", fontsize=6, color=colour)
    return image


def _write(axis: Axes, undetermined: Mapping[str, Sequence[str]]) -> None:
    """The directions that are not determined, in words."""
    axis.set_axis_off()
    lines: list[str] = []
    for name, directions in undetermined.items():
        lines.append(f"{name}, not determined:" if directions else f"{name}: all is determined")
        room = _MOST_LINES // len(undetermined)
        for words in directions:
            own = textwrap.wrap(words.replace(" - ", " − "), _LINE_WIDTH, initial_indent="• ", subsequent_indent="   ")
            room -= len(own)
            if room < 0:
                lines.append("• …")
                break
            lines += own
        lines.append("")
    axis.text(0.0, 1.0, "\n".join(lines), transform=axis.transAxes, ha="left", va="top", fontsize=6.5)
