"""The walls of all axes, and the plain value that describes them in a configuration and in files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import torch

from hyco.expressions import Expression, ExpressionError
from hyco.walls.registry import build_wall, names_a_wall
from hyco.walls.value import Value
from hyco.walls.wall import Wall

# A wall is "periodic", "neumann" (no slope), a number or a formula (the value on it), or {name: arguments}. A boundary
# is one wall, or a dictionary of walls by axis, where an axis may also have {"lower": wall, "upper": wall}.
PlainBoundary = str | float | dict[str, Any]

_ALLOWED = (
    "allowed: periodic, neumann, a number or a formula of t, the position and parameters, {value: …}, {flux: …}, "
    "{robin: {a, b, c}}, {column: …} or {sensor: …} of the measurements, or these per axis; a wall of your own is "
    "{package.module:Class: arguments}"
)


class AxisWalls(NamedTuple):
    """The two ends of an axis: both periodic, or none."""

    lower: Wall
    upper: Wall

    @property
    def periodic(self) -> bool:
        """Whether the axis is periodic."""
        return self.lower.periodic

    @property
    def plain(self) -> dict[str, Any]:
        """Both as plain JSON values, as they stand in a configuration."""
        return {"lower": self.lower.plain, "upper": self.upper.plain}

    @property
    def kind(self) -> str:
        """What networks take it for.

        "periodic", "neumann", "dirichlet", or where the walls differ the lower and the upper one, "dirichlet-neumann".
        """
        if self.periodic:
            return "periodic"
        lower, upper = self.lower.kind, self.upper.kind
        return lower if lower == upper else f"{lower}-{upper}"


@dataclass(frozen=True)
class Boundary:
    """The walls of each axis: `boundary["x"].lower`. Use `of` to make one.

    Attributes:
        plain: as it was configured.
    """

    plain: PlainBoundary
    _everywhere: AxisWalls | None
    _by_axis: Mapping[str, AxisWalls]

    @classmethod
    def of(cls, plain: AnyBoundary, axes: Sequence[str] | None = None) -> Boundary:
        """Read a plain value; a boundary that was read before is returned as it is.

        Args:
            plain: one wall, or walls by axis.
            axes: those that it must have walls for; None: whatever it names.

        Raises:
            ValueError: it is none, or not for these axes; the message says what is allowed.
        """
        if isinstance(plain, Boundary):
            return plain
        if not isinstance(plain, dict) or (_is_wall(plain) and set(plain) != set(axes or ())):
            return cls(plain, _axis_walls(plain, "boundary"), {})
        if axes is not None and set(plain) != set(axes):
            raise ValueError(
                f"boundary needs one entry per axis ({', '.join(axes)}) or one wall, got {_names(plain)}; {_ALLOWED}"
            )
        return cls(plain, None, {axis: _axis_walls(spec, f"boundary.{axis}") for axis, spec in plain.items()})

    @property
    def axes(self) -> tuple[str, ...] | None:
        """The axes that it names; None: it is the same for all."""
        return None if self._everywhere is not None else tuple(self._by_axis)

    def __getitem__(self, axis: str) -> AxisWalls:
        """The walls of an axis.

        Raises:
            ValueError: the boundary names axes, and this is none of them.
        """
        if self._everywhere is not None:
            return self._everywhere
        if axis not in self._by_axis:
            raise ValueError(f"boundary has no entry for the axis {axis}, only for {', '.join(self._by_axis)}")
        return self._by_axis[axis]

    @property
    def names(self) -> frozenset[str]:
        """What the formulas of all walls need a value of, see `Wall.names`."""
        pairs = [*self._by_axis.values(), *([] if self._everywhere is None else [self._everywhere])]
        return frozenset().union(*(wall.names for pair in pairs for wall in pair))

    @property
    def constant(self) -> bool:
        """Whether all walls are known beforehand, see `Wall.constant`."""
        pairs = [*self._by_axis.values(), *([] if self._everywhere is None else [self._everywhere])]
        return all(wall.constant for pair in pairs for wall in pair)

    def require(self, allowed: Collection[str]) -> None:
        """Refuse formulas with other names than these.

        Raises:
            ValueError: there is another name; the message says in which wall.
        """
        pairs = {f"boundary.{axis}": pair for axis, pair in self._by_axis.items()}
        if self._everywhere is not None:
            pairs["boundary"] = self._everywhere
        for where, pair in pairs.items():
            for side, wall in zip(("lower", "upper"), pair, strict=True):
                if unknown := sorted(wall.names - set(allowed)):
                    place = where if pair.lower == pair.upper else f"{where}.{side}"
                    raise ValueError(
                        f"{place} {wall.plain!r}: unknown name {', '.join(unknown)}, neither a wall nor one of "
                        f"{', '.join(allowed)} (a parameter of your own needs a value in parameters); {_ALLOWED}"
                    )

    def require_values(self, ends: Mapping[str, tuple[float, float]], parameters: Mapping[str, float]) -> None:
        """Refuse formulas that have no value at a wall at t = 0; not those of parameters that have none themselves.

        Args:
            ends: of each axis, between which the walls of the others are looked at.
            parameters: those that are known.

        Raises:
            ValueError: names the wall.
        """
        values = {name: torch.tensor(value, dtype=torch.float64) for name, value in {"t": 0.0, **parameters}.items()}
        inner = torch.linspace(0.05, 0.95, 9, dtype=torch.float64)
        values |= {axis: low + (high - low) * inner for axis, (low, high) in ends.items()}
        for axis in ends:
            for wall, place in zip(self[axis], ends[axis], strict=True):
                known = {**values, axis: torch.tensor(place, dtype=torch.float64)}
                for formula in map(Expression, wall.formulas.values()):
                    if formula.names <= known.keys() and not bool(torch.isfinite(formula(known)).all()):
                        when = " at t = 0" if "t" in formula.names else ""
                        raise ValueError(
                            f"boundary: {formula.text!r} has no value{when} on the wall {axis} = {place:g}"
                        )

    def at(self, values: Mapping[str, Any], ends: Mapping[str, tuple[float, float]] | None = None) -> Boundary:
        """The walls with the values of their formulas in their place, see `Wall.at`.

        Args:
            values: a number or PhiML tensor for each of `names`.
            ends: where the walls of each axis are; these coordinates are put into the formulas of these walls, and need
                no value in `values`.
        """
        if not self.names:
            return self

        def pair(walls: AxisWalls, at: Sequence[Mapping[str, float]]) -> AxisWalls:
            lower, upper = (wall.at({**values, **own}) for wall, own in zip(walls, at, strict=True))
            return AxisWalls(lower, upper)

        if ends is not None:
            return Boundary(self.plain, None, {a: pair(self[a], [{a: place} for place in ends[a]]) for a in ends})
        everywhere = None if self._everywhere is None else pair(self._everywhere, ({}, {}))
        return Boundary(self.plain, everywhere, {axis: pair(walls, ({}, {})) for axis, walls in self._by_axis.items()})


# What functions that need walls take.
AnyBoundary = Boundary | PlainBoundary


def in_short(plain: Any) -> Any:
    """A boundary as plain values for readers: of a table, which may be long, the number of its times and the range."""
    if not isinstance(plain, Mapping):
        return plain
    if set(plain) == {"table"}:
        values = plain["table"]["values"]
        count = len(values)
        return f"{values[0]:g}" if count == 1 else f"a table of {count} times, {min(values):g} to {max(values):g}"
    return {key: in_short(part) for key, part in plain.items()}


def _is_wall(spec: dict[str, Any]) -> bool:
    return len(spec) == 1 and names_a_wall(next(iter(spec)))


def _axis_walls(spec: Any, where: str) -> AxisWalls:
    """The two ends of an axis."""
    if isinstance(spec, dict) and not _is_wall(spec):
        if set(spec) != {"lower", "upper"}:
            raise ValueError(f"{where} needs lower and upper, got {_names(spec)}; {_ALLOWED}")
        walls = AxisWalls(_wall(spec["lower"], f"{where}.lower"), _wall(spec["upper"], f"{where}.upper"))
    else:
        walls = AxisWalls(*[_wall(spec, where)] * 2)
    if walls.lower.periodic != walls.upper.periodic:
        raise ValueError(f"{where}: both ends of an axis must be periodic, or none")
    return walls


def _wall(spec: Any, where: str) -> Wall:
    """One wall."""
    if isinstance(spec, int | float) and not isinstance(spec, bool) and isfinite(spec):
        return Value(value=spec)
    if isinstance(spec, str) and names_a_wall(spec):
        name, arguments = spec, None
    elif isinstance(spec, str) and _is_formula(spec):
        return Value(value=spec)
    elif isinstance(spec, dict) and len(spec) == 1:
        ((name, arguments),) = spec.items()
    else:
        raise ValueError(f"{where} {spec!r} is not allowed; {_ALLOWED}")
    try:
        return build_wall(name, arguments)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _is_formula(text: str) -> bool:
    try:
        _ = Expression(text)
    except ExpressionError:
        return False
    return True


def _names(spec: Mapping[str, Any]) -> str:
    return ", ".join(map(str, spec)) or "nothing"
