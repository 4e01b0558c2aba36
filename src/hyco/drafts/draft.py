"""An experiment for a file of measurements: everything guessed, and said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hyco.drafts.contents import contents_of
from hyco.drafts.formulas import formula_problem, is_formula
from hyco.drafts.geometry import Axis, axes_of, between_walls, closed, later_states, on_grid, reaching
from hyco.drafts.layouts import layout_of
from hyco.drafts.notation import rates_of
from hyco.drafts.points import Points, points_of
from hyco.drafts.problem import Problem, candidates, fields_of, is_periodic, problem
from hyco.drafts.roles import Roles, roles_of
from hyco.drafts.sensors_at_walls import EndSensors, end_sensors, ends_of_sensors
from hyco.drafts.wall_places import wall_places
from hyco.drafts.walls import Ends, ends_of
from hyco.equations.formula.notation import subscript
from hyco.equations.formula.syntax import FormulaError, constants_in, names_in
from hyco.expressions import CONSTANTS
from hyco.measurements.sensor_series import with_sensor_tables
from hyco.measurements.steps import common_divisor
from hyco.observations.checks import MeasurementError

# Values that stand for missing ones in many files.
_MARKS = (-999.0, -9999.0, -99.0, 9999.0, 99999.0, 1e20, 9.96921e36)
# Trajectories that are used, of more.
_MOST_SIMULATIONS = 48
_ROUNDING = 1e-6


class DraftError(ValueError):
    """Nothing can be written for this file; says why, in one line."""


class UndecidedError(DraftError):
    """Several equations fit.

    Attributes:
        choices: their names.
    """

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        super().__init__(text)
        self.choices = list(choices)


@dataclass(frozen=True)
class Draft:
    """What was guessed.

    Attributes:
        file: as the configuration names it.
        roles, points, axes: of the measurements.
        ends: the condition of each axis, and why.
        problem: the equation.
        split: trajectories for training, validation and test.
        whole_start: whether the state at t = 0 was measured in every cell of all of these.
        suspicions: what is probably not meant, a line each.
    """

    file: str
    roles: Roles
    points: Points
    axes: dict[str, Axis]
    ends: dict[str, Ends]
    problem: Problem
    split: tuple[list[int], list[int], list[int]]
    whole_start: bool
    suspicions: list[str]


def draft(path: Path, file: str, equation: str | Sequence[str] | None = None) -> Draft:
    """Guess everything.

    Args:
        path: of the file.
        file: how the configuration names it.
        equation: its name, or its formulas: `u: formula; v: formula`, or several such texts; None: the one that fits,
            if there is one alone.

    Raises:
        DraftError: the file cannot be read, a formula cannot, or the equation does not fit to the file.
        UndecidedError: several equations fit, or none.
        PluginError: there is no equation of this name.
    """
    try:
        known = layout_of(path) if path.is_file() else None
        roles = roles_of(contents_of(path)) if known is None else known.roles
        points = points_of(path, roles, None if known is None else range(min(known.count, _MOST_SIMULATIONS)))
        roles = _measured(roles, points)
    except MeasurementError as error:
        raise DraftError(f"{file}: {str(error).splitlines()[0]}") from error
    if not np.isfinite(points.time).any() or (roles.time is not None and points.duration <= 0):
        raise DraftError(f"{file}: {roles.time}: all times are the same, so that nothing changes")
    rates = _rates(equation, roles)
    axes = axes_of(points)
    judged = roles.fields[0]
    if rates is not None:
        judged = next(iter(fields_of(tuple(rates), roles.fields)[0].values()))
    field = on_grid(points, judged, axes)
    field = None if field is None else later_states(points, field)
    ends = {axis: Ends("neumann", "scattered sensors do not tell it", untold=(0, 1)) for axis in axes}
    places = {} if field is None else {axis: wall_places(field, i, a) for i, (axis, a) in enumerate(axes.items())}
    if field is not None:
        ends = {axis: ends_of(field, i, places[axis]) for i, axis in enumerate(axes)}
    dt, given = _dt(points), dict(axes)
    if equation is None and rates is None:
        fitting = candidates(points, roles, axes, dt)
        if len(fitting) != 1:
            raise _undecided(file, roles, axes, [each.name for each in fitting])
        equation = fitting[0].name
    name = "formula" if rates is not None else _one(equation)

    def make(walls: Any, axes: dict[str, Axis]) -> Problem | None:
        return _problem(name, rates, points, roles, axes, walls, dt)

    def made() -> Problem | None:
        for axis, end in ends.items():
            axes[axis] = given[axis]
            if end.repeated and (end.condition == "periodic" or is_periodic(name)):
                axes[axis] = closed(given[axis])
            elif axis in places and end.condition != "periodic" and not is_periodic(name):
                told = places[axis]
                axes[axis] = between_walls(given[axis], len(axes), on_positions=told.on_positions, reason=told.reason)
        conditions: Any = {axis: end.condition for axis, end in ends.items()}
        first, *others = conditions.values()
        return make(first if all(c == first for c in others) and isinstance(first, str) else conditions, axes)

    try:
        chosen = made()
    except DraftError:
        reason = "both ends are as close as neighbours are, and the formulas are none between walls"
        periodic = {axis: replace(end, condition="periodic", reason=reason) for axis, end in ends.items() if end.near}
        if rates is None or not periodic:
            raise
        ends |= periodic
        chosen = made()
    if chosen is None:
        raise DraftError(f"{file}: {_has(roles, axes)}, which equation {name} is not for")
    sensors = None if is_periodic(name) else end_sensors(points, judged, axes, ends)
    if sensors is not None and len(chosen.equation.layout.channels) == 1:
        reached = {axis: reaching(a, sensors.places) for axis, a in axes.items()}
        walls = {axis: ends_of_sensors(sensors.places, end, known=field is not None) for axis, end in ends.items()}
        if (other := _with_walls_of_sensors(make, reached, walls, sensors)) is not None:
            axes, ends, chosen = reached, walls, other
    split = _split(points.simulations)
    return Draft(
        file,
        roles,
        points,
        axes,
        ends,
        chosen,
        split,
        _whole_start(points, chosen, axes, split),
        _suspicions(points, chosen),
    )


def _with_walls_of_sensors(
    make: Callable[[Any, dict[str, Axis]], Problem | None],
    axes: dict[str, Axis],
    walls: dict[str, Ends],
    found: EndSensors,
) -> Problem | None:
    """The problem with what sensors at the ends of the only axis measured as walls; None if it cannot have these."""
    boundary = {axis: end.condition for axis, end in walls.items()}
    try:
        made = make(with_sensor_tables({"boundary": boundary}, found.series)["boundary"], axes)
    except DraftError:
        return None
    if made is None or "boundary" not in made.section:
        return None
    kept = {
        axis: {end: _sensor_or(wall, made.section["boundary"][axis][end]) for end, wall in walls.items()}
        for axis, walls in boundary.items()
    }
    return replace(made, section={**made.section, "boundary": kept})


def _sensor_or(wall: Any, other: Any) -> Any:
    return wall if isinstance(wall, Mapping) else other


def _one(equation: str | Sequence[str] | None) -> str:
    """The one name.

    Raises:
        DraftError: there are several.
    """
    names = [equation] if isinstance(equation, str) else list(equation or ())
    if len(names) != 1:
        raise DraftError(f"--equation: {', '.join(names)}: an experiment has one equation")
    return names[0]


def _rates(equation: str | Sequence[str] | None, roles: Roles) -> dict[str, str] | None:
    """The formulas that were given, by field; None: an equation's name, or nothing.

    Raises:
        DraftError: one cannot be read.
    """
    texts = [equation] if isinstance(equation, str) else list(equation or ())
    if not any(map(is_formula, texts)):
        return None
    try:
        return rates_of(texts, roles.fields, {a: name for a, name in roles.axes.items() if isinstance(name, str)})
    except FormulaError as error:
        raise DraftError(f"--equation: {str(error).removeprefix('rates: ')}") from error


def _problem(
    name: str,
    rates: dict[str, str] | None,
    points: Points,
    roles: Roles,
    axes: dict[str, Axis],
    boundary: Any,
    dt: float,
) -> Problem | None:
    """The equation as that of the measurements; None if it is not for them.

    Raises:
        DraftError: a formula cannot be read, or the formulas are no equation.
    """
    if name == "formula" and rates is None:
        raise DraftError("--equation: formula: give the formulas themselves: --equation 'u: D*laplace(u) + …'")
    if rates is None:
        return problem(name, points, roles, axes, boundary, dt)
    try:
        return formula_problem(rates, points, roles, axes, boundary, dt)
    except ValidationError as error:
        raise DraftError(f"--equation: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    except FormulaError as error:
        raise DraftError(f"--equation: {error}") from error


def _measured(roles: Roles, points: Points) -> Roles:
    """The roles without fields that only number places or times, if there are others."""
    fields = tuple(name for name in roles.fields if not points.told_by_coordinates(name)) or roles.fields
    others = tuple(name for name in roles.fields if name not in fields)
    return replace(roles, fields=fields, others=(*roles.others, *others))


def _has(roles: Roles, axes: dict[str, Axis]) -> str:
    times = "times" if roles.time is not None else "no times"
    return f"it has {len(axes)} dimension(s), {times} and the value(s) {', '.join(roles.fields)}"


def _undecided(file: str, roles: Roles, axes: dict[str, Axis], names: list[str]) -> UndecidedError:
    if not names:
        return UndecidedError(f"{file}: {_has(roles, axes)}, which no equation is for; see `hyco list equations`", [])
    return UndecidedError(f"{file}: {_has(roles, axes)}; say which equation: --equation {' | '.join(names)}", names)


def _dt(points: Points) -> float:
    """A time between two states."""
    if points.duration <= 0:
        return 1.0
    times = np.unique(points.time[np.isfinite(points.time)])
    return common_divisor(times, _ROUNDING * points.duration) or points.duration / 50


def _split(simulations: int) -> tuple[list[int], list[int], list[int]]:
    """Trajectories to train, validate and test on."""
    if simulations == 1:
        return [0], [], []
    count = min(simulations, _MOST_SIMULATIONS)
    test = max(1, round(0.2 * count))
    val = max(1, round(0.1 * count)) if count > 2 else 0
    train = count - test - val
    return list(range(train)), list(range(train, train + val)), list(range(train + val, count))


def _whole_start(points: Points, chosen: Problem, axes: dict[str, Axis], split: tuple[list[int], ...]) -> bool:
    """Whether everything was measured once at t = 0, so that it is the state."""
    layout = chosen.equation.layout
    if chosen.equation.config.is_static or not all(a.of_cells for a in axes.values()):
        return False
    if layout.shape != layout.grid.resolution or chosen.hidden:
        return False
    for simulation in (s for part in split for s in part):
        start = (points.simulation == simulation) & (np.abs(points.time) <= _ROUNDING * points.duration)
        for name in chosen.fields.values():
            if int(np.isfinite(points.values[name][start]).sum()) != layout.grid.cells or int(start.sum()) != int(
                layout.grid.cells
            ):
                return False
    return True


def _suspicions(points: Points, chosen: Problem) -> list[str]:
    """Numbers that probably stand for missing values, and a letter that stands for a number."""
    lines = [
        f"{word} in the rate of {field} is the number {CONSTANTS[word]:.4g}: call a coefficient otherwise"
        for field, text in chosen.rates.items()
        for word in sorted(constants_in(text) & {"e"})
    ]
    lines += [
        f"{name} is a coefficient to learn: a derivative is that of a field, {', '.join(chosen.rates)}"
        for name in sorted(set().union(*map(names_in, chosen.rates.values())))
        if subscript(name, {name.rpartition("_")[0]}) is not None and name not in chosen.rates
    ]
    for name in chosen.fields.values():
        values = points.values[name]
        for mark in _MARKS:
            count = int(np.isclose(values, mark, rtol=1e-6, atol=0).sum())
            if count > 1:
                lines.append(f"{name} is {mark:g} {count} times: if these are missing values, leave them empty (NaN)")
        missing = int(np.isnan(values).sum())
        if missing:
            lines.append(f"{name}: {missing} of {values.size} values are missing, and are left out")
    return lines
