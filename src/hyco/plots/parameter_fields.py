"""Learnt parameters that vary in space, with their uncertainty, beside the truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from hyco.grid import Grid
from hyco.plots.fields import beyond, box, colours, draw_plane, error_limit, middle_plane, state_limits, state_scale
from hyco.plots.sheet import MapPage
from hyco.plots.style import (
    ERROR_COLOURS,
    ONE_COLUMN,
    SPREAD_COLOURS,
    TWO_COLUMNS,
    Array,
    Units,
    figure_of_words,
    in_style,
    method_styles,
    new_figure,
    numbers,
    readable,
    with_unit,
)
from hyco.plots.ticks import few_ticks, three_digits

# Half width of the band in standard deviations where no interval is given, which also holds the error of the grid.
_INTERVAL = 1.96
# A band may widen the range of a panel by so many times the range of the lines.
_BAND_ROOM = 0.75
_DOTS: dict[str, Any] = {"color": "black", "linestyle": "", "marker": ".", "markersize": 3.0, "markeredgewidth": 0}


@dataclass(frozen=True)
class _Field:
    """One learnt field: for each method its estimate and its spread, and the truth where it is known.

    Attributes:
        bands: lower and upper ends of the 95% intervals.
    """

    name: str
    estimates: Mapping[str, Array]
    stds: Mapping[str, Array]
    bands: Mapping[str, tuple[Array, Array]]
    truth: Array | None

    @property
    def errors(self) -> dict[str, Array]:
        """Estimate - truth, by method; empty where the truth is unknown."""
        return {} if self.truth is None else {name: e - self.truth for name, e in self.estimates.items()}

    @property
    def scale(self) -> Array:
        """Values whose range is that of the field."""
        return np.concatenate([e.ravel() for e in self.estimates.values()]) if self.truth is None else self.truth


def parameter_fields(
    fields: Mapping[str, ArrayLike],
    grid: Grid,
    *,
    up_to_a_constant: Collection[str] = (),
    sensors: ArrayLike | None = None,
    units: Units | None = None,
    of_values: Mapping[str, str] | None = None,
) -> Figure:
    """Every learnt field of every method beside the truth.

    One dimension: a panel per field, lines with 95% bands. Two: maps of truth, estimate, error and standard deviation,
    a row per method. Three: the same in the plane in the middle of the last axis. Without any field a line of words.

    Args:
        fields: `method/name/estimate`, `method/name/std` and `truth/name`, each `[*space]`; the ends of the bands are
            `method/name/lower` and `method/name/upper`, else estimate ± 1.96 std.
        grid: where the values sit, at the centres of the cells.
        up_to_a_constant: fields of which only differences count: they are shown without their mean.
        sensors: positions of what was observed, `[n, d]`, marked; None where all of it was.
        units: unit of length for the labels.
        of_values: units of the fields, by name, as far as they are known.
    """
    units, of_values = units or Units(), of_values or {}
    drawn, plane, where = _collect(fields, grid, up_to_a_constant)
    if not drawn:
        return figure_of_words("no parameter that varies in space is learnt")
    labels = {f.name: (_label(f.name, up_to_a_constant), of_values.get(f.name, "")) for f in drawn}
    points = None if sensors is None else np.asarray(sensors, dtype=np.float64).reshape(-1, grid.dimensions)
    if grid.dimensions > 2:
        points = None
    with in_style():
        if grid.dimensions == 1:
            return _lines(drawn, plane, points, labels, units)
        return _maps(drawn, plane, points, labels, units, where)


def _collect(
    fields: Mapping[str, ArrayLike], grid: Grid, up_to_a_constant: Collection[str]
) -> tuple[list[_Field], Grid, str]:
    """The fields as they are drawn, in the plane that is drawn."""
    plane, where = grid, ""
    found: dict[str, dict[str, dict[str, Array]]] = {}
    for key, values in fields.items():
        first, _, rest = key.partition("/")
        name, kind = (rest, "truth") if first == "truth" else tuple(rest.rsplit("/", 1))
        array = numbers(np.array(values, dtype=np.float64))
        if kind != "std" and name in up_to_a_constant:
            own = "truth/" + name if first == "truth" else f"{first}/{name}/estimate"
            array = array - np.nanmean(numbers(np.array(fields[own], dtype=np.float64)))
        array, plane, where = middle_plane(array, grid)
        found.setdefault(name, {}).setdefault(kind, {})[first] = array
    drawn = []
    for name, kinds in found.items():
        estimates, stds = kinds.get("estimate", {}), kinds.get("std", {})
        ends = {m: (e - _INTERVAL * stds[m], e + _INTERVAL * stds[m]) for m, e in estimates.items() if m in stds}
        ends |= {m: (lower, kinds["upper"][m]) for m, lower in kinds.get("lower", {}).items()}
        if estimates:
            drawn.append(_Field(name, estimates, stds, ends, kinds.get("truth", {}).get("truth")))
    return drawn, plane, where


# By name of the field: its label and its unit.
_Labels = Mapping[str, tuple[str, str]]


def _label(name: str, up_to_a_constant: Collection[str]) -> str:
    return f"{readable(name)} − mean" if name in up_to_a_constant else readable(name)


# --- one dimension


def _lines(drawn: Sequence[_Field], grid: Grid, points: Array | None, labels: _Labels, units: Units) -> Figure:
    """A panel per field, all methods in it."""
    columns = min(2, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = new_figure(TWO_COLUMNS if columns > 1 else ONE_COLUMN + 0.8, 0.45 + 2.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    methods = method_styles(dict.fromkeys(m for field in drawn for m in field.estimates))
    for axis, field in zip(axes, drawn, strict=False):
        _draw_lines(axis, field, grid, points)
        axis.set_ylabel(with_unit(*labels[field.name]))
        axis.set_xlabel(with_unit(f"${grid.axes[0]}$", units.length))
    for unused in axes[len(drawn) :]:
        unused.set_axis_off()
    handles: list[Any] = []
    if any(field.truth is not None for field in drawn):
        handles.append(Line2D([], [], label="truth", **_TRUTH))
    handles += [Line2D([], [], label=s.label, **s.line_options() | {"marker": ""}) for s in methods.values()]
    if any(field.bands for field in drawn):
        handles.append(Patch(facecolor="0.5", alpha=0.25, label="95% interval"))
    if points is not None:
        handles.append(Line2D([], [], color="black", linestyle="", marker="|", markersize=5, label="observed here"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3 if columns == 1 else min(6, len(handles)))
    return figure


_TRUTH: dict[str, Any] = {"color": "black", "linestyle": "-", "linewidth": 0.9}


def _draw_lines(axis: Axes, field: _Field, grid: Grid, points: Array | None) -> None:
    axis.grid(True)
    x = grid.centers(grid.axes[0])
    low, high = state_limits(np.concatenate([field.scale.ravel(), *(e.ravel() for e in field.estimates.values())]))
    ends, room = [low, high], _BAND_ROOM * (high - low)
    for name, style in method_styles(field.estimates).items():
        estimate = field.estimates[name]
        if name in field.bands:
            lower, upper = field.bands[name]
            axis.fill_between(x, lower, upper, color=style.colour, alpha=0.22, linewidth=0)
            finite = np.isfinite(upper - lower)
            ends += [*np.maximum(lower[finite], low - room), *np.minimum(upper[finite], high + room)]
        axis.plot(x, estimate, color=style.colour, linestyle=style.line)
    if field.truth is not None:
        axis.plot(x, field.truth, **_TRUTH)
    margin = 0.06 * (max(ends) - min(ends))
    axis.set_ylim(min(ends) - margin, max(ends) + margin)
    axis.set_xlim(grid.lower[0], grid.lower[0] + grid.size[0])
    axis.yaxis.set_major_locator(few_ticks(5))
    if points is not None:
        axis.plot(
            points[:, 0],
            np.full(len(points), 0.025),
            "|",
            color="black",
            markersize=4,
            transform=axis.get_xaxis_transform(),
        )


# --- two dimensions


def _maps(
    drawn: Sequence[_Field],
    grid: Grid,
    points: Array | None,
    labels: _Labels,
    units: Units,
    where: str,
) -> Figure:
    """A block per field, a row per method: truth, estimate, error and standard deviation."""
    true, spread = any(f.truth is not None for f in drawn), any(f.stds for f in drawn)
    columns = ["truth"] * true + ["estimate"] + ["estimate − truth"] * true + ["standard deviation"] * spread
    page = MapPage(grid, [len(field.estimates) for field in drawn], len(columns), points is not None)
    for block, field in enumerate(drawn):
        low, high = state_limits(field.scale)
        states = state_scale(field.scale)
        limit = error_limit(field.errors, field.scale) if field.errors else 1.0
        errors = {"cmap": colours(ERROR_COLOURS), "vmin": -limit, "vmax": limit}
        widest = _widest(field, high - low)
        stds = {"cmap": colours(SPREAD_COLOURS), "vmin": 0.0, "vmax": widest}
        shown: dict[str, tuple[int, AxesImage, list[Array]]] = {}
        for row, (method, style) in enumerate(method_styles(field.estimates).items()):
            contents = {
                "truth": (field.truth if row == 0 else None, states),
                "estimate": (field.estimates[method], states),
                "estimate − truth": (field.errors.get(method), errors),
                "standard deviation": (field.stds.get(method), stds),
            }
            page.name(block, row, style.label.replace(" ", "\n"))
            for column, title in enumerate(columns):
                values, options = contents[title]
                if values is None:
                    continue
                axis = page.panel(block, row, column)
                image = draw_plane(axis, values, grid, **options)
                _, _, sofar = shown.setdefault(title, (column, image, []))
                sofar.append(values)
                if row == 0:
                    axis.set_title(title, fontsize=7.5, pad=3)
                _coordinates(axis, grid, units, left=column == 0, page=page)
                last = row == len(field.estimates) - 1 or title == "truth"
                axis.tick_params(labelbottom=last)
                axis.set_xlabel(with_unit(f"${grid.axes[0]}$", units.length) if last else "", labelpad=1)
                if points is not None and title == "standard deviation":
                    axis.plot(points[:, 0], points[:, 1], **_DOTS)
        label, unit = labels[field.name]
        _bars(page, block, shown, f"{label} at {where}" if where else label, unit)
    if points is not None:
        handle = Line2D([], [], label="observed here", **_DOTS)
        page.figure.legend(handles=[handle], loc="lower right", fontsize=7, handlelength=1.0)
    return page.figure


def _widest(field: _Field, span: float) -> float:
    """The end of the standard deviations' colours: where the data say nothing they would hide all else."""
    finite = np.concatenate([np.zeros(0), *(s[np.isfinite(s)] for s in field.stds.values())])
    largest = float(finite.max()) if finite.size else 0.0
    return min(largest, span) or span


def _coordinates(axis: Axes, grid: Grid, units: Units, *, left: bool, page: MapPage) -> None:
    box(axis)
    axis.tick_params(length=2, labelleft=left, labelsize=6.5, pad=1.5)
    axis.xaxis.set_major_locator(few_ticks(3 if page.width > 1.0 else 2))
    axis.yaxis.set_major_locator(few_ticks(3 if page.height > 0.6 else 1))
    if left:
        axis.set_ylabel(with_unit(f"${grid.axes[1]}$", units.length), labelpad=1)


def _bars(
    page: MapPage, block: int, shown: Mapping[str, tuple[int, AxesImage, list[Array]]], label: str, unit: str
) -> None:
    """The colour bars of a field: one for truth and estimate, one for errors, one for standard deviations."""
    for title, (column, image, values) in shown.items():
        if title == "truth":
            continue
        count, first, every = 1, column, values
        if title == "estimate" and "truth" in shown:
            count, first, every = 2, shown["truth"][0], [*values, *shown["truth"][2]]
        ends = beyond(every, *image.get_clim())
        bar = page.figure.colorbar(
            image,
            cax=page.bar(block, first, count),
            orientation="horizontal",
            extend=ends,
            ticks=few_ticks(2 * count if page.pitch_x > 1.2 else 1 + count),
            format=FuncFormatter(three_digits),
        )
        bar.ax.tick_params(labelsize=6.5, pad=1.5, length=2)
        bar.outline.set_linewidth(0.4)
        words = label if title == "estimate" else title
        bar.set_label(with_unit(words, unit), labelpad=1, fontsize=7.5)
