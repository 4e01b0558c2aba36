"""The physics-informed network: it finds a coefficient, and gives both models in the forms that evaluation takes."""

import pytest
import torch
from pydantic import ValidationError

from hyco.baselines.pinn import PinnConfig, _Fit, train_pinn
from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, roll_out_methods
from hyco.metrics import nrmse_per_step
from hyco.networks.coordinate_model import CoordinateModel
from hyco.observations import ObservationConfig, observe
from hyco.observations.changes import change_std
from hyco.stepping.generation import GenerationConfig, generate
from hyco.stepping.stepper import Stepper

CPU = torch.device("cpu")
HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 2.0, "resolution": 24}},
    "boundary": 0.0,
    "dt": 0.1,
    "max_diffusivity": 0.4,
    "parameters": {"diffusivity": 0.08},
}
DARCY = {
    "name": "darcy",
    "domain": {"x": {"size": 2.0, "resolution": 10}, "y": {"size": 1.0, "resolution": 8}},
    "boundary": 0.0,
    "parameters": {"permeability": "0.5 + 0.1*x"},
}
CONFIG = {
    "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.005, 0.4]}],
    "network": {"name": "mlp", "width": 24, "depth": 2},
    "learning_rate": 1e-2,
    "updates": 400,
}


def data(equation, steps, start):
    built = build_equation(equation)
    trajectories = generate(built, GenerationConfig(simulations=2, steps=steps, initial_state=start), 0)
    keys = {"train_sim": [0], "test_sim": [1], "noise": 0.01}
    return built, trajectories.tensors["trajectories"], observe(trajectories, ObservationConfig(**keys), 0)


def network_of(observations):
    mean, std = observations.statistics()
    return CoordinateModel.create(
        CONFIG["network"],
        observations.layout,
        dt=observations.dt,
        steps=observations.steps,
        mean=mean,
        std=std,
        seed=0,
    )


@pytest.fixture(scope="module")
def heat():
    return data(HEAT, 10, {"temperature": "sin(pi*x/2) + 0.5*sin(pi*x)"})


@pytest.mark.slow
def test_a_narrow_prior_far_from_the_first_guess_is_reached(heat):
    equation, _, observations = heat
    number = CONFIG["learnable_parameters"][0] | {"prior": {"mean": 0.08, "std": 0.001}}
    config = PinnConfig(**CONFIG | {"learnable_parameters": [number]})
    _, found = train_pinn(equation, observations, config, 0, device=CPU)
    assert found["parameters"]["diffusivity"]["estimate"] == pytest.approx(0.08, rel=0.1)


@pytest.mark.slow
def test_a_constant_channel_does_not_change_the_noise_that_priors_are_weighed_by():
    burgers = {
        "name": "burgers",
        "domain": {"x": {"size": 4.0, "resolution": 12}, "y": {"size": 4.0, "resolution": 10}},
        "dt": 0.05,
        "max_speed": 6.0,
        "parameters": {"viscosity": 0.1},
    }
    viscosity = {"name": "viscosity", "initial_guess": 0.3, "bounds": [0.005, 0.4]}
    start = {"velocity_x": "sin(pi*x/2)*cos(pi*y/2)", "velocity_y": 0.0}
    equation, _, observations = data(burgers, 4, start)
    config = PinnConfig(**CONFIG | {"learnable_parameters": [viscosity]})
    fit = _Fit(equation, observations, config, network_of(observations), CPU)
    noise = float(observations.noise_std[0] / observations.statistics()[1][0])
    assert fit.prior_weight * int(fit.measured.mask.sum()) == pytest.approx(noise**2, rel=1e-6)


def test_it_finds_the_diffusivity_and_the_states(heat):
    equation, truth, observations = heat
    network, physics = train_pinn(equation, observations, PinnConfig(**CONFIG), 0, device=CPU)
    found = physics["parameters"]["diffusivity"]
    assert found["estimate"] == pytest.approx(0.08, rel=0.1)
    assert found["std"] is None, "there is no honest one"
    assert physics["values"]["diffusivity"] == found["estimate"]
    assert physics["equation"] == "heat"
    rollouts = roll_out_methods(
        truth, [1], equation, evaluated_models({"synthetic": network, "physical": physics}, equation)
    )
    for method in ("synthetic", "physical"):
        per_step, _ = nrmse_per_step(rollouts[method], rollouts["truth"])
        assert sum(per_step) / 10 < 0.03
    for model in (network.metadata, physics):
        assert model["training"]["training"] == "pinn"
        assert model["training"]["epochs"] == 400
        assert model["training"]["wall_seconds"] > 0


def test_the_residual_of_the_true_solution_is_zero_only_for_the_true_parameter(heat):
    equation, truth, observations = heat
    model = network_of(observations)
    model.states = lambda steps: model.normalise(truth[0, steps.long()]).double()
    fit = _Fit(equation, observations, PinnConfig(**CONFIG), model, CPU)
    steps = torch.tensor([0, 4, 9])
    assert float(fit._residual(steps).square().mean()) > 0.1
    with torch.no_grad():
        target = fit.space.learnable[0]
        # The coordinate of a positive number is its logarithm.
        fit.moved.copy_(fit.box.start * 0 + _coordinate(fit, 0.08))
    assert target.name == "diffusivity"
    assert fit.space.to_values(fit.z)["diffusivity"].item() == pytest.approx(0.08, rel=1e-6)
    assert float(fit._residual(steps).square().mean()) < 1e-8


def test_the_residual_knows_the_time(heated_rod):
    equation, truth, observations = data(heated_rod.SECTION, 10, {"u": "sin(pi*x/2)"})
    model = network_of(observations)
    model.states = lambda steps: model.normalise(truth[0, steps.long()]).double()
    learnt = [{"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.005, 0.4]}]
    fit = _Fit(equation, observations, PinnConfig(**CONFIG | {"learnable_parameters": learnt}), model, CPU)
    assert float(fit._residual(torch.tensor([0, 4, 9])).detach().square().mean()) < 1e-8


def _coordinate(fit, value):
    """Where the parameter has a value, by bisection."""
    low, high = (fit.box.lower - fit.box.start) / fit.box.width, (fit.box.upper - fit.box.start) / fit.box.width
    for _ in range(60):
        middle = (low + high) / 2
        found = fit.space.to_values(fit.box.start + fit.box.width * middle)["diffusivity"]
        low, high = (middle, high) if float(found) < value else (low, middle)
    return (low + high) / 2


def test_the_same_seed_gives_the_same_bits_and_parameters_stay_in_their_bounds(heat):
    equation, _, observations = heat
    config = PinnConfig(**CONFIG | {"updates": 5, "parameter_learning_rate": 10.0})
    one, other = (train_pinn(equation, observations, config, 0, device=CPU) for _ in range(2))
    assert all(torch.equal(one[0].tensors[k], other[0].tensors[k]) for k in one[0].tensors)
    assert one[1]["parameters"] == other[1]["parameters"]
    assert 0.005 - 1e-12 <= one[1]["parameters"]["diffusivity"]["estimate"] <= 0.4 + 1e-12


@pytest.mark.slow
def test_a_static_problem_with_a_field_runs_and_its_field_is_told():
    equation, truth, observations = data(DARCY, 1, {})
    terms = {"name": "permeability", "kind": "field", "initial_guess": 0.5, "bounds": [0.1, 2.0]}
    terms["regularisation"] = {"kind": "h1", "weight": 1.0}
    config = PinnConfig(**CONFIG | {"learnable_parameters": [terms], "updates": 200})
    network, physics = train_pinn(equation, observations, config, 0, device=CPU)
    assert physics["fields"]["permeability"]["std"] is None
    assert torch.tensor(physics["fields"]["permeability"]["estimate"]).shape == (10, 8)
    rollouts = roll_out_methods(
        truth, [1], equation, evaluated_models({"synthetic": network, "physical": physics}, equation)
    )
    per_step, _ = nrmse_per_step(rollouts["synthetic"], rollouts["truth"])
    assert per_step[0] < 0.1


def test_it_assumes_the_equation_of_the_physical_model(heat):
    """Walls that hold no value: its residual, its report and the rollouts of its parameters are theirs."""
    equation, truth, observations = heat
    config = PinnConfig(**CONFIG | {"updates": 3, "equation": {"boundary": "neumann"}})
    _, physics = train_pinn(equation, observations, config, 0, device=CPU)
    assert physics["assumed"] == {"equation": {"boundary": "neumann"}, "resolution": None}
    own = build_equation(HEAT | {"boundary": "neumann"})
    plain = physics | {"assumed": {"equation": {}, "resolution": None}}
    there = roll_out_methods(truth, [1], own, evaluated_models({"physical": plain}, own))
    here = roll_out_methods(truth, [1], equation, evaluated_models({"physical": physics}, equation))
    assert torch.equal(here["physical"], there["physical"])
    model = network_of(observations)
    steps = torch.tensor([0, 4])
    before, after = model.denormalise(model.states(torch.cat([steps, steps + 1]))).chunk(2)
    change = after - Stepper(own)(before, {"diffusivity": torch.tensor(0.3, dtype=torch.float64)})
    found = _Fit(equation, observations, config, model, CPU)._residual(steps)
    assert torch.allclose(found, change / change_std(observations).reshape(-1, 1), rtol=1e-10)


def test_what_is_not_learnt_has_the_value_that_the_physical_model_assumes():
    section = HEAT | {"name": "advection_diffusion", "boundary": "periodic", "max_speed": 1.0}
    section["parameters"] = {"velocity_x": 0.5, "diffusivity": 0.08}
    equation, _, observations = data(section, 6, {"concentration": "sin(pi*x)"})
    velocity = {"name": "velocity_x", "initial_guess": 0.3, "bounds": [0.0, 1.0]}
    believed = {"parameters": {"diffusivity": 0.02}}
    config = PinnConfig(**CONFIG | {"learnable_parameters": [velocity], "equation": believed})
    model = network_of(observations)
    fixed = _Fit(equation, observations, config, model, CPU).fixed
    assert {name: float(value) for name, value in fixed.items()} == {"diffusivity": 0.02}


def test_what_cannot_be_a_physics_informed_network_is_refused(heat):
    with pytest.raises(ValidationError, match="resnet steps states; a physics-informed network is one of coordinates"):
        PinnConfig(**CONFIG | {"network": {"name": "resnet"}})
    equation, _, observations = heat
    huge = PinnConfig(**CONFIG | {"updates": 3, "learning_rate": 1e30})
    with pytest.raises(FloatingPointError, match="loss is not finite at update 2: lower learning_rate"):
        train_pinn(equation, observations, huge, 0, device=CPU)
