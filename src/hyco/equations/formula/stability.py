"""How many steps a rate of change asks for: from samples of states, parameters and places within their ranges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, inf

import numpy as np
import sympy as sp
import torch

from hyco.equations.formula.linear import Orders, linearised
from hyco.equations.formula.symbols import Slope, on_torch, symbol
from hyco.schemes.integrators import rkl2_reach

SAMPLES = 1024
# Of a range without end: the part of it that is looked at.
_FINITE = 0.999
# Largest time × rate of what stages follow. Of reactions, for their accuracy, in steps of fourth order: of fields that
# are known by their range, in which states may grow, and of several that are known by values that they have together
# (1: less than 1 % of what changes there by then is wrong); in steps of second order, and of first. Of waves, and of
# what decays, for stability (the fourth-order methods take 2.8 of either, Euler's 2 of what decays).
_REACTION, _REACTION_KNOWN, _REACTION_2, _REACTION_1, _WAVES, _DECAY, _DECAY_1 = 0.5, 1.0, 0.1, 0.02, 1.4, 2.5, 1.9
# Of waves that upwind differences damp: steps of fourth order take 2.4, and are as accurate as the differences.
_WAVES_UPWIND = 1.9
# Steps of second order are taken where they save this part of the stages, and follow waves so closely.
_SAVED, _WAVES_2 = 0.5, 0.3
# Parts of the largest wavenumber that are looked at, and how much faster than it acts something has to be damped
# exactly for it to be stable in steps of any length.
_PARTS, _DAMPED = tuple(2 ** (-i / 2) for i in range(13)), 2.0
# Stages that are chosen from, and the largest time × decay of a step: with more, waves of some 30 cells are not
# followed any more.
STAGES, _FOLLOWED = (3, 5, 7, 9, 13, 17), 14.0
FOURTH_ORDER, EULER = 4, 1


@dataclass(frozen=True)
class Rates:
    """The largest rates at which small waves of any length change [1/time].

    Attributes:
        decay: by derivatives of even orders, and what reactions let decay.
        waves: by derivatives of odd orders.
        reaction: without derivatives.
        upwind: what upwind differences let decay.
        known: whether the reaction is that of known states, not of all within a range.
    """

    decay: float
    waves: float
    reaction: float
    upwind: float = 0.0
    known: bool = False

    @property
    def of_fourth_order(self) -> float:
        """Steps of fourth order in a unit of time."""
        stable = self.waves / (_WAVES_UPWIND if self.upwind else _WAVES) + self.decay / _DECAY
        return max(self.of_reactions, stable)

    @property
    def of_reactions(self) -> float:
        """The same for the reaction alone."""
        return self.reaction / (_REACTION_KNOWN if self.known else _REACTION)

    def or_more(self, other: Rates) -> Rates:
        """The larger of each."""
        return Rates(max(self.decay, other.decay), max(self.waves, other.waves), max(self.reaction, other.reaction))

    @property
    def finite(self) -> bool:
        """Whether all are."""
        return max(self.decay, self.waves, self.reaction) < inf


def largest_rates(
    terms: Mapping[str, sp.Expr],
    axes: Sequence[str],
    samples: Samples,
    slopes: Callable[[Orders], float],
    factor: Callable[[Orders], float],
    exact: Mapping[str, Mapping[Orders, sp.Expr]],
) -> Rates:
    """The largest rates over samples of all that the terms depend on.

    Args:
        terms: the rates of change by field.
        samples: of all symbols.
        slopes: the largest |value| that a derivative of a field of these orders may have.
        factor: the largest |eigenvalue| of a derivative of these orders.
        exact: linear terms of the fields that the step integrates exactly, beside the others.
    """
    names = list(terms)

    def on(values: dict[sp.Expr, torch.Tensor], coefficient: sp.Expr) -> torch.Tensor:
        return finite(on_samples(coefficient, values, axes, slopes))

    parts = {
        (name, other, orders): coefficient
        for name in names
        for (other, orders), coefficient in linearised(terms[name], names, axes).items()
    }
    known = samples.known is not samples.possible
    waves = {key: on(samples.possible, coefficient) for key, coefficient in parts.items()}
    here = {key: on(samples.known, c) for key, c in parts.items() if not any(key[2])}
    reaction = float(_eigenvalues(here, names).abs().max())
    if any(other != name and any(orders) for name, other, orders in waves):
        return replace(_of_system(waves, names, len(axes), factor).or_more(Rates(0.0, 0.0, reaction)), known=known)
    most = Rates(0.0, 0.0, reaction)
    for name in names:
        own = {(other, orders): value for (n, other, orders), value in waves.items() if n == name and any(orders)}
        damped = {o: on(samples.possible, c) for o, c in exact.get(name, {}).items()}
        most = most.or_more(_of_field(own, damped, factor))
    local = {key: value for key, value in waves.items() if not any(key[2])}
    # A field that something else holds where it is decays as it does alone.
    alone = [-value for (name, other, _), value in local.items() if name == other]
    fastest = max(float(v.max()) for v in (-_eigenvalues(local, names).real, *alone))
    return replace(most, decay=most.decay + max(0.0, fastest), known=known)


def _of_field(
    own: Mapping[tuple[str, Orders], torch.Tensor],
    damped: Mapping[Orders, torch.Tensor],
    factor: Callable[[Orders], float],
) -> Rates:
    """The largest rates of one field by derivatives, as if all these acted in the same sense."""
    zero = torch.zeros(SAMPLES, dtype=torch.float64)
    decay = wave = 0.0
    for part in _PARTS:
        by_kind = [zero, zero]
        for (_, orders), value in own.items():
            kind = sum(orders) % 2
            by_kind[kind] = by_kind[kind] + value.abs() * factor(orders) * part ** sum(orders)
        loss = zero
        for orders, value in damped.items():
            loss = loss - value * factor(orders) * (1j ** sum(orders)).real * part ** sum(orders)
        # What is damped exactly and far faster cannot grow.
        decay = max(decay, float(torch.where(loss > _DAMPED * by_kind[0], 0.0, by_kind[0]).max()))
        wave = max(wave, float(by_kind[1].max()))
    return Rates(decay, wave, 0.0)


def _eigenvalues(parts: Mapping[tuple[str, str, Orders], torch.Tensor], names: Sequence[str]) -> torch.Tensor:
    """Of what fields do to each other, in each sample."""
    matrix = torch.zeros(SAMPLES, len(names), len(names), dtype=torch.complex128)
    for (name, other, _), value in parts.items():
        matrix[:, names.index(name), names.index(other)] += value
    found: torch.Tensor = torch.linalg.eigvals(matrix)
    return found


def _of_system(
    waves: Mapping[tuple[str, str, Orders], torch.Tensor],
    names: Sequence[str],
    dimensions: int,
    factor: Callable[[Orders], float],
) -> Rates:
    """The largest rates of fields that act on each other by derivatives: of the eigenvalues of all their terms."""

    def eigenvalues(part: float, signs: tuple[int, ...]) -> torch.Tensor:
        sized = {}
        for (name, other, orders), value in waves.items():
            size = factor(orders) * part ** sum(orders) * 1j ** sum(orders)
            for sign, m in zip(signs, orders, strict=True):
                size = size * sign**m
            sized[name, other, orders] = value * size
        return _eigenvalues(sized, names)

    most = Rates(0.0, 0.0, 0.0)
    for signs in product((-1, 0, 1), repeat=dimensions):
        for part in _PARTS:
            found = eigenvalues(part, signs)
            growth = float(found.real.max())
            most = most.or_more(Rates(max(0.0, -float(found.real.min())), float(found.imag.abs().max()), growth))
    return most


def finite(values: torch.Tensor) -> torch.Tensor:
    """Where a sample has no value (a root of a negative number) it says nothing."""
    return torch.where(torch.isfinite(values), values, 0.0)


@dataclass(frozen=True)
class Samples:
    """Values of all symbols, `[SAMPLES]` each.

    Attributes:
        known: fields as they are in states that are known, if any are; how accurate steps are.
        possible: fields between these, with some room; whether steps are stable.
    """

    known: dict[sp.Expr, torch.Tensor]
    possible: dict[sp.Expr, torch.Tensor]


def samples_of(
    values: Mapping[sp.Expr, tuple[float, float]],
    fields: Sequence[sp.Symbol],
    whole: Collection[sp.Symbol],
    points: torch.Tensor | None,
    room: float,
) -> Samples:
    """Samples of ranges, and of states `[N, C]` if some are known.

    Args:
        values: smallest and largest value of each symbol; of a field, where no states are known, and what it may be.
        fields: in the order of the states' channels.
        whole: those of which any value of their range is possible.
        points: values that the fields have together.
        room: by which possible states are larger.
    """
    samples = sampled(values)
    if points is None:
        return Samples(samples, samples)
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randint(len(points), (2, SAMPLES), generator=generator)
    weight = torch.rand(SAMPLES, 1, dtype=torch.float64, generator=generator)
    between = room * (weight * points[one] + (1 - weight) * points[other])
    known = {name: points[one, i] for i, name in enumerate(fields)}
    possible = {name: between[:, i].clamp(*values[name]) for i, name in enumerate(fields) if name not in whole}
    return Samples(samples | known, samples | possible)


def sampled(values: Mapping[sp.Expr, tuple[float, float]]) -> dict[sp.Expr, torch.Tensor]:
    """Points that fill the ranges evenly, and the ranges' ends among them; the same each time.

    Args:
        values: smallest and largest value of each symbol; of a range without end, most are near its other end, or zero.
    """
    ordered = sorted(values, key=str)
    if not ordered:
        return {}
    numbers = torch.quasirandom.SobolEngine(len(ordered)).draw(SAMPLES, dtype=torch.float64)  # type: ignore[no-untyped-call]
    ends = (numbers[: SAMPLES // 4] > 0.5).double()
    numbers = torch.cat([ends, numbers[SAMPLES // 4 :]])
    result: dict[sp.Expr, torch.Tensor] = {}
    for i, name in enumerate(ordered):
        low, high = values[name]
        part = _FINITE * numbers[:, i]
        if low == -inf and high == inf:
            result[name] = torch.tan((part - _FINITE / 2) * torch.pi)
        elif high == inf:
            result[name] = low + max(1.0, abs(low)) * part / (1 - part)
        elif low == -inf:
            result[name] = high - max(1.0, abs(high)) * part / (1 - part)
        else:
            result[name] = low + (high - low) * numbers[:, i]
    return result


def on_samples(
    expression: sp.Expr,
    samples: dict[sp.Expr, torch.Tensor],
    axes: Sequence[str],
    slopes: Callable[[Orders], float],
) -> torch.Tensor:
    """The values `[SAMPLES]` of an expression; its slopes are between ± the largest that cells resolve."""
    known = dict(samples)
    for i, node in enumerate(sorted(expression.atoms(Slope), key=str)):
        orders = tuple(_count(node, axis) for axis in axes)
        spread = torch.cos(torch.arange(SAMPLES, dtype=torch.float64) * (0.7 + i))
        known[node] = slopes(orders) * spread
    return on_torch(expression, known).expand(SAMPLES)


def _count(node: sp.Expr, axis: str) -> int:
    return sum(slope.args[1] == symbol(axis) for slope in sp.preorder_traversal(node) if isinstance(slope, Slope))


def exponential_steps(dt: float, rates: Rates) -> int:
    """Steps of `etdrk4` for what it does not integrate exactly."""
    return whole(dt * rates.of_fourth_order)


def explicit_steps(dt: float, rates: Rates, stages: int | None = None, usual: Rates | None = None) -> tuple[int, int]:
    """Steps and stages with the fewest stages in all: FOURTH_ORDER for that method, odd numbers for `rkl2`.

    EULER is not chosen: that is for who asks for it.

    Args:
        rates: the largest, which steps are stable for.
        stages: those of a step, if they are given.
        usual: the rates that steps are accurate for; None: the largest too.
    """
    usual = rates if usual is None else usual
    if stages == EULER:
        return whole(dt * max(rates.decay / _DECAY_1, usual.reaction / _REACTION_1)), EULER
    fourth = whole(dt * rates.of_fourth_order)
    best: tuple[float, int] = (fourth, FOURTH_ORDER) if stages in (None, FOURTH_ORDER) else (inf, 1)
    most = _SAVED * best[0] * best[1] if stages is None else inf
    accurate = max(usual.reaction / _REACTION_2, usual.waves / _WAVES_2)
    for number in STAGES if stages is None else (() if stages == FOURTH_ORDER else (stages,)):
        followed = usual.decay / _FOLLOWED if stages is None else 0.0
        steps = whole(dt * max(accurate, followed))
        while steps * number < most and not _stable(number, dt / steps, rates):
            steps = max(steps + 1, ceil(1.05 * steps))
        if steps * number < most:
            best, most = (steps, number), steps * number
    return int(best[0]), best[1]


def largest_decay(stages: int) -> float:
    """The largest time × rate of decay that an explicit step of so many stages is stable for."""
    return {FOURTH_ORDER: 2.785, EULER: 2.0}.get(stages) or rkl2_reach(stages)


def whole(steps: float) -> int:
    """Steps, at least one; one where the rates have no end, as then nothing helps."""
    return max(1, ceil(steps * (1 - 1e-9))) if steps < inf else 1


def _stable(stages: int, time: float, rates: Rates) -> bool:
    """Whether `rkl2` lets nothing grow: for the ellipse that the eigenvalues of a mixed scheme fill."""
    angle = np.linspace(0.0, np.pi, 129)
    decay, waves = 1.05 * time * (rates.decay + rates.upwind), 1.05 * time * rates.waves
    z = -decay / 2 * (1 - np.cos(angle)) + 1j * waves * np.sin(angle)
    reach = stages * stages + stages - 2
    w, b = 4 / reach, reach / (2 * stages * (stages + 1))
    older, legendre = np.ones_like(z), 1 + w * z
    for j in range(2, stages + 1):
        older, legendre = legendre, (2 * j - 1) / j * (1 + w * z) * legendre + (1 - j) / j * older
    return bool(np.abs(1 - b + b * legendre).max() <= 1 + 1e-9)
