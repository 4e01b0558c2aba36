"""The direct Poisson solvers against the discrete Laplacian, against exact solutions, and as a projection."""

import itertools
import math

import pytest
import torch
from phi import math as phimath
from phi.math import batch, spatial

from hyco.expressions import Expression
from hyco.grid import Grid
from hyco.schemes.spectral import Poisson
from hyco.schemes.staggered import StaggeredBox, Walls
from hyco.schemes.stencils import neighbours

SIDES = {
    "periodic": "periodic",
    "closed": "neumann",
    "open": 0.0,
    "closed to open": {"lower": "neumann", "upper": 0.0},
    "open to closed": {"lower": 0.0, "upper": "neumann"},
}


def make_grid(resolution, size=(1.0, 1.7, 0.6)):
    n = len(resolution)
    return Grid(axes=tuple("xyz"[:n]), lower=(0.0, -0.5, 2.0)[:n], size=size[:n], resolution=tuple(resolution))


def wrap(tensor, grid):
    return phimath.wrap(tensor, batch("batch"), spatial(",".join(grid.axes)))


def native(values, grid):
    with phimath.precision(64):
        return values.native(["batch", *grid.axes])


def laplacian(values, grid, boundary):
    total = 0.0
    for axis, h in zip(grid.axes, grid.spacing, strict=True):
        left, middle, right = neighbours(values, axis, boundary, h)
        total = total + (left + right - 2 * middle) / h**2
    return total


def random_values(grid, mean_free):
    values = torch.randn(2, *grid.resolution, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return values - values.flatten(1).mean(1).reshape(2, *[1] * grid.dimensions) if mean_free else values


CASES = [
    *[(kinds, (12,)) for kinds in itertools.product(SIDES)],
    *[(kinds, (12, 9)) for kinds in itertools.product(SIDES, repeat=2)],
    (("periodic", "periodic", "periodic"), (6, 5, 8)),
    (("periodic", "closed", "closed to open"), (6, 5, 8)),
    (("closed", "closed", "closed"), (7, 5, 6)),
]


@pytest.mark.parametrize(("kinds", "resolution"), CASES, ids=lambda value: "-".join(map(str, value)))
def test_the_laplacian_of_the_solution_is_the_right_hand_side_to_rounding(kinds, resolution):
    grid = make_grid(resolution)
    boundary = dict(zip(grid.axes, (SIDES[kind] for kind in kinds), strict=True))
    fixed = any("open" in kind for kind in kinds)
    right = random_values(grid, mean_free=not fixed)
    with phimath.precision(64):
        solution = Poisson(grid, boundary).solve(wrap(right, grid))
        found = native(laplacian(solution, grid, boundary), grid)
    assert (found - right).abs().max() < 1e-12 * right.abs().max()
    if not fixed:
        assert native(solution, grid).flatten(1).mean(1).abs().max() < 1e-13


def test_a_closed_axis_takes_the_discrete_cosine_transform():
    grid = make_grid((10,))
    cosine = torch.cos(math.pi * 3 * (torch.arange(10, dtype=torch.float64) + 0.5) / 10)[None]
    eigenvalue = (2 * math.cos(3 * math.pi / 10) - 2) / grid.spacing[0] ** 2
    with phimath.precision(64):
        found = native(Poisson(grid, "neumann").solve(wrap(cosine, grid)), grid)
    assert torch.allclose(found, cosine / eigenvalue, rtol=0, atol=1e-14)


# Exact solutions that hold their sides: a slope of zero at x = 0 and zero at x = 1, anything periodic along y.
SOLUTION = "cos(pi*x/2) * (sin(2*pi*y/1.7) + 0.5*cos(4*pi*y/1.7 + 1)) + 0.3*cos(3*pi*x/2)"
RIGHT = (
    "-(pi**2/4 + (2*pi/1.7)**2) * cos(pi*x/2) * sin(2*pi*y/1.7)"
    " - (pi**2/4 + (4*pi/1.7)**2) * cos(pi*x/2) * 0.5*cos(4*pi*y/1.7 + 1) - 0.3*(9*pi**2/4)*cos(3*pi*x/2)"
)


def test_the_solution_converges_with_second_order():
    boundary = {"x": SIDES["closed to open"], "y": "periodic"}
    errors = []
    for n in (12, 24, 48):
        grid = make_grid((n, n + n // 4))
        right, exact = (Expression(text).on_grid(grid)[None] for text in (RIGHT, SOLUTION))
        with phimath.precision(64):
            found = native(Poisson(grid, boundary).solve(wrap(right.contiguous(), grid)), grid)
        errors.append(float((found - exact).abs().max()))
    orders = torch.tensor(errors).log2().diff().neg()
    assert ((orders - 2).abs() < 0.1).all()


BOXES = {
    "closed": "closed",
    "periodic": "periodic",
    "open": "open",
    "channel": {"x": "periodic", "y": "closed"},
    "open top": {"x": "closed", "y": Walls(lower="closed", upper="open")},
}


@pytest.mark.parametrize("sides", BOXES.values(), ids=BOXES)
def test_a_projected_velocity_has_no_divergence_and_is_projected_to_itself(sides):
    grid = make_grid((14, 9))
    box = StaggeredBox(grid, sides)
    generator = torch.Generator().manual_seed(1)
    velocity = {}
    for axis in grid.axes:
        shape = [n + (a == axis) for a, n in zip(grid.axes, grid.resolution, strict=True)]
        values = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        velocity[axis] = box.stored(wrap(values, grid), axis)
    with phimath.precision(64):
        once = box.project(velocity)
        twice = box.project(once)
        before, after = (native(box.divergence(v), grid) for v in (velocity, once))
        changes = [float(phimath.max(phimath.abs(once[a] - twice[a]), once[a].shape)) for a in grid.axes]
    assert after.abs().max() < 1e-12 * before.abs().max()
    assert max(changes) < 1e-13


def test_a_box_must_name_its_axes():
    with pytest.raises(ValueError, match="boundary must name the axes x, y, got x"):
        StaggeredBox(make_grid((4, 4)), {"x": "closed"})
