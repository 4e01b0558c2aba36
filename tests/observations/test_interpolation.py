"""States between their entries: exact for multilinear fields, second order for smooth ones up to the walls."""

import math
from itertools import pairwise

import pytest
import torch

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.observations import GridOperator, PointOperator
from hyco.observations.interpolation import stencil

MIXED = {"x": "periodic", "y": {"lower": 0.5, "upper": "neumann"}}


def read(where, state, positions, method="linear"):
    """Values `[C, P]` of a state at positions `[P, d]`."""
    return PointOperator.of(stencil(where, positions[None, None], method))(state[None, None])[0, 0]


def places(where, count, margin=0.0, seed=0):
    """Places in the domain, `margin` cells away from its walls; every third lies close to one."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(count, where.grid.dimensions, generator=generator, dtype=torch.float64)
    drawn[::3, 0] *= 0.02
    drawn[1::3, -1] = 1 - 0.02 * drawn[1::3, -1]
    lower, size, h = (torch.tensor(v).double() for v in (where.grid.lower, where.grid.size, where.grid.spacing))
    return lower + margin * h + drawn * (size - 2 * margin * h)


@pytest.mark.parametrize("staggered", [False, True])
def test_a_multilinear_field_is_read_exactly_between_entries(tools, staggered):
    where = tools.layout(boundary="neumann", staggered=staggered)
    function = lambda x, channel: (1 + 2 * x[..., 0]) * (3 - x[..., 1]) + 7 * channel  # noqa: E731
    x = places(where, 50, margin=0.5)
    found = read(where, tools.on_entries(where, function), x)
    for channel, values in enumerate(found):
        assert torch.allclose(values, function(x, channel), rtol=0, atol=1e-13)


def test_a_straight_line_between_two_fixed_values_is_read_exactly_up_to_the_walls(tools):
    boundary = {"x": {"lower": 2.0, "upper": -1.0}, "y": "neumann"}
    where = tools.layout(boundary=boundary)
    function = lambda x, channel: 2.0 - 3.0 * (x[..., 0] + 0.5) / 1.5  # noqa: E731
    x = places(where, 50)
    assert torch.allclose(read(where, tools.on_entries(where, function), x)[0], function(x, 0), rtol=0, atol=1e-13)
    corners = torch.tensor([[-0.5, 0.25], [1.0, 1.25]], dtype=torch.float64)
    assert torch.allclose(
        read(where, tools.on_entries(where, function), corners)[0], torch.tensor([2.0, -1.0]).double()
    )


def _smooth(boundary, axis_values):
    """A smooth function along one axis, of the coordinate z in 0 to 1, that respects the boundary."""
    kind, z = boundary, axis_values
    if kind == "periodic":
        return torch.sin(2 * math.pi * z + 0.7)
    if kind == "neumann":
        return torch.cos(math.pi * z) + 0.3 * torch.cos(2 * math.pi * z)
    return torch.sin(math.pi * z) + 0.4 * torch.sin(2 * math.pi * z)


@pytest.mark.parametrize(("method", "order"), [("linear", 2.0), ("cubic", 4.0)])
@pytest.mark.parametrize("staggered", [False, True])
@pytest.mark.parametrize("kinds", [("periodic", "neumann"), ("dirichlet", "periodic"), ("neumann", "dirichlet")])
def test_a_smooth_field_is_read_to_second_or_fourth_order_up_to_the_walls(tools, kinds, staggered, method, order):
    boundary = {axis: 0.0 if kind == "dirichlet" else kind for axis, kind in zip("xy", kinds, strict=True)}
    errors = []
    for n in (32, 64, 128):
        where = tools.layout((n, n + n // 2), boundary, staggered)
        lower, size = torch.tensor(where.grid.lower).double(), torch.tensor(where.grid.size).double()

        def function(x, channel, lower=lower, size=size):
            z = (x - lower) / size
            return _smooth(kinds[0], z[..., 0]) * _smooth(kinds[1], z[..., 1])

        x = places(where, 20000)
        found = read(where, tools.on_entries(where, function), x, method)
        errors.append(float((found - function(x, 0)).abs().max()))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders[-1] == pytest.approx(order, abs=0.1), errors


def test_nodes_on_the_walls_are_read_to_fourth_order_between_the_walls():
    errors = []
    for n in (32, 64, 128):
        grid = Grid(("x", "y"), (-0.5 / (n - 1),) * 2, (n / (n - 1),) * 2, (n, n))
        where = Layout(grid, (FieldSpec("u", boundary=0.0, vertex=True),))
        assert Layout.from_dict(where.to_dict()) == where
        x, y = (torch.from_numpy(grid.centers(axis)) for axis in "xy")
        state = (_smooth("dirichlet", x)[:, None] * _smooth("dirichlet", y))[None]
        z = torch.rand(20000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        z[::3, 0] *= 1 / n
        exact = _smooth("dirichlet", z[:, 0]) * _smooth("dirichlet", z[:, 1])
        errors.append(float((read(where, state, z, "cubic")[0] - exact).abs().max()))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders[-1] == pytest.approx(4, abs=0.1), errors


@pytest.mark.parametrize("staggered", [False, True])
def test_a_cubic_that_takes_the_value_of_a_wall_is_read_exactly(tools, staggered):
    where = tools.layout(
        (6, 5), {"x": {"lower": 2.0, "upper": "neumann"}, "y": {"lower": -1.0, "upper": 3.0}}, staggered
    )
    lower, size = torch.tensor(where.grid.lower).double(), torch.tensor(where.grid.size).double()

    def function(x, channel):
        """2 at the lower wall of x; no slope at its upper one; then along y, where the walls hold for x alone."""
        z = (x - lower) / size
        return 2.0 + z[..., 0] * (3 - 3 * z[..., 0] + z[..., 0] ** 2) + 0 * channel

    x = places(where, 200)
    x[:, 1] = where.grid.lower[1] + (2 + torch.rand(200, generator=torch.Generator().manual_seed(1))) * size[1] / 5
    found = read(where, tools.on_entries(where, function), x, "cubic")[0]
    assert torch.allclose(found, function(x, 0), rtol=0, atol=1e-12)


def test_the_value_of_a_wall_takes_part_next_to_it(tools):
    where = tools.layout((4, 4), MIXED)
    h = where.grid.spacing[1]
    wall = torch.tensor([[0.1, 0.25], [0.1, 0.25 + h / 4], [0.1, 1.25]], dtype=torch.float64)
    found = read(where, torch.full((1, 4, 4), 3.0, dtype=torch.float64), wall)[0]
    assert torch.allclose(found, torch.tensor([0.5, 1.75, 3.0], dtype=torch.float64))


def test_each_field_has_its_own_walls(tools):
    where = Layout(tools.grid(8, 8), (FieldSpec("a", boundary=1.0), FieldSpec("b", boundary="neumann")))
    corner = torch.tensor([where.grid.lower], dtype=torch.float64)
    assert read(where, torch.full((2, 8, 8), 5.0).double(), corner).flatten().tolist() == [1.0, 5.0]


@pytest.mark.parametrize("staggered", [False, True])
def test_the_last_entry_comes_before_the_first_where_the_axis_is_periodic(tools, staggered):
    where = tools.layout((8, 8), staggered=staggered)
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(len(where.channels), *where.shape, generator=generator, dtype=torch.float64) * where.valid
    lower, upper = places(where, 40), None
    lower[:, 0] = where.grid.lower[0]
    upper = lower.clone()
    upper[:, 0] += where.grid.size[0]
    assert torch.allclose(read(where, state, lower), read(where, state, upper), rtol=0, atol=1e-13)
    if not staggered:
        middle = torch.tensor([[where.grid.lower[0], where.grid.centers("y")[3]]], dtype=torch.float64)
        assert float(read(where, state, middle)) == pytest.approx(float(state[0, 0, 3] + state[0, -1, 3]) / 2)


def test_one_dimension_is_read_as_two_are(tools):
    where = tools.layout((16,), {"x": {"lower": 0.0, "upper": 1.5}})
    x = places(where, 30)
    state = tools.on_entries(where, lambda x, channel: x[..., 0] + 0.5)
    assert torch.allclose(read(where, state, x)[0], x[:, 0] + 0.5, rtol=0, atol=1e-13)


@pytest.mark.parametrize("boundary", ["periodic", MIXED])
def test_the_operator_is_differentiable(tools, boundary):
    where = tools.layout((4, 5), boundary)
    x = places(where, 12).reshape(2, 3, 2, 2)
    operator = PointOperator.of(stencil(where, x))
    states = torch.randn(2, 3, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(operator, states)


def test_copies_of_the_simulations_come_one_after_the_other(tools):
    where = tools.layout(boundary=MIXED)
    operator = PointOperator.of(stencil(where, places(where, 24).reshape(2, 3, 4, 2)))
    states = torch.randn(10, 3, 1, 12, 8, dtype=torch.float64)
    together = operator(states)
    assert together.shape == (10, 3, 1, 4)
    for n in range(5):
        assert torch.equal(together[2 * n : 2 * n + 2], operator(states[2 * n : 2 * n + 2]))
    single = operator(states.float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), together, atol=1e-6)
    with pytest.raises(ValueError, match="is for 2 simulations"):
        operator(states[:3])


def test_windows_are_read_at_their_own_points(tools):
    where = tools.layout()
    operator = PointOperator.of(stencil(where, places(where, 24).reshape(2, 3, 4, 2)))
    states = torch.randn(2, 3, 1, 12, 8, dtype=torch.float64)
    simulation, time = torch.tensor([[1], [0], [1]]), torch.tensor([[0, 1], [1, 2], [1, 2]])
    windows = operator.select(simulation, time)(states[simulation, time])
    assert torch.equal(windows, operator(states)[simulation, time])


@pytest.mark.parametrize("boundary", ["periodic", MIXED, 2.0])
def test_normalised_states_are_read_as_normalised_values(tools, boundary):
    where = Layout(tools.grid(12, 8), (FieldSpec("v", ("x", "y"), boundary=boundary),))
    operator = PointOperator.of(stencil(where, places(where, 24).reshape(2, 3, 4, 2)))
    states = torch.randn(2, 3, 2, 12, 8, dtype=torch.float64)
    mean, std = torch.tensor([3.0, -1.0]).double(), torch.tensor([0.5, 4.0]).double()
    per_state, per_entry = (lambda v: v.reshape(2, 1, 1)), (lambda v: v.reshape(2, 1))
    found = operator.normalised(mean, std)((states - per_state(mean)) / per_state(std))
    assert torch.allclose(found, (operator(states) - per_entry(mean)) / per_entry(std), atol=1e-12)


def test_measurements_on_the_grid_are_the_states_themselves_and_no_copy():
    states = torch.randn(2, 3, 1, 4)
    operator = GridOperator()
    assert operator(states) is states
    assert operator.select(torch.tensor([[0]]), torch.tensor([[1]]))(states) is states
    assert operator.normalised(torch.zeros(1), torch.ones(1)).to(torch.device("cpu"))(states) is states
