"""Finite differences for velocities on the faces of cells, in boxes with periodic, closed and open sides.

A velocity is a dictionary of PhiML tensors by component. A component has the faces that PhiFlow stores: all of them
along its own axis without those on closed walls, where it is zero, and without the last one where it is periodic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from phi import math
from pydantic import BaseModel, ConfigDict, Field

from hyco.grid import Grid
from hyco.schemes.spectral import Poisson
from hyco.schemes.stencils import pad
from hyco.schemes.transport import upwind
from hyco.walls.boundary import Boundary

Side = Literal["closed", "open"]
Velocity = Mapping[str, Any]


class Walls(BaseModel):
    """What the two sides of an axis are."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    lower: Side = Field(description="closed or open")
    upper: Side = Field(description="closed or open")


AxisSides = Literal["periodic", "closed", "open"] | Walls
BoxSides = AxisSides | dict[str, AxisSides]

_VELOCITY: dict[str, Any] = {"closed": 0.0, "open": "neumann", "periodic": "periodic"}
_PRESSURE: dict[str, Any] = {"closed": "neumann", "open": 0.0, "periodic": "periodic"}
_SCALAR: dict[str, Any] = {"closed": "neumann", "open": "neumann", "periodic": "periodic"}


class StaggeredBox:
    """Differences, interpolation and pressure projection on one grid.

    Closed: the velocity is zero on the wall (no slip). Open: the pressure is zero on the side and the velocity has no
    slope there. Everything is second order or better.

    Args:
        grid: two or three axes.
        boundary: what the sides are, for all axes or by axis.

    Raises:
        ValueError: an axis is missing, or one is named that the grid does not have.
    """

    def __init__(self, grid: Grid, boundary: BoxSides) -> None:
        by_axis = boundary if isinstance(boundary, dict) else dict.fromkeys(grid.axes, boundary)
        if set(by_axis) != set(grid.axes):
            raise ValueError(f"boundary must name the axes {', '.join(grid.axes)}, got {', '.join(by_axis)}")
        self.axes = grid.axes
        self.spacing = dict(zip(grid.axes, grid.spacing, strict=True))
        self.sides: dict[str, tuple[str, str]] = {}
        for axis in grid.axes:
            spec = by_axis[axis]
            self.sides[axis] = (spec.lower, spec.upper) if isinstance(spec, Walls) else (spec, spec)
        self.velocity_boundary = self._translate(_VELOCITY)
        self.scalar_boundary = self._translate(_SCALAR)
        self._pressure_boundary = self._translate(_PRESSURE)
        self._poisson = Poisson(grid, self._pressure_boundary)

    def _translate(self, names: Mapping[str, Any]) -> Boundary:
        walls: dict[str, Any] = {}
        for axis, (lower, upper) in self.sides.items():
            walls[axis] = names[lower]
            if names[lower] != names[upper]:
                walls[axis] = {"lower": names[lower], "upper": names[upper]}
        return Boundary.of(walls)

    def wraps(self, axis: str) -> bool:
        """Whether an axis is periodic."""
        return self.velocity_boundary[axis].periodic

    def faces(self, component: Any, axis: str) -> Any:
        """All n + 1 faces along the component's own axis, walls and the repeated periodic face among them."""
        lower, upper = self.sides[axis]
        first = component[{axis: slice(0, 1)}]
        if self.wraps(axis):
            return math.concat([component, first], axis)
        wall = {"closed": [0 * first], "open": []}
        return math.concat([*wall[lower], component, *wall[upper]], axis)

    def stored(self, faces: Any, axis: str) -> Any:
        """Of all n + 1 faces those that a component has."""
        lower, upper = self.sides[axis]
        n = faces.shape.get_size(axis)
        return faces[{axis: slice(1 if lower == "closed" else 0, n if upper == "open" else n - 1)}]

    def divergence(self, velocity: Velocity) -> Any:
        """∇·u at cell centres."""
        total = 0.0
        for axis in self.axes:
            faces = self.faces(velocity[axis], axis)
            total = total + _difference(faces, axis) / self.spacing[axis]
        return total

    def project(self, velocity: Velocity) -> dict[str, Any]:
        """The part u - ∇p of a velocity that has no divergence, up to rounding."""
        pressure = self._poisson.solve(self.divergence(velocity))
        projected = {}
        for axis in self.axes:
            padded = pad(pressure, axis, 1, self._pressure_boundary, self.spacing[axis])
            gradient = self.stored(_difference(padded, axis) / self.spacing[axis], axis)
            projected[axis] = velocity[axis] - gradient
        return projected

    def to_faces(self, scalar: Any, axis: str) -> Any:
        """A scalar at cell centres, averaged to the faces that the component along `axis` has."""
        return self.stored(_mean(pad(scalar, axis, 1, self.scalar_boundary, self.spacing[axis]), axis), axis)

    def speed(self, velocity: Velocity, axis: str, component: str) -> Any:
        """The component along `axis`, averaged to where `component` sits."""
        if axis == component:
            return velocity[axis]
        centred = _mean(self.faces(velocity[axis], axis), axis)
        return self.to_faces(centred, component)

    def neighbours(self, component: Any, own: str, axis: str) -> list[Any]:
        """Values of the component along `own` at the distances -2, …, 2 along `axis`.

        Along its own axis the sides are faces: a closed wall mirrors with the opposite sign, an open side with the
        same one.
        """
        n = component.shape.get_size(axis)
        if axis != own or self.wraps(axis):
            padded = pad(component, axis, 2, self.velocity_boundary, self.spacing[axis])
        else:
            cells = {i: component[{axis: slice(i, i + 1)}] for i in (0, 1, 2, n - 3, n - 2, n - 1)}
            lower, upper = self.sides[axis]
            before = [cells[2], cells[1]] if lower == "open" else [-cells[0], 0 * cells[0]]
            after = [cells[n - 2], cells[n - 3]] if upper == "open" else [0 * cells[n - 1], -cells[n - 1]]
            padded = math.concat([*before, component, *after], axis)
        return [padded[{axis: slice(i, i + n)}] for i in range(5)]

    def convection(self, velocity: Velocity, viscosity: Any, max_speed: float) -> dict[str, Any]:
        """-(u·∇)u + ν Δu by third-order upwind-biased and by central differences.

        Args:
            max_speed: a faster component moves things at this speed.
        """
        rates = {}
        for component in self.axes:
            total = 0.0
            u = velocity[component]
            for axis in self.axes:
                h = self.spacing[axis]
                speed = math.clip(self.speed(velocity, axis, component), -max_speed, max_speed)
                cells = self.neighbours(u, component, axis)
                total = total - upwind(cells, speed, h)
                total = total + (cells[1] + cells[3] - 2 * u) * (viscosity / h**2)
            rates[component] = total
        return rates

    def transport(self, scalar: Any, velocity: Velocity, diffusivity: Any, max_speed: float) -> Any:
        """-∇·(u s) + κ Δs, in fluxes, so that what leaves one cell enters the next.

        The faces have third-order upwind-biased values. Nothing passes closed walls; what flows in through an open
        side carries nothing, what flows out is extrapolated linearly.

        Args:
            max_speed: a faster velocity moves things at this speed.
        """
        total = 0.0
        for axis in self.axes:
            h = self.spacing[axis]
            normal = math.clip(velocity[axis], -max_speed, max_speed)
            total = total - _difference(self._flux(scalar, normal, diffusivity / h, axis), axis) / h
        return total

    def _flux(self, s: Any, normal: Any, conductance: Any, axis: str) -> Any:
        """What passes the n + 1 faces along an axis."""
        n = s.shape.get_size(axis)
        lower, upper = self.sides[axis]
        padded = pad(s, axis, 2, self.scalar_boundary, self.spacing[axis])
        # Faces 0 to n - 1 of a periodic axis, 1 to n - 1 of another.
        first = 0 if self.wraps(axis) else 1
        left2, left, right, right2 = (padded[{axis: slice(first + i, n + i)}] for i in range(4))
        start = 1 if lower == "open" else 0
        inner = normal[{axis: slice(start, start + n - first)}]
        middle, bias = 7 * (left + right) - (left2 + right2), right2 - left2 - 3 * (right - left)
        flux = (inner * middle + math.abs(inner) * bias) / 12 - (right - left) * conductance
        edge = flux[{axis: slice(0, 1)}]
        if self.wraps(axis):
            return math.concat([flux, edge], axis)
        ends = {}
        for side, sign, at, next_to in ((lower, -1, 0, 1), (upper, 1, n - 1, n - 2)):
            if side == "closed":
                ends[sign] = 0 * edge
                continue
            last = normal.shape.get_size(axis) - 1
            outward = sign * normal[{axis: slice(0, 1) if sign < 0 else slice(last, last + 1)}]
            value = 1.5 * s[{axis: slice(at, at + 1)}] - 0.5 * s[{axis: slice(next_to, next_to + 1)}]
            ends[sign] = sign * math.maximum(outward, 0.0) * value
        return math.concat([ends[-1], flux, ends[1]], axis)


def _difference(values: Any, axis: str) -> Any:
    """Each value from the next one."""
    n = values.shape.get_size(axis)
    return values[{axis: slice(1, n)}] - values[{axis: slice(0, n - 1)}]


def _mean(values: Any, axis: str) -> Any:
    """The mean of each value and the next one."""
    n = values.shape.get_size(axis)
    return 0.5 * (values[{axis: slice(1, n)}] + values[{axis: slice(0, n - 1)}])
