"""The `equation` section of an equation by formula: its keys, and how many steps it asks for."""

from __future__ import annotations

import math
from typing import Any

from hyco.equations.formula.accuracy import fewest_steps
from hyco.equations.formula.advance import Exponential
from hyco.equations.formula.differences import Scheme
from hyco.equations.formula.keys import FormulaKeys
from hyco.equations.formula.reach import Reach
from hyco.equations.formula.stability import (
    EULER,
    FOURTH_ORDER,
    Rates,
    Samples,
    explicit_steps,
    exponential_steps,
    largest_decay,
    sampled,
    samples_of,
)
from hyco.equations.formula.symbols import symbol
from hyco.equations.formula.syntax import FormulaError
from hyco.equations.formula.units import in_words, units_of
from hyco.equations.ranges import ROOM, Bounds, with_room
from hyco.equations.units import stated_units
from hyco.fields import FieldSpec, Layout


class FormulaConfig(FormulaKeys):
    """Keys of the `equation` section for `name: formula`."""

    @property
    def convergence_order(self) -> float:
        """That of the time steps or of the differences, whichever is lower; of upwind differences 3."""
        if self.stages == EULER and not self.plan.exponential:
            return 1.0
        if self.plan.spectral:
            return 4.0 if self.plan.exponential else 2.0
        carried = self.transport == "upwind" and any(
            sum(orders) == 1 for name in self.field_names for _, orders in self.plan.linearised(name)
        )
        return float(min(self.order, 3 if carried else 4))

    @property
    def chosen(self) -> dict[str, Any]:
        """Euler's method, which is nobody's choice but the user's."""
        return {"stages": EULER} if self.stages == EULER else {}

    def unsound(self, bounds: Bounds, until: float | None = None) -> str | None:
        """Why no formula makes sense for all values within the bounds: something grows without end, or is no number."""
        try:
            self.plan.require_sound(self.admissible(bounds, until))
        except FormulaError as error:
            return str(error) if self.plan.autonomous or until is None else f"{error} (t from 0 to {until:g})"
        return None

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """Signs of parameters that alone stand before the highest derivative; others have no limit.

        Where `substeps` and `stages` are numbers and the step is explicit, also how large they may be for diffusion to
        be stable; each by itself, with the others as they are given.
        """
        limits = dict.fromkeys(self.parameter_names, (-math.inf, math.inf)) | self.plan.limits()
        if self.plan.exponential or self.substeps == "auto" or self.stages == "auto":
            return limits
        most = largest_decay(int(self.stages)) * self.substeps / self.dt
        return {name: self._stable(name, ends, most) for name, ends in limits.items()}

    def _stable(self, name: str, ends: tuple[float, float], most: float) -> tuple[float, float]:
        """The part of a parameter's range in which diffusion is no faster than `most`."""
        given = {n: v for n, v in self.true_parameters.items() if n != name and isinstance(v, float)}
        known = {symbol(n): v for n, v in given.items()}
        lower, upper = ends
        at = [self.plan.spreads({**known, symbol(name): value}) for value in (0.0, 1.0, 2.0)]
        for zero, one, two in zip(*at, strict=True):
            if one > zero and math.isclose(two - one, one - zero, rel_tol=1e-9) and zero < most:
                upper = min(upper, (most - zero) / (one - zero))
        return lower, upper

    def ranges(self, largest: float | None, bounds: Bounds) -> dict[str, float]:
        """Steps and stages for the largest rates within the bounds and the states' range."""
        if not self.open_ranges:
            return {}
        steps, stages = self.steps_for(largest, bounds)
        if "substeps" in self.open_ranges:
            steps = self.fewest(largest, bounds, steps)
        numbers = {"substeps": steps, "stages": stages}
        return {key: numbers[key] for key in self.open_ranges}

    def steps_for(self, largest: float | None, bounds: Bounds, room: float = ROOM) -> tuple[int, int]:
        """Steps and stages that states up to `largest` (1 where it is not known) ask for.

        Args:
            largest: a `Reach` also says which values fields have together.
            bounds: of what is learnt.
            room: by which states may grow.
        """
        size = with_room(largest) if largest else 1.0

        def rates(within: Bounds) -> Rates:
            return self.plan.rates(self._samples(largest, within, room), size)

        if self.plan.exponential:
            return exponential_steps(self.dt, rates(bounds)), FOURTH_ORDER
        # Steps are stable for all that may be learnt, and accurate for what is in the middle of it.
        usual = rates({name: _middle(*ends) for name, ends in bounds.items()}) if bounds else None
        return explicit_steps(self.dt, rates(bounds), None if self.stages == "auto" else int(self.stages), usual)

    def stable_steps(self, largest: float | None, bounds: Bounds, room: float = ROOM) -> int:
        """The fewest steps that are stable, whatever their error; arguments as of `steps_for`."""
        samples, size = self._samples(largest, bounds, room), with_room(largest) if largest else 1.0
        return self.plan.stable_steps(samples, size, self.dt, self.plan.rates(samples, size))

    def fewest(self, largest: float | None, bounds: Bounds, most: int) -> int:
        """The fewest exponential steps that are stable and exact enough for known states; else `most`.

        Args:
            largest, bounds: as of `steps_for`.
            most: what that asks for.
        """
        states = largest.states if isinstance(largest, Reach) else None
        if states is None or most == 1 or self.all_varying or states.shape[2:] != self.grid.resolution:
            return most
        # Which t the states are of is not known, and what depends on it may be a short pulse.
        if not self.plan.autonomous or not self.plan.exponential:
            return most
        if (stable := self.stable_steps(largest, bounds)) >= most:
            return most
        ends = {symbol(name): self.values_within(bounds, None)[symbol(name)] for name in self.parameter_names}
        parameters = {str(name): values for name, values in sampled(ends).items()}
        walls = {name: self.walls_of(name) for name in self.field_names}
        layout = Layout(self.grid, tuple(FieldSpec(name, boundary=b.plain) for name, b in walls.items()))
        scheme = Scheme(self.order, self.faces, self.transport)
        advance = Exponential(self.grid, walls, self.plan, scheme, self.dt)
        return fewest_steps(advance, layout, states, parameters, self.dt, (stable, most), self.error_in_time)

    def _samples(self, largest: float | None, bounds: Bounds, room: float) -> Samples:
        """Values of all that the formulas name."""
        keys = {symbol(name): self.field(name) for name in self.field_names}
        whole = [name for name, key in keys.items() if key.lower is not None and key.upper is not None]
        # One field by itself may go where its range ends.
        points = largest.points if isinstance(largest, Reach) and len(keys) > 1 else None
        return samples_of(self.values_within(bounds, largest), tuple(keys), whole, points, room)

    def reach_of_one(self, largest: float) -> Reach:
        """The reach of states of which no more is known than that one field is so large."""
        ends = {name: (self.field(name).lower, self.field(name).upper) for name in self.field_names}
        return Reach.of_one(
            largest, {n: (-math.inf if a is None else a, math.inf if b is None else b) for n, (a, b) in ends.items()}
        )


def _middle(low: float, high: float) -> tuple[float, float]:
    """The geometric mean of positive bounds, else the mean, as both ends; infinite bounds as they are."""
    if not math.isfinite(low) or not math.isfinite(high):
        return low, high
    return (math.sqrt(low * high) if low > 0 else (low + high) / 2,) * 2


@stated_units.register
def _by_places(config: FormulaConfig) -> dict[str, str]:
    """Of the parameters of formulas, whose places tell their units."""
    words = ("length", "time", *config.rates)
    exponents = units_of(config.rates, config.parameter_names, tuple(config.domain))
    return {name: in_words(powers, words) for name, powers in exponents.items()}
