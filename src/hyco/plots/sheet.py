"""The pages of figures with many images of one fixed shape."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from hyco.grid import Grid
from hyco.plots.style import TWO_COLUMNS, Units, new_figure, with_unit


class Sheet:
    """Two blocks of equal panels, placed to scale: an automatic layout leaves images of fixed shape unaligned.

    All lengths are in inches. The second block has no panels in the first row.
    """

    left, right, top, under_truth, bottom, gap, between = 0.78, 0.08, 0.24, 0.42, 0.62, 0.06, 0.14
    largest, narrowest, tallest = 1.5, 0.58, 2.2

    def __init__(self, grid: Grid, shots: int, rows: int) -> None:
        self.grid = grid
        ratio = grid.size[1] / grid.size[0]
        blocks = 2 if rows > 1 else 1
        room = (TWO_COLUMNS - self.left - self.right - self.between) / (2 * shots) - self.gap
        self.width = min(self.largest, room, self.tallest / ratio)
        self.height = self.width * ratio
        # Titles, row names and colour bars need room however narrow or flat the panels are.
        self.pitch_x = max(self.width, self.narrowest, min(room, 1.6 / shots)) + self.gap
        self.pitch_y = max(self.height, 0.28) + self.gap
        self.block = shots * self.pitch_x
        margin = self.right if blocks == 2 else 0.5
        self.total_x = self.left + blocks * self.block + (blocks - 1) * self.between + margin
        self.total_y = self.top + rows * self.pitch_y + self.bottom + self.under_truth
        self.figure = new_figure(self.total_x, self.total_y)
        self.figure.set_layout_engine("none")

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes by their upper left corner, measured from the upper left of the page."""
        box = (x / self.total_x, 1 - (y + height) / self.total_y, width / self.total_x, height / self.total_y)
        return self.figure.add_axes(box)

    def _row(self, row: int) -> float:
        return self.top + row * self.pitch_y + (self.under_truth - self.gap if row else 0.0)

    def panel(self, block: int, row: int, column: int) -> Axes:
        """The axes for one image, without coordinates."""
        x = self.left + block * (self.block + self.between) + column * self.pitch_x
        axis = self._axes(x + (self.pitch_x - self.gap - self.width) / 2, self._row(row), self.width, self.height)
        axis.tick_params(labelbottom=False, labelleft=False, length=2)
        return axis

    def coordinates(self, axis: Axes, units: Units) -> None:
        """Write the coordinates, which all panels share, beside the last truth, where there is room."""
        (x, y), (x_label, y_label) = self.grid.axes, (f"${name}$" for name in self.grid.axes)
        axis.yaxis.set_label_position("right")
        wide, high = self.width > 0.35, self.height > 0.35
        axis.tick_params(left=False, right=high, labelright=high, bottom=wide, labelbottom=wide)
        axis.set_xlabel(with_unit(x_label if wide else self._range(x), units.length), labelpad=1 if wide else 6)
        axis.set_ylabel(with_unit(y_label if high else self._range(y), units.length), labelpad=2 if high else 6)
        if not high:
            axis.yaxis.label.set(rotation=0, ha="left", va="center")

    def _range(self, name: str) -> str:
        """What stands in for tick labels that would overlap."""
        i = self.grid.axes.index(name)
        lower = self.grid.lower[i]
        return f"{lower:.3g} ≤ ${name}$ ≤ {lower + self.grid.size[i]:.3g}".replace("-", "−")

    def name_row(self, row: int, name: str) -> None:
        """Write a name to the left of a row."""
        x, y = (self.left - 0.06) / self.total_x, 1 - (self._row(row) + self.height / 2) / self.total_y
        self.figure.text(x, y, name, ha="right", va="center", fontsize=7.5)

    def note(self, words: str) -> None:
        """Write words to the right of the first row, where the second block has no panels."""
        x = (self.left + self.block + self.between) / self.total_x
        y = 1 - (self._row(0) + 0.5 * self.height) / self.total_y
        self.figure.text(x + 0.06, y, words, ha="left", va="center", fontsize=7, color="0.3")

    @property
    def bar_ticks(self) -> int:
        """How many tick labels fit below a colour bar."""
        return 5 if self.block > 2.2 else 3

    def bar(self, block: int) -> Axes:
        """The axes for the colour bar below a block."""
        x = self.left + block * (self.block + self.between) + 0.08 * self.block
        return self._axes(x, self.total_y - self.bottom + 0.12, 0.84 * self.block - self.gap, 0.09)


class MapPage:
    """Maps in columns, a row per method, with colour bars below each block of rows; all lengths in inches.

    They are placed by hand: an automatic layout leaves images of fixed shape unaligned.
    """

    left, right, top, between, bar_height, gap = 0.95, 0.35, 0.26, 0.12, 0.52, 0.1
    widest, tallest = 1.5, 2.4

    def __init__(self, grid: Grid, rows: Sequence[int], columns: int, legend: bool) -> None:
        ratio = grid.size[1] / grid.size[0]
        room = (TWO_COLUMNS - self.left - self.right) / columns - self.gap
        self.width = min(self.widest if columns > 2 else 2.0, room, self.tallest / ratio)
        self.pitch_x = max(self.width, 0.95) + self.gap
        self.height = self.width * ratio
        self.pitch_y = max(self.height, 0.3) + self.gap
        self.x_axis = 0.34
        blocks = [self.top + n * self.pitch_y + self.x_axis + self.bar_height for n in rows]
        self.tops = [sum(blocks[:i]) + i * self.between for i in range(len(rows))]
        self.rows = rows
        self.total_x = self.left + columns * self.pitch_x + self.right
        self.total_y = sum(blocks) + self.between * (len(rows) - 1) + (0.2 if legend else 0.0)
        self.figure = new_figure(self.total_x, self.total_y)
        self.figure.set_layout_engine("none")

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes by their upper left corner, measured from the upper left of the page."""
        place = (x / self.total_x, 1 - (y + height) / self.total_y, width / self.total_x, height / self.total_y)
        return self.figure.add_axes(place)

    def panel(self, block: int, row: int, column: int) -> Axes:
        """The axes of one map."""
        x = self.left + column * self.pitch_x + (self.pitch_x - self.gap - self.width) / 2
        return self.axes(x, self.tops[block] + self.top + row * self.pitch_y, self.width, self.height)

    def bar(self, block: int, first: int, count: int) -> Axes:
        """The axes of the colour bar below some columns."""
        whole = count * self.pitch_x - self.gap
        y = self.tops[block] + self.top + self.rows[block] * self.pitch_y + self.x_axis
        return self.axes(self.left + first * self.pitch_x + 0.08 * whole, y, 0.84 * whole, 0.08)

    def name(self, block: int, row: int, words: str) -> None:
        """A name to the left of a row."""
        y = self.tops[block] + self.top + row * self.pitch_y + self.height / 2
        self.figure.text(0.06 / self.total_x, 1 - y / self.total_y, words, ha="left", va="center", fontsize=7.5)
