"""What a format is: how the names in a file are listed, and how some of them are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xarray as xr

ROW = "row"
# The attribute of a variable whose entries are indices, -1 where missing, with what they stand for: text or dates.
DISTINCT = "distinct"
# The dimension of trajectories, where a layout has one without a name.
SIMULATION = "simulation"


@dataclass(frozen=True)
class Wanted:
    """The names that are asked for in a file.

    Attributes:
        simulation: of what tells trajectories apart, or None.
        coordinates: of times, then positions in the order of the axes.
        quantities: of values and standard deviations.
        trajectories: those that are needed, counted from 0; None: all. A format that can leave out the others does.
    """

    simulation: str | None
    coordinates: tuple[str, ...]
    quantities: tuple[str, ...]
    trajectories: tuple[int, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        first = () if self.simulation is None else (self.simulation,)
        return tuple(dict.fromkeys([*first, *self.coordinates, *self.quantities]))


@dataclass(frozen=True)
class Format:
    """A file format, or a layout of one.

    Attributes:
        kind: table (a measurement is a row) or array (values on a grid of times and positions, or lists of equal
            length).
        names: lists columns, or variables and dimensions, of a file.
        read: reads what is wanted, and nothing else; missing values are NaN. Of a table the one dimension is `row`,
            and the attribute `first_row` says which number the first row has in the file.
        free_simulation: whether `simulation` may be a name that the file does not have, of the axis of the arrays
            that neither times nor positions explain.
        any_simulation: whether it may be any word, since the layout has an axis of trajectories that has no name.
        recognised: of a layout, whether a file has it.
        is_folder: whether it is a folder, no file.
    """

    kind: Literal["table", "array"]
    names: Callable[[Path], tuple[str, ...]]
    read: Callable[[Path, Wanted], xr.Dataset]
    free_simulation: bool = False
    any_simulation: bool = False
    recognised: Callable[[Path], bool] | None = None
    is_folder: bool = False
