"""Predicted fields beside the truth, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from hyco.grid import Grid
from hyco.plots.fields import (
    Marks,
    beyond,
    box,
    channel_label,
    colours,
    draw_plane,
    error_limit,
    one_channel,
    reference_line,
    same_shape,
    state_limits,
    state_scale,
)
from hyco.plots.sheet import Sheet
from hyco.plots.style import (
    ERROR_COLOURS,
    NOT_FINITE,
    ONE_COLUMN,
    TWO_COLUMNS,
    Array,
    Units,
    in_style,
    method_styles,
    new_figure,
    with_unit,
)
from hyco.plots.ticks import few_ticks, short

_SNAPSHOTS = 3
# Images flatter than this stand below each other, or colour bars beside them would have no room.
_FLAT = 0.6


def predictions(
    truth: ArrayLike,
    predictions: Mapping[str, ArrayLike],
    grid: Grid,
    dt: float,
    channel: str | int = 0,
    *,
    channels: Sequence[str] | None = None,
    first_step: int = 1,
    measured: bool = False,
    units: Units | None = None,
    note: str = "",
    marks: Marks | None = None,
    reference: str = "",
) -> Figure:
    """Truth, predictions and errors of one simulation on shared colour scales.

    One dimension: images over space (horizontal) and time (vertical). Two dimensions: snapshots at up to three times,
    states on the left, errors on the right. A single state, such as that of a static problem: lines, or an image per
    method. The state colours cover the range of the truth, the error colours
    all but the largest errors (persistence aside); arrows on a colour bar say that values lie beyond it.

    Args:
        truth: `[T, C, *space]`.
        predictions: for each method `[T, C, *space]`, at the same times.
        grid: where the values sit.
        dt: time between two states [time].
        channel: which channel, by number or by its name in `channels`.
        channels: names of the channels.
        first_step: step of the first state: 1 for a rollout, 0 if the initial state is in it.
        measured: the truth is what was measured of it, NaN where nothing was.
        units: units for the labels.
        note: which simulation this is, in words.
        marks: where and when the training data were measured, marked on the truth.
        reference: what stands in the place of the truth, in words, where that is no truth.

    Raises:
        ValueError: shapes do not fit each other or the grid, or there is no such channel.
    """
    units = units or Units()
    true = one_channel(truth, grid, channel, channels)
    styles = method_styles(predictions)
    states = {name: one_channel(predictions[name], grid, channel, channels) for name in styles}
    same_shape(true, states)
    errors = {name: state - true for name, state in states.items()}
    low, high = state_limits(true)
    limit = error_limit(errors, true)
    drawing = _Drawing(
        truth=true,
        states=states,
        errors=errors,
        labels={name: style.label for name, style in styles.items()},
        grid=grid,
        times=dt * (first_step + np.arange(len(true), dtype=np.float64)),
        dt=dt,
        units=units,
        state_colours=state_scale(true),
        limits=(low, high),
        error_colours={"cmap": colours(ERROR_COLOURS), "vmin": -limit, "vmax": limit},
        state_label=channel_label(channel, channels, units),
        reference=reference or ("measured" if measured else "truth"),
        difference="difference" if reference else f"prediction − {'measured' if measured else 'truth'}",
        note=note,
        marks=marks,
    )
    with in_style():
        if grid.dimensions == 1 and len(true) == 1:
            return drawing.profiles()
        sheet = grid.dimensions == 2 and (len(true) > 1 or grid.size[1] < _FLAT * grid.size[0])
        figure = drawing.snapshots() if sheet else drawing.side_by_side()
        if not all(np.isfinite(state).all() for state in (true, *states.values())):
            # The lower left corner is empty; a lone truth needs all of its page.
            grey = [Patch(color=NOT_FINITE, label="not measured" if measured else "not finite")]
            if states or sheet:
                figure.legend(handles=grey, loc="lower left", fontsize=7, handlelength=1.2)
            else:
                figure.legend(handles=grey, loc="outside lower right", fontsize=7, handlelength=1.2)
    return figure


@dataclass(frozen=True)
class _Drawing:
    """One figure's data and colour scales."""

    truth: Array
    states: Mapping[str, Array]
    errors: Mapping[str, Array]
    labels: Mapping[str, str]
    grid: Grid
    times: Array
    dt: float
    units: Units
    state_colours: Mapping[str, Any]
    error_colours: Mapping[str, Any]
    state_label: str
    reference: str
    difference: str
    limits: tuple[float, float]
    note: str
    marks: Marks | None

    def side_by_side(self) -> Figure:
        """A column per method, over space and time in 1-D, of a single state in 2-D; states above, errors below."""
        columns, rows = 1 + len(self.states), 2 if self.states else 1
        size = 8 if columns < 6 else 7
        plane = self.grid.dimensions == 2
        width, height = min(TWO_COLUMNS, 1.0 + 1.5 * columns), 3.6 if self.states else 2.0
        if plane:
            ratio = float(np.clip(self.grid.size[1] / self.grid.size[0], 0.3, 2.0))
            height = 0.45 + rows * ((width - 1.0) / columns * ratio + 0.2)
        figure = new_figure(width, height)
        if plane:
            figure.set_layout_engine("compressed")
        axes = figure.subplots(2 if self.states else 1, columns, squeeze=False)
        image = self._image(axes[0, 0], self.truth, self.state_colours)
        axes[0, 0].set_title(self.reference, fontsize=size)
        bottom = [axes[-1, i] for i in range(1, columns)] or [axes[0, 0]]
        for column, name in enumerate(self.states, 1):
            self._image(axes[0, column], self.states[name], self.state_colours)
            axes[0, column].set_title(self.labels[name], fontsize=size)
            error = self._image(axes[1, column], self.errors[name], self.error_colours)
            axes[1, column].set_title(self._relative_error(name), color="0.3", fontsize=7)
            axes[0, column].tick_params(labelbottom=False, labelleft=False)
            axes[1, column].tick_params(labelleft=column == 1)
        for axis in bottom:
            axis.set_xlabel(with_unit(f"${self.grid.axes[0]}$", self.units.length))
        upward = (
            with_unit(f"${self.grid.axes[1]}$", self.units.length) if plane else with_unit("time $t$", self.units.time)
        )
        for axis in (axes[0, 0], bottom[0]):
            axis.set_ylabel(upward)
        self._state_bar(figure, image, ax=axes[0, :])
        if self.states:
            axes[1, 0].set_axis_off()
            self._error_bar(figure, error, ax=axes[1, :])
            self._say(axes[1, 0])
        self._mark(axes[0, 0])
        return figure

    def profiles(self) -> Figure:
        """1-D and a single state: lines; on the left the states, on the right the errors."""
        panels = 2 if self.states else 1
        figure = new_figure(TWO_COLUMNS if self.states else ONE_COLUMN, 2.6)
        axes = figure.subplots(1, panels, squeeze=False)[0]
        x = self.grid.centers(self.grid.axes[0])
        axes[0].plot(x, self.truth[0], label=self.reference, **reference_line(self.truth))
        for name, style in method_styles(self.states).items():
            look: dict[str, Any] = {"color": style.colour, "linestyle": style.line}
            error = self._relative_error(name)
            axes[0].plot(x, self.states[name][0], label=f"{style.label} ({error or 'not finite'})", **look)
            axes[1].plot(x, self.errors[name][0], **look)
        low, high = self.limits
        axes[0].set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
        axes[0].set_ylabel(self.state_label)
        if self.states:
            axes[1].set_ylim(1.3 * self.error_colours["vmin"], 1.3 * self.error_colours["vmax"])
            axes[1].set_ylabel(with_unit(self.difference, self.units.value))
        for axis in axes:
            axis.grid(True)
            axis.set_xlim(self.grid.lower[0], self.grid.lower[0] + self.grid.size[0])
            axis.set_xlabel(with_unit(f"${self.grid.axes[0]}$", self.units.length))
        if self.note:
            axes[0].set_title(self.note, loc="left", fontsize=7)
        figure.legend(loc="outside upper center", ncols=3)
        return figure

    def snapshots(self) -> Figure:
        """2-D: a row per method; on the left the states, on the right the errors, one column per time."""
        measured = np.flatnonzero((~np.isnan(self.truth)).any(axis=(1, 2)))
        of = measured if measured.size else np.arange(len(self.times))
        shots = min(of.size, _SNAPSHOTS)
        chosen = of[np.linspace(0, of.size - 1, shots + (of.size > shots)).round().astype(int)[-shots:]]
        sheet = Sheet(self.grid, shots, 1 + len(self.states))
        figure = sheet.figure
        for row, name in enumerate([None, *self.states]):
            label = self.reference if name is None else self.labels[name]
            sheet.name_row(row, label.replace(" ", "\n"))
            state = self.truth if name is None else self.states[name]
            for column, k in enumerate(chosen):
                axis = sheet.panel(0, row, column)
                image = draw_plane(axis, state[k], self.grid, **self.state_colours)
                if row == 0:
                    self._title(axis, k)
                if row == 0 and column == 0:
                    self._mark(axis)
                if row == 0 and column == shots - 1:
                    sheet.coordinates(axis, self.units)
        self._state_bar(figure, image, cax=sheet.bar(0), ticks=sheet.bar_ticks)
        for row, error in enumerate(self.errors.values(), 1):
            for column, k in enumerate(chosen):
                axis = sheet.panel(1, row, column)
                image = draw_plane(axis, error[k], self.grid, **self.error_colours)
                if row == 1:
                    self._title(axis, k)
        if self.errors:
            self._error_bar(figure, image, cax=sheet.bar(1), ticks=sheet.bar_ticks)
            sheet.note("\n".join(self._words()))
        return figure

    def _mark(self, axis: Axes) -> None:
        """Where the training data were measured; in 1-D also when, at the edges of the panel."""
        if self.marks is None:
            return
        look: dict[str, Any] = {"linestyle": "", "color": "black", "markeredgewidth": 0, "clip_on": False, "zorder": 5}
        places = self.marks.places
        if self.grid.dimensions == 2:
            if places is not None:
                axis.plot(places[:, 0], places[:, 1], marker=".", markersize=1.8, **look)
            return
        ends = axis.get_xlim(), axis.get_ylim()
        times = self.marks.times[(self.marks.times >= ends[1][0]) & (self.marks.times <= ends[1][1])]
        axis.plot(np.full(len(times), ends[0][0]), times, marker=">", markersize=3.5, **look)
        if places is not None:
            axis.plot(places[:, 0], np.full(len(places), ends[1][0]), marker="^", markersize=3.0, **look)
        axis.set_xlim(ends[0])
        axis.set_ylim(ends[1])

    def _words(self) -> list[str]:
        """Which simulation this is, and what the marks are."""
        words = [self.note] if self.note else []
        if self.marks is not None and self.grid.dimensions == 1:
            words.append("▸ times of training data" + ("" if self.marks.places is None else "\n▴ their places"))
        elif self.marks is not None and self.marks.places is not None:
            words.append("• places of training data")
        return words

    def _say(self, axis: Axes) -> None:
        axis.text(-0.05, 0.95, "\n".join(self._words()), transform=axis.transAxes, va="top", fontsize=6.5, color="0.3")

    def _title(self, axis: Axes, k: int) -> None:
        """The time; a single state may be that of a static problem, which has none."""
        if len(self.times) == 1:
            return
        axis.set_title(f"$t$ = {self.times[k]:.3g} {self.units.time}".strip(), fontsize=7, pad=3)

    def _image(self, axis: Axes, values: Array, scale: Mapping[str, Any]) -> AxesImage:
        """Space to the right, time upward; every state fills the interval around its time. In 2-D the only state."""
        if self.grid.dimensions == 2:
            return draw_plane(axis, values[0], self.grid, **scale)
        box(axis)
        x, width = self.grid.lower[0], self.grid.size[0]
        edges = (x, x + width, float(self.times[0]) - self.dt / 2, float(self.times[-1]) + self.dt / 2)
        return axis.imshow(values, extent=edges, origin="lower", aspect="auto", interpolation="nearest", **scale)

    def _state_bar(self, figure: Figure, image: AxesImage, **place: Any) -> None:
        _bar(figure, image, [self.truth, *self.states.values()], self.state_label, **place)

    def _error_bar(self, figure: Figure, image: AxesImage, **place: Any) -> None:
        _bar(figure, image, list(self.errors.values()), with_unit(self.difference, self.units.value), **place)

    def _relative_error(self, name: str) -> str:
        """Relative L2 error of the panel; nothing where the truth is zero or the prediction is not finite."""
        present = ~np.isnan(self.truth)
        size, error = (float(np.linalg.norm(values[present])) for values in (self.truth, self.errors[name]))
        what = "rel. error" if self.difference.startswith("prediction") else "rel. difference"
        return f"{what} {short(error / size)}" if size > 0 and np.isfinite(error) else ""


def _bar(figure: Figure, image: AxesImage, values: Sequence[Array], label: str, ticks: int = 5, **place: Any) -> None:
    """A colour bar with arrows where values lie beyond it."""
    options: dict[str, Any] = {"aspect": 14, "pad": 0.015} if "ax" in place else {"orientation": "horizontal"}
    ends = beyond(values, *image.get_clim())
    bar = figure.colorbar(image, extend=ends, ticks=few_ticks(ticks), **options, **place)
    bar.set_label(label, labelpad=2)
    bar.outline.set_linewidth(0.4)
