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
    """Refuse a text that is no formula."""
    if isinstance(value, str):
        _ = Expression(value)
    elif isinstance(value, bool):
        raise ValueError("a number or a formula is needed")
    return value


# An argument of a wall: a number, or a formula of t, the position and parameters of the equation.
Quantity = Annotated[float | str, BeforeValidator(_checked)]


class Wall(BaseModel, ABC):
    """The condition a u + b ∂u/∂n = c at one end of an axis, where n points out of the domain.

    Walls are the faces of the outermost cells. The fields of a subclass are its arguments in a configuration. A
    subclass gives `condition`; whoever has better ghost values than those that follow from it overrides their method.

    Attributes:
        periodic: whether the axis is periodic, so that there is no wall at all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    periodic: ClassVar[bool] = False

    @property
    def names(self) -> frozenset[str]:
        """What its formulas need a value of: `t`, axes, and parameters of the equation; none where it is constant."""
        formulas = [value for value in self.__dict__.values() if isinstance(value, str)]
        return frozenset().union(*(Expression(formula).names for formula in formulas))

    def at(self, values: Mapping[str, Any]) -> Wall:
        """The wall with the values of its formulas in their place: numbers, or PhiML tensors.

        Args:
            values: a number or PhiML tensor for each of `names`: coordinates with the extent 1 along the wall's axis.
        """
        if not self.names:
            return self
        formulas = {key: value for key, value in self.__dict__.items() if isinstance(value, str)}
        return self.model_copy(update={key: Expression(f).on_phiml(values) for key, f in formulas.items()})

    @property
    @abstractmethod
    def condition(self) -> tuple[Any, Any, Any]:
        """The numbers a, b and c of a u + b ∂u/∂n = c, with b in units of length and c in units of a u.

        Of a wall with formulas they are known once it is made by `at`; PhiML tensors then.
        """

    @property
    def fixed_value(self) -> float | None:
        """The value u on the wall, if the condition is one of the value alone (b = 0); else None."""
        a, b, c = self.condition
        return c / a if b == 0 else None

    @property
    def kind(self) -> Kind:
        """What networks and random states take it for: a value (dirichlet), or a slope (neumann)."""
        return "neumann" if self.fixed_value is None else "dirichlet"

    @property
    def plain(self) -> Any:
        """The wall as plain JSON values, as it stands in a configuration."""
        return {f"{type(self).__module__}:{type(self).__qualname__}": self.model_dump(mode="json")}

    def affine(self, distance: float) -> tuple[float, float]:
        """The numbers A and B of the ghost value A u + B behind the wall, of the value u mirrored at it.

        The mean of both values and their difference over the distance fulfil the condition: second order. Everything
        that has to agree with finite differences to rounding (Laplacians, linear systems, interpolation) uses this.

        Args:
            distance: between the ghost and its mirror image: h, 3h, … [length].

        Raises:
            ValueError: a and b have opposite signs, and this distance determines no ghost.
        """
        a, b, c = self.condition
        own = a / 2 + b / distance
        if own == 0:
            raise ValueError(f"{a:g} u + {b:g} ∂u/∂n = {c:g} has no ghost value at a distance of {distance:g}")
        return (b / distance - a / 2) / own, c / own

    def ghost(self, mirrored: Any, distance: float) -> Any:
        """The ghost value A u + B (see `affine`) of the value u mirrored at the wall, in few operations."""
        factor, offset = self.affine(distance)
        if factor == -1:
            return offset - mirrored
        scaled = mirrored if factor == 1 else factor * mirrored
        return scaled if offset == 0 else scaled + offset

    def passes_flux(self, spacing: float) -> bool:
        """Whether a diffusivity at the wall has to be second order there, as a slope other than zero holds.

        Without slope it does not count, and beside a fixed value the cell's own is as good. A wall that is nearly one
        of a value on these cells counts as such: there an extrapolated diffusivity would make steps unstable.
        """
        factor, offset = self.affine(spacing)
        return factor > -1 / 3 and (factor, offset) != (1, 0)

    def flow_ghosts(self, first: Any, second: Any, spacing: float, *, at_rest: bool) -> tuple[Any, Any]:
        """The inner and the outer ghost value where a flow enters: on the parabola through the condition and two cells.

        Third order.

        Args:
            first, second: values of the two cells at the wall.
            spacing: width of a cell [length].
            at_rest: at a wall with a slope take the difference of the first cell and its ghost for the slope in that
                cell, second order: see `hyco.schemes.stencils.pad_flow`.
        """
        if at_rest and self.fixed_value is None:
            return self.ghost(first, spacing), 3 * first - 2 * second
        near, far = (self._behind(2, at, spacing) for at in (0.5, 1.5))
        inner, outer = (
            weights[0] * first + weights[1] * second + factor * self.condition[2] for weights, factor in (near, far)
        )
        return inner, outer

    def cubic_ghost(self, spacing: float) -> tuple[Sequence[float], float]:
        """Weights of three cells, from the wall inwards, and of c in a ghost value: on the cubic through all of them.

        Fourth order, half a cell behind the wall.

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
