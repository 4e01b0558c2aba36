"""A wall condition in one file outside the package: used by equations, in files, and in every training."""

import json
import math

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.fields import Layout, layout_of, to_fields, to_tensor
from hyco.networks.synthetic import SyntheticModel
from hyco.observations.interpolation import stencil
from hyco.stepping.generation import simulate
from hyco.training.final import final_synthetic_model
from hyco.training.physical import train_physical

ROBIN = '''\
"""A wall of a solid in a fluid: heat leaves it in proportion to the difference of temperatures."""

from pydantic import Field

from hyco.walls.wall import Wall


class Robin(Wall):
    """a u + b ∂u/∂n = c, n out of the domain; with a = 0 a given flux."""

    a: float = Field(description="weight of the value [1]")
    b: float = Field(description="weight of the outward slope [length]")
    c: float = Field(default=0.0, description="what both add up to, in units of the field")

    @property
    def condition(self) -> tuple[float, float, float]:
        return self.a, self.b, self.c
'''
A = 0.3
# tan k = -k/2: sin(kx) fulfils u + u'/2 = 0 at x = 1.
K = 2.2889297281034042


@pytest.fixture(autouse=True)
def my_walls(tmp_path, monkeypatch):
    (tmp_path / "my_walls.py").write_text(ROBIN)
    monkeypatch.syspath_prepend(tmp_path)


def robin(a, b, c):
    return {"my_walls:Robin": {"a": a, "b": b, "c": c}}


def cooled(n=24, dt=0.05, **keys):
    section = {
        "name": "heat",
        "domain": {"x": {"size": 1.0, "resolution": n}},
        "boundary": {"x": {"lower": 0.0, "upper": robin(1.0, 0.5, 0.2)}},
        "dt": dt,
        "max_diffusivity": 1.0,
        "parameters": {"diffusivity": A},
    }
    return build_equation(section | keys)


# Q tan Q = 2: cos(Qx) fulfils 2u + u' = 0 at x = 1.
Q = 1.0768739863118038

# Boundaries of the unit interval with an exact solution for each: a mode that decays, and a straight line.
EXACT = {
    "value and robin": (
        {"x": {"lower": 0.0, "upper": robin(1.0, 0.5, 0.6)}},
        lambda x, t: torch.sin(K * x) * math.exp(-A * K**2 * t) + 0.4 * x,
    ),
    "flux and value": (
        {"x": {"lower": robin(0.0, 1.0, 0.7), "upper": -0.2}},
        lambda x, t: torch.cos(math.pi / 2 * x) * math.exp(-A * math.pi**2 / 4 * t) - 0.7 * x + 0.5,
    ),
    "flux and robin": (
        {"x": {"lower": robin(0.0, 1.0, -1.2), "upper": robin(2.0, 1.0, 1.0)}},
        lambda x, t: torch.cos(Q * x) * math.exp(-A * Q**2 * t) + 1.2 * x - 1.3,
    ),
}


def test_it_is_a_file_of_at_most_40_lines():
    assert len(ROBIN.splitlines()) <= 40


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "value and robin")) for name in EXACT]
)
@pytest.mark.parametrize("form", ["divergence", pytest.param("nondivergence", marks=pytest.mark.slow)])
def test_the_heat_equation_with_it_has_its_exact_solution_to_second_order(name, form):
    boundary, exact = EXACT[name]

    def error(n):
        equation = cooled(n, 2.0 / n, boundary=boundary, form=form, max_diffusivity=A)
        x = torch.from_numpy(equation.layout.grid.centers("x"))
        end = simulate(equation, exact(x, 0.0)[None, None], n // 4)[0, -1, 0]
        return float((end - exact(x, 0.5)).abs().max())

    assert math.log2(error(20) / error(40)) == pytest.approx(2, abs=0.15)


@pytest.mark.slow
def test_advection_carries_in_what_keeps_its_condition_to_second_order():
    """u = 3/2 + 3/10 exp(2(x - vt)) keeps 2u - u' = 3 at x = 0, where the flow enters; it leaves at x = 1."""

    def error(n):
        section = {"name": "advection", "domain": {"x": {"size": 1.0, "resolution": n}}, "dt": 0.05, "max_speed": 1.0}
        section |= {"boundary": {"x": {"lower": robin(2.0, 1.0, 3.0), "upper": 0.0}}}
        equation = build_equation(section | {"parameters": {"velocity_x": 0.8}})
        x = torch.from_numpy(equation.layout.grid.centers("x"))
        start, exact = (1.5 + 0.3 * torch.exp(2 * (x - 0.8 * t)) for t in (0.0, 0.5))
        return float((simulate(equation, start[None, None], 10)[0, -1, 0] - exact).abs().max())

    assert math.log2(error(20) / error(40)) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("average", ["harmonic", "arithmetic", "cubic"])
@pytest.mark.parametrize(
    "lower",
    [
        pytest.param(1.0, marks=pytest.mark.slow),
        pytest.param((0.0, 1.0, -1.0), marks=pytest.mark.slow),
        (2.0, 0.5, 1.5),
    ],
)
def test_an_elliptic_problem_with_it_has_its_exact_solution_to_second_order(lower, average):
    """u = exp(x), where the diffusivity varies across the walls."""
    lower = lower if isinstance(lower, float) else robin(*lower)
    boundary = {"x": {"lower": lower, "upper": robin(1.0, 0.5, 1.5 * math.e)}}

    def error(n):
        section = {"name": "elliptic", "domain": {"x": {"size": 1.0, "resolution": n}}, "boundary": boundary}
        parameters = {"diffusivity": "1 + x", "reaction": 3.0, "source": "(1 - x)*exp(x)"}
        equation = build_equation(section | {"face_average": average, "parameters": parameters})
        x = torch.from_numpy(equation.layout.grid.centers("x"))
        found = simulate(equation, torch.zeros(1, 1, n, dtype=torch.float64), 1)[0, -1, 0]
        return float((found - torch.exp(x)).abs().max())

    assert math.log2(error(40) / error(80)) > 1.9


@pytest.mark.slow
def test_a_diffusivity_that_varies_across_it_keeps_the_heat_equation_of_second_order():
    """∇·((1 + x) ∇u) = 0 for u = log(1 + x), which the temperature comes to rest in."""
    flux, mixed = robin(0.0, 1.0, -1.0), robin(1.0, 2.0, math.log(2) + 1.0)

    def error(n):
        boundary = {"x": {"lower": flux, "upper": mixed}}
        equation = cooled(n, 5.0, boundary=boundary, parameters={"diffusivity": "1 + x"}, max_diffusivity=2.0)
        rest = torch.log(1 + torch.from_numpy(equation.layout.grid.centers("x")))
        return float((simulate(equation, rest[None, None], 2)[0, -1, 0] - rest).abs().max())

    assert math.log2(error(10) / error(20)) == pytest.approx(2, abs=0.1)


def test_an_elliptic_problem_between_two_given_slopes_is_determined_up_to_a_constant():
    section = {"name": "elliptic", "domain": {"x": {"size": 1.0, "resolution": 8}}, "boundary": robin(0.0, 1.0, 0.3)}
    with pytest.raises(ValueError, match="determined up to a constant only"):
        build_equation(section | {"parameters": {"diffusivity": 1.0, "source": 1.0}})


@pytest.mark.parametrize(("method", "order"), [("linear", 2), ("cubic", 4)])
def test_states_are_read_between_the_last_cell_and_the_wall_with_their_order(method, order):
    boundary, exact = EXACT["value and robin"]

    def error(n):
        layout = cooled(n, boundary=boundary).layout
        state = exact(torch.from_numpy(layout.grid.centers("x")), 0.0)
        places = 1 - torch.linspace(0, 1, 9, dtype=torch.float64)[:, None] / (2 * n)
        found = stencil(layout, places, method)
        values = (found.weights[:, 0] * state[found.indices[:, 0]]).sum(-1) + found.offset[:, 0]
        return float((values - exact(places[:, 0], 0.0)).abs().max())

    assert math.log2(error(20) / error(40)) == pytest.approx(order, abs=0.3)


def test_layouts_keep_it_in_files_and_through_fields():
    layout = cooled().layout
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    tensor = torch.randn(3, 1, 24, dtype=torch.float64)
    fields = to_fields(tensor, layout)
    assert torch.equal(to_tensor(fields, layout), tensor)
    assert layout_of(fields) == layout
    assert layout.boundaries == ("dirichlet-neumann",)


LEARN = [{"name": "diffusivity", "initial_guess": 0.6, "bounds": [0.01, 1.0]}]


@pytest.fixture
def problem(make_problem):
    return make_problem(equation=cooled(dt=0.02).config.model_dump())


def test_the_diffusivity_behind_it_is_recovered_from_data(problem):
    config = problem.physical(learnable_parameters=LEARN)
    training = train_physical(
        problem.equation, problem.observations, config, configuration={}, device=torch.device("cpu")
    )
    *_, (_, record) = training
    assert record["metrics"]["estimate.diffusivity"] == pytest.approx(A, rel=0.02)


def test_a_hybrid_trains_with_it_and_both_models_roll_out(problem):
    trainer = problem.hybrid(physical={"learnable_parameters": LEARN})
    *_, (last, record) = trainer.train()
    # From 0.6; a network of six epochs pulls it away from the truth.
    assert abs(record["metrics"]["estimate.diffusivity"] - A) < 0.1
    network = SyntheticModel.from_bundle(final_synthetic_model(last))
    assert network.layout == problem.equation.layout
    states = network.rollout(problem.trajectories.tensors["trajectories"][:, 0], 5)
    assert states.shape == (4, 5, 1, 24)
    assert torch.isfinite(states).all()


def test_random_initial_states_enter_the_wall_and_settle_to_the_straight_line():
    equation = cooled(dt=0.5, substeps=4, max_diffusivity=A)
    states = equation.initial_states(2, 0.3, 1.0, torch.Generator().manual_seed(0))
    end = simulate(equation, states, 24)[:, -1, 0]
    x = torch.from_numpy(equation.layout.grid.centers("x"))
    assert torch.allclose(end, (0.2 / 1.5 * x).expand(2, -1), atol=1e-6)
