"""The common look: widths, fonts, method colours and names, axes that read well at any range of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

from hyco.plots.ticks import tidy_log_ticks, use_plain_numbers

Array = NDArray[np.float64]

# Inches around what is drawn.
_PAD = 0.1
# Widths of one and of two columns of a journal page, in inches.
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2

# Perceptually uniform for what has one sign; diverging, about zero, for what has both; errors in a pair of their own.
STATE_COLOURS, SIGNED_COLOURS, ERROR_COLOURS, SPREAD_COLOURS = "viridis", "RdBu_r", "PuOr_r", "magma_r"
NOT_FINITE = "0.72"

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "grid.linewidth": 0.4,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "savefig.dpi": "figure",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class MethodStyle:
    """How one method is named and drawn."""

    label: str
    colour: str
    marker: str = "o"
    filled: bool = True
    line: str = "-"

    def line_options(self) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`."""
        face = self.colour if self.filled else "white"
        return {"color": self.colour, "marker": self.marker, "linestyle": self.line, "markerfacecolor": face}


# Okabe and Ito's palette: the network blue, the physics orange, each darker and solid where the two train together.
METHODS = {
    "persistence": MethodStyle("persistence", "#777777", "^", False, ":"),
    "synthetic": MethodStyle("network alone", "#56B4E9", "o", False, "--"),
    "physical": MethodStyle("physics alone", "#E69F00", "s", False, "--"),
    "pinn_synthetic": MethodStyle("PINN: network", "#CC79A7", "P", False, "--"),
    "pinn_physical": MethodStyle("PINN: parameters", "#882255", "X", False, "--"),
    "sequence_synthetic": MethodStyle("in sequence: network", "#009E73", "v", False, "--"),
    "sequence_physical": MethodStyle("in sequence: physics", "#B79F00", "v", False, "--"),
    "hybrid_synthetic": MethodStyle("hybrid: network", "#0072B2", "o"),
    "hybrid_physical": MethodStyle("hybrid: physics", "#D55E00", "s"),
    "hybrid_auto_synthetic": MethodStyle("hybrid, auto: network", "#004C78", "D"),
    "hybrid_auto_physical": MethodStyle("hybrid, auto: physics", "#8F3F00", "D"),
}
_OTHERS = (("#000000", "D"), ("#AA4499", "v"), ("#44AA99", "P"), ("#DDCC77", "X"))


def method_styles(names: Iterable[str]) -> dict[str, MethodStyle]:
    """The styles of some methods, those of `METHODS` first and in its order, others by their own name."""
    names = list(names)
    others = [name for name in names if name not in METHODS]
    styles = {name: style for name, style in METHODS.items() if name in names}
    for i, name in enumerate(others):
        colour, marker = _OTHERS[i % len(_OTHERS)]
        styles[name] = MethodStyle(readable(name), colour, marker)
    return styles


@dataclass(frozen=True)
class Units:
    """Units written behind the axis labels; an empty one (the default) means dimensionless and is left out."""

    length: str = ""
    time: str = ""
    value: str = ""


def with_unit(label: str, unit: str) -> str:
    """`label [unit]`, or the label alone."""
    return f"{label} [{unit}]" if unit else label


def readable(name: str) -> str:
    """A name from the code as a label: `velocity_x` becomes `velocity x`."""
    return name.replace("_", " ")


def shortened(name: str, most: int = 18) -> str:
    """A parameter's full name as a label of at most so many characters: what follows the last dot is kept."""
    name = readable(name)
    if len(name) <= most:
        return name
    head, dot, tail = name.rpartition(".")
    room = most - len(tail) - 2
    if dot and room >= 2:
        return f"{head[:room]}….{tail}"
    half = (most - 1) // 2
    return f"{name[: most - 1 - half]}…{name[len(name) - half :]}"


class PaperFigure(Figure):
    """A figure that is drawn and saved in the common style, whatever matplotlib's settings are by then.

    Some settings (ticks, embedded fonts) are read when a figure is drawn, not when it is made.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the common style."""
        use_plain_numbers(self)
        with mpl.rc_context(_RC):
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save in the common style."""
        with mpl.rc_context(_RC):
            super().savefig(fname, **options)


def new_figure(width: float, height: float, dpi: float = 150, kind: type[PaperFigure] = PaperFigure) -> Figure:
    """An empty figure in inches with an Agg canvas and a layout that makes room for labels and legends."""
    with in_style():
        figure = kind(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def in_style() -> Any:
    """The context in which figures are filled."""
    return mpl.rc_context(_RC)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def settled(figure: Figure) -> Bbox:
    """Lay a figure out once and for all, and say what it takes of the page [inches].

    A layout costs as much as several drawings, and would be worked out anew for each file.
    """
    use_plain_numbers(figure)
    with in_style():
        if figure.axes and (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
            figure.set_layout_engine(None)
        return figure.get_tightbbox().padded(_PAD)


def as_png(figure: Figure | Callable[[], Figure] | bytes | None) -> bytes | None:
    """A figure, or what draws it, as a PNG file, unless it is one; None where there is nothing to show."""
    if figure is None or isinstance(figure, bytes):
        return figure
    if not isinstance(figure, Figure):
        figure = figure()
    return None if isinstance(figure, FigureOfWords) else to_png(figure)


def to_array(figure: Figure) -> NDArray[np.uint8]:
    """The figure as pixels `[height, width, 3]`."""
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    return pixels[..., :3].copy()


def numbers(values: Iterable[float | None] | ArrayLike) -> Array:
    """Values as float64 with NaN for everything that is missing or not finite."""
    array = np.array(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64)  # type: ignore[arg-type]
    array[~np.isfinite(array)] = np.nan
    return array


def marker_step(count: int, most: int = 25) -> int:
    """Draw every n-th marker so that there are at most `most`."""
    return max(1, -(-count // most))


def scale_values(axes: Axes, values: Sequence[Array], *, log: bool = True, horizontal: bool = False) -> bool:
    """Set limits, scale and ticks of the vertical (or horizontal) axis from the values shown.

    Returns:
        whether the axis is logarithmic: asked for, and something is positive.
    """
    shown = np.concatenate([np.zeros(0), *(v.ravel() for v in values)])
    shown = shown[np.isfinite(shown)]
    log = log and bool((shown > 0).any())
    if not shown.size:
        return False
    axis, set_limits = (axes.xaxis, axes.set_xlim) if horizontal else (axes.yaxis, axes.set_ylim)
    if log:
        low, high = np.log10(shown[shown > 0].min()), np.log10(shown[shown > 0].max())
        room = max(0.06 * (high - low), 0.04)
        (axes.set_xscale if horizontal else axes.set_yscale)("log")
        set_limits(10 ** (low - room), 10 ** (high + room))
        tidy_log_ticks(axis, high - low + 2 * room)
    else:
        low, high = shown.min(), shown.max()
        room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        set_limits(low - room, high + room)
    return log


def epoch_axis(axis: Axes, epochs: Iterable[Array]) -> None:
    """Label an axis of epochs, whole numbers only."""
    shown = np.concatenate([np.zeros(0), *epochs])
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if shown.size:
        room = max(0.03 * (shown.max() - shown.min()), 0.5)
        axis.set_xlim(shown.min() - room, shown.max() + room)


def say_nothing_to_show(axis: Axes, words: str = "no finite values") -> None:
    """Say that there is nothing, where an empty panel would leave the reader guessing."""
    axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center", color="0.5")


class FigureOfWords(PaperFigure):
    """A figure that only says why there is no other."""


def figure_of_words(words: str) -> Figure:
    """A small figure that says why there is no other."""
    figure = new_figure(max(ONE_COLUMN, 0.5 + 0.066 * len(words)), 0.7, kind=FigureOfWords)
    with in_style():
        axis = figure.subplots()
        axis.set_axis_off()
        say_nothing_to_show(axis, words)
    return figure
