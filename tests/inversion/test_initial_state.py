"""The prior of unknown initial states: its modes keep the walls of the domain, and the estimates are right with it."""

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.initial_state import InitialStatePrior, InitialStates
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")
LINE = {"x": {"lower": -0.5, "size": 2.0, "resolution": 24}}
PLATE = {"x": {"size": 2.0, "resolution": 16}, "y": {"size": 1.5, "resolution": 10}}
HEAT = {"name": "heat", "dt": 0.05, "max_diffusivity": 0.4, "parameters": {"diffusivity": 0.08}}
FLOW = {"name": "advection", "dt": 0.05, "max_speed": 2.0, "parameters": {"velocity_x": 0.7}}
DIFFUSIVITY = {"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.005, 0.4]}
SPEED = {"name": "velocity_x", "initial_guess": 0.2, "bounds": [-1.5, 1.5]}
PRIOR = {"length_scale": 0.5, "amplitude": 1.0}
S = "((x + 0.5) / 2)"


def measured(section, formula, observation=None, length_scale=0.5):
    equation = build_equation(section)
    start = {} if formula is None else {equation.layout.channels[0]: formula}
    data = generate(
        equation, GenerationConfig(simulations=2, steps=10, length_scale=length_scale, initial_state=start), 0
    )
    config = {"train_sim": [0, 1], "noise": 0.01, "initial_state": "full"} | (observation or {})
    return equation, observe(data, ObservationConfig.model_validate(config), 0)


def settings(learnable, method="Levenberg-Marquardt", **changes):
    return PhysicalConfig.model_validate(
        {
            "learnable_parameters": [learnable],
            "method": method,
            "num_predict_steps": 10,
            "initial_state": PRIOR,
            "suppress_convergence_errors": True,
            "epochs": 40,
        }
        | changes
    )


def check(learnable, truth, section, formula, observation=None, **changes):
    """The estimate is the truth within three standard deviations, and the residuals are the noise."""
    equation, seen = measured(section, formula, observation)
    config = settings(learnable, **changes)
    physics = Calibrator(equation, seen, config, num_predict_steps=10, device=CPU)
    physics.update()
    number = physics.model.numbers()[learnable["name"]]
    assert abs(number.value - truth) < 3 * number.std
    assert number.std < 0.2 * truth
    assert physics.model.assessment.uncertainty.reduced_chi_square == pytest.approx(1.0, abs=0.25)


WALLS = [
    (0.0, 0.0, f"sin(pi*{S}) + 0.5*sin(2*pi*{S})"),
    (0.0, "neumann", f"sin(pi*{S}/2) + 0.4*sin(3*pi*{S}/2)"),
    ("neumann", 0.0, f"cos(pi*{S}/2) - 0.4*cos(3*pi*{S}/2)"),
    ("neumann", "neumann", f"0.5 + cos(pi*{S}) + 0.4*cos(2*pi*{S})"),
    (1.0, 1.0, f"1 + sin(pi*{S}) + 0.5*sin(2*pi*{S})"),
    (1.0, 2.0, f"1 + {S} + sin(pi*{S}) + 0.5*sin(2*pi*{S})"),
    (1.0, "neumann", f"1 + sin(pi*{S}/2)"),
    ("neumann", -2.0, f"-2 + cos(pi*{S}/2)"),
]
QUICK = [(0.0, "neumann"), (1.0, 2.0)]


def cases(walls):
    """Those between walls that are not among the quick ones are slow: there are many."""
    return [pytest.param(*wall, marks=[pytest.mark.slow] * (wall[:2] not in QUICK)) for wall in walls]


@pytest.mark.parametrize(("lower", "upper", "formula"), cases(WALLS))
def test_the_diffusivity_is_right_between_any_walls(lower, upper, formula):
    section = HEAT | {"domain": LINE, "boundary": {"x": {"lower": lower, "upper": upper}}}
    check(DIFFUSIVITY, 0.08, section, formula)


@pytest.mark.parametrize(("lower", "upper"), cases(w[:2] for w in WALLS if {*w[:2]} <= {0.0, "neumann"}))
def test_random_initial_states_are_states_of_the_prior(lower, upper):
    section = HEAT | {"domain": LINE, "boundary": {"x": {"lower": lower, "upper": upper}}}
    check(DIFFUSIVITY, 0.08, section, None)


@pytest.mark.parametrize(
    ("boundary", "formula"),
    [
        pytest.param(
            {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"},
            "sin(pi*x/4) * (1 + 0.5*sin(2*pi*y/1.5))",
            marks=pytest.mark.slow,
        ),
        ({"x": {"lower": 1.0, "upper": 2.0}, "y": {"lower": "neumann", "upper": "neumann"}}, "1 + x/2 + sin(pi*x/2)"),
    ],
)
@pytest.mark.parametrize("initial", ["full", "observed"])
def test_the_diffusivity_is_right_on_a_plate(boundary, formula, initial):
    section = HEAT | {"domain": PLATE, "boundary": boundary}
    space = {"space": {"mode": "points", "count": 60}, "interpolation": "cubic"} if initial == "observed" else {}
    check(DIFFUSIVITY, 0.08, section, formula, {"initial_state": initial} | space)


@pytest.mark.parametrize(
    ("boundary", "formula"),
    [
        (0.0, f"sin(pi*{S}/2)**2"),
        pytest.param({"lower": 1.0, "upper": "neumann"}, f"1 + sin(pi*{S}/2)**2 + 0.3*{S}", marks=pytest.mark.slow),
        pytest.param("neumann", f"{S}**2 - 0.5*{S}**3", marks=pytest.mark.slow),
        pytest.param({"lower": 0.0, "upper": "neumann"}, None, marks=pytest.mark.slow),
    ],
)
def test_a_flow_may_carry_anything_out_of_the_domain(boundary, formula):
    """At the wall where it leaves, the state is neither the wall's value nor without slope."""
    check(SPEED, 0.7, FLOW | {"domain": LINE, "boundary": {"x": boundary}}, formula)


def test_the_initial_state_is_one_of_the_data_whatever_the_physical_model_assumes():
    """Diffusion so weak that it changes nothing would hold a state at the wall where the flow leaves."""
    section = FLOW | {"domain": LINE, "boundary": {"x": 0.0}}
    believed = {
        "name": "advection_diffusion",
        "boundary": section["boundary"],
        "max_speed": 2.0,
        "max_diffusivity": 0.01,
    }
    believed["parameters"] = {"velocity_x": 0.7, "diffusivity": 1e-6}
    check(SPEED, 0.7, section, f"sin(pi*{S}/2)**2", equation=believed)


def layout(boundary, *others, resolution=(12, 9)):
    grid = Grid(axes=("x", "y"), lower=(-1.0, 0.0), size=(2.0, 3.0), resolution=resolution)
    return Layout(grid, tuple(FieldSpec(f"u{i}", boundary=b) for i, b in enumerate((boundary, *others))))


@pytest.mark.parametrize("open_walls", [False, True])
@pytest.mark.parametrize(
    "boundary", ["periodic", "neumann", 1.5, {"x": {"lower": 0.0, "upper": "neumann"}, "y": {"lower": 1.0, "upper": 2}}]
)
def test_states_are_projected_on_orthogonal_modes_and_come_back(boundary, open_walls):
    where, prior = layout(boundary, boundary), InitialStatePrior(length_scale=0.6, amplitude=0.7)
    nothing, unit = torch.zeros(3, 2, 12, 9, dtype=torch.float64), torch.ones(2, 1, 1, dtype=torch.float64)
    initial = InitialStates(nothing, unit, where, prior, open_walls=open_walls)
    xi = torch.randn(1, len(initial), generator=torch.Generator().manual_seed(0), dtype=torch.float64).clamp(-3, 3)
    states = initial.states(xi)
    assert states.shape == (1, 3, 2, 12, 9)
    again = InitialStates(states[0], unit, where, prior, open_walls=open_walls)
    assert torch.allclose(again.initial, xi[0], atol=1e-9)
    # Their variance in the mean over the domain is the prior's.
    deviations = initial.states(torch.eye(len(initial), dtype=torch.float64)) - initial.states(0 * xi)
    assert float(deviations.square().sum(dim=0).mean()) == pytest.approx(0.7**2, rel=1e-3)


def test_a_prior_for_fields_with_different_boundaries_is_refused():
    where, prior = layout("neumann", 0.0), InitialStatePrior(length_scale=0.6)
    with pytest.raises(ValueError, match=r"one boundary; here they differ: set null"):
        InitialStates(torch.zeros(1, 2, 12, 9), torch.ones(2, 1, 1), where, prior)


def test_the_first_coordinates_are_the_same_to_the_bit_in_every_call():
    where, prior = layout(0.0, resolution=(24, 20)), InitialStatePrior(length_scale=0.4)
    observed = torch.randn(2, 1, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = torch.ones(1, 1, 1, dtype=torch.float64)
    first = InitialStates(observed, unit, where, prior).initial
    assert all(torch.equal(InitialStates(observed, unit, where, prior).initial, first) for _ in range(50))


@pytest.mark.parametrize("method", ["Levenberg-Marquardt", pytest.param("L-BFGS-B", marks=pytest.mark.slow)])
def test_trainings_with_a_prior_are_the_same_to_the_bit_and_resumable(method, assert_resumable):
    section = HEAT | {"domain": PLATE, "boundary": {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"}}
    equation, seen = measured(section, None, {"initial_state": "observed", "space": {"mode": "points", "count": 40}})
    config = settings(DIFFUSIVITY, method, epochs=4, num_predict_steps=4, max_iterations=2)

    def run(checkpoint, resume):
        return train_physical(
            equation, seen, config, configuration={}, device=CPU, checkpoint=checkpoint, resume=resume
        )

    one = assert_resumable(run, 1)[-1][0]
    other = list(run(None, False))[-1][0]
    assert all(torch.equal(other.tensors[name], value) for name, value in one.tensors.items())
