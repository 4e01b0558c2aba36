"""Diffusion and reaction in equilibrium: a static problem."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, ClassVar, Literal

import torch
from phi import math
from phi.math import batch, spatial
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from hyco.equations.coefficients import Coefficients
from hyco.equations.equation import Equation, EquationConfig, FieldValue
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.schemes.linear_solve import solve_on_grid
from hyco.schemes.stencils import at_wall, cell
from hyco.walls.boundary import AxisWalls, Boundary, PlainBoundary
from hyco.walls.wall import is_number

_SMALLEST = 1e-12


class StaticConfig(EquationConfig):
    """Keys that the static problems share.

    With `nodes: vertex` the values sit on nodes of which the first and the last lie on the walls: `size: 2`,
    `resolution: 5` gives five values at a distance of 0.5. The grid then has a cell about each node, so that it
    stands out from the domain by half a cell.
    """

    is_static: ClassVar[bool] = True

    boundary: PlainBoundary = Field(
        default=0.0,
        description="the value on the wall, neumann (no flux) or periodic; or these by axis, or {lower, upper} by axis",
    )
    dt: PositiveFloat = Field(default=1.0, description="without meaning: the problem is static [time]")
    nodes: Literal["cell", "vertex"] = Field(
        default="cell", description="where the values are: at cell centres, or on nodes that include the walls"
    )
    face_average: Literal["harmonic", "arithmetic", "cubic"] = Field(
        default="harmonic",
        description="diffusivity between two values: harmonic is right for jumps; arithmetic is often better where it "
        "is smooth; cubic, a cubic through the logarithms of four values, is the best there",
    )

    @property
    def grid(self) -> Grid:
        """The grid that `domain` describes: its cells, or a cell about each of its nodes."""
        grid = super().grid
        if self.nodes == "cell":
            return grid
        spacing = [size / (n - 1) for size, n in zip(grid.size, grid.resolution, strict=True)]
        return Grid(
            axes=grid.axes,
            lower=tuple(low - h / 2 for low, h in zip(grid.lower, spacing, strict=True)),
            size=tuple(size + h for size, h in zip(grid.size, spacing, strict=True)),
            resolution=grid.resolution,
        )

    @model_validator(mode="after")
    def _boundary_makes_sense(self) -> StaticConfig:
        boundary = Boundary.of(self.boundary, tuple(self.domain))
        walls = [wall for axis in self.domain for wall in boundary[axis]]
        if self.nodes == "vertex" and not all(wall.fixes_value for wall in walls):
            raise ValueError("nodes: vertex needs a value on every wall; use nodes: cell with neumann and periodic")
        determined = any(not wall.periodic and wall.condition[0] != 0 for wall in walls)
        if not determined and not self._reacts():
            raise ValueError(
                "the solution is determined up to a constant only: give boundary a number on at least one side, "
                "or the reaction a positive value"
            )
        return self

    def _reacts(self) -> bool:
        """Whether there is a reaction anywhere."""
        return bool((torch.as_tensor(self.true_parameters.get("reaction", 0.0)) > 0).any())


class EllipticParameters(Coefficients):
    """The coefficients of the elliptic equation; each may be a formula of the position."""

    diffusivity: FieldValue = Field(description="diffusivity κ > 0 [length²/time]")
    reaction: FieldValue = Field(default=0.0, description="rate η ≥ 0 of the decay of u [1/time]")
    source: FieldValue = Field(description="source f [unit of u/time]")


class EllipticConfig(StaticConfig):
    """Keys of the `equation` section for `name: elliptic`."""

    name: Literal["elliptic"] = "elliptic"
    parameters: EllipticParameters = Field(description="true coefficients")

    @property
    def parameter_limits(self) -> dict[str, tuple[float, float]]:
        """With κ > 0 and η ≥ 0 the solution is unique and depends smoothly on both."""
        return {"diffusivity": (_SMALLEST, inf), "reaction": (0.0, inf), "source": (-inf, inf)}


class Elliptic(Equation):
    """-∇·(κ∇u) + ηu = f, a static problem in one to three dimensions; κ, η and f may vary in space.

    u is a balance of diffusion, decay at the rate η and the source. It is smooth even where f and κ jump, largest
    near the sources, and forgets a source over the distance √(κ/η). With f = 0 it has no maximum inside.

    Scheme: finite volumes with two-point fluxes, second order, exactly conservative, with a symmetric positive
    definite matrix, which is factorised directly (`hyco.schemes.linear_solve`): residuals are near rounding error.
    κ between two values is their harmonic or arithmetic mean, or interpolated (`face_average`): of κ =
    softplus(ten random waves) on 19×19 nodes the median error of u is 0.43, 0.93 and 0.32 % with the harmonic mean, the
    arithmetic mean and the cubic. Walls are faces of the outermost cells, so that a value on the wall is half a cell
    away, or, with `nodes: vertex`, hold the outermost nodes.

    A step gives the solution whatever the fields are; where the system has none (κ < 0 and the like) it is NaN.
    Initial states are zero.

    Source: S. V. Patankar, Numerical Heat Transfer and Fluid Flow (1980), section 4.2, ISBN 0-89116-522-3.

    Args:
        config: grid, boundary, κ [length²/time], η [1/time, default 0] and f [unit of u/time]. Values that work well:
            20 to 200 cells per axis in two dimensions (200² take a tenth of a second), 20 in three.
    """

    config_class: ClassVar[type[EquationConfig]] = EllipticConfig
    config: StaticConfig
    field_parameters = frozenset({"diffusivity", "reaction", "source"})
    unknown: ClassVar[str] = "u"

    def __init__(self, config: StaticConfig) -> None:
        self.config = config
        self.dt = config.dt
        self.parameters = config.true_parameters
        grid = config.grid
        self._vertex = config.nodes == "vertex"
        field = FieldSpec(self.unknown, boundary=config.boundary, vertex=self._vertex)
        self.layout = Layout(grid=grid, fields=(field,))
        self._axes = grid.axes
        self._spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        self._wraps = [field.walls[axis].periodic for axis in grid.axes]

    def initial_states(self, count: int, length_scale: float, amplitude: float, generator: torch.Generator) -> Tensor:
        """Zero, `[count, C, *space]` float64: a static problem has no initial state."""
        return torch.zeros((count, len(self.layout.channels), *self.layout.shape), dtype=torch.float64)

    def coefficients(self, parameters: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """κ, η and f, from the parameters."""
        return parameters["diffusivity"], parameters["reaction"], parameters["source"]

    def typeset(self) -> tuple[str, ...]:
        """The equation as LaTeX."""
        return (r"-\nabla \cdot (\kappa\,\nabla u) + \eta\,u = f",)

    def step(self, fields: Mapping[str, Any], parameters: Mapping[str, Any], time: Any = None) -> dict[str, Any]:
        """Solve for the field; see the class for the scheme. What the field was does not matter."""
        field = fields[self.unknown]
        everywhere = math.zeros_like(field.values)
        diffusivity, reaction, source = (c + everywhere for c in self.coefficients(parameters))
        walls = self.walls_at(parameters)
        return {self.unknown: field.with_values(self._solve(diffusivity, reaction, source, walls))}

    def _solve(self, diffusivity: Any, reaction: Any, source: Any, walls: Boundary) -> Any:
        """The solution for κ, η and f, each with every dimension of the field."""
        diagonal, right = self._inside(reaction), self._inside(source)
        couplings = []
        for axis in self._axes:
            across = self._inside(diffusivity, keep=axis)
            fluxes = self._face_diffusivity(across, axis, walls[axis]) / self._spacing[axis] ** 2
            n = fluxes.shape.get_size(axis) - 1
            lower, upper = fluxes[{axis: slice(0, n)}], fluxes[{axis: slice(1, n + 1)}]
            diagonal = diagonal + lower + upper
            couplings.append(-upper)
            right = right + self._from_walls(fluxes, across, axis, walls[axis])
        leading, space = batch(diagonal), spatial(diagonal).only(self._axes, reorder=True)

        def native(values: Any) -> Tensor:
            return torch.as_tensor(values.native([leading, *self._axes], force_expand=True))

        stacked = torch.stack([native(c) for c in couplings], dim=1)
        solution = solve_on_grid(native(diagonal), stacked, native(right), self._wraps)
        values = math.wrap(solution.reshape(*leading.sizes, *space.sizes), leading, space)
        return self._with_walls(values, walls)

    def _inside(self, values: Any, keep: str = "") -> Any:
        """The values at the unknowns; the nodes on the walls remain along the axis `keep`."""
        if not self._vertex:
            return values
        return values[{a: slice(1, values.shape.get_size(a) - 1) for a in self._axes if a != keep}]

    def _face_diffusivity(self, k: Any, axis: str, walls: AxisWalls) -> Any:
        """κ on the faces along an axis, one more than there are unknowns, in units of the distance of two unknowns.

        A wall with a value is half a cell away, which counts twice; a wall without flux counts nothing; in general it
        is what the ghost value A u + B differs by from u, 1 - A.
        """
        n = k.shape.get_size(axis)
        if walls.periodic:
            wrapped = math.concat([k[{axis: slice(n - 2, n)}], k, k[{axis: slice(0, 2)}]], axis)
            return self._between(wrapped, axis)[{axis: slice(1, n + 2)}]
        inner = self._between(k, axis)
        if self._vertex:
            return inner
        first, last = self._at_walls(k, axis, walls)
        lower, upper = (1 - wall.affine(self._spacing[axis])[0] for wall in walls)
        return math.concat([lower * first, inner, upper * last], axis)

    def _at_walls(self, k: Any, axis: str, walls: AxisWalls) -> list[Any]:
        """κ on the lower and on the upper wall: that of the cell, or extrapolated where a flux passes."""
        n = k.shape.get_size(axis)
        ends = []
        for wall, at, next_to in zip(walls, (0, n - 1), (1, n - 2), strict=True):
            ends.append(at_wall(cell(k, axis, at), cell(k, axis, next_to), wall, self._spacing[axis]))
        return ends

    def _between(self, k: Any, axis: str) -> Any:
        """κ half-way between neighbours along an axis, one fewer than there are values."""
        n = k.shape.get_size(axis)
        one, other = k[{axis: slice(0, n - 1)}], k[{axis: slice(1, n)}]
        if self.config.face_average == "harmonic":
            return 2 * one * other / (one + other)
        if self.config.face_average == "arithmetic":
            return (one + other) / 2
        if n < 4:  # too few for a cubic: the geometric mean
            return math.sqrt(one * other)
        logarithm = math.log(k)
        q, r, s, t = (logarithm[{axis: slice(i, n - 3 + i)}] for i in range(4))
        # At either end the same four values serve the face between the outermost two.
        first = ((5 * q + 15 * r - 5 * s + t) / 16)[{axis: slice(0, 1)}]
        last = ((q - 5 * r + 15 * s + 5 * t) / 16)[{axis: slice(n - 4, n - 3)}]
        return math.exp(math.concat([first, (9 * (r + s) - q - t) / 16, last], axis))

    def _from_walls(self, fluxes: Any, diffusivity: Any, axis: str, walls: AxisWalls) -> Any:
        """What the walls of an axis add to the right-hand side, where it is not zero everywhere: κB/h²."""
        h = self._spacing[axis]
        ghosts = [(0.0, 0.0) if wall.periodic else wall.affine(h) for wall in walls]
        if all(is_number(offset) and not offset for _, offset in ghosts):
            return 0.0
        n = fluxes.shape.get_size(axis) - 1
        ends = [fluxes[{axis: slice(0, 1)}], fluxes[{axis: slice(n, n + 1)}]]
        between = math.zeros_like(fluxes[{axis: slice(1, n - 1)}])
        for i, (factor, offset) in enumerate(ghosts):
            offset = _beside(offset, ends[i])
            # The face has (1 - A) κ/h², from which κ/h² follows but for A = 1.
            if not is_number(factor) or (factor == 1 and not (is_number(offset) and offset == 0)):
                ends[i] = (offset / h**2) * self._at_walls(diffusivity, axis, walls)[i]
            else:
                share = 0.0 if is_number(offset) and not offset else offset / (1 - factor)
                ends[i] = share * ends[i]
        return math.concat([ends[0], between, ends[1]], axis)

    def _with_walls(self, values: Any, walls: Boundary) -> Any:
        """Put the values on the walls around the unknowns, if they are nodes."""
        if not self._vertex:
            return values
        for axis in self._axes:
            end = math.zeros_like(values[{axis: slice(0, 1)}])
            lower, upper = (end + _beside(wall.fixed_value, end) for wall in walls[axis])
            values = math.concat([lower, values, upper], axis)
        return values


def _beside(value: Any, inner: Any) -> Any:
    """What holds along a wall, without the nodes on other walls where `inner` has none of them."""
    if is_number(value):
        return value
    sizes = {axis: value.shape.get_size(axis) for axis in value.shape.spatial.names}
    return value[{axis: slice(1, n - 1) for axis, n in sizes.items() if n != inner.shape.get_size(axis)}]
