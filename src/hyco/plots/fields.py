"""What pictures of fields share: choosing a channel, orientation, colour scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from hyco.grid import Grid
from hyco.plots.style import NOT_FINITE, SIGNED_COLOURS, STATE_COLOURS, Array, Units, numbers, readable, with_unit
from hyco.plots.ticks import few_ticks, short

if TYPE_CHECKING:
    from hyco.fields import Layout

_SIGNED = 0.1


@dataclass(frozen=True)
class Marks:
    """Where and when the training data were measured.

    Attributes:
        times: of the measurements, `[m]`.
        places: `[n, d]`; None: everywhere.
    """

    times: Array
    places: Array | None = None


def one_channel(values: ArrayLike, grid: Grid, channel: str | int, channels: Sequence[str] | None) -> Array:
    """One channel `[T, *resolution]` of a rollout `[T, C, *space]`, NaN where it is not finite.

    Staggered layouts have one more sample than cells; the last one is left out, so that faces appear half a cell
    above their place.

    Raises:
        ValueError: the shape does not fit the grid, the channel is unknown, or the grid is neither 1-D nor 2-D.
    """
    array = np.asarray(values, dtype=np.float64)
    if grid.dimensions > 2:
        raise ValueError(f"fields are drawn in one and two dimensions, not in {grid.dimensions}")
    extra = {n - r for n, r in zip(array.shape[2:], grid.resolution, strict=False)}
    if array.ndim != 2 + grid.dimensions or array.shape[0] == 0 or not extra <= {0, 1}:
        raise ValueError(f"expected [steps, channels, {', '.join(map(str, grid.resolution))}], got {array.shape}")
    if isinstance(channel, str):
        if channels is None or channel not in channels:
            raise ValueError(f"unknown channel {channel!r}; available: {', '.join(channels or ()) or 'numbers only'}")
        channel = list(channels).index(channel)
    if not 0 <= channel < array.shape[1]:
        raise ValueError(f"channel {channel} is not among the {array.shape[1]} of the data")
    box: tuple[Any, ...] = (slice(None), channel, *(slice(n) for n in grid.resolution))
    return numbers(array[box])


def channel_part(values: ArrayLike, layout: Layout, channel: int) -> tuple[Array, Grid]:
    """One channel `[*batch, *cells]` of `[*batch, C, *space]` without padding, and the grid whose centres it sits at.

    For a component on faces that grid is shifted by half a cell, and has as many cells as there are faces.

    Raises:
        ValueError: there is no such channel.
    """
    array, grid = np.asarray(values, dtype=np.float64), layout.grid
    if not 0 <= channel < len(layout.channels):
        raise ValueError(f"channel {channel} is not among the {len(layout.channels)} of the data")
    part = array[layout.index(channel, array.ndim - grid.dimensions - 1)]
    name = layout.channels[channel]
    field = next(field for field in layout.fields if name in field.channels)
    component = field.components[field.channels.index(name)] if field.staggered else ""
    lower, size = list(grid.lower), list(grid.size)
    for i, axis in enumerate(grid.axes):
        if axis == component:
            faces = layout.extent(channel)[i]
            lower[i] += (faces.start - 0.5) * grid.spacing[i]
            size[i] = (faces.stop - faces.start) * grid.spacing[i]
    resolution = part.shape[part.ndim - grid.dimensions :]
    return part, Grid(grid.axes, tuple(lower), tuple(size), tuple(resolution))


def middle_plane(values: ArrayLike, grid: Grid) -> tuple[Array, Grid, str]:
    """Values `[*batch, *cells]` as they can be drawn: in 3-D the plane in the middle of the last axis, and which it is.

    In 1-D and 2-D the values themselves, and an empty text.
    """
    array = np.asarray(values, dtype=np.float64)
    if grid.dimensions < 3:
        return array, grid, ""
    middle = grid.resolution[-1] // 2
    plane = Grid(grid.axes[:2], grid.lower[:2], grid.size[:2], grid.resolution[:2])
    return array[..., middle], plane, f"${grid.axes[-1]}$ = {short(grid.centers(grid.axes[-1])[middle], 3)}"


def pictured(
    rollouts: Mapping[str, ArrayLike],
    layout: Layout,
    dt: float,
    channel: int,
    *,
    measured: bool = False,
    units: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One channel of a simulation as the arguments of `predictions` and `animate`; in 3-D its middle plane.

    Args:
        rollouts: `truth` and the methods, `[T, C, *space]` each.
        layout: of the states.
        dt: time between two states.
        channel: which channel.
        measured: whether the truth was measured: of times at equal distances the others are left out then.
        units: of `time`, the axes and the channels, as far as they are known.
    """
    arrays = {}
    for name, states in rollouts.items():
        part, faces = channel_part(states, layout, channel)
        plane, grid, where = middle_plane(part, faces)
        arrays[name] = plane[:, None]
    label = layout.channels[channel] + (f" at {where}" if where else "")
    every = _between_measurements(arrays["truth"]) if measured else 1
    if every > 1:
        arrays = {name: states[every - 1 :: every] for name, states in arrays.items()}
    return {
        "truth": arrays.pop("truth"),
        "predictions": arrays,
        "grid": grid,
        "dt": every * dt,
        "channels": (label,),
        "measured": measured,
        "units": axis_units(units or {}, layout.grid.axes, layout.channels[channel]),
    }


def axis_units(known: Mapping[str, str], axes: Sequence[str], channel: str = "") -> Units:
    """The units of labels from those of the data: one of length where all axes share it.

    Args:
        known: of `time`, the axes and the channels, as far as they are known.
        axes: of the grid.
        channel: whose values are shown.
    """
    lengths = {known.get(axis, "") for axis in axes}
    return Units(
        length=lengths.pop() if len(lengths) == 1 else "", time=known.get("time", ""), value=known.get(channel, "")
    )


def _between_measurements(truth: Array) -> int:
    """n, if something was measured in every n-th state after t = 0 of `[T, …]` and in no other; else 1."""
    measured = np.flatnonzero(np.isfinite(truth).reshape(len(truth), -1).any(axis=1)) + 1
    if not len(measured):
        return 1
    every = int(measured[0])
    return every if np.array_equal(measured, np.arange(every, measured[-1] + 1, every)) else 1


def same_shape(truth: Array, predicted: Mapping[str, Array]) -> None:
    """Check that predictions and truth are about the same states.

    Raises:
        ValueError: a shape differs; names the method.
    """
    for name, values in predicted.items():
        if values.shape != truth.shape:
            raise ValueError(f"{name} has {values.shape} [steps, *space], the truth {truth.shape}")


def channel_label(channel: str | int, channels: Sequence[str] | None, units: Units) -> str:
    """The channel's name with its unit."""
    if isinstance(channel, int) and channels:
        channel = channels[channel]
    name = f"channel {channel}" if isinstance(channel, int) else readable(channel)
    return with_unit(name, units.value)


def state_limits(truth: Array) -> tuple[float, float]:
    """The range of the truth, widened where it is constant; a prediction that diverges does not change it."""
    finite = truth[np.isfinite(truth)]
    if not finite.size:
        return -1.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = 0.1 * abs(high) or 1.0
        return low - room, high + room
    return low, high


def state_scale(truth: Array, levels: int | None = None) -> dict[str, Any]:
    """Colours of states, as options of `imshow`: of a signed field diverging, with white at zero.

    A field is signed if it reaches to both sides of zero, to one of them at least a tenth as far as to the other.
    """
    low, high = state_limits(truth)
    if min(-low, high) < _SIGNED * max(-low, high):
        return {"cmap": colours(STATE_COLOURS, levels), "vmin": low, "vmax": high}
    furthest = max(-low, high)
    return {"cmap": colours(SIGNED_COLOURS, levels), "vmin": -furthest, "vmax": furthest}


def reference_line(truth: Array) -> dict[str, Any]:
    """How what predictions are compared with is drawn in one dimension: dots where only a part of it was measured."""
    dots = {"linestyle": "", "marker": ".", "markersize": 4}
    return {"color": "black", **(dots if bool(np.isnan(truth).any()) else {"linewidth": 2.2})}


def error_limit(errors: Mapping[str, Array], truth: Array) -> float:
    """Half range of the error colours, so that a useless prediction does not hide the errors of the useful ones.

    The largest of the methods' own ranges (all but 0.5% of their errors), without persistence and without those that
    are wrong by more than the truth's range.
    """
    low, high = state_limits(truth)
    sizes = {name: np.abs(e[np.isfinite(e)]) for name, e in errors.items()}
    ranges = {name: float(np.percentile(size, 99.5)) for name, size in sizes.items() if size.size}
    useful = [r for name, r in ranges.items() if name != "persistence" and r <= high - low]
    limit = min(max(useful or list(ranges.values()) or [0.0]), high - low)
    return limit if limit > 1e-14 * max(abs(low), abs(high)) else 1e-3 * (high - low)


def beyond(values: Sequence[Array], low: float, high: float) -> Literal["neither", "min", "max", "both"]:
    """Which ends of a colour bar need an arrow because something lies beyond them."""
    room = 0.005 * (high - low)
    below = any((v < low - room).any() for v in values)
    above = any((v > high + room).any() for v in values)
    return "both" if below and above else "min" if below else "max" if above else "neither"


def colours(name: str, levels: int | None = None) -> Colormap:
    """A colour map that shows values which are not finite in grey."""
    return colormaps[name].resampled(levels or 256).with_extremes(bad=NOT_FINITE)


def extent(grid: Grid) -> tuple[float, float, float, float]:
    """Edges of a 2-D domain for `imshow`."""
    (x, y), (width, height) = grid.lower, grid.size
    return x, x + width, y, y + height


def draw_plane(axis: Axes, values: Array, grid: Grid, **options: Any) -> AxesImage:
    """A 2-D field `[nx, ny]`: the first axis runs to the right, the second one up, lengths to scale."""
    box(axis)
    return axis.imshow(values.T, extent=extent(grid), origin="lower", interpolation="nearest", **options)


def box(axis: Axes) -> None:
    """A frame on all four sides and few ticks, for images."""
    for spine in axis.spines.values():
        spine.set_visible(True)
    axis.xaxis.set_major_locator(few_ticks(2))
    axis.yaxis.set_major_locator(few_ticks(3))
