"""Energy spectra of states and of their errors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hyco.plots.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    Array,
    Units,
    in_style,
    marker_step,
    method_styles,
    new_figure,
    numbers,
    scale_values,
    with_unit,
)

# Energies below this share of the truth's largest are rounding.
_ROUNDING = 1e-12


def spectra(
    wavenumbers: ArrayLike,
    energies: Mapping[str, ArrayLike],
    errors: Mapping[str, ArrayLike],
    *,
    units: Units | None = None,
    of: str = "",
) -> Figure:
    """The energy spectrum of the truth and of predictions and, beside it, that of the predictions' errors.

    Where the spectrum of an error meets that of the truth, a method knows nothing of these and finer scales. The mean,
    k = 0, has no place on a logarithmic axis.

    Args:
        wavenumbers: k `[K]` [1/length], 0 first.
        energies: E(k) `[K]` [value² length] of `truth` and the methods.
        errors: of the methods' differences from the truth.
        units: of length and of the values.
        of: what the spectra are of, in words.
    """
    units = units or Units()
    k = numbers(wavenumbers)[1:]
    truth = numbers(energies["truth"])[1:]
    # A method that is exact has no errors to show.
    least = _ROUNDING * float(np.nanmax(truth, initial=0.0))
    drawn = {name: _above(values, least) for name, values in energies.items() if name != "truth"}
    wrong = {name: shown for name, values in errors.items() if np.isfinite(shown := _above(values, least)).any()}
    figure = new_figure(TWO_COLUMNS if wrong else ONE_COLUMN + 0.6, 2.7)
    with in_style():
        axes = figure.subplots(1, 2 if wrong else 1, squeeze=False, sharey=True)[0]
        for axis, lines, title in zip(axes, (drawn, wrong), (of, "errors of the same"), strict=False):
            axis.plot(k, np.where(truth > least, truth, np.nan), color="black", linewidth=2.2, label="truth")
            _draw(axis, k, lines)
            axis.set_title(title, loc="left", color="0.3")
            axis.set_xlabel(with_unit("wavenumber $k$", f"1/{units.length}" if units.length else ""))
        scale_values(axes[0], [truth[truth > least], *drawn.values(), *wrong.values()])
        unit = f"({units.value})² {units.length}" if units.value and units.length else ""
        axes[0].set_ylabel(with_unit("energy $E(k)$", unit))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(handles)))
    return figure


def _draw(axis: Axes, k: Array, lines: Mapping[str, Array]) -> None:
    axis.grid(True)
    for name, style in method_styles(lines).items():
        options = style.line_options() | {"markersize": 3, "markevery": marker_step(len(k), 16), "label": style.label}
        axis.plot(k, lines[name], **options)
    scale_values(axis, [k], horizontal=True)


def _above(values: ArrayLike, least: float) -> Array:
    energy = numbers(values)[1:]
    return np.where(energy > least, energy, np.nan)
