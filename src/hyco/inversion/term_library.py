"""A library of terms that equations often have, for one that may lack some of them: see `hyco.inversion.terms`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from hyco.fields import FieldSpec, Layout
from hyco.inversion.terms import Term

# What a term adds to the rate of some channels, from all states and the values of those channels.
_Rate = Callable[..., Tensor]
_REACTIONS = {2: ("a quadratic sink", "a quadratic source"), 3: ("a cubic drag", "a cubic growth")}


def library(layout: Layout) -> list[Term]:
    """The terms for each field; none where values are on faces.

    A constant, the field and its square and cube, what carries it along, and diffusion; of several scalars also each in
    the rate of the others, the exchange with them, and their product; what varies in space with the longest waves that
    fit, in a source and in a diffusivity; and at each wall a source and a sink in the outermost cells.
    """
    if any(field.staggered for field in layout.fields):
        return []
    terms: list[Term] = []
    first = 0
    for field in layout.fields:
        terms += _Field(layout, field, first).terms()
        first += len(field.channels)
    return terms


class _Field:
    """The terms of one field, whose channels begin at `first`."""

    def __init__(self, layout: Layout, field: FieldSpec, first: int) -> None:
        self.layout, self.field, self.first = layout, field, first
        self.name, self.count = field.name, len(field.channels)
        self.vector = self.count > 1
        self.slopes = Slopes(layout)

    def terms(self) -> Iterator[Term]:
        """All of them."""
        for own in enumerate(self.field.channels):
            yield self.term("1", ("a constant sink", "a constant source"), _constant, only=own)
        yield self.term(self.name, ("a drag", "a growth"), _itself)
        for exponent, names in _REACTIONS.items():
            size = f"abs({self.name})^{exponent - 1}*{self.name}"
            yield self.term(size if self.vector else f"{self.name}^{exponent}", names, self._power(exponent))
        yield from self._couplings()
        yield from self._derivatives()
        for i in range(len(self.slopes.axes)):
            yield from self._waves(i)
            yield from self._walls(i)

    def term(
        self,
        formula: str,
        names: tuple[str, str],
        rate: _Rate,
        order: int = 0,
        only: tuple[int, str] | None = None,
    ) -> Term:
        """A term in the rate of the field, or of one component of it, by number and name."""
        first, count = (self.first, self.count) if only is None else (self.first + only[0], 1)

        def of_all(states: Tensor) -> Tensor:
            own = rate(states, states[:, first : first + count])
            before, after = states[:, :first], states[:, first + count :]
            return torch.cat([torch.zeros_like(before), own, torch.zeros_like(after)], dim=1)

        return Term(self.name if only is None else only[1], formula, names, of_all, order)

    def _power(self, exponent: int) -> _Rate:
        def rate(_: Tensor, v: Tensor) -> Tensor:
            if self.vector:
                return v.square().sum(dim=1, keepdim=True).add(1e-30).pow((exponent - 1) / 2) * v
            return v**exponent

        return rate

    def _couplings(self) -> Iterator[Term]:
        for other in self.layout.fields:
            if self.vector or other.components or other.name == self.name:
                continue
            at = self.layout.channels.index(other.name)
            yield self.term(other.name, ("a coupling", "a coupling"), partial(_other, at=at))
            yield self.term(f"({other.name} - {self.name})", ("an exchange",) * 2, partial(_difference, at=at))
            yield self.term(f"{self.name}*{other.name}", ("a reaction", "a reaction"), partial(_product, at=at))

    def _derivatives(self) -> Iterator[Term]:
        slopes, name = self.slopes, self.name
        for i, axis in enumerate(slopes.axes):
            yield self.term(f"d{axis}({name})", ("an advection",) * 2, partial(slopes.first, axis=i), 1)
        if self.vector or len(slopes.axes) == 1:
            formula = f"dot({name}, grad({name}))" if self.vector else f"{name}*d{slopes.axes[0]}({name})"
            yield self.term(formula, ("a convection",) * 2, slopes.carried, 1)
        yield self.term(f"laplace({name})", ("a diffusion", "a diffusion"), slopes.laplace, 2)

    def _waves(self, i: int) -> Iterator[Term]:
        """A source, and a diffusivity, of one wave along an axis; with walls of half a wave and of one."""
        slopes, grid = self.slopes, self.layout.grid
        axis, size = grid.axes[i], grid.size[i]
        at = torch.from_numpy(grid.centers(axis)) - grid.lower[i]
        shape = [-1 if j == i else 1 for j in range(len(grid.axes))]
        place = axis if not grid.lower[i] else f"({axis} - {grid.lower[i]:g})"
        one = f"2*pi*{place}/{size:g}"
        waves = {f"cos({one})": torch.cos(2 * math.pi * at / size)}
        if slopes.periodic[i]:
            waves[f"sin({one})"] = torch.sin(2 * math.pi * at / size)
        else:
            waves[f"cos(pi*{place}/{size:g})"] = torch.cos(math.pi * at / size)
        for formula, values in waves.items():
            wave = values.reshape(shape)
            for own in enumerate(self.field.channels):
                yield self.term(formula, ("a source that varies",) * 2, partial(_source, shape=wave), only=own)
            varying = f"d{axis}({formula}*d{axis}({self.name}))"
            spread = partial(slopes.spread, diffusivity=wave, axis=i)
            yield self.term(varying, ("a diffusivity that varies",) * 2, spread, 2)

    def _walls(self, i: int) -> Iterator[Term]:
        """What a wall with another condition does: a source, and a sink of the field, in the outermost cells."""
        if self.slopes.periodic[i]:
            return
        axis, n = self.layout.grid.axes[i], self.layout.shape[i]
        for side, cell in (("lower", 0), ("upper", n - 1)):
            there = torch.zeros([n if j == i else 1 for j in range(len(self.slopes.axes))], dtype=torch.float64)
            there.select(i, cell).fill_(1.0)
            names = (f"another condition at the {side} wall of {axis}",) * 2
            where = f"[{axis}.{side}]"
            yield self.term(f"1{where}", names, partial(_source, shape=there))
            yield self.term(f"{self.name}{where}", names, partial(_sink, shape=there))


def _other(states: Tensor, values: Tensor, at: int) -> Tensor:
    return states[:, at : at + 1]


def _difference(states: Tensor, values: Tensor, at: int) -> Tensor:
    return states[:, at : at + 1] - values


def _product(states: Tensor, values: Tensor, at: int) -> Tensor:
    return values * states[:, at : at + 1]


def _source(states: Tensor, values: Tensor, shape: Tensor) -> Tensor:
    return shape.to(values).expand_as(values)


def _sink(states: Tensor, values: Tensor, shape: Tensor) -> Tensor:
    return shape.to(values) * values


def _constant(states: Tensor, values: Tensor) -> Tensor:
    return torch.ones_like(values)


def _itself(states: Tensor, values: Tensor) -> Tensor:
    return values


class Slopes:
    """Derivatives of cell values by differences: on periodic axes of fourth order, between walls of second.

    At walls they are one-sided, as terms know nothing of walls. Of all states they need nothing.
    """

    def __init__(self, layout: Layout) -> None:
        grid = layout.grid
        self.axes, self.spacing, self.periodic = grid.axes, grid.spacing, layout.periodic

    def first(self, states: Tensor, values: Tensor, axis: int) -> Tensor:
        """∂/∂(axis) of values `[B, c, *space]`."""
        return self._extrapolated(axis, partial(self._slope, values, axis))

    def laplace(self, states: Tensor, values: Tensor) -> Tensor:
        """The Laplacian of `[B, c, *space]`."""
        parts = [self._extrapolated(i, partial(self._curvature, values, i)) for i in range(len(self.axes))]
        return torch.stack(parts).sum(dim=0)

    def spread(self, states: Tensor, values: Tensor, diffusivity: Tensor, axis: int) -> Tensor:
        """∂(D ∂u)/∂(axis)² with a D `[*space]` that varies along the axis alone, of second order."""
        left, right = self._sides(values, axis)
        own = diffusivity.to(values)
        below, above = self._sides(own[None, None], axis)
        flows = (above + own) * (right - values) - (below + own) * (values - left)
        return flows / (2 * self.spacing[axis] ** 2)

    def carried(self, states: Tensor, values: Tensor) -> Tensor:
        """(u·∇)u of a vector, or u ∂u/∂x of one field along one axis."""
        parts = [values[:, i : i + 1] * self.first(states, values, i) for i in range(len(self.axes))]
        return torch.stack(parts).sum(dim=0)

    def _extrapolated(self, axis: int, difference: Callable[[int], Tensor]) -> Tensor:
        """A difference over one cell; where there is no wall, of it and that over two cells one of fourth order."""
        return (4 * difference(1) - difference(2)) / 3 if self.periodic[axis] else difference(1)

    def _slope(self, values: Tensor, axis: int, cells: int) -> Tensor:
        left, right = self._sides(values, axis, cells)
        return (right - left) / (2 * cells * self.spacing[axis])

    def _curvature(self, values: Tensor, axis: int, cells: int) -> Tensor:
        left, right = self._sides(values, axis, cells)
        return (left - 2 * values + right) / (cells * self.spacing[axis]) ** 2

    def _sides(self, values: Tensor, axis: int, cells: int = 1) -> tuple[Tensor, Tensor]:
        """The neighbours to the left and to the right; beyond a wall the parabola through the three cells there."""
        dim, n = axis + 2, values.shape[axis + 2]
        if self.periodic[axis]:
            return values.roll(cells, dim), values.roll(-cells, dim)
        ends = [values.narrow(dim, i, 1) for i in (0, 1, 2, n - 3, n - 2, n - 1)]
        before, after = 3 * ends[0] - 3 * ends[1] + ends[2], 3 * ends[5] - 3 * ends[4] + ends[3]
        left = torch.cat([before, values.narrow(dim, 0, n - 1)], dim)
        return left, torch.cat([values.narrow(dim, 1, n - 1), after], dim)
