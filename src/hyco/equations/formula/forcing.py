"""Walls and sources in the course of a step: how those that change in time do not lower its order.

Stages that take each wall at their own time lose an order or two: what a wall adds to the rates grows with 1/h² or 1/h
of the cells, so that errors of the stages beside it are not small, as those elsewhere are. Here the right-hand side of
its condition is a cubic in time in each step, through its values at four times; exponential steps integrate it exactly,
and the stages of `rk4` have of it, and of sources between walls, what they have of the state.

Sources: M. Hochbruck and A. Ostermann, Acta Numerica 19 (2010) 209, doi:10.1017/S0962492910000048; M. H. Carpenter,
D. Gottlieb, S. Abarbanel and W.-S. Don, SIAM J. Sci. Comput. 16 (1995) 1241, doi:10.1137/0916072.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from math import factorial
from typing import Any

import numpy as np
from phi import math

from hyco.equations.formula.ghosts import Coordinates
from hyco.grid import Grid
from hyco.schemes.exponential import phi
from hyco.walls.boundary import AxisWalls, Boundary
from hyco.walls.robin import Robin
from hyco.walls.wall import PROBES, Wall, is_number

# Parts of a step at which walls and sources are looked at.
TIMES = (0.0, 1 / 3, 2 / 3, 1.0)
# Row j: weights of the values at these times in the coefficient of (time since the start / h)^j.
_POWERS = np.linalg.inv(np.array(TIMES)[:, None] ** np.arange(len(TIMES)))
# Row i: their weights in what stage i of `rk4` makes of a value g: g, g + hg'/2, g + hg'/2 + h²g''/4 and
# g + hg' + h²g''/2 + h³g'''/4.
_STAGES = np.array([[1, 0, 0, 0], [1, 1 / 2, 0, 0], [1, 1 / 2, 1 / 2, 0], [1, 1, 1, 3 / 2]]) @ _POWERS
# Of the largest eigenvalue: what is smaller is zero but for rounding.
_STILL = 1e-11
_KINKS = frozenset({"abs", "max", "min", "sign"})


class Walls:
    """The conditions at the walls of all fields, with the values of their formulas.

    Attributes:
        any: whether there are walls at all.
        inhomogeneous: the fields whose conditions have right-hand sides.
        in_time: whether any depends on t.
        constant: those of the fields where nothing changes them.
    """

    def __init__(self, grid: Grid, boundaries: Mapping[str, Boundary], coordinates: Coordinates) -> None:
        self._by_field, self._places = boundaries, {axis: coordinates(axis, 0) for axis in grid.axes}
        self._ends = {a: (low, low + size) for a, low, size in zip(grid.axes, grid.lower, grid.size, strict=True)}
        walls = {name: [wall for axis in grid.axes for wall in b[axis]] for name, b in boundaries.items()}
        self.inhomogeneous = tuple(name for name, own in walls.items() if not all(map(_is_homogeneous, own)))
        self.any = not all(wall.periodic for own in walls.values() for wall in own)
        self.in_time = any("t" in b.names for b in boundaries.values())
        self.constant = {name: b for name, b in boundaries.items() if b.constant}
        self._smooth = all(_is_smooth(wall) for own in walls.values() for wall in own)

    def __call__(self, parameters: Mapping[str, Any], now: Any) -> dict[str, Boundary]:
        """The boundary of each field at a time."""
        values = {**parameters, **({} if now is None else {"t": now}), **self._places}
        return {name: b.at(values, self._ends) if b.names else b for name, b in self._by_field.items()}

    def during(self, parameters: Mapping[str, Any], time: Any, length: float) -> list[dict[str, Boundary]]:
        """Those at four times of a step, or at its start alone where none depends on t."""
        if not self.in_time:
            return [self(parameters, time)]
        return [self(parameters, time + part * length) for part in TIMES]

    def of_stages(self, parameters: Mapping[str, Any], time: Any, length: float) -> list[dict[str, Boundary]]:
        """Those of each stage of `rk4`.

        Of a linear equation the step has its order with them, of others order three at least. Walls with kinks in time,
        as tables have, or whose coefficients of the value or the slope depend on t, are taken at the stages' times.
        """
        if not self.in_time:
            return [self(parameters, time)] * len(_STAGES)
        if not self._smooth:
            start, middle, end = (self(parameters, time + part * length) for part in (0.0, 0.5, 1.0))
            return [start, middle, middle, end]
        looks = self.during(parameters, time, length)
        return [
            {n: self._combined(b, [at[n] for at in looks], row) for n, b in self._by_field.items()} for row in _STAGES
        ]

    def _combined(self, boundary: Boundary, looks: Sequence[Boundary], weights: Sequence[float]) -> Boundary:
        if not boundary.names:
            return boundary
        by_axis = {axis: zip(*(at[axis] for at in looks), strict=True) for axis in self._ends}
        pairs = {axis: AxisWalls(*(_combined(walls, weights) for walls in ends)) for axis, ends in by_axis.items()}
        return Boundary(boundary.plain, None, pairs)


def in_stages(values: Sequence[Any]) -> list[Any]:
    """What the stages of `rk4` have of something with these values at the `TIMES` of the step."""
    return [_weighted(row, values) for row in _STAGES]


def response(eigenvalues: Any, time: float, added: Sequence[Any], part: float) -> Any:
    """What du/dt = Λu + b(t) with Λ diagonal makes of u = 0 in a part of a step.

    Args:
        eigenvalues: Λ [1/time].
        time: length h of the step.
        added: b at four times of the step, see `Walls.during`, or the one that it has in all of it.
        part: of h.
    """
    # With b = Σ p_j (s/h)^j the integral of exp((T - s)Λ) b(s) to T = part h is Σ p_j j! part^j T φ_(j+1)(TΛ).
    coefficients = [added[0]] if len(added) == 1 else [_weighted(row, added) for row in _POWERS]
    functions = phi(eigenvalues * (part * time), len(coefficients))
    weights = [factorial(j) * part ** (j + 1) * time for j in range(len(coefficients))]
    return _weighted(weights, [f * p for f, p in zip(functions, coefficients, strict=True)])


class Resting:
    """What du/dt = c (λu + β) makes of u = 0, with λ and β numbers: of a state at rest u = -β/λ the part 1 - exp(hcλ).

    That is `response` where walls are constant and all linear terms have one coefficient, for hardly an operation.

    Args:
        eigenvalues: λ, of each mode.
        added: β.
    """

    def __init__(self, eigenvalues: Any, added: Any) -> None:
        # Of modes that nothing lets decay, as the mean between fluxes, there is no such state: they grow with time.
        moves = math.abs(eigenvalues) > _STILL * math.max(math.abs(eigenvalues))
        self._rest = math.where(moves, -added / math.where(moves, eigenvalues, 1.0), 0.0)
        self._grows = math.where(moves, 0.0, added)
        self._is_bound = not (self._grows != 0).any

    def __call__(self, decay: Any, time: Any) -> Any:
        """The modes after a time.

        Args:
            decay: exp(hcλ).
            time: hc.
        """
        state = self._rest - self._rest * decay
        return state if self._is_bound else state + self._grows * time


def _is_homogeneous(wall: Wall) -> bool:
    return wall.periodic or (wall.constant and wall.condition[2] == 0)


def _is_smooth(wall: Wall) -> bool:
    """Whether the right-hand side of its condition alone depends on t, and has no kinks."""
    if "t" not in wall.names:
        return True
    trees = [ast.parse(formula.strip()) for formula in wall.formulas.values()]
    if not trees or any(isinstance(n, ast.Name) and n.id in _KINKS for tree in trees for n in ast.walk(tree)):
        return False
    one, other = (wall.at({**dict.fromkeys(wall.names, PROBES[0]), "t": t}).condition[:2] for t in PROBES)
    return one == other


def _combined(walls: Sequence[Wall], weights: Sequence[float]) -> Wall:
    """A wall with Σ weight · c for its right-hand side, of some that differ in theirs alone."""
    a, b, _ = walls[0].condition
    right = [wall.condition[2] for wall in walls]
    if walls[0].periodic or all(is_number(c) and c == right[0] for c in right):
        return walls[0]
    return Robin.model_construct(a=a, b=b, c=_weighted(weights, right))


def _weighted(weights: Sequence[float], values: Sequence[Any]) -> Any:
    """Σ weight · value, without those of no weight."""
    terms = [float(w) * v for w, v in zip(weights, values, strict=True) if abs(w) > 1e-12]
    return sum(terms[1:], start=terms[0])
