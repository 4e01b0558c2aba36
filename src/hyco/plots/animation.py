"""A rollout as a moving picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from hyco.grid import Grid
from hyco.plots.fields import (
    beyond,
    channel_label,
    draw_plane,
    one_channel,
    reference_line,
    same_shape,
    state_limits,
    state_scale,
)
from hyco.plots.style import (
    Array,
    MethodStyle,
    Units,
    in_style,
    method_styles,
    new_figure,
    with_unit,
)

_MOST_FRAMES, _SECONDS, _DPI = 60, 6.0, 90
# Fewer frames where each holds many images: the file should stay near a megabyte.
_MOST_IMAGES = 240
# Few colours compress well, and GIF has 256 of them for everything.
_LEVELS = 32


def animate(
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
) -> dict[str, Any]:
    """Truth and predictions over time: lines in one dimension, images side by side in two.

    The arguments are those of `hyco.plots.predictions`.

    Returns:
        `{"frames": uint8 [N, height, width, 3], "fps": float}`, at most 60 frames that span the whole rollout.

    Raises:
        ValueError: shapes do not fit each other or the grid, or there is no such channel.
    """
    units = units or Units()
    true = one_channel(truth, grid, channel, channels)
    styles = method_styles(predictions)
    states = {name: one_channel(predictions[name], grid, channel, channels) for name in styles}
    same_shape(true, states)
    label = channel_label(channel, channels, units)
    most = min(_MOST_FRAMES, _MOST_IMAGES // (1 + len(states)))
    chosen = np.unique(np.linspace(0, len(true) - 1, min(len(true), most)).round().astype(int))
    with in_style():
        scene = _Scene(true, states, styles, grid, label, units, "measured" if measured else "truth")
        figure, moving, update = (_lines if grid.dimensions == 1 else _planes)(scene)
        clock = figure.suptitle(" ", x=0.02, ha="left", fontsize=9)
        # The layout is computed once and kept: a picture that shifts from frame to frame is hard to watch.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        stage = _Stage(figure, [clock, *moving])
        digits = int(np.clip(-int(Decimal(f"{dt:.3g}").as_tuple().exponent), 0, 6))
        frames = []
        for k in chosen:
            time = f"t = {dt * (first_step + k):.{digits}f}"
            # A single state may be that of a static problem, which has no time.
            clock.set_text(f"{time} {units.time}".strip() if len(true) > 1 else " ")
            update(int(k))
            frames.append(stage.frame())
    return {"frames": np.stack(frames), "fps": float(np.clip(len(chosen) / _SECONDS, 2.0, 15.0))}


@dataclass(frozen=True)
class _Scene:
    """What moves: `[T, *space]` each, how it is drawn, and what the truth is called."""

    truth: Array
    states: Mapping[str, Array]
    styles: Mapping[str, MethodStyle]
    grid: Grid
    label: str
    units: Units
    reference: str


class _Stage:
    """What stands still is drawn once, what moves anew for each frame: a tenth of the time of drawing all."""

    def __init__(self, figure: Figure, moving: Sequence[Artist]) -> None:
        self._canvas = FigureCanvasAgg(figure)
        self._moving = moving
        for artist in moving:
            artist.set_animated(True)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        self._still = self._canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]

    def frame(self) -> NDArray[np.uint8]:
        """The picture as it is now, `[height, width, 3]`."""
        self._canvas.restore_region(self._still)  # type: ignore[no-untyped-call]
        renderer = self._canvas.get_renderer()  # type: ignore[no-untyped-call]
        for artist in self._moving:
            artist.draw(renderer)
            if isinstance(artist, AxesImage):  # it covers half of the lines around it
                for spine in artist.axes.spines.values():
                    spine.draw(renderer)
        pixels = np.asarray(self._canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
        return pixels[..., :3].copy()


def _lines(scene: _Scene) -> tuple[Figure, list[Artist], Callable[[int], None]]:
    figure = new_figure(6.0, 3.4, _DPI)
    axis = figure.subplots()
    axis.grid(True)
    low, high = state_limits(scene.truth)
    axis.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
    axis.set_xlim(scene.grid.lower[0], scene.grid.lower[0] + scene.grid.size[0])
    axis.set_xlabel(with_unit(f"${scene.grid.axes[0]}$", scene.units.length))
    axis.set_ylabel(scene.label)
    x = scene.grid.centers(scene.grid.axes[0])
    lines = [(axis.plot(x, scene.truth[0], label=scene.reference, **reference_line(scene.truth))[0], scene.truth)]
    for name, style in scene.styles.items():
        line = axis.plot(x, scene.states[name][0], color=style.colour, linestyle=style.line, label=style.label)[0]
        lines.append((line, scene.states[name]))
    figure.legend(loc="outside upper right", ncols=3)

    def update(k: int) -> None:
        for line, values in lines:
            line.set_ydata(values[k])

    return figure, [line for line, _ in lines], update


def _planes(scene: _Scene) -> tuple[Figure, list[Artist], Callable[[int], None]]:
    panels = {scene.reference: scene.truth} | {scene.styles[name].label: scene.states[name] for name in scene.styles}
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    ratio = float(np.clip(scene.grid.size[1] / scene.grid.size[0], 0.3, 1.6))
    panel = 1.7 if columns > 1 else 3.0
    figure = new_figure(columns * panel + 1.0, rows * (0.9 * panel * ratio + 0.25) + 0.7, _DPI)
    figure.set_layout_engine("compressed")
    axes = figure.subplots(rows, columns, squeeze=False)
    scale = state_scale(scene.truth, _LEVELS)
    images = []
    for axis, (name, values) in zip(axes.ravel(), panels.items(), strict=False):
        images.append((draw_plane(axis, values[0], scene.grid, **scale), values))
        axis.set_title(name)
        axis.tick_params(labelbottom=False, labelleft=False)
    for unused in axes.ravel()[len(panels) :]:
        unused.set_axis_off()
    axes[-1, 0].tick_params(labelbottom=True, labelleft=True)
    axes[-1, 0].set_xlabel(with_unit(f"${scene.grid.axes[0]}$", scene.units.length))
    axes[-1, 0].set_ylabel(with_unit(f"${scene.grid.axes[1]}$", scene.units.length))
    bar = figure.colorbar(
        images[0][0], ax=axes, extend=beyond(list(panels.values()), scale["vmin"], scale["vmax"]), aspect=25
    )
    bar.set_label(scene.label)

    def update(k: int) -> None:
        for image, values in images:
            image.set_data(values[k].T)

    return figure, [image for image, _ in images], update
