"""What else reads walls, where their condition is not known beforehand: measurements, initial states, coarse grids."""

import json
import math

import pytest
import torch
from phi.field import pad

from hyco.equations.initial_states import relaxed_wall_field, wall_field
from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout, layout_of, to_fields, to_tensor
from hyco.grid import Grid
from hyco.inversion.initial_prior import InitialStatePrior
from hyco.inversion.initial_state import InitialStates
from hyco.observations.interpolation import stencil
from hyco.stepping.coarse import Transfer
from hyco.stepping.generation import simulate

OPEN = {"x": {"lower": "inlet*sin(t)", "upper": {"robin": {"a": 1, "b": "k", "c": 0}}}}
MIXED = {"x": {"lower": 0.0, "upper": {"flux": "q"}}}


def line(n, boundary=OPEN):
    return Layout(Grid(("x",), (0.0,), (1.0,), (n,)), (FieldSpec("u", boundary=boundary),))


@pytest.mark.parametrize("boundary", [OPEN, MIXED], ids=["open", "mixed"])
@pytest.mark.parametrize(("method", "order"), [("linear", 2), ("cubic", 4)])
def test_states_are_continued_up_to_a_wall_of_unknown_condition(method, order, boundary):
    def state(x):
        return torch.sin(2.3 * x) * (1 if boundary is MIXED else torch.exp(x) / x.add(2))

    def error(n):
        layout = line(n, boundary)
        x = torch.from_numpy(layout.grid.centers("x"))
        edge = torch.linspace(0, 1, 9, dtype=torch.float64) / (2 * n)
        places = torch.cat([edge, 1 - edge, torch.linspace(0, 1, 33, dtype=torch.float64)])
        found = stencil(layout, places[:, None], method)
        values = (found.weights[:, 0] * state(x)[found.indices[:, 0]]).sum(-1) + found.offset[:, 0]
        return float((values - state(places)).abs().max())

    assert math.log2(error(20) / error(40)) == pytest.approx(order, abs=0.35)


def test_layouts_keep_formulas_in_files_and_through_fields():
    layout = line(8)
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    tensor = torch.randn(3, 1, 8, dtype=torch.float64)
    fields = to_fields(tensor, layout)
    assert torch.equal(to_tensor(fields, layout), tensor)
    assert layout_of(fields) == layout
    assert layout.boundaries == ("dirichlet-neumann",)


def test_tools_of_phiflow_that_need_the_wall_say_what_they_lack():
    fields = to_fields(torch.ones(1, 1, 8, dtype=torch.float64), line(8))
    with pytest.raises(
        ValueError, match=r"(Value.* values of inlet, t|Robin.* values of k), which PhiFlow does not know"
    ):
        pad(fields["u"], 1)


def test_a_prior_of_initial_states_does_not_hold_them_at_a_wall_of_unknown_condition():
    layout = line(24)
    assert torch.equal(wall_field(layout.grid, layout.fields[0].walls), torch.zeros(24, dtype=torch.float64))
    about = relaxed_wall_field(layout.grid, layout.fields[0].walls, 2.0, 0.2)
    assert torch.allclose(about, torch.full_like(about, 2.0))
    observed = torch.zeros(1, 1, 24, dtype=torch.float64)
    prior = InitialStatePrior(length_scale=0.2, amplitude=0.5, mean=2.0)
    states = InitialStates(observed, torch.ones(1, 1, dtype=torch.float64), layout, prior)
    draws = states.states(
        torch.randn(4000, len(states), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert torch.allclose(draws.std(dim=0), torch.full((1, 1, 24), 0.5, dtype=torch.float64), rtol=0.06)


def test_coarse_states_come_back_on_a_fine_grid():
    def error(n):
        fine, coarse = line(4 * n), line(n)
        x = torch.from_numpy(fine.grid.centers("x"))
        state = (torch.cos(2 * x) + x**2)[None, None]
        between = Transfer(fine, coarse)
        return float((between.prolong(between.restrict(state)) - state).abs().max())

    assert math.log2(error(8) / error(16)) == pytest.approx(4, abs=0.5)


CONDITIONS = {
    "value": ("cell", {"lower": "k*sin(2*y)", "upper": "exp(1)*sin(2*y)"}, 0.0),
    "nodes on walls": ("vertex", {"lower": "k*sin(2*y)", "upper": "exp(x)*sin(2*y)"}, 0.0),
    "flux": ("cell", {"lower": {"flux": "-k*sin(2*y)"}, "upper": "exp(x)*sin(2*y)"}, 0.0),
    "robin": (
        "cell",
        {
            "lower": {"robin": {"a": "k", "b": 0.3, "c": "(k - 0.3)*sin(2*y)"}},
            "upper": {"robin": {"a": 1, "b": "k", "c": "(1 + k)*exp(1)*sin(2*y)"}},
        },
        0.7,
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "robin")) for name in CONDITIONS]
)
def test_static_problems_with_formulas_in_walls_are_of_second_order(name):
    """u = exp(x) sin(2y), with the diffusivity 1 + x."""
    nodes, along, reaction = CONDITIONS[name]

    def error(n):
        domain = {axis: {"size": 1.0, "resolution": n} for axis in "xy"}
        section = {"name": "elliptic", "domain": domain, "nodes": nodes, "face_average": "arithmetic"}
        section["boundary"] = {"x": along, "y": {"lower": 0.0, "upper": "exp(x)*sin(2)"}}
        source = f"(3*(1 + x) - 1 + {reaction})*exp(x)*sin(2*y)"
        parameters = {"diffusivity": "1 + x", "reaction": reaction, "source": source, "k": 1.0}
        equation = build_equation(section | {"parameters": parameters})
        grid = equation.layout.grid
        x, y = torch.meshgrid(*(torch.from_numpy(grid.centers(axis)) for axis in "xy"), indexing="ij")
        found = simulate(equation, torch.zeros(1, 1, n, n, dtype=torch.float64), 1)[0, -1, 0]
        return float((found - torch.exp(x) * torch.sin(2 * y)).square().mean().sqrt())

    assert math.log2(error(24) / error(48)) == pytest.approx(2, abs=0.12)
