"""Walls whose arguments are formulas: their values in their place, and the ghost values that follow."""

import numpy as np
import pytest
from phi import math
from phi.math import batch, spatial

from hyco.walls.boundary import Boundary
from hyco.walls.flux import Flux
from hyco.walls.robin import Robin
from hyco.walls.table import Table
from hyco.walls.value import Value

H = 0.1
CELLS = (0.3, -0.4, 1.1)


def ghosts(wall):
    flow = [ghost for at_rest in (False, True) for ghost in wall.flow_ghosts(*CELLS[:2], H, at_rest=at_rest)]
    behind = [ghost for n in (1, 2, 3) for ghost in wall.beyond(CELLS[:n], (0.5, 1.5), H)]
    return [wall.ghost(0.3, H), *flow, *behind]


@pytest.mark.parametrize(
    ("formulas", "numbers"),
    [
        (Value(value="g*t"), Value(value=0.8)),
        (Flux(flux="g - t"), Flux(flux=-1.6)),
        (Robin(a="g", b=0.2, c="t"), Robin(a=0.4, b=0.2, c=2.0)),
        (Robin(a=0.4, b="t/10", c=2.0), Robin(a=0.4, b=0.2, c=2.0)),
        (Robin(a="g", b="t/10", c=2.0), Robin(a=0.4, b=0.2, c=2.0)),
    ],
)
def test_a_wall_of_formulas_has_the_ghost_values_of_their_numbers(formulas, numbers):
    with math.precision(64):
        resolved = formulas.at({"g": math.tensor([0.4, 0.4], batch("b")), "t": math.wrap(2.0)})
        found = [float(math.mean(value, batch)) for value in ghosts(resolved)]
        assert (resolved.kind, formulas.kind) == (numbers.kind, numbers.kind)
        assert found == pytest.approx(ghosts(numbers), abs=1e-12)
        passes = resolved.passes_flux(H)
        assert (passes if isinstance(passes, bool) else bool(passes.all)) == numbers.passes_flux(H)


def test_values_beyond_a_wall_lie_on_the_polynomial_with_its_condition():
    """A cubic is continued exactly from three cells, whatever the condition, of numbers or tensors."""
    p = np.poly1d([2.0, -1.0, 0.5, 0.3])  # of the distance inwards; ∂u/∂n is its negative slope
    cells = [p((i + 0.5) * H) for i in range(3)]
    c = 0.7 * p(0.0) - 0.2 * p.deriv()(0.0)
    exact = [p(-0.5 * H), p(-1.5 * H)]
    assert Robin(a=0.7, b=0.2, c=c).beyond(cells, (0.5, 1.5), H) == pytest.approx(exact, abs=1e-13)
    with math.precision(64):
        wall = Robin(a="a", b="b", c="c").at({"a": math.wrap(0.7), "b": math.wrap(0.2), "c": math.wrap(c)})
        assert [float(v) for v in wall.beyond(cells, (0.5, 1.5), H)] == pytest.approx(exact, abs=1e-12)


def test_coordinates_of_a_wall_are_where_it_is():
    boundary = Boundary.of("x + 10*y")
    y = math.tensor([0.25, 0.75], spatial("y"))
    walls = boundary.at({"y": y}, {"x": (1.0, 3.0)})
    assert walls["x"].lower.value.numpy("y").tolist() == [3.5, 8.5]
    assert walls["x"].upper.value.numpy("y").tolist() == [5.5, 10.5]
    assert boundary.names == {"x", "y"}
    assert not walls.names
    assert not walls["x"].lower.constant


def test_a_table_is_linear_between_its_times_and_constant_outside():
    wall = Table(times=[0.0, 1.0, 3.0], values=[1.0, 2.0, -2.0])
    times = [-1.0, 0.0, 0.25, 1.0, 2.0, 3.0, 9.0]
    expected = [1.0, 1.0, 1.25, 2.0, 0.0, -2.0, -2.0]
    with math.precision(64):
        found = wall.at({"t": math.wrap(times, batch("b"))}).value.numpy("b")
    assert found == pytest.approx(expected, abs=1e-13)
    assert [wall.at({"t": t}).fixed_value for t in times] == pytest.approx(expected)
    assert (wall.names, wall.kind, wall.constant) == ({"t"}, "dirichlet", False)
    assert Boundary.of(wall.plain)["x"].lower == wall
    assert Table(times=[0.0], values=[2.0]).condition == (1.0, 0.0, 2.0)


@pytest.mark.parametrize("uneven", [0.0, 0.3])
def test_a_cubic_table_is_of_third_order_in_numbers_and_tensors(uneven):
    asked, errors = np.linspace(-1, 7, 801), []
    for n in (20, 40):
        times = np.linspace(0, 6, n + 1)
        times = times + uneven * np.sin(2 * np.pi * times / 6) / 2
        wall = Table(times=times, values=np.sin(times), interpolation="cubic")
        with math.precision(64):
            found = wall.at({"t": math.wrap(asked, batch("b"))}).value.numpy("b")
        assert found == pytest.approx([wall.at({"t": float(t)}).fixed_value for t in asked], abs=1e-13)
        errors.append(np.abs(found - np.sin(np.clip(asked, 0, 6))).max())
        assert Boundary.of(wall.plain)["x"].lower == wall
    assert 2.8 < np.log2(errors[0] / errors[1]) < 4.2


@pytest.mark.parametrize(
    "formula",
    ["(t + 1)/(c - d)", "log(c - 1)", "sqrt(c - t)", "sqrt(1 - t/5)", "1/(5 - t)", "exp(t*80)", "sqrt(x - k)"],
)
def test_a_wall_with_a_value_at_first_is_taken_whatever_becomes_of_it(formula):
    """That of what is not known yet, and of later times, is told once it is."""
    Boundary.of({"flux": formula}).require_values({"x": (0.7, 1.7)}, {"k": 0.7})
    with pytest.raises(ValueError, match=r"'log\(x - k\)' has no value on the wall x = 0.7"):
        Boundary.of("log(x - k)").require_values({"x": (0.7, 1.7)}, {"k": 0.7})
