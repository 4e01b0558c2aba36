"""How formulas are integrated: what is linear, what is carried, what spreads, and by which scheme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import ceil, inf, pi

import sympy as sp
import torch

from hyco.equations.formula.admissible import growing, require_defined
from hyco.equations.formula.amplification import Symbols, small_waves
from hyco.equations.formula.fourier import KEPT
from hyco.equations.formula.linear import Linear, Orders, linear_part, linearised
from hyco.equations.formula.modes import is_steady
from hyco.equations.formula.stability import (
    SAMPLES,
    Rates,
    Samples,
    exponential_steps,
    largest_rates,
    sampled,
    whole,
)
from hyco.equations.formula.symbols import AXES, Slope, on_torch, symbol
from hyco.equations.formula.syntax import FormulaError, Names, rate_of, read
from hyco.grid import Grid
from hyco.walls.boundary import Boundary
from hyco.walls.neumann import Neumann

# Times h² and h, the largest |eigenvalue| of differences of second and of fourth order, walls included.
_SECOND, _FIRST, _UPWIND = {2: 4.0, 4: 6.6}, {2: 1.0, 4: 1.372}, 16 / 12
# A slope that cells resolve, over the largest value: a wave of sixteen cells.
_STEEPEST = 2 * pi / 16


@dataclass(frozen=True)
class Plan:
    """Formulas, read and sorted.

    Attributes:
        names: what they may name.
        text: each formula, by field.
        rates_of: all of each rate, by field.
        linear: c of the terms c ∂^orders u of the field itself that the step integrates exactly, by field and orders.
        others: all other terms, by field.
        spectral: whether derivatives are by Fourier coefficients.
        exponential: whether the linear terms are integrated exactly.
        autonomous: whether no formula and no wall depends on t.
    """

    names: Names
    text: dict[str, str]
    rates_of: dict[str, sp.Expr]
    linear: dict[str, dict[Orders, sp.Expr]]
    others: dict[str, list[sp.Expr]]
    spectral: bool
    exponential: bool
    autonomous: bool
    spacing: tuple[float, ...]
    order: int
    transport: str

    def linearised(self, name: str) -> Linear:
        """What small waves do to the rate of a field."""
        return linearised(self.rates_of[name], self.names.fields, self.names.axes)

    @property
    def spreading(self) -> frozenset[tuple[str, str]]:
        """The fields and the axes along which their own rates hold second derivatives of them."""
        return frozenset(
            (name, axis)
            for name in self.names.fields
            for (other, orders) in self.linearised(name)
            for axis, m in zip(self.names.axes, orders, strict=True)
            if other == name and m >= 2
        )

    @property
    def carried(self) -> str | None:
        """A field whose rate holds odd derivatives, or derivatives of other fields: waves that nothing need damp."""
        for name in self.names.fields:
            if any(sum(orders) % 2 or (other != name and any(orders)) for other, orders in self.linearised(name)):
                return name
        return None

    def rates(self, samples: Samples, largest: float) -> Rates:
        """The largest rates of what the step does not integrate exactly.

        Args:
            samples: of all symbols.
            largest: |value| of states.
        """
        slopes = partial(self._slopes, largest)
        exact = self.linear if self.exponential else {}
        rates = largest_rates(self._in_stages, self.names.axes, samples, slopes, self._factor, exact)
        if self.spectral or self.transport == "central":
            return rates
        # What upwind differences let decay.
        return replace(rates, upwind=rates.waves * _UPWIND / _FIRST[self.order])

    def stable_steps(self, samples: Samples, largest: float, dt: float, rates: Rates) -> int:
        """The fewest steps that carry waves in a stable way, whatever their error, and follow reactions.

        What slopes do where they are is left to the error that is measured. They are no more than
        `Rates.of_fourth_order` asks for.

        Args:
            samples, largest: as of `rates`.
            dt: that is cut into steps.
            rates: of these samples.
        """
        most = exponential_steps(dt, rates)
        if not self.exponential or not rates.finite:
            return most
        upwind = self.transport == "upwind"
        waves = small_waves(
            self._in_stages,
            self.names.axes,
            self.spacing,
            samples,
            partial(self._slopes, largest),
            self.linear,
            Symbols.of(self.spectral, self.order, upwind, KEPT),
            rates.decay,
        )
        if waves is None:
            return most
        steps = min(most, whole(dt * self.rates(samples, 0.0).of_reactions))
        while steps < most and not waves.stable(dt / steps):
            steps = min(most, max(steps + 1, ceil(1.05 * steps)))
        return steps

    @property
    def _in_stages(self) -> dict[str, sp.Expr]:
        """What the step does not integrate exactly, by field."""
        if not self.exponential:
            return self.rates_of
        return {name: sp.Add(*own) for name, own in self.others.items()}

    def _slopes(self, largest: float, orders: Orders) -> float:
        """The largest |value| of a derivative that cells resolve."""
        size = largest
        for h, m in zip(self.spacing, orders, strict=True):
            size *= (_STEEPEST / h) ** m
        return size

    def _factor(self, orders: Orders) -> float:
        """The largest |eigenvalue| of a derivative."""
        product = 1.0
        for h, m in zip(self.spacing, orders, strict=True):
            if self.spectral:
                product *= (KEPT * pi / h) ** m
            else:
                product *= (_SECOND[self.order] / h**2) ** (m // 2) * (_FIRST[self.order] / h) ** (m % 2)
        return product

    def _leading(self, name: str) -> dict[Orders, sp.Expr]:
        """The coefficients of the highest even derivatives of a field in its own rate."""
        own = {orders: c for (other, orders), c in self.linearised(name).items() if other == name}
        even = [sum(orders) for orders in own if sum(orders) and sum(orders) % 2 == 0]
        return {orders: c for orders, c in own.items() if even and sum(orders) == max(even)}

    def require_sound(self, ranges: Mapping[sp.Symbol, tuple[float, float]]) -> None:
        """Refuse formulas that have no value somewhere, and what grows without end, as with a negative diffusivity.

        Args:
            ranges: of all symbols; without an end where a field has none.

        Raises:
            FormulaError: names the term, and what it needs.
        """
        for name, rate in self.rates_of.items():
            with rate_of(name):
                require_defined(self.text[name], rate, ranges, self.names.fields)
        waves = {name: self.linearised(name) for name in self.names.fields}
        for name in self.names.fields:
            self._require_signs(name, ranges)
        at = growing(waves, ranges, self.spacing, self.names.fields)
        if at is not None:
            where = ", ".join(f"{s} = {v:.3g}" for s, v in sorted(at.items(), key=lambda pair: str(pair[0])))
            raise FormulaError(
                "; ".join(self.text.values()),
                None,
                "unstable: the shortest waves grow without end" + (f", as at {where}" if where else ""),
            )

    def _require_signs(self, name: str, ranges: Mapping[sp.Symbol, tuple[float, float]]) -> None:
        """Those of the highest even derivatives of a field in its own rate."""
        for orders, coefficient in self._leading(name).items():
            if any(m % 2 for m in orders):
                continue
            sign = 1 if sum(orders) % 4 == 2 else -1
            known = sampled({s: r for s, r in ranges.items() if s in coefficient.free_symbols})
            known |= {slope: torch.zeros(SAMPLES, dtype=torch.float64) for slope in coefficient.atoms(Slope)}
            values = on_torch(coefficient, known).expand(SAMPLES)
            if not bool((values * sign < 0).any()):
                continue
            worst = int((values * sign).nan_to_num(0.0).argmin())
            what = " ".join(f"∂{a}^{m}" for a, m in zip(self.names.axes, orders, strict=True) if m)
            at = ", ".join(f"{s} = {known[s][worst]:.3g}" for s in sorted(coefficient.free_symbols, key=str))
            fields = [s.name for s in coefficient.free_symbols if s.name in self.names.fields]
            axis = next(a for a, m in zip(self.names.axes, orders, strict=True) if m)
            raise FormulaError(
                self.text[name],
                _place_of_operator(self.text[name], axis),
                f"unstable: the coefficient of {what} {name} is {float(values[worst]):.3g}{f' at {at}' if at else ''}, "
                f"and has to be {'≥' if sign > 0 else '≤'} 0, or the shortest waves grow without end"
                + "".join(f"; give fields.{f}.lower or upper" for f in fields),
                name,
            )

    def spreads(self, values: Mapping[sp.Symbol, float]) -> list[float]:
        """The rate at which diffusion by numbers lets the shortest waves of each field decay [1/time].

        Coefficients that depend on fields or places are left out, and those that are none of the `values`.
        """
        rates = []
        for own in self.linear.values():
            rate = 0.0
            for orders, coefficient in own.items():
                if any(m % 2 for m in orders) or not any(orders) or not coefficient.free_symbols <= values.keys():
                    continue
                rate -= float(coefficient.subs(values)) * (1j ** sum(orders)).real * self._shortest(orders)
            rates.append(rate)
        return rates

    def _shortest(self, orders: Orders) -> float:
        """The |eigenvalue| of an even derivative of the shortest wave, away from walls."""
        product = 1.0
        for h, m in zip(self.spacing, orders, strict=True):
            second = (KEPT * pi) ** 2 if self.spectral else {2: 4.0, 4: 16 / 3}[self.order]
            product *= (second / h**2) ** (m // 2)
        return product

    def limits(self) -> dict[str, tuple[float, float]]:
        """Signs that parameters must have which alone decide on that of the highest derivative."""
        limits: dict[str, tuple[float, float]] = {}
        for name in self.names.fields:
            for orders, coefficient in self._leading(name).items():
                symbols = [s for s in coefficient.free_symbols if s.name in self.names.parameters]
                if len(symbols) != 1 or any(m % 2 for m in orders):
                    continue
                slope = sp.diff(coefficient, symbols[0])
                if not slope.is_number or coefficient.subs(symbols[0], 0) != 0 or slope == 0:
                    continue
                positive = float(slope) * (1 if sum(orders) % 4 == 2 else -1) > 0
                limits[symbols[0].name] = (0.0, inf) if positive else (-inf, 0.0)
        return limits


@lru_cache(maxsize=64)
def _read(text: str, names: Names) -> sp.Expr:
    return read(text, names)


def make_plan(
    grid: Grid,
    rates: tuple[tuple[str, str], ...],
    parameters: tuple[str, ...],
    varying: frozenset[str],
    walls: tuple[tuple[str, Boundary], ...],
    scheme: str,
    order: int,
    transport: str,
    integrator: str,
) -> Plan:
    """Read formulas and sort their terms; arguments as the keys of `FormulaConfig`.

    Raises:
        FormulaError: a formula cannot be read, or its derivatives not be taken with these walls.
    """
    fields = tuple(name for name, _ in rates)
    names = Names(grid.axes, fields, parameters, varying)
    rates_of = {}
    for name, formula in rates:
        with rate_of(name):
            rates_of[name] = _read(formula, names)
    boundaries = dict(walls)
    periodic = all(b[axis].periodic for b in boundaries.values() for axis in grid.axes)
    if scheme == "spectral" and not periodic:
        raise FormulaError(rates[0][1], None, "scheme spectral needs every axis to be periodic; use differences")
    text = dict(rates)
    for name, rate in rates_of.items():
        with rate_of(name):
            _require_walls(text[name], rate, names, boundaries)
    spectral = periodic and (scheme == "spectral" or (scheme == "auto" and _smooth(rates_of, names)))
    sorted_terms = {name: linear_part(rate, name, grid.axes, names.uniform) for name, rate in rates_of.items()}
    linear = {name: own for name, (own, _) in sorted_terms.items()}
    others = {name: rest for name, (_, rest) in sorted_terms.items()}
    if not spectral:
        for name in fields:
            _keep_even(name, linear, others, grid.axes)
    exponential = integrator == "exponential" or (integrator == "auto" and _worth(linear, others, names))
    steady = all(is_steady(boundaries[n][axis]) for n in fields for axis in grid.axes)
    if not spectral and not steady:
        if integrator == "exponential":
            raise FormulaError(
                rates[0][1], None, "integrator exponential needs walls whose a and b (of a u + b ∂u/∂n) are numbers"
            )
        exponential = False
    on_time = any(rate.has(symbol("t")) for rate in rates_of.values())
    on_time = on_time or any("t" in b.names for b in boundaries.values())
    return Plan(
        names, text, rates_of, linear, others, spectral, exponential, not on_time, grid.spacing, order, transport
    )


def _keep_even(
    name: str, linear: dict[str, dict[Orders, sp.Expr]], others: dict[str, list[sp.Expr]], axes: tuple[str, ...]
) -> None:
    """Differences between walls have eigenvectors for even derivatives only; others go to the rest."""
    for orders in [o for o in linear[name] if any(m % 2 for m in o)]:
        slope: sp.Expr = symbol(name)
        for axis, m in zip(axes, orders, strict=True):
            for _ in range(m):
                slope = Slope(slope, symbol(axis))
        others[name].append(linear[name].pop(orders) * slope)


def _worth(linear: dict[str, dict[Orders, sp.Expr]], others: dict[str, list[sp.Expr]], names: Names) -> bool:
    """Whether exact integration of the linear terms takes the stiffness away."""
    if not any(sum(orders) for own in linear.values() for orders in own):
        return False
    for name, rest in others.items():
        exact = max((sum(orders) for orders in linear[name] if sum(orders) % 2 == 0), default=0)
        for (other, orders), _ in linearised(sp.Add(*rest), names.fields, names.axes).items():
            # Second derivatives beside exact fourth ones are damped by these.
            if sum(orders) > 1 and (other != name or sum(orders) > exact - 2):
                return False
    return True


def _smooth(rates: Mapping[str, sp.Expr], names: Names) -> bool:
    """Whether states and coefficients may be taken to be smooth: nothing jumps, and layers keep a width."""
    if names.varying:
        return False
    places = {symbol(a) for a in AXES}
    for name, rate in rates.items():
        kinks = rate.atoms(sp.Abs, sp.sign, sp.Max, sp.Min, sp.Heaviside)
        if any(kink.free_symbols & places for kink in kinks):
            return False
        waves = linearised(rate, names.fields, names.axes)
        steepens = any(
            sum(orders) % 2 and c.free_symbols & {symbol(f) for f in names.fields} for (_, orders), c in waves.items()
        )
        spreads = any(other == name and sum(orders) >= 2 for (other, orders) in waves)
        if steepens and not spreads:
            return False
    return True


def _require_walls(text: str, rate: sp.Expr, names: Names, walls: Mapping[str, Boundary]) -> None:
    """Refuse derivatives for which the walls' conditions do not say enough."""
    for (field, orders), _ in linearised(rate, names.fields, names.axes).items():
        for axis, m in zip(names.axes, orders, strict=True):
            pair = walls[field][axis]
            if m <= 2 or pair.periodic:
                continue
            if m % 2 == 0 and all(isinstance(wall, Neumann) for wall in pair):
                continue
            raise FormulaError(
                text,
                _place_of_operator(text, axis),
                f"a derivative of order {m} of {field} along {axis} needs a periodic axis"
                + (" or neumann walls" if m % 2 == 0 else "")
                + f"; one condition at a wall does not determine it (boundary of {field}: {pair.plain})",
            )


def _place_of_operator(text: str, axis: str) -> int | None:
    """Where the first derivative along an axis stands."""
    operator = f"d{axis}"
    place = text.find(operator) if operator in text else text.find("laplace")
    return place if place >= 0 else None
