"""The file: whether it is there, which format it has, and whether it has the names that are asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

import xarray as xr

from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.formats import FORMATS, Format, Wanted
from hyco.observations.checks import MeasurementError

# Names that a message lists.
_LISTED = 20


def load(path: Path, config: MeasurementsConfig) -> xr.Dataset:
    """The columns or variables that the section names.

    Raises:
        MeasurementError: there is no such file, format or name; one line per problem.
    """
    format_ = _format(path, config)
    wanted = Wanted(config.simulation, config.coordinates, config.quantities)
    if lines := list(_unknown(format_.names(path), config, format_)):
        raise MeasurementError("\n".join(lines))
    return format_.read(path, wanted)


def suggestion(name: str, names: Sequence[str]) -> str:
    """The names that there are, and the one that was probably meant."""
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), list(lower), n=1)
    listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return listed + (f" (did you mean {lower[near[0]]}?)" if near else "")


def _format(path: Path, config: MeasurementsConfig) -> Format:
    if not path.exists():
        raise MeasurementError(f"there is no such file{_neighbour(path)}")
    endings = ", ".join(FORMATS)
    if config.format in ("pdebench", "the_well"):
        raise MeasurementError(f"the layout {config.format} cannot be read yet; what can be read: {endings}")
    found = FORMATS.get(path.suffix.lower())
    if path.is_dir() and (found is None or not found.is_folder):
        raise MeasurementError("is no file, and a folder is read only as a store of Zarr, whose name ends in .zarr")
    if found is None:
        raise MeasurementError(f"files that end in {path.suffix or 'nothing'!r} cannot be read; allowed: {endings}")
    if found.is_folder and not path.is_dir():
        raise MeasurementError("is no folder, which a store of Zarr has to be; unpack it")
    if config.format not in ("auto", found.kind):
        raise MeasurementError(f"format is {config.format}, but {path.suffix} is of kind {found.kind}: say auto")
    return found


def _neighbour(path: Path) -> str:
    """A file beside it whose name is similar."""
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _unknown(names: Sequence[str], config: MeasurementsConfig, format_: Format) -> Iterator[str]:
    """A line for each name that the file does not have."""
    asked = {f"axes.{axis}": name for axis, name in config.axes.items()}
    asked |= {f"fields.{channel}": name for channel, name in config.fields.items()}
    if config.time is not None:
        asked["time"] = config.time
    if config.simulation is not None:
        asked["simulation"] = config.simulation
    stds = [std for std in config.quantities if std not in config.fields.values()]
    asked |= {f"std ({name})": name for name in stds}
    what = "column" if format_.kind == "table" else "variable"
    for key, name in asked.items():
        if name in names:
            continue
        free = key == "simulation" and format_.free_simulation
        if not free or difflib.get_close_matches(name, names, n=1):
            yield f"{key}: there is no {what} {name!r}; there are {suggestion(name, names)}"
