"""Where a physical model leaves more than the noise: in time and in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

from hyco.plots.fields import channel_part, colours, draw_plane, middle_plane
from hyco.plots.style import (
    ERROR_COLOURS,
    NOT_FINITE,
    ONE_COLUMN,
    SPREAD_COLOURS,
    TWO_COLUMNS,
    Array,
    Units,
    figure_of_words,
    in_style,
    marker_step,
    method_styles,
    new_figure,
    numbers,
    readable,
    scale_values,
    with_unit,
)
from hyco.plots.ticks import few_ticks, two_digits

if TYPE_CHECKING:
    from hyco.fields import Layout

# From this ratio of values on, an axis is logarithmic.
_WIDE = 8.0
# Channels that are shown in space, and the largest residual that has a colour of its own.
_MOST_CHANNELS, _MOST_COLOUR = 4, 20.0

_Summary = Mapping[str, Any]


def residuals(
    summaries: Mapping[str, _Summary],
    layout: Layout,
    dt: float,
    *,
    counts_time: ArrayLike | None = None,
    counts_space: ArrayLike | None = None,
    free: float = 1.0,
    noise_free: bool = False,
    units: Units | None = None,
) -> Figure:
    """Root mean square of the residuals in units of the noise, over time and, where the summaries have it, over space.

    It is 1 where the equation and the noise level are right, less what the fit takes up of the noise. The grey band is
    where 95% of such values lie, for the number of residuals in each; where these numbers are not given there is no
    band.

    Args:
        summaries: for each physical method `{"time": [T+1], "space": [C, *space]}`, `space` may be missing; 0 where
            nothing was observed, which is left out.
        layout: of the states.
        dt: time between two states [time].
        counts_time: number of residuals at each step, `[T+1]`.
        counts_space: number of residuals of each entry, `[C, *space]`.
        free: degrees of freedom of the fit over the number of its residuals; the band takes it for every value.
        noise_free: the data have no noise, so that the residuals are in thousandths of the data's standard deviation.
        units: units for the labels.
    """
    units = units or Units()
    names = [name for name in method_styles(summaries) if summaries[name].get("time") is not None]
    times = {name: _observed(summaries[name]["time"]) for name in names}
    if not any(np.isfinite(values).any() for values in times.values()):
        return figure_of_words("there are no residuals: no training was finished")
    spaces = {name: _observed(summaries[name]["space"]) for name in names if summaries[name].get("space") is not None}
    channels = _channels(spaces, layout)
    counts = None if counts_time is None else np.asarray(counts_time, dtype=np.float64)
    look = _Look(dt, units, noise_free, free)
    with in_style():
        if not channels:
            static = look.only_time(times) is not None
            figure = new_figure(ONE_COLUMN + 0.6, 0.9 + 0.3 * len(times) if static else 2.4)
            look.over_time(figure.subplots(), times, counts)
        elif layout.grid.dimensions == 1:
            figure = _with_profiles(look, times, spaces, channels, layout, counts, counts_space)
        else:
            figure = _with_maps(look, times, spaces, channels, layout, counts)
        styles = method_styles(names)
        handles: list[Line2D | Patch] = [Line2D([], [], label=s.label, **s.line_options()) for s in styles.values()]
        if not noise_free:
            handles.append(Line2D([], [], label="the noise", **_NOISE))
        if counts is not None and not noise_free:
            handles.append(Patch(facecolor="0.88", label="95% of values if all is right"))
        if channels and layout.grid.dimensions > 1 and _gaps(spaces, channels, layout):
            handles.append(Patch(facecolor=NOT_FINITE, label="not observed"))
        narrow = not channels or layout.grid.dimensions > 1
        figure.legend(handles=handles, loc="outside upper center", ncols=2 if not channels else 3 if narrow else 5)
    return figure


_NOISE: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 0.9}


def _observed(values: ArrayLike) -> Array:
    """NaN where nothing was observed."""
    array = numbers(np.array(values, dtype=np.float64))
    array[array == 0] = np.nan
    return array


def _channels(spaces: Mapping[str, Array], layout: Layout) -> list[int]:
    """The channels of which something was observed."""
    observed = [i for i in range(len(layout.channels)) if any(np.isfinite(v[i]).any() for v in spaces.values())]
    return observed[:_MOST_CHANNELS]


def _gaps(spaces: Mapping[str, Array], channels: Sequence[int], layout: Layout) -> bool:
    """Whether there is a place where nothing was observed."""
    return any(np.isnan(channel_part(v, layout, c)[0]).any() for v in spaces.values() for c in channels)


def noise_band(counts: Array, free: float = 1.0) -> tuple[Array, Array]:
    """Where 95% of the root mean squares of so many standard normal numbers lie; NaN without any.

    Args:
        free: share of the numbers' degrees of freedom that a fit has left.
    """
    n = np.where(counts > 0, counts, np.nan)
    lower, upper = (np.sqrt(2 * gammaincinv(free * n / 2, share) / n) for share in (0.025, 0.975))
    return lower, upper


class _Look:
    """How residuals are drawn over one axis."""

    def __init__(self, dt: float, units: Units, noise_free: bool, free: float) -> None:
        self.dt, self.units, self.noise_free, self.free = dt, units, noise_free, free
        self.label = "rms residual / (10⁻³ std)" if noise_free else "rms residual / noise"

    def only_time(self, times: Mapping[str, Array]) -> int | None:
        """The step that was observed, if it is only one."""
        steps = {int(k) for v in times.values() for k in np.flatnonzero(np.isfinite(v))}
        return steps.pop() if len(steps) == 1 else None

    def over_time(self, axis: Axes, times: Mapping[str, Array], counts: Array | None) -> None:
        """Lines; if only one time was observed, the methods below each other."""
        only = self.only_time(times)
        if only is not None:
            self._at_one_time(axis, times, counts, only)
            return
        axis.set_xlabel(with_unit("time $t$", self.units.time))
        longest = max(int(np.flatnonzero(np.isfinite(v))[-1]) for v in times.values() if np.isfinite(v).any())
        counts = None if counts is None else counts[: longest + 1]
        places: dict[str, Array] = {name: self.dt * np.arange(v.size, dtype=np.float64) for name, v in times.items()}
        self.lines(axis, places, times, counts)
        axis.set_xlim(0.0, self.dt * longest * 1.02)
        axis.xaxis.set_major_locator(few_ticks(6))
        axis.set_ylabel(self.label)

    def _at_one_time(self, axis: Axes, times: Mapping[str, Array], counts: Array | None, step: int) -> None:
        axis.grid(True)
        values = [v[step : step + 1] for v in times.values()]
        if not self.noise_free:
            axis.axvline(1.0, **_NOISE)
            values.append(np.ones(1))
            if counts is not None and step < len(counts):
                lower, upper = noise_band(counts[step : step + 1], self.free)
                axis.axvspan(float(lower[0]), float(upper[0]), color="0.88", linewidth=0, zorder=0)
                values += [lower, upper]
        scale_values(axis, values, log=_wide(values), horizontal=True)
        styles = method_styles(times)
        for row, (name, style) in enumerate(styles.items()):
            axis.plot(times[name][step : step + 1], [row], **style.line_options())
        axis.set_yticks(range(len(styles)), [style.label.replace(" ", "\n") for style in styles.values()])
        axis.set_ylim(len(styles) - 0.5, -0.5)
        axis.set_xlabel(self.label)

    def lines(self, axis: Axes, places: Mapping[str, Array], values: Mapping[str, Array], counts: Array | None) -> None:
        """A line per method with the noise and its band; what was not observed does not interrupt a line."""
        axis.grid(True)
        shown = list(values.values())
        if not self.noise_free:
            axis.axhline(1.0, **_NOISE)
            shown.append(np.ones(1))
            if counts is not None and (counts > 0).any():
                lower, upper = noise_band(counts, self.free)
                finite = np.isfinite(lower)
                x = max(places.values(), key=len)[: len(counts)][finite]
                axis.fill_between(x, lower[finite], upper[finite], color="0.88", linewidth=0, zorder=0)
                shown += [lower, upper]
        for name, style in method_styles(values).items():
            x, y = places[name], values[name]
            finite = np.isfinite(y)
            axis.plot(x[finite], y[finite], markevery=marker_step(int(finite.sum()), 25), **style.line_options())
        scale_values(axis, shown, log=_wide(shown))


def _wide(values: Sequence[Array]) -> bool:
    finite = np.concatenate([v.ravel() for v in values])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    return bool(finite.max() / finite.min() > _WIDE)


def _with_profiles(
    look: _Look,
    times: Mapping[str, Array],
    spaces: Mapping[str, Array],
    channels: Sequence[int],
    layout: Layout,
    counts: Array | None,
    counts_space: ArrayLike | None,
) -> Figure:
    """1-D: a panel over time, and one over space for each channel."""
    count = 1 + len(channels)
    columns = min(count, 3 if count != 4 else 2)
    rows = -(-count // columns)
    figure = new_figure(TWO_COLUMNS, 0.35 + 2.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    look.over_time(axes[0], times, counts)
    (lower,), (size,) = layout.grid.lower, layout.grid.size
    for axis, channel in zip(axes[1:], channels, strict=False):
        values = {name: channel_part(v, layout, channel)[0] for name, v in spaces.items()}
        grid = channel_part(next(iter(spaces.values())), layout, channel)[1]
        number = None if counts_space is None else channel_part(counts_space, layout, channel)[0]
        look.lines(axis, dict.fromkeys(values, grid.centers(grid.axes[0])), values, number)
        axis.set_xlim(lower, lower + size)
        axis.xaxis.set_major_locator(few_ticks(5))
        axis.set_xlabel(with_unit(f"${grid.axes[0]}$", look.units.length))
        axis.set_ylabel(look.label)
        axis.set_title(readable(layout.channels[channel]))
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure


def _with_maps(
    look: _Look,
    times: Mapping[str, Array],
    spaces: Mapping[str, Array],
    channels: Sequence[int],
    layout: Layout,
    counts: Array | None,
) -> Figure:
    """2-D, and a plane of 3-D: a panel over time, beside it maps: a row per method, a column per channel."""
    ratio = layout.grid.size[1] / layout.grid.size[0]
    rows, columns = len(spaces), len(channels)
    width = max(min(1.9, (TWO_COLUMNS - 3.5) / columns, 2.2 / ratio), 0.7)
    height = max(2.3, 0.85 + rows * (max(width * ratio, 0.45) + 0.2))
    beside = columns * (width + 0.1) + 1.2
    figure = new_figure(2.6 + beside, height)
    parts: Any = figure.subfigures(1, 2, width_ratios=[2.6, beside])
    left, right = parts
    # However high the maps are, the panel over time keeps its proportions.
    heights = [2.6, height - 2.6] if height > 3.2 else [1.0]
    look.over_time(left.add_subplot(left.add_gridspec(len(heights), 1, height_ratios=heights)[0]), times, counts)
    axes = right.subplots(rows, columns, squeeze=False)
    finite = np.concatenate([v[np.isfinite(v)] for v in spaces.values()])
    largest = float(np.percentile(finite, 99.5))
    norm: Normalize = Normalize(0.0, largest)
    if not look.noise_free:
        norm = TwoSlopeNorm(1.0, 0.0, float(np.clip(largest, 2.0, _MOST_COLOUR)))
    options = {"cmap": colours(SPREAD_COLOURS if look.noise_free else ERROR_COLOURS), "norm": norm}
    for row, (name, style) in enumerate(method_styles(spaces).items()):
        for column, channel in enumerate(channels):
            axis: Axes = axes[row, column]
            values, grid, where = middle_plane(*channel_part(spaces[name], layout, channel))
            image = draw_plane(axis, values, grid, **options)
            # Faces and cells in the same frame.
            axis.set_xlim(layout.grid.lower[0], layout.grid.lower[0] + layout.grid.size[0])
            axis.set_ylim(layout.grid.lower[1], layout.grid.lower[1] + layout.grid.size[1])
            axis.yaxis.set_major_locator(few_ticks(3 if width * ratio > 0.6 else 1))
            axis.tick_params(length=2, labelleft=column == 0, labelbottom=row == rows - 1, labelsize=6.5)
            if row == rows - 1:
                axis.set_xlabel(with_unit(f"${grid.axes[0]}$", look.units.length))
            if column == 0:
                label = with_unit(f"${grid.axes[1]}$", look.units.length)
                axis.set_ylabel(f"{style.label}\n{label}".replace(" ", "\n", 1) if rows > 1 else label)
            if row == 0:
                title = readable(layout.channels[channel])
                axis.set_title(f"{title}, {where}" if where else title)
    bar = right.colorbar(
        image, ax=axes, aspect=22, pad=0.03, extend="max" if (finite > (norm.vmax or 0)).any() else "neither"
    )
    if not look.noise_free:
        most = float(norm.vmax or 2.0)
        bar.set_ticks([0.0, 0.5, 1.0, 0.5 * (1 + most), most])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(two_digits))
    bar.set_label(look.label, labelpad=2)
    bar.outline.set_linewidth(0.4)
    return figure
