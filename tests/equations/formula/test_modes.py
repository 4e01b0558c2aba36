"""Eigenvectors of differences between walls as matrices."""

import numpy as np
import pytest

from hyco.equations.formula.modes import Modes
from hyco.grid import Grid
from hyco.walls.boundary import Boundary


@pytest.mark.parametrize("order", [2, 4])
def test_what_states_are_multiplied_with_has_no_gaps_in_memory(order):
    grid = Grid(axes=("x",), lower=(0.0,), size=(10.0,), resolution=(32,))
    modes = Modes(grid, Boundary.of({"x": {"lower": 0.5, "upper": "neumann"}}), order)
    for matrix in (modes._forward["x"], modes._backward["x"]):
        assert matrix.flags.forc, "BLAS would copy it in every product"
    np.testing.assert_allclose(modes._forward["x"] @ modes._backward["x"], np.eye(32), atol=1e-12)
