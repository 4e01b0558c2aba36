"""The file: whether it is there, which format it has, and whether it has the names that are asked for."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import xarray as xr

from hyco.measurements import columns
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.formats import FORMATS, LAYOUTS, OF_LAYOUTS, Format, Wanted
from hyco.measurements.keep import kept
from hyco.observations.checks import MeasurementError

log = logging.getLogger(__name__)

# The unit in the name of a table's column.
_IN_BRACKETS = re.compile(r"\[([^\[\]]+)\]\s*$")
# What stands there and is a place or a size instead, as in `T [5cm]`.
_WITH_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:\s*[^\W\d_]|$)")
# Names that a message lists.
_LISTED = 20


def load(path: Path, config: MeasurementsConfig, trajectories: Sequence[int] | None = None) -> xr.Dataset:
    """The columns or variables that the section names.

    Args:
        path: of the file.
        config: the section.
        trajectories: those that are needed, counted from 0; layouts of many then leave the others out. None: all.

    Raises:
        MeasurementError: there is no such file, format or name; one line per problem.
    """
    format_ = _format(path, config)
    needed = None if trajectories is None or config.simulation is None else tuple(trajectories)
    names = [*config.coordinates, *config.quantities]
    of_ranges = [name for name in config.keep if name not in (*names, config.simulation)]
    wanted = Wanted(config.simulation, config.coordinates, (*config.quantities, *of_ranges), needed)
    if lines := list(_unknown(format_.names(path), config, format_)):
        raise MeasurementError("\n".join(lines))
    return kept(format_.read(path, wanted), config)


def units(dataset: xr.Dataset, config: MeasurementsConfig) -> dict[str, str]:
    """Units of `time`, of the axes and of the channels, as the attributes `units` of a file's arrays say them.

    Those whose numbers the section scales are left out, since they are in other units then. Times that are dates in the
    file are in seconds, `s`. Of tables they are what stands in square brackets at the end of a column's name, `t [s]`,
    the same for all columns of a channel and no place, `T [5cm]`.

    Args:
        dataset: what the file holds, from `load`.
        config: the section.
    """
    names: dict[str, tuple[str, ...]] = {axis: (name,) for axis, name in config.named_axes.items()}
    names |= {channel: config.columns_of(channel) for channel in config.fields}
    names |= {} if config.time is None else {"time": (config.time,)}
    found: dict[str, str] = {}
    is_table = "first_row" in dataset.attrs
    for key, (name, *others) in names.items():
        is_date = key == "time" and columns.holds_dates(dataset[name])
        if is_table:
            unit = _in_brackets(name)
            unit = unit if all(_in_brackets(other) == unit for other in others) else ""
            unit = unit.partition(" since ")[0] if key == "time" else unit
        else:
            unit = str(dataset[name].attrs.get("units", ""))
            is_date = is_date or (key == "time" and " since " in unit)
        if (unit or is_date) and config.scale.get(key, 1.0) == 1:
            found[key] = "s" if is_date else unit
    return found


def _in_brackets(name: str) -> str:
    """The unit at the end of a column's name, or nothing."""
    found = _IN_BRACKETS.search(name)
    unit = found[1].strip() if found else ""
    return "" if unit != "1" and _WITH_NUMBER.match(unit) else unit


def suggestion(name: str, names: Sequence[str]) -> str:
    """The names that there are, and the one that was probably meant."""
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1)
    return _listed(names) + (f" (did you mean {lower[near[0]]}?)" if near else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")


def _format(path: Path, config: MeasurementsConfig) -> Format:
    if not path.exists():
        raise MeasurementError(f"there is no such file{_neighbour(path)}")
    endings = ", ".join(FORMATS)
    found = FORMATS.get(path.suffix.lower())
    if path.is_dir() and (found is None or not found.is_folder):
        raise MeasurementError("is no file, and a folder is read only as a store of Zarr, whose name ends in .zarr")
    if found is None:
        raise MeasurementError(f"files that end in {path.suffix or 'nothing'!r} cannot be read; allowed: {endings}")
    if found.is_folder and not path.is_dir():
        raise MeasurementError("is no folder, which a store of Zarr has to be; unpack it")
    if path.suffix.lower() in OF_LAYOUTS and config.format in ("auto", *LAYOUTS):
        return _layout(path, config, found)
    if config.format in LAYOUTS:
        raise MeasurementError(f"format is {config.format}, a layout of files that end in {', '.join(OF_LAYOUTS)}")
    if config.format not in ("auto", found.kind):
        raise MeasurementError(f"format is {config.format}, but {path.suffix} is of kind {found.kind}: say auto")
    return found


def _layout(path: Path, config: MeasurementsConfig, plain: Format) -> Format:
    """The layout that the section says, or that the file has; the format itself if it has none.

    Where the file has one, the section may still name the paths of arrays, as in a file without.
    """
    for name, layout in LAYOUTS.items():
        if config.format not in ("auto", name):
            continue
        if layout.recognised is not None and layout.recognised(path):
            asked = {*config.coordinates, *config.quantities}
            if config.format == "auto" and not asked <= {*layout.names(path)} and asked <= {*plain.names(path)}:
                return plain
            log.info("%s: it is read in the layout %s", path, name)
            return layout
        if config.format == name:
            raise MeasurementError(
                f"format is {name}, but the file has not its layout; it has {_listed(plain.names(path))}"
            )
    return plain


def _neighbour(path: Path) -> str:
    """A file beside it whose name is similar."""
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _unknown(names: Sequence[str], config: MeasurementsConfig, format_: Format) -> Iterator[str]:
    """A line for each name that the file does not have."""
    asked = [(f"axes.{axis}", name) for axis, name in config.named_axes.items()]
    values = [(f"fields.{channel}", name) for channel in config.fields for name in config.columns_of(channel)]
    asked += values
    asked += [] if config.time is None else [("time", config.time)]
    asked += [] if config.simulation is None else [("simulation", config.simulation)]
    asked += [(f"std ({name})", name) for name in config.quantities if name not in [given for _, given in values]]
    asked += [("keep", name) for name in config.keep]
    what = "column" if format_.kind == "table" else "variable"
    for key, name in asked:
        if key == "simulation" and format_.any_simulation:
            if name in names:
                yield f"simulation: {name!r} is an array of the file; trajectories are an axis without a name: any word"
            continue
        if name in names:
            continue
        free = key == "simulation" and format_.free_simulation
        if not free or difflib.get_close_matches(name, names, n=1):
            yield f"{key}: there is no {what} {name!r}; there are {suggestion(name, names)}"
