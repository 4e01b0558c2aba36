"""Coefficients from the rates of change that the data show themselves, where whole states were measured in good time.

Derivatives in time and space are those of polynomials fitted to a few neighbours, of rates F(u; θ) too. Coefficients θ
that make what is left of ∂u/∂t - F small, averaged over the same neighbours, are good to some ten per cent, noise and
all: no estimate, but a first guess that is nearer than what units tell, and bounds about it that cost fewer sub-steps.

Source: A. Savitzky and M. J. E. Golay, Anal. Chem. 36 (1964) 1627, doi:10.1021/ac60214a047.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
from scipy.optimize import least_squares
from scipy.sparse import csr_array
from scipy.stats import qmc

from hyco.drafts.coefficients import Coefficient
from hyco.drafts.contents import Numbers
from hyco.drafts.geometry import Axis, on_grid
from hyco.drafts.points import Points
from hyco.drafts.variation import Variation
from hyco.equations.formula.linear import outer_slopes
from hyco.equations.formula.symbols import symbol

# Neighbours on either side that a polynomial is fitted to, at most, and its degree, in space and in time.
_NEIGHBOURS, _DEGREE = {"space": 6, "time": 4}, {"space": 4, "time": 2}
# Of the distance over which the data vary, the part that these neighbours reach; and steps in it, at least.
_REACH, _RESOLVED = 0.5, 2.0
# States and values that are looked at, at least and at most.
_FEWEST_STATES, _MOST_VALUES, _MOST_LOOKED_AT = 6, 100_000, 50_000_000
# Searches, evaluations of each.
_STARTS, _EVALUATIONS = 8, 60
# Part of the rates' variance that is explained, at least; largest relative deviation of a coefficient that is told; and
# the factor, or for one of any sign the multiple of its size, by which it may be another one.
_EXPLAINED, _DEVIATION, _FACTOR = 0.8, 0.3, 3.0
# Singular values of slopes of length 1 that are no larger are those of rounding.
_UNTOLD = 1e-10


@dataclass(frozen=True)
class Series:
    """Whole states of one trajectory.

    Attributes:
        times: `[T]`, rising.
        places: by axis.
        wraps: the axes that are periodic.
        values: by field, `[T, *space]`.
    """

    times: Numbers
    places: Mapping[str, Numbers]
    wraps: Collection[str]
    values: Mapping[str, Numbers]


def series_of(
    points: Points, names: Mapping[str, str], axes: Mapping[str, Axis], wraps: Collection[str]
) -> Series | None:
    """The first trajectory, as much of it as is looked at; None where its states were not measured whole.

    Args:
        points: of the measurements.
        names: in the file, of each field.
        axes: of the domain.
        wraps: those that are periodic.
    """
    grids = {field: on_grid(points, name, dict(axes), _MOST_LOOKED_AT) for field, name in names.items()}
    known = {field: grid for field, grid in grids.items() if grid is not None}
    times = np.unique(points.time[points.simulation == 0])
    if len(known) < len(names) or not np.isfinite(times).all():
        return None
    values = {field: grid[: len(times)] for field, grid in known.items()}
    places = {name: axis.places for name, axis in axes.items()}
    for i, (name, axis) in enumerate(axes.items(), start=1):
        if name in wraps and axis.resolution == (len(axis.places) - 1) * axis.refined:
            # The last place is the first one, a period later.
            places[name] = axis.places[:-1]
            values = {field: np.delete(v, -1, axis=i) for field, v in values.items()}
    whole = np.all([np.isfinite(v).reshape(len(times), -1).all(axis=1) for v in values.values()], axis=0)
    most = _MOST_VALUES // math.prod(map(len, places.values()))
    chosen = np.flatnonzero(whole)[:most]
    return Series(times[chosen], places, frozenset(wraps), {field: v[chosen] for field, v in values.items()})


def told_by_rates(
    coefficients: Sequence[Coefficient],
    rates: Mapping[str, sp.Expr],
    series: Series,
    varies: Variation,
    levels: Collection[str] = (),
) -> list[Coefficient]:
    """The coefficients, those that the rates of change tell with first guesses and bounds by these.

    Args:
        rates: of each field, of symbols and slopes.
        series: of all fields, without gaps.
        varies: over what the data vary.
        levels: those that fields are compared with, which stay as they are: the fields' values tell more.
    """
    found = _Rates.of(rates, series, varies)
    if found is None or not coefficients:
        return list(coefficients)
    ways = [_Way.of(c) for c in coefficients]
    starts = [np.array([way.to(c.guess) for way, c in zip(ways, coefficients, strict=True)])]
    low, high = (np.array([way.to(c.bounds[end]) for way, c in zip(ways, coefficients, strict=True)]) for end in (0, 1))
    starts += list(low + qmc.Sobol(len(ways), rng=0).random(_STARTS) * (high - low))
    names = [c.name for c in coefficients]

    def residuals(point: Numbers) -> Numbers:
        values = {name: way.back(x) for name, way, x in zip(names, ways, point, strict=True)}
        return found.residuals(values)

    best = None
    for start in starts:
        if not np.isfinite(residuals(start)).all():
            continue
        inside = np.clip(start, low + 1e-6 * (high - low), high - 1e-6 * (high - low))
        result = least_squares(_finite(residuals), inside, bounds=(low, high), x_scale="jac", max_nfev=_EVALUATIONS)
        best = result if best is None or result.cost < best.cost else best
    if best is None or 2 * best.cost > (1 - _EXPLAINED) * found.variance:
        return list(coefficients)
    at_ends = np.minimum(best.x - low, high - best.x) < 1e-3 * (high - low)
    if (at_ends & (np.abs(best.grad) * (high - low) > best.cost)).any():
        # What would fit better lies beyond a bound: the others make up for it.
        return list(coefficients)
    deviations = found.deviations(best)
    return [
        c if c.name in levels else way.narrowed(c, float(x), float(deviation), bool(active))
        for way, c, x, deviation, active in zip(ways, coefficients, best.x, deviations, best.active_mask, strict=True)
    ]


def _finite(function: Callable[[Numbers], Numbers]) -> Callable[[Numbers], Numbers]:
    return lambda point: np.nan_to_num(function(point), nan=1e3, posinf=1e3, neginf=-1e3).clip(-1e3, 1e3)


@dataclass(frozen=True)
class _Way:
    """How a coefficient is searched for: its logarithm where it is positive or negative, else the number."""

    sign: int

    @classmethod
    def of(cls, c: Coefficient) -> _Way:
        return cls(1 if c.bounds[0] > 0 else -1 if c.bounds[1] < 0 else 0)

    def to(self, value: float) -> float:
        return math.log(abs(value)) if self.sign else value

    def back(self, x: float) -> float:
        return self.sign * math.exp(x) if self.sign else float(x)

    def narrowed(self, c: Coefficient, x: float, deviation: float, at_bound: bool) -> Coefficient:
        """The coefficient about what was found, if that is told."""
        value = self.back(x)
        relative = deviation if self.sign else deviation / max(abs(value), 1e-300)
        if at_bound or not relative < _DEVIATION:
            return c
        if self.sign:
            ends = sorted((value / _FACTOR, value * _FACTOR))
        else:
            ends = [value - _FACTOR * abs(value), value + _FACTOR * abs(value)]
        low, high = (float(f"{end:.2g}") for end in ends)
        bounds = max(low, c.bounds[0]), min(high, c.bounds[1])
        reason = f"the rates of change in the data, ± {100 * relative:.0f} %, and bounds of {_FACTOR:g} times it"
        return replace(c, guess=min(max(float(f"{value:.2g}"), bounds[0]), bounds[1]), bounds=bounds, reason=reason)


class _Rates:
    """What is left of the rates of change of measured states.

    Attributes:
        variance: the sum of squares of the residuals where nothing is explained.
    """

    def __init__(self, rates: Mapping[str, sp.Expr], series: Series, halves: Mapping[str, int]) -> None:
        self._expressions, self._halves = rates, halves
        self._smooth, self._slope = {}, {}
        for axis, where in {"t": series.times, **series.places}.items():
            degree = min(_DEGREE["time" if axis == "t" else "space"], 2 * halves[axis])
            self._smooth[axis], self._slope[axis] = local_polynomials(where, halves[axis], degree, axis in series.wraps)
        self._axes, self._wraps = ("t", *series.places), series.wraps
        grid = np.meshgrid(series.times, *series.places.values(), indexing="ij")
        self._known: dict[sp.Expr, Any] = {symbol(a): g for a, g in zip(self._axes, grid, strict=True)}
        self._changes, squares = {}, 0.0
        for name, values in series.values.items():
            smooth = self._everywhere(values, self._axes[1:])
            self._known[symbol(name)] = self._along("t", self._smooth, smooth)
            self._changes[name] = self._along("t", self._slope, smooth)
        self._scales = {}
        for name, changes in self._changes.items():
            kept = self._kept(changes)
            self._scales[name] = float(np.sqrt(np.mean(kept**2))) or 1.0
            squares += float(np.sum((kept / self._scales[name]) ** 2))
        self.variance = squares
        self._made: dict[sp.Expr, Any] = {}

    @classmethod
    def of(cls, rates: Mapping[str, sp.Expr], series: Series, varies: Variation) -> _Rates | None:
        """None where states are too few, or too far apart to show what goes on."""
        halves = {}
        for axis, where in {"t": series.times, **series.places}.items():
            step = float(np.median(np.diff(where))) if len(where) > 1 else math.inf
            resolved = (varies.time if axis == "t" else varies.length) / step
            if resolved < _RESOLVED or len(where) < _FEWEST_STATES:
                return None
            kind = "time" if axis == "t" else "space"
            fewest = -(-_DEGREE[kind] // 2)
            halves[axis] = int(np.clip(round(_REACH * resolved), fewest, min(_NEIGHBOURS[kind], (len(where) - 1) // 2)))
            if axis not in series.wraps and len(where) < 4 * halves[axis]:
                return None
        return cls(rates, series, halves)

    def residuals(self, coefficients: Mapping[str, float]) -> Numbers:
        """Over the size of the rates of each field, `[n]`."""
        known = {**self._known, **{symbol(name): value for name, value in coefficients.items()}}
        parts = []
        with np.errstate(all="ignore"):
            for name, expression in self._expressions.items():
                rate = self._value(expression, known)
                left = (self._changes[name] - rate) / self._scales[name]
                parts.append(self._kept(left).ravel())
        return np.concatenate(parts)

    def deviations(self, result: Any) -> Numbers:
        """Standard deviations of what was found: as many residuals are alike as were averaged."""
        middles = [matrix[[matrix.shape[0] // 2]] for matrix in self._smooth.values()]
        volume = math.prod(1 / float((weights * weights).sum()) for weights in middles)
        count = max(len(result.fun) / volume - len(result.x), 1.0)
        sizes = np.maximum(np.linalg.norm(result.jac, axis=0), 1e-200)
        _, values, ways = np.linalg.svd(result.jac / sizes, full_matrices=False)
        # Where coefficients make up for each other, or one does nothing, any of their values is as good.
        spread = np.linalg.norm(ways / np.maximum(values, _UNTOLD)[:, None], axis=0)
        return np.asarray(spread * np.sqrt(2 * result.cost / count) / sizes)

    def _value(self, expression: sp.Expr, known: Mapping[sp.Expr, Any]) -> Any:
        slopes = outer_slopes(expression)
        if expression not in self._made:
            names = sorted(expression.free_symbols, key=str)
            stand_in = {slope: sp.Dummy() for slope in slopes}
            plain = expression.xreplace(stand_in)
            own = [{"Sigmoid": _sigmoid, "Softplus": _softplus}, "numpy"]
            self._made[expression] = names, sp.lambdify([*names, *stand_in.values()], plain, own)
        names, function = self._made[expression]
        inner = [self._along(s.args[1].name, self._slope, self._value(s.args[0], known)) for s in slopes]
        return function(*(known[name] for name in names), *inner)

    def _along(self, axis: str, matrices: Mapping[str, csr_array], values: Any) -> Any:
        if not np.ndim(values):
            return values if matrices is self._smooth else 0.0
        place = self._axes.index(axis)
        moved = np.moveaxis(values, place, 0)
        found = matrices[axis] @ moved.reshape(len(moved), -1)
        return np.moveaxis(found.reshape(moved.shape), 0, place)

    def _everywhere(self, values: Any, axes: Sequence[str]) -> Any:
        for axis in axes:
            values = self._along(axis, self._smooth, values)
        return values

    def _kept(self, values: Any) -> Numbers:
        """Averaged, without what is beside the ends."""
        averaged = self._everywhere(values, self._axes)
        ends = [(0 if a in self._wraps else self._halves[a]) for a in self._axes]
        inside = tuple(slice(end, size - end) for end, size in zip(ends, averaged.shape, strict=True))
        return np.asarray(averaged[inside])


def local_polynomials(where: Numbers, half: int, degree: int, wraps: bool) -> tuple[csr_array, csr_array]:
    """Matrices `[n, n]` of the value and the slope of polynomials fitted to so many neighbours on either side.

    Args:
        wraps: whether the last place stands before the first one, a period later, at the same distance.
    """
    n, width = len(where), 2 * half + 1
    period = float(where[-1] - where[0]) * n / (n - 1)
    first = np.arange(n) - half
    near = (first if wraps else first.clip(0, n - width))[:, None] + np.arange(width)
    away = where[near % n] + period * (near // n) - where[:, None]
    size = np.abs(away).max(axis=1)[:, None]
    inverse = np.linalg.pinv((away / size)[..., None] ** np.arange(degree + 1))
    # Of as many states as fit into a file, full matrices would not fit into the memory.
    columns, ends = (near % n).ravel(), width * np.arange(n + 1)
    smooth, slope = (csr_array((v.ravel(), columns, ends), (n, n)) for v in (inverse[:, 0], inverse[:, 1] / size))
    return smooth, slope


def _sigmoid(value: Any) -> Any:
    return 1 / (1 + np.exp(-value))


def _softplus(value: Any) -> Any:
    return np.logaddexp(0, value)
