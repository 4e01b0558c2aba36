"""What Kedro-Viz shows of a file: tables and pictures, empty where there is nothing to show."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from kedro_datasets._typing import ImagePreview, TablePreview
from numpy.typing import NDArray
from torch import Tensor

from hyco.fields import Layout
from hyco.grid import Grid
from hyco.observations.filling import in_cells
from hyco.runtime.storage import Bundle

NOTHING = ImagePreview("")

_MOST_ROWS, _COLUMNS, _SNAPSHOTS = 6, 3, 3


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> TablePreview:
    """Rows as Kedro-Viz expects a table; numbers are shortened to four digits."""
    data = [[float(f"{v:.4g}") if isinstance(v, float) else v for v in row] for row in rows]
    return TablePreview({"index": list(range(len(rows))), "columns": list(columns), "data": data})


def image(data: bytes) -> ImagePreview:
    """The bytes of an image file; a browser tells PNG from GIF by itself."""
    return ImagePreview(base64.b64encode(data).decode("ascii"))


def picture(bundle: Bundle) -> ImagePreview:
    """The first simulation of trajectories, observations or rollouts; nothing for other bundles and in 3-D.

    Trajectories and observations show every channel (grey: not measured), rollouts, and what the models of a hybrid
    give each other, the first channel of every method.
    """
    kind, tensors = bundle.metadata.get("kind"), bundle.tensors
    if kind not in ("trajectories", "observations", "rollouts", "exchange") or "layout" not in bundle.metadata:
        return NOTHING
    layout = Layout.from_dict(bundle.metadata["layout"])
    if layout.grid.dimensions > 2:
        return NOTHING
    if kind == "exchange":
        rows = {"predictions": _channel(tensors["predictions"][0], layout, 0)}
        title = f"{layout.channels[0].replace('_', ' ')} from the start of simulation {bundle.metadata['simulation']}"
    elif kind == "rollouts":
        methods = sorted(tensors, key=lambda method: (method != "truth", method))
        rows = {method: _channel(tensors[method][0], layout, 0) for method in methods}
        title = f"{layout.channels[0].replace('_', ' ')} of the first of {len(tensors['truth'])} test simulations"
    else:
        states = tensors["trajectories" if kind == "trajectories" else "values"]
        first = states[0]
        if kind == "observations":
            if "positions" in tensors:
                whole = bundle.metadata["initial_state"] == "full"
                first = in_cells(layout, tensors["positions"][0], first, tensors["mask"][0], whole_start=whole)
            else:
                first = torch.where(tensors["mask"][0], first, torch.nan)
            title = f"what was observed of the first of {len(states)} simulations"
        else:
            title = f"the first of {len(states)} simulations"
        rows = {name: _channel(first, layout, i) for i, name in enumerate(layout.channels)}
    first_step = 1 if kind in ("rollouts", "exchange") else 0
    return image(_draw(dict(list(rows.items())[:_MOST_ROWS]), layout.grid, bundle.metadata["dt"], first_step, title))


def _channel(states: Tensor, layout: Layout, index: int) -> NDArray[np.float64]:
    """One channel `[T, *space]` of one simulation `[T, C, *space]`, without padding."""
    values: NDArray[np.float64] = states[layout.index(index, 1)].double().cpu().numpy()
    return values


def _draw(rows: Mapping[str, NDArray[np.float64]], grid: Grid, dt: float, first_step: int, title: str) -> bytes:
    """A PNG: per row an image over space and time (1-D) or snapshots (2-D), on the colour scale of any truth."""
    from hyco.plots.fields import box, colours, draw_plane, state_limits
    from hyco.plots.style import STATE_COLOURS, in_style, new_figure, readable, to_png
    from hyco.plots.ticks import short

    steps = len(next(iter(rows.values())))
    chosen = np.unique(np.linspace(0, steps - 1, _SNAPSHOTS).round().astype(int))
    plane = grid.dimensions == 2
    # In 2-D each takes a row of snapshots.
    shape = (len(rows), len(chosen)) if plane else (-(-len(rows) // _COLUMNS), min(len(rows), _COLUMNS))
    with in_style():
        figure = new_figure(1.0 + 2.0 * shape[1], 0.5 + 1.9 * shape[0])
        figure.suptitle(title, fontsize=8)
        axes = figure.subplots(*shape, squeeze=False)
        for row, (name, values) in enumerate(rows.items()):
            low, high = state_limits(rows.get("truth", values))
            options: dict[str, Any] = {"cmap": colours(STATE_COLOURS), "vmin": low, "vmax": high}
            if plane:
                for column, step in enumerate(chosen):
                    drawn = draw_plane(axes[row, column], values[step], grid, **options)
                    axes[row, column].set_title(f"{readable(name)}, $t$ = {short((first_step + step) * dt, 3)}")
                    axes[row, column].set_xlabel(f"${grid.axes[0]}$")
                axes[row, 0].set_ylabel(f"${grid.axes[1]}$")
                figure.colorbar(drawn, ax=axes[row, :])
            else:
                axis, (low_x,), (width,) = axes.flat[row], grid.lower, grid.size
                extent = (low_x, low_x + width, (first_step - 0.5) * dt, (first_step + steps - 0.5) * dt)
                box(axis)
                drawn = axis.imshow(values, extent=extent, origin="lower", aspect="auto", **options)
                axis.set(title=readable(name), xlabel=f"${grid.axes[0]}$", ylabel="" if row % _COLUMNS else "time $t$")
                figure.colorbar(drawn, ax=axis)
        for axis in axes.flat[axes.size if plane else len(rows) :]:
            axis.set_axis_off()
        return to_png(figure)
