"""What the arrays of PDEBench and The Well are: their layouts say it, and nothing has to be guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyco.drafts.roles import Roles
from hyco.measurements.formats import LAYOUTS, OF_LAYOUTS, Format, Wanted

# The word for their axis of trajectories, which has no name.
_SIMULATION = "trajectory"
# How times and positions are called, the first that there is.
_TIMES = ("t-coordinate", "grid/t", "time")
_PLACES = ("{}-coordinate", "grid/{}", "{}")


@dataclass(frozen=True)
class LayoutRoles:
    """Names of a file in a layout.

    Attributes:
        roles: what is what.
        count: how many trajectories the file has.
    """

    roles: Roles
    count: int


def layout_of(path: Path) -> LayoutRoles | None:
    """What is what in a file that has one of the layouts; None where it has none.

    Raises:
        MeasurementError: its arrays do not fit together.
    """
    if path.suffix.lower() not in OF_LAYOUTS:
        return None
    for layout in LAYOUTS.values():
        if layout.recognised is not None and layout.recognised(path):
            return _roles(path, layout)
    return None


def _roles(path: Path, layout: Format) -> LayoutRoles:
    names = layout.names(path)
    time = next((name for name in _TIMES if name in names), None)
    found = {axis: next((p.format(axis) for p in _PLACES if p.format(axis) in names), None) for axis in "xyz"}
    axes = {axis: name for axis, name in found.items() if name is not None}
    coordinates = {p.format(axis) for p in (*_PLACES, "dimensions/{}") for axis in ("t", "time", *"xyz")}
    fields = tuple(name for name in names if name not in coordinates and _is_short(name, names))
    read = layout.read(path, Wanted(_SIMULATION, tuple(axes.values()), fields[:1], (0,)))
    count = int(read[_SIMULATION].attrs["count"])
    simulation = _SIMULATION if count > 1 else None
    return LayoutRoles(Roles(time, axes, simulation, fields, {}, ()), count)


def _is_short(name: str, names: tuple[str, ...]) -> bool:
    """Whether it is the one name of its array that a reader wants: without a group, and by axes rather than numbers."""
    if "/" in name and name.rpartition("/")[2] in names:
        return False
    base = name.partition(":")[0]
    return ":" not in name or not any(other.startswith(f"{base} ") for other in names)
