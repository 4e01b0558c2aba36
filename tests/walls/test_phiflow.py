"""Boundaries as PhiFlow's extrapolations and back."""

import pytest
from phi import math
from phi.field import CenteredGrid
from phi.field import pad as phiflow_pad
from phi.geom import Box
from phi.math import extrapolation

from hyco.schemes.stencils import pad
from hyco.walls.phiflow import WallExtrapolation, from_extrapolation, to_extrapolation
from hyco.walls.wall import Wall


class Flux(Wall):
    """∂u/∂n = q."""

    slope: float

    @property
    def condition(self):
        return 0.0, 1.0, self.slope


BOUNDARIES = [
    "periodic",
    "neumann",
    0.0,
    2.5,
    {"x": "periodic", "y": {"lower": 0.0, "upper": "neumann"}},
    {"x": {"lower": "neumann", "upper": 1.0}, "y": 0.0},
]


def test_boundaries_have_extrapolations_both_ways():
    for boundary in BOUNDARIES:
        assert from_extrapolation(to_extrapolation(boundary)) == boundary
    with pytest.raises(ValueError, match="'op en' is not allowed"):
        to_extrapolation("op en")
    with pytest.raises(ValueError, match="no counterpart"):
        from_extrapolation(extrapolation.SYMMETRIC)


def test_a_wall_that_phiflow_does_not_have_keeps_its_class_and_arguments():
    wall = WallExtrapolation(Flux(slope=2.5))
    assert from_extrapolation(wall) == Flux(slope=2.5).plain
    mixed = extrapolation.combine_sides(x=(wall, extrapolation.PERIODIC), y=0.0)
    assert from_extrapolation(mixed)["x"] == {"lower": Flux(slope=2.5).plain, "upper": "periodic"}


def test_phiflow_pads_with_the_ghost_values_where_it_says_the_width_of_the_cells():
    outer = extrapolation.combine_sides(x=WallExtrapolation(Flux(slope=2.5)), y=0.0)
    with math.precision(64):
        values = math.random_normal(math.spatial(x=5, y=4))
        field = CenteredGrid(values, outer, Box(x=2.0, y=1.0))
        found = phiflow_pad(field, {"x": (2, 1)}).values.numpy("x,y")
        own = pad(values, "x", 2, {"x": Flux(slope=2.5).plain, "y": 0.0}, 0.4).numpy("x,y")
    assert found == pytest.approx(own[:-1], abs=1e-12)
    with pytest.raises(ValueError, match="need the width of the cells"):
        math.pad(values, {"x": (1, 1)}, outer)
