"""What the columns or arrays of a file are: times, positions, trajectories, values or their standard deviations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hyco.drafts.contents import Contents
from hyco.drafts.sensors import Sensors, sensors_of
from hyco.observations.checks import MeasurementError

_TIMES = ("t", "time", "date", "datetime", "timestamp", "hours", "days", "minutes", "seconds", "zeit")
# Where one of them alone changes it is a time; several of them may be the parts of a date.
_PERIODS = ("second", "minute", "hour", "day", "week", "weeks", "month", "months", "year", "years")
# Parts of a date, from the longest on; beside what is called so, the longer ones may tell trajectories apart.
_PARTS = ("year", "years", "month", "months", "week", "weeks", "date", "day", "days")
_SHORT_PARTS = ("date", "hour", "hours", "minute", "minutes", "second", "seconds")
_WHOLE_TIMES = ("t", "time", "timestamp", "datetime", "zeit")
_AXES = {
    "x": ("x", "position", "pos", "distance", "longitude", "lon"),
    "y": ("y", "latitude", "lat"),
    "z": ("z", "height", "altitude", "depth", "elevation", "level"),
}
_SIMULATIONS = (
    *("simulation", "sim", "run", "trajectory", "traj", "replicate", "rep", "experiment", "trial", "sample", "case"),
    *("member", "realization", "realisation", "batch", "series"),
)
_STDS = ("std", "sd", "sigma", "stdev", "err", "error", "uncertainty", "se", "stddev")
_IDENTITIES = ("sensor", "station", "probe", "id", "index", "node", "row", "nr", "no", "number")
# What tells measurements of several quantities apart, one below the other.
_QUANTITIES = ("variable", "quantity", "channel", "parameter")
# Words that say no more of a coordinate or a label.
_FILLERS = frozenset(
    (
        *("coordinate", "coordinates", "coord", "coords", "centre", "center", "centers", "position", "pos"),
        *("index", "id", "no", "nr", "number"),
        *("s", "sec", "second", "seconds", "ms", "min", "h", "hr", "hrs", "hour", "hours", "d", "day", "days"),
        *("m", "cm", "mm", "um", "µm", "μm", "km", "nm", "deg", "degrees"),
    )
)
# Where there are no more different times and places than this share of the rows, several trajectories were measured.
_TWICE = 0.6
# More different numbers than this that are equally spaced are positions rather than trajectories.
_SPACED = 5


@dataclass(frozen=True)
class Roles:
    """Names in a file, by what they are.

    Attributes:
        time: None where there is none, as in a static problem.
        axes: by axis of the domain; where each column is a sensor, the positions of the columns.
        simulation: what tells trajectories apart; None: there is one.
        fields: values.
        stds: standard deviations, by the field that they are of.
        others: what nothing is made of.
        columns: of a field that has a column for each sensor these columns.
        elsewhere: fields that have columns for sensors at other places.
        by_form: which of `time`, `axes` and `simulation` are told by their numbers, not by their names.
    """

    time: str | None
    axes: Mapping[str, str | tuple[float, ...]]
    simulation: str | None
    fields: tuple[str, ...]
    stds: dict[str, str]
    others: tuple[str, ...]
    by_form: frozenset[str] = frozenset()
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()

    def columns_of(self, name: str) -> tuple[str, ...]:
        """Names in the file of a field."""
        return self.columns.get(name, (name,))


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters, without its folder and what stands in brackets: `run/T_s [K]` is t, s."""
    plain = re.sub(r"[(\[{].*?[)\]}]", " ", name.rpartition("/")[2])
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return tuple(word for word in re.split(r"[^0-9A-Za-zµμ]+", parted.lower()) if word)


def _is(name: str, meanings: Sequence[str]) -> bool:
    first, *rest = words(name) or ("",)
    return first in meanings and all(word in _FILLERS for word in rest)


def _may_be_temperature(name: str) -> bool:
    """Whether a name is a capital T, with no more than a unit or the like: `T (degC)`."""
    return re.match(r"T(?![A-Za-z0-9])", name.rpartition("/")[2]) is not None


def roles_of(contents: Contents) -> Roles:
    """Guess what is what.

    Raises:
        MeasurementError: nothing looks like a position, or like a value.
    """
    names = [name for name in contents.variables if contents.size(name) > 1 or set(words(name)) & set(_STDS)]
    by_form: set[str] = set()
    named = [n for n in names if _is(n, _TIMES)]
    if all(map(_may_be_temperature, named)):
        periods = [n for n in names if _is(n, _PERIODS) and contents.labels(n) > 1]
        named += periods if len(periods) == 1 and contents.times(periods[0]) is not None else []
    times = [n for n in named if contents.times(n) is not None]
    # An array of values is no vector of times.
    largest = max(map(contents.size, names), default=0)
    times.sort(key=lambda n: (contents.kind == "array" and contents.size(n) == largest, _may_be_temperature(n)))
    # One that tells all of it before a part of it.
    whole = (n for n in times if contents.kind == "array" or not _parts_of_time(contents, names, n))
    time = next(whole, times[0] if times else None)
    if time is None and (refused := [why for n in named if (why := contents.no_times(n))]):
        raise MeasurementError(refused[0])
    axes = _axes([n for n in names if n != time], contents)
    simulation = next((n for n in names if n not in (time, *axes.values()) and _is(n, _SIMULATIONS)), None)
    rest = [n for n in names if n not in (time, simulation, *axes.values()) and _has_numbers(contents, n)]
    stds = _stds([n for n in rest if not _is(n, _IDENTITIES)])
    values = [n for n in rest if n not in stds.values() and not _is(n, _IDENTITIES)]
    if contents.kind == "array":
        values = _each_once(values, contents)
    sensors = sensors_of(values) if contents.kind == "table" and not axes else None
    at_sensors = () if sensors is None else tuple(name for group in sensors.columns.values() for name in group)
    if time is None and (time := _by_form(contents, values, at_sensors, sorted_too=True)) is not None:
        by_form.add("time")
    if contents.kind == "table" and (parts := _parts_of_time(contents, names, time)):
        raise MeasurementError(
            f"its time stands in several columns ({', '.join(parts)}): put it into one that is called time, as a date "
            "like 2024-01-31 13:00 or as a number; one of them that tells trajectories apart is to be called run, one "
            "that is measured by another name"
        )
    wide = None
    if sensors is not None and time is not None:
        may_be = [n for n in names if n not in (time, *at_sensors, *stds.values())]
        wide = _wide(contents, time, simulation, sensors, may_be, frozenset(by_form))
        if _once(contents, [time, *([] if wide.simulation is None else [wide.simulation])]):
            return wide
    elsewhere = [n for n in values if n != time]
    if not axes and (found := _by_form(contents, elsewhere, at_sensors, sorted_too=False)) is not None:
        axes = {"x": found}
        by_form.add("axes")
    if not axes and wide is not None:
        return wide
    if not axes:
        raise MeasurementError(
            f"nothing looks like a position; it has {', '.join(names)}: name a column or variable x (and y, z)"
        )
    if simulation is None and contents.kind == "table":
        at = [*axes.values(), *([] if time is None else [time])]
        may_be = [n for n in names if n not in (*at, *stds.values(), *(values if len(values) == 1 else ()))]
        simulation = _tells_apart(contents, may_be, at)
        by_form |= set() if simulation is None else {"simulation"}
    values = [n for n in values if n not in (time, simulation, *axes.values())]
    values, simulation = _of_arrays(contents, values, time, axes, simulation)
    if not values:
        raise MeasurementError(f"nothing looks like measured values; it has {', '.join(names)}")
    if simulation is not None and simulation in contents.variables and contents.labels(simulation) < 2:
        simulation = None
    stds = {field: std for field, std in stds.items() if field in values}
    used = {time, simulation, *axes.values(), *values, *stds.values()}
    others = tuple(name for name in (*contents.variables, *contents.dimensions) if name not in used)
    return Roles(time, axes, simulation, tuple(values), stds, others, frozenset(by_form))


def _parts_of_time(contents: Contents, names: Sequence[str], time: str | None) -> tuple[str, ...]:
    """The columns that make up the time together, from the longest to the shortest; empty where it is one column.

    A temperature T does not: it is measured, and neither has few entries nor tells the others.
    """
    if time is not None and _may_be_temperature(time):
        codes = contents.codes(time)
        measured = contents.labels(time) > _TWICE * len(codes)

        def untold(name: str) -> bool:
            count = _count([codes, contents.codes(name)])
            return measured or contents.labels(name) == 1 or count > _count([codes])

        return _parts_of_time(contents, [n for n in names if n != time and untold(n)], None)
    if time is not None and _is(time, _WHOLE_TIMES):
        meanings: tuple[str, ...] = _SHORT_PARTS
    elif time is None or _is(time, (*_PARTS, *_SHORT_PARTS)):
        meanings = (*_PARTS, *_SHORT_PARTS, "time")
    else:
        return ()
    parts = [n for n in names if n != time and _is(n, meanings)]
    constant = [n for n in parts if contents.labels(n) == 1]
    given = [] if time is None else [contents.codes(time)]
    # What is measured has too many entries; what the time tells says no more.
    parts = [n for n in parts if 1 < contents.labels(n) <= _TWICE * len(contents.codes(n))]
    parts = [n for n in parts if not given or _count([*given, contents.codes(n)]) > _count(given)]
    if not parts or (time is None and len(parts) < 2):
        return ()
    order = (*_PARTS, *_WHOLE_TIMES, *_SHORT_PARTS)
    return tuple(sorted([*([] if time is None else [time]), *constant, *parts], key=lambda n: order.index(words(n)[0])))


def _count(columns: Sequence[NDArray[np.int64]]) -> int:
    """How many different rows these columns of codes have."""
    return int(_different(columns).max(initial=-1)) + 1


def _has_numbers(contents: Contents, name: str) -> bool:
    """Whether a column or array holds numbers, one at least."""
    numbers = contents.numbers(name)
    return numbers is not None and bool(np.isfinite(numbers).any())


def _wide(
    contents: Contents,
    time: str,
    simulation: str | None,
    sensors: Sensors,
    may_be: Sequence[str],
    by_form: frozenset[str],
) -> Roles:
    """The roles in a table with a column for each sensor; `may_be` are the columns that may tell trajectories apart."""
    if simulation is not None and contents.labels(simulation) < 2:
        simulation = None
    elif simulation is None:
        simulation = _tells_apart(contents, may_be, [time])
        by_form |= set() if simulation is None else {"simulation"}
    used = {time, simulation, *(name for group in sensors.columns.values() for name in group)}
    others = tuple(name for name in contents.variables if name not in used)
    axes: dict[str, str | tuple[float, ...]] = {"x": sensors.places}
    fields, columns, elsewhere = tuple(sensors.columns), sensors.columns, sensors.elsewhere
    return Roles(time, axes, simulation, fields, {}, others, by_form, columns, elsewhere)


def _once(contents: Contents, names: Sequence[str]) -> bool:
    """Whether no two rows of a table have the same entries in these columns."""
    rows = _different([contents.codes(name) for name in names])
    return int(rows.max(initial=-1)) + 1 == len(rows)


def _each_once(names: Sequence[str], contents: Contents) -> list[str]:
    """Without further names of what there is already: an array has its own and those that conventions give it."""
    kept: list[str] = []
    for name in names:
        own = contents.numbers(name)
        others = (contents.numbers(n) for n in kept)
        if not any(o is not None and own is not None and np.array_equal(o, own, equal_nan=True) for o in others):
            kept.append(name)
    return kept


def _axes(names: Sequence[str], contents: Contents) -> dict[str, str]:
    """Positions by the axis that they will be, x first, whatever they are called."""
    found = []
    for meanings in _AXES.values():
        ranked = [n for meaning in meanings for n in names if _is(n, (meaning,)) and contents.numbers(n) is not None]
        found += ranked[:1]
    return dict(zip("xyz", found, strict=False))


def _stds(names: Sequence[str]) -> dict[str, str]:
    """Standard deviations, by what they are of: `u_std`, `sigma u`, or `std` beside a single field."""
    found: dict[str, str] = {}
    marked = {n: [w for w in words(n) if w not in _STDS] for n in names if set(words(n)) & set(_STDS)}
    marked |= {
        n: [word[:-2]] for n in names if n not in marked for word in words(n)[-1:] if n.endswith("SD") and len(word) > 2
    }
    fields = [n for n in names if n not in marked]
    for name, rest in marked.items():
        of = [f for f in fields if list(words(f)) == rest or "".join(words(f)) == "".join(rest)]
        if not of and not rest and len(fields) == 1:
            of = fields
        if of:
            found.setdefault(of[0], name)
    return found


def _by_form(contents: Contents, names: Sequence[str], without: Sequence[str], *, sorted_too: bool) -> str | None:
    """The first column of a table, or vector among larger arrays, whose entries repeat as times or positions do.

    Those `without` are none.
    """
    if contents.kind == "array":
        vectors = [n for n in names if contents.size(n) < max(map(contents.size, names))]
        return next((n for n in vectors if _rises(contents, n, strictly=True)), None)
    if len(names) < 2:
        return None
    for name in names:
        numbers = contents.numbers(name)
        if numbers is None or name in without:
            continue
        repeats = len(np.unique(numbers)) <= 0.6 * len(numbers)
        if np.isfinite(numbers).all() and repeats and (not sorted_too or _rises(contents, name, strictly=False)):
            return name
    return None


def _tells_apart(contents: Contents, names: Sequence[str], at: Sequence[str]) -> str | None:
    """The first column of a table with one measurement at each time and place for each of its few different entries.

    Without it there are several at each: it says which trajectory they are of. Where nothing is measured twice at one
    time and place, no column need tell.

    Args:
        contents: of the table.
        names: columns that may be it.
        at: those of the times and places.
    """
    places = _different([contents.codes(name) for name in at])
    count, different = len(places), int(places.max(initial=-1)) + 1
    if different > _TWICE * count:
        return None
    for name in names:
        codes = contents.codes(name)
        if _is(name, (*_IDENTITIES, *_QUANTITIES)) or _is_spaced(contents, name):
            continue
        few = 2 <= contents.labels(name) <= 2 * -(-count // max(different, 1))
        if few and int(_different([places, codes]).max()) + 1 == count:
            return name
    return None


def _is_spaced(contents: Contents, name: str) -> bool:
    """Whether a column has many different numbers, equally spaced."""
    numbers = contents.numbers(name)
    different = np.unique(numbers[np.isfinite(numbers)]) if numbers is not None else np.zeros(0)
    steps = np.diff(different)
    return len(different) > _SPACED and bool(np.allclose(steps, steps[0], rtol=1e-6, atol=0))


def _different(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """For each row of several columns of codes which of the different ones it is, `[n]`."""
    number = columns[0]
    for column in columns[1:]:
        number = np.unique(number * (column.max(initial=0) + 2) + column + 1, return_inverse=True)[1]
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def _rises(contents: Contents, name: str, *, strictly: bool) -> bool:
    numbers = contents.numbers(name)
    steps = np.diff(numbers) if numbers is not None else np.zeros(0)
    return bool(len(steps) and (steps >= 0).all() and steps.any() and (not strictly or (steps > 0).all()))


def _of_arrays(
    contents: Contents, values: list[str], time: str | None, axes: dict[str, str], simulation: str | None
) -> tuple[list[str], str | None]:
    """Of arrays, those that have an entry for every time and place, and what the axis of several trajectories is."""
    coordinates = [*axes.values(), *([] if time is None else [time])]
    sizes = {contents.size(name) for name in (*coordinates, *values)}
    if contents.kind == "table" or (len(sizes) == 1 and simulation is None):
        return values, simulation
    if any(contents.dims(name) != ("row",) for name in values):
        known = {dim for name in coordinates for dim in contents.dims(name)}
        values = [n for n in values if known <= set(contents.dims(n))]
        beyond = {d for n in values for d in contents.dims(n) if d not in known}
        if simulation is None and len(beyond) == 1:
            simulation = beyond.pop()
        return values, simulation
    whole = int(np.prod([contents.size(name) for name in coordinates]))
    values = [n for n in values if contents.size(n) >= whole and contents.size(n) % whole == 0]
    if simulation is None and values and contents.size(values[0]) > whole:
        simulation = "simulation"
    return values, simulation
