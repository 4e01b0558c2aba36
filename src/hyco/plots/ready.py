"""What all figures need, done before there is one to draw."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import matplotlib.backends.backend_pdf
from matplotlib import font_manager

from hyco import plots
from hyco.plots.fonts import read_ahead
from hyco.plots.style import in_style, new_figure, settled

__all__ = ["get_ready", "matplotlib", "plots"]


def get_ready() -> None:
    """Draw a small figure: fonts and the parser of formulas are set up by the first one. Read its fonts ahead."""
    with in_style():
        figure = new_figure(2, 1)
        axis = figure.subplots()
        axis.plot([1, 10], [1, 10], label="$x_0^2$")
        axis.set_yscale("log")
        axis.legend()
    box = settled(figure)
    for form in ("png", "pdf"):
        figure.savefig(BytesIO(), format=form, bbox_inches=box)
    with in_style():
        found = {font_manager.findfont(font_manager.FontProperties(style=style)) for style in ("normal", "oblique")}
    read_ahead(Path(str(file)) for file in sorted(map(str, found)))
