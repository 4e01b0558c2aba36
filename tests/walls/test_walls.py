"""Every wall keeps its condition: ghost values against a smooth function without symmetry, with their orders."""

import math

import numpy as np
import pytest
from phi import math as phimath
from phi.math import spatial

from hyco.schemes.spectral import laplacian_matrix
from hyco.schemes.stencils import pad, pad_flow, shifted
from hyco.schemes.transport import upwind
from hyco.walls.boundary import AxisWalls
from hyco.walls.neumann import Neumann
from hyco.walls.periodic import Periodic
from hyco.walls.value import Value
from hyco.walls.wall import Wall

SIZE = 1.0


@pytest.fixture(autouse=True)
def _double_precision():
    with phimath.precision(64):
        yield


class Flux(Wall):
    """∂u/∂n = q."""

    slope: float

    @property
    def condition(self):
        return 0.0, 1.0, self.slope


class Robin(Wall):
    """a u + b ∂u/∂n = c."""

    a: float
    b: float
    c: float

    @property
    def condition(self):
        return self.a, self.b, self.c


def smooth(x):
    return np.sin(1.3 * x + 0.4) + 0.5 * x**2


def slope(x):
    return 1.3 * np.cos(1.3 * x + 0.4) + x


def even(x):
    """Smooth, with the same slope of zero at both ends."""
    return np.cos(math.pi * x) - 0.4 * np.cos(2 * math.pi * x) + 0.3 * np.cos(3 * math.pi * x)


def wave(x):
    return np.sin(2 * math.pi * x + 0.3) + 0.4 * np.cos(4 * math.pi * x)


# The walls that a function has at x = 0 and at x = 1; outwards is down at the lower one.
CASES = {
    "periodic": (wave, Periodic(), Periodic()),
    "neumann": (even, Neumann(), Neumann()),
    "value": (smooth, Value(value=smooth(0.0)), Value(value=smooth(1.0))),
    "flux": (smooth, Flux(slope=-slope(0.0)), Flux(slope=slope(1.0))),
    "robin": (
        smooth,
        Robin(a=2.0, b=0.3, c=2.0 * smooth(0.0) - 0.3 * slope(0.0)),
        Robin(a=0.5, b=1.0, c=0.5 * smooth(1.0) + slope(1.0)),
    ),
    "value and robin": (
        smooth,
        Value(value=smooth(0.0)),
        Robin(a=0.5, b=1.0, c=0.5 * smooth(1.0) + slope(1.0)),
    ),
}


def boundary(lower, upper):
    return {"x": AxisWalls(lower, upper).plain}


def cells(n, ghosts=0):
    return (np.arange(-ghosts, n + ghosts) + 0.5) * SIZE / n


def line(values):
    return phimath.wrap(values, spatial("x"))


def orders(error):
    """Observed orders, of errors at a row of resolutions; rounding has every order."""
    errors = np.array([error(n) for n in (32, 64, 128)])
    return math.inf if errors.max() < 1e-12 else np.log2(errors[:-1] / errors[1:]).min()


@pytest.mark.parametrize("name", CASES)
def test_ghost_values_are_of_second_order_or_better(name):
    function, *walls = CASES[name]

    def error(n):
        padded = pad(line(function(cells(n))), "x", 2, boundary(*walls), SIZE / n).numpy("x")
        return np.abs(padded - function(cells(n, 2))).max()

    assert orders(error) > 1.9


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_ghost_values_of_a_flow_are_of_third_order(name, speed):
    function, *walls = CASES[name]

    def error(n):
        padded = pad_flow(line(function(cells(n))), "x", boundary(*walls), SIZE / n, speed).numpy("x")
        return np.abs(padded - function(cells(n, 2))).max()

    assert orders(error) > 2.8


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_upwind_differences_at_walls_that_a_varying_flow_enters_by_are_right(name, speed):
    function, *walls = CASES[name]

    def error(n):
        padded = pad_flow(
            line(function(cells(n))), "x", boundary(*walls), SIZE / n, line(np.full(n, speed)), at_rest=True
        )
        rate = upwind(shifted(padded, "x", 2), line(np.full(n, speed)), SIZE / n).numpy("x")
        exact = (function(cells(n) + 1e-6) - function(cells(n) - 1e-6)) / 2e-6
        return np.abs(rate - speed * exact).max()

    # One order less than the values', in one cell.
    assert orders(error) > 0.9


@pytest.mark.parametrize("name", [name for name in CASES if name != "periodic"])
def test_ghost_values_of_the_cubic_are_of_fourth_order(name):
    function, lower, upper = CASES[name]

    def error(n):
        h, values = SIZE / n, function(cells(n))
        errors = []
        for wall, near, exact in ((lower, values[:3], -h / 2), (upper, values[::-1][:3], SIZE + h / 2)):
            weights, factor = wall.cubic_ghost(h)
            errors.append(abs(np.dot(weights, near) + factor * wall.condition[2] - function(exact)))
        return max(errors)

    assert orders(error) > 3.7


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_of_the_laplacian_has_the_ghost_values_of_the_differences(name):
    _, *walls = CASES[name]
    n, h = 7, SIZE / 7
    values = np.random.default_rng(0).standard_normal(n)
    left, middle, right = (v.numpy("x") for v in shifted(pad(line(values), "x", 1, boundary(*walls), h), "x", 1))
    offsets = np.zeros(n)
    for at, wall in zip((0, n - 1), walls, strict=True):
        offsets[at] = 0.0 if wall.periodic else wall.affine(h)[1] / h**2
    found = laplacian_matrix(n, h, AxisWalls(*walls)) @ values + offsets
    assert np.allclose(found, (left + right - 2 * middle) / h**2, rtol=0, atol=1e-12)


def beyond(wall):
    """All ghost values of a wall, of cells with the values 0.3, -0.4 and 1.1."""
    weights, factor = wall.cubic_ghost(0.1)
    flow = [ghost for at_rest in (False, True) for ghost in wall.flow_ghosts(0.3, -0.4, 0.1, at_rest=at_rest)]
    return [wall.ghost(0.3, 0.1), *flow, np.dot(weights, (0.3, -0.4, 1.1)) + factor * wall.condition[2]]


@pytest.mark.parametrize(
    ("wall", "other"), [(Value(value=0.7), Robin(a=2.0, b=0.0, c=1.4)), (Neumann(), Flux(slope=0.0))]
)
def test_walls_that_say_the_same_by_other_classes_have_the_same_ghost_values(wall, other):
    assert (wall.kind, wall.fixed_value) == (other.kind, other.fixed_value)
    assert beyond(wall) == pytest.approx(beyond(other), abs=1e-13)


def test_neumann_and_value_take_as_few_operations_as_there_can_be():
    cell = object()
    assert Neumann().ghost(cell, 0.1) is cell
    assert Value(value=2).ghost(1.5, 0.3) == 2 * 2.0 - 1.5


def test_a_condition_that_determines_no_ghost_value_says_so():
    with pytest.raises(ValueError, match=r"-1 u \+ 0.05 ∂u/∂n = 1 has no ghost value at a distance of 0.1"):
        Robin(a=-1.0, b=0.05, c=1.0).ghost(1.0, 0.1)
