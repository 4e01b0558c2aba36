"""A physical model on a coarser grid: the way to its grid and back, the order of it, and its gradient."""

import math
from itertools import pairwise

import pytest
import torch

from hyco.equations.registry import OtherStatesError, build_equation, model_equation
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.stepping.coarse import Transfer, cell_means, repeated
from hyco.stepping.physical_model import PhysicalModel

MIXED = {"x": "periodic", "y": {"lower": 0.5, "upper": "neumann"}}


def layout(resolution, boundary=MIXED, fields=1):
    grid = Grid(("x", "y"), (-1.0, 2.0), (3.0, 2.0), resolution)
    return Layout(grid, tuple(FieldSpec(f"u{i}", boundary=boundary) for i in range(fields)))


def smooth(where):
    """0.5 at the lower wall of y, no slope at the upper, periodic in x; not symmetric."""
    x, y = (torch.from_numpy(where.grid.centers(a)) for a in "xy")
    along = torch.sin(2 * math.pi * x / 3 + 0.3) + 0.4 * torch.cos(4 * math.pi * x / 3)
    up = 0.5 * (y - 2) / 2
    across = torch.sin(math.pi * up) + 0.3 * torch.sin(3 * math.pi * up)
    return (0.5 + (1 + along[:, None]) * across[None, :])[None, None]


def test_coarse_states_come_back_to_the_bit_that_rounding_allows():
    transfer = Transfer(layout((24, 32)), layout((6, 8)))
    states = torch.randn(2, 3, 1, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fine = transfer.prolong(states)
    assert fine.shape == (2, 3, 1, 24, 32)
    assert torch.allclose(transfer.restrict(fine), states, rtol=0, atol=1e-13)


def test_what_a_periodic_grid_resolves_comes_back_exactly():
    fine, coarse = layout((24, 30), "periodic"), layout((8, 10), "periodic")
    x, y = (torch.from_numpy(fine.grid.centers(a)) for a in "xy")
    state = (torch.sin(2 * math.pi * 3 * x / 3 + 1)[:, None] * torch.cos(2 * math.pi * 4 * y / 2 - 0.4))[None, None]
    transfer = Transfer(fine, coarse)
    assert torch.allclose(transfer.prolong(transfer.restrict(state)), state, rtol=0, atol=1e-13)


def test_between_walls_the_way_there_and_back_is_of_fourth_order():
    errors = []
    fine = layout((48, 192))
    for n in (12, 24, 48):
        transfer = Transfer(fine, layout((24, n)))
        state = smooth(fine)
        errors.append(float((transfer.prolong(transfer.restrict(state)) - state).abs().max()))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders[-1] > 3.7, (errors, orders)


def test_fields_with_walls_of_their_own_are_carried_each_by_its_own():
    fine, coarse = layout((12, 24)), layout((6, 12))
    other = FieldSpec("v", boundary={"x": "neumann", "y": -2.0})
    both = [Layout(where.grid, (*where.fields, other)) for where in (fine, coarse)]
    states = torch.randn(2, 2, 6, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = Transfer(*both).prolong(states)
    alone = [Layout(where.grid, (other,)) for where in (fine, coarse)]
    assert torch.equal(found[:, :1], Transfer(fine, coarse).prolong(states[:, :1]))
    assert torch.equal(found[:, 1:], Transfer(*alone).prolong(states[:, 1:]))


def test_means_over_cells_and_values_repeated_in_them():
    values = torch.arange(24.0).reshape(4, 6)
    means = cell_means(values, (2, 3))
    assert means[0, 0] == (0 + 1 + 6 + 7) / 4
    assert cell_means(repeated(means, (4, 6)), (2, 3)).equal(means)


HEAT = {
    "name": "heat",
    "order": 2,
    "domain": {"x": {"size": 3.0, "resolution": 48, "lower": -1.0}, "y": {"size": 2.0, "resolution": 96, "lower": 2.0}},
    "boundary": MIXED,
    "dt": 0.05,
    "max_diffusivity": 0.5,
    "parameters": {"diffusivity": 0.2},
}
BURGERS = {
    "name": "burgers",
    "scheme": "upwind",
    "domain": {"x": {"size": 4.0, "resolution": 192}},
    "dt": 0.05,
    "max_speed": 3.0,
    "parameters": {"viscosity": 0.1},
}


def model(section, resolution, execution="plain", **overrides):
    data = build_equation(section)
    return PhysicalModel(model_equation(data, overrides, resolution), data.layout, execution), data


def test_heat_between_walls_on_coarser_grids_is_of_second_order():
    """As its differences are: the way to the grid and back takes nothing from that."""
    whole, data = model(HEAT, None)
    start = smooth(data.layout)
    reference, errors = whole.rollout(start, data.parameter_tensors(torch.float64), 4), []
    for n in (12, 24, 48):
        coarse, _ = model(HEAT, {"x": n, "y": n})
        states = coarse.rollout(start, coarse.equation.parameter_tensors(torch.float64), 4)
        assert states.shape == reference.shape
        errors.append(float((states - reference)[:, -1].abs().max()))
    assert 1.8 < math.log2(errors[0] / errors[1]) < 2.6, errors
    assert errors[2] < errors[1] / 3


@pytest.mark.slow
def test_burgers_on_coarser_grids_converges_to_the_fine_one():
    whole, data = model(BURGERS, None)
    x = torch.from_numpy(data.layout.grid.centers("x"))
    start = (0.3 + torch.sin(math.pi * x / 2))[None, None]
    reference, errors = whole.rollout(start, data.parameter_tensors(torch.float64), 8), []
    for n in (24, 48, 96):
        coarse, _ = model(BURGERS, {"x": n})
        states = coarse.rollout(start, coarse.equation.parameter_tensors(torch.float64), 8)
        errors.append(float((states - reference)[:, -1].norm() / reference[:, -1].norm()))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(orders) > 1.8, (errors, orders)


@pytest.mark.slow
def test_the_gradient_through_a_coarse_model_passes_a_taylor_test():
    """Errors of the linear prediction fall as h², for the viscosity and for the initial state."""
    coarse, data = model(BURGERS, {"x": 24}, "traced")
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(1, 4, 1, 192, dtype=torch.float64, generator=generator)
    x = torch.from_numpy(data.layout.grid.centers("x"))
    start = (0.3 + torch.sin(math.pi * x / 2))[None, None]
    direction = (torch.randn_like(start), torch.tensor(0.7, dtype=torch.float64))

    def loss(state, viscosity):
        values = {**coarse.equation.parameter_tensors(torch.float64), "viscosity": viscosity}
        return (coarse.rollout(state, values, 4) * weights).square().sum()

    point = [v.clone().requires_grad_(True) for v in (start, torch.tensor(0.1, dtype=torch.float64))]
    value = loss(*point)
    slopes = torch.autograd.grad(value, point)
    slope = sum((g * d).sum() for g, d in zip(slopes, direction, strict=True))
    rest = []
    for h in (2e-3, 1e-3):
        moved = [p.detach() + h * d for p, d in zip(point, direction, strict=True)]
        rest.append(float((loss(*moved) - value - h * slope).detach().abs()))
    assert 1.95 < math.log2(rest[0] / rest[1]) < 2.05


def test_nothing_said_is_the_equation_of_the_data_itself():
    data = build_equation(BURGERS)
    assert model_equation(data, {}, None) is data
    assert model_equation(data, {}, {"x": 192}) is data
    assert PhysicalModel(data, data.layout).transfer is None


def test_overrides_are_laid_over_the_equation_and_another_name_replaces_it():
    data = build_equation(HEAT)
    own = model_equation(data, {"boundary": {"y": "neumann"}, "parameters": {"diffusivity": 0.3}}, {"x": 12, "y": 24})
    assert own.layout.grid.resolution == (12, 24)
    assert own.layout.fields[0].boundary == {"x": "periodic", "y": "neumann"}
    assert own.parameters == {"diffusivity": 0.3}
    assert own.config.max_diffusivity == 0.5
    with pytest.raises(OtherStatesError, match="channels concentration, the data temperature"):
        model_equation(data, {"name": "advection", "max_speed": 1.0, "parameters": {"velocity_x": 1, "velocity_y": 0}})


@pytest.mark.parametrize(
    ("overrides", "resolution", "message"),
    [
        ({}, {"x": 12}, r"one entry for each axis \(x, y\), got x"),
        ({}, {"x": 10, "y": 24}, "10 cells along x do not divide the data's 48; allowed: 4, 6, 8, 12, 16, 24, 48"),
        ({}, {"x": 96, "y": 24}, "96 cells along x do not divide"),
        ({"dt": 0.1}, None, "dt is that of the data"),
        ({"domain": {"x": {"resolution": 12}}}, None, "for a coarser grid set physical.resolution"),
    ],
)
def test_what_cannot_be_is_told(overrides, resolution, message):
    with pytest.raises(OtherStatesError, match=message):
        model_equation(build_equation(HEAT), overrides, resolution)


def test_a_coarser_grid_needs_values_at_cell_centres():
    smoke = {
        "name": "smoke",
        "domain": {"x": {"size": 3.0, "resolution": 12}, "y": {"size": 2.0, "resolution": 8}},
        "boundary": "closed",
        "dt": 0.1,
        "max_speed": 2.0,
        "max_viscosity": 0.02,
        "parameters": {"buoyancy": 0.5, "inflow_rate": 0.5, "viscosity": 0.01, "diffusivity": 0.01},
    }
    with pytest.raises(OtherStatesError, match="needs values at cell centres; smoke has them elsewhere"):
        model_equation(build_equation(smoke), {}, {"x": 6, "y": 4})
    assert model_equation(build_equation(smoke), {"parameters": {"buoyancy": 0.0}}).parameters["buoyancy"] == 0.0
