"""What a boundary condition is: one class, from which all properties of a wall follow.

To add one, write one file with a subclass of `Wall`: its arguments as fields, and its `condition`. Name it in a
configuration as `package.module:Class`, or add one line to `WALLS` in `hyco.walls.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from hyco.expressions import Expression

Kind = Literal["dirichlet", "neumann"]


def _checked(value: Any) -> Any:
    """A formula that names nothing is a number; a text that is no formula is refused."""
    if isinstance(value, str):
        formula = Expression(value)
        return value if formula.names else float(formula({}))
    if isinstance(value, bool):
        raise ValueError("a number or a formula is needed")
    return value


_QUANTITY = BeforeValidator(_checked)
# An argument of a wall: a number, or a formula of t, the position and parameters of the equation.
Quantity = Annotated[float | str, _QUANTITY]
# Values that tell whether a formula of a wall depends on what it names: no numbers at which people put poles.
PROBES = (0.7310586, 1.6929147)


def is_number(value: Any) -> bool:
    """Whether a part of a condition is a plain number, so that Python may decide by it; else a formula or a tensor."""
    return isinstance(value, int | float)


class Wall(BaseModel, ABC):
    """The condition a u + b ∂u/∂n = c at one end of an axis, where n points out of the domain.

    Walls are the faces of the outermost cells. The fields of a subclass are its arguments in a configuration. A
    subclass gives `condition`; whoever has better ghost values than those that follow from it overrides their method.

    Attributes:
        periodic: whether the axis is periodic, so that there is no wall at all.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    periodic: ClassVar[bool] = False

    @property
    def formulas(self) -> dict[str, str]:
        """Its arguments that are formulas, by name."""
        arguments = type(self).model_fields
        quantities = [key for key, field in arguments.items() if _QUANTITY in field.metadata]
        return {key: value for key in quantities if isinstance(value := getattr(self, key), str)}

    @property
    def names(self) -> frozenset[str]:
        """What its formulas need a value of: `t`, axes, and parameters of the equation; none where it is constant."""
        return frozenset().union(*(Expression(formula).names for formula in self.formulas.values()))

    def at(self, values: Mapping[str, Any]) -> Wall:
        """The wall with the values of its formulas in their place: numbers, or PhiML tensors.

        Args:
            values: a number or PhiML tensor for each of `names`: coordinates without a dimension of the wall's axis.
        """
        if not self.names:
            return self
        return self.model_copy(update={key: Expression(f).on_phiml(values) for key, f in self.formulas.items()})

    @property
    @abstractmethod
    def condition(self) -> tuple[Any, Any, Any]:
        """The numbers a, b and c of a u + b ∂u/∂n = c, with b in units of length and c in units of a u.

        Of a wall with formulas they are known once it is made by `at`; PhiML tensors then.
        """

    @property
    def constant(self) -> bool:
        """Whether its condition is known beforehand: three plain numbers."""
        return not self.names and all(map(is_number, self.condition))

    @property
    def fixes_value(self) -> bool:
        """Whether the condition is one of the value alone (b = 0), whatever that is."""
        b = self.condition[1]
        return is_number(b) and b == 0

    @property
    def without_slope(self) -> bool:
        """Whether the condition is known to be ∂u/∂n = 0 (a = c = 0)."""
        return not self.periodic and self.constant and not self.condition[0] and not self.condition[2]

    @property
    def fixed_value(self) -> Any:
        """The value u on the wall, a number or PhiML tensor, where it is fixed; else None."""
        a, _, c = self.condition
        return c / a if self.fixes_value else None

    @property
    def kind(self) -> Kind:
        """What networks and random states take it for: a value (dirichlet), or a slope (neumann)."""
        return "dirichlet" if self.fixes_value else "neumann"

    @property
    def plain(self) -> Any:
        """The wall as plain JSON values, as it stands in a configuration."""
        return {f"{type(self).__module__}:{type(self).__qualname__}": self.model_dump(mode="json")}

    def affine(self, distance: float) -> tuple[Any, Any]:
        """The numbers A and B of the ghost value A u + B behind the wall, of the value u mirrored at it.

        The mean of both values and their difference over the distance fulfil the condition: second order. Everything
        that has to agree with finite differences to rounding (Laplacians, linear systems, interpolation) uses this.

        Args:
            distance: between the ghost and its mirror image: h, 3h, … [length].

        Returns:
            Plain numbers where a and b (and for B, c) are; else PhiML tensors.

        Raises:
            ValueError: a and b have opposite signs, and this distance determines no ghost.
        """
        a, b, c = self.condition
        own = a / 2 + b / distance
        if is_number(own) and own == 0:
            right = f"{c:g}" if is_number(c) else "c"
            raise ValueError(f"{a:g} u + {b:g} ∂u/∂n = {right} has no ghost value at a distance of {distance:g}")
        return (b / distance - a / 2) / own, c / own

    def ghost(self, mirrored: Any, distance: float) -> Any:
        """The ghost value A u + B (see `affine`) of the value u mirrored at the wall, in few operations."""
        factor, offset = self.affine(distance)
        if is_number(factor) and factor == -1:
            return offset - mirrored
        scaled = mirrored if is_number(factor) and factor == 1 else factor * mirrored
        return scaled if is_number(offset) and offset == 0 else scaled + offset

    def passes_flux(self, spacing: float) -> Any:
        """Whether a diffusivity at the wall has to be second order there, as a slope other than zero holds.

        Without slope it does not count, and beside a fixed value the cell's own is as good. A wall that is nearly one
        of a value on these cells counts as such: there an extrapolated diffusivity would make steps unstable.

        Returns:
            A plain truth value; a PhiML tensor of them where a or b are tensors.
        """
        factor, offset = self.affine(spacing)
        if not is_number(factor):
            return factor > -1 / 3
        return bool(factor > -1 / 3) and not (factor == 1 and is_number(offset) and offset == 0)

    def flow_ghosts(self, first: Any, second: Any, spacing: float, *, at_rest: bool) -> tuple[Any, Any]:
        """The inner and the outer ghost value where a flow enters: on the parabola through the condition and two cells.

        Third order.

        Args:
            first, second: values of the two cells at the wall.
            spacing: width of a cell [length].
            at_rest: at a wall with a slope take the difference of the first cell and its ghost for the slope in that
                cell, second order: see `hyco.schemes.stencils.pad_flow`.
        """
        if at_rest and not self.fixes_value:
            return self.ghost(first, spacing), 3 * first - 2 * second
        inner, outer = self.beyond([first, second], (0.5, 1.5), spacing)
        return inner, outer

    def beyond(self, cells: Sequence[Any], at: Sequence[float], spacing: float) -> list[Any]:
        """Values behind the wall, on the polynomial through the condition and the cells at it.

        With n cells its error is of the order n + 1. The wall is not periodic, and its formulas have their values.

        Args:
            cells: values of the cells at the wall, the outermost first.
            at: distances from the wall outwards, in widths of a cell: 0.5, 1.5, …
            spacing: width of a cell [length].
        """
        a, b, c = self.condition
        if is_number(a) and is_number(b):
            parts = [self._behind(len(cells), place, spacing) for place in at]
            return [_weighted(weights, cells) + factor * c for weights, factor in parts]
        # p = q + γ π with q through the cells, π zero in them, and γ by the condition; x inwards, in cells.
        places = np.arange(len(cells)) + 0.5
        powers = np.arange(len(cells))
        to_powers = np.linalg.inv(places[:, None] ** powers)
        product = np.poly1d(places, r=True)
        value, slope = (_weighted(row.tolist(), cells) for row in to_powers[:2]) if len(cells) > 1 else (cells[0], 0.0)
        scale = b / spacing
        gamma = (c - a * value + scale * slope) / (a * float(product(0.0)) - scale * float(product.deriv()(0.0)))
        return [
            _weighted(((-place) ** powers @ to_powers).tolist(), cells) + gamma * float(product(-place)) for place in at
        ]

    def cubic_ghost(self, spacing: float) -> tuple[Sequence[float], float]:
        """Weights of three cells, from the wall inwards, and of c in a ghost value: on the cubic through all of them.

        Fourth order, half a cell behind the wall, which has plain numbers for a and b.

        Args:
            spacing: width of a cell [length].
        """
        return self._behind(3, 0.5, spacing)

    def _behind(self, cells: int, at: float, spacing: float) -> tuple[list[float], float]:
        """Weights of the cells at the wall, and of c, in the polynomial that they determine, `at` cells behind it."""
        a, b, _ = self.condition
        powers = np.arange(cells + 1)
        # Rows: the condition at the wall, where the slope inwards is -∂u/∂n, and the values of the cells.
        system = (np.arange(cells) + 0.5)[:, None] ** powers
        slope = np.where(powers == 1, -b / spacing, 0.0)
        system = np.vstack([np.where(powers == 0, a, 0.0) + slope, system])
        weights = np.linalg.solve(system.T, (-at) ** powers)
        return [float(w) for w in weights[1:]], float(weights[0])


def _weighted(weights: Sequence[float], cells: Sequence[Any]) -> Any:
    """Σ weight · cell."""
    total = weights[0] * cells[0]
    for weight, cell in zip(weights[1:], cells[1:], strict=True):
        total = total + weight * cell
    return total
