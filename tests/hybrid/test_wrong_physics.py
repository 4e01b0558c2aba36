"""Physical models that are not the equation of the data: other terms, other boundaries, a coarser grid."""

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, parameter_fields, roll_out_methods
from hyco.inversion.calibrator import Calibrator
from hyco.observations import ObservationConfig, observe
from hyco.report import report
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.final import final_physical_model
from hyco.training.physical import PhysicalConfig, train_physical

CPU = torch.device("cpu")
HEAT = {
    "name": "heat",
    "domain": {"x": {"size": 4.0, "resolution": 64}},
    "boundary": {"x": {"lower": 0.5, "upper": "neumann"}},
    "dt": 0.1,
    "max_diffusivity": 0.4,
    "parameters": {"diffusivity": "0.1 + 0.05 * sin(pi * x / 4)"},
}
FIELD = {"name": "diffusivity", "kind": "fourier", "modes": 1, "offset": 0.1, "prior_std": 0.05, "mean": True}


def observations(section, noise=0.0, length_scale=0.8):
    equation = build_equation(section)
    data = generate(equation, GenerationConfig(simulations=2, steps=6, length_scale=length_scale), 0)
    config = ObservationConfig.model_validate({"train_sim": [0], "test_sim": [1], "noise": noise})
    return equation, data, observe(data, config, 0)


def config(learnable, **changes):
    return PhysicalConfig.model_validate(
        {
            "learnable_parameters": [learnable],
            "method": "Levenberg-Marquardt",
            "num_predict_steps": 6,
            "suppress_convergence_errors": True,
        }
        | changes
    )


@pytest.mark.slow
def test_the_physical_model_is_fitted_evaluated_and_reported_as_it_was_told():
    """The report builds the model from what is in its file: its rollout is that of the training."""
    equation, data, seen = observations(HEAT)
    assumed = {"boundary": {"x": "neumann"}}
    settings = config(FIELD, equation=assumed, resolution={"x": 16})
    *_, (last, _) = train_physical(equation, seen, settings, configuration={"equation": HEAT, "seed": 0}, device=CPU)
    model = final_physical_model(last)
    assert model["assumed"] == {"equation": assumed, "resolution": {"x": 16}, "ranges": {"order": 2}}
    assert len(model["fields"]["diffusivity"]["estimate"]) == 16
    models = evaluated_models({"physical": model}, equation)
    rollouts = roll_out_methods(data.tensors["trajectories"], [1], equation, models)
    trainer = Calibrator(equation, seen, settings, num_predict_steps=6, device=CPU)
    trainer.place(last.tensors["physical/coordinates"])
    expected = trainer.model.rollout(data.tensors["trajectories"][[1], 0], 6)
    assert rollouts["physical"].shape == (1, 6, 1, 64)
    assert torch.equal(rollouts["physical"], expected)
    entry = report("e", 0, equation, "heat", rollouts, models)["methods"]["physical"]["parameters"]["diffusivity"]
    true = torch.as_tensor(equation.parameters["diffusivity"]).reshape(16, 4).mean(1)
    estimate = torch.tensor(model["fields"]["diffusivity"]["estimate"], dtype=torch.float64)
    assert entry["relative_error"] == pytest.approx(float((estimate - true).norm() / true.norm()))
    fields = parameter_fields(equation, {"physical": models["physical"].estimate})
    assert fields["physical/diffusivity/estimate"].shape == fields["truth/diffusivity"].shape == (64,)


@pytest.mark.slow
def test_coarse_physics_finds_the_coefficient_nearly_as_fine_physics_does():
    equation, _, seen = observations(HEAT | {"parameters": {"diffusivity": 0.15}})
    number = {"name": "diffusivity", "initial_guess": 0.3, "bounds": [0.01, 0.4]}
    errors = {}
    for cells in (16, 32, 64):
        trainer = Calibrator(equation, seen, config(number, resolution={"x": cells}), num_predict_steps=6, device=CPU)
        trainer.update()
        errors[cells] = abs(trainer.model.values["diffusivity"] / 0.15 - 1)
    assert errors[64] < 1e-5
    assert errors[32] < 0.05
    assert errors[32] < 0.5 * errors[16]


@pytest.mark.slow
def test_the_batched_jacobian_of_coarse_physics_is_that_of_reverse_mode():
    equation, _, seen = observations(HEAT, noise=0.01)
    trainer = Calibrator(equation, seen, config(FIELD, resolution={"x": 16}), num_predict_steps=6, device=CPU)
    z = trainer.model.coordinates
    _, slopes = trainer.problem.linearised(z).dense()
    reverse = torch.autograd.functional.jacobian(lambda v: trainer.problem.real(v[None])[0], z)
    assert torch.allclose(slopes, reverse, rtol=0, atol=1e-5 * float(reverse.abs().max()))


@pytest.mark.slow
def test_wrong_physics_is_told_by_its_residuals():
    drag = {
        "name": "navier_stokes",
        "domain": {"x": {"size": 4.0, "resolution": 16}, "y": {"size": 4.0, "resolution": 16}},
        "dt": 0.1,
        "max_speed": 4.0,
        "parameters": {"viscosity": 0.05, "drag": 0.3},
    }
    equation, _, seen = observations(drag, noise=0.01)
    number = {"name": "viscosity", "initial_guess": 0.1, "bounds": [0.005, 1.0]}
    chi = {}
    for name, assumed in (("right", {}), ("wrong", {"parameters": {"drag": 0.0}})):
        trainer = Calibrator(equation, seen, config(number, equation=assumed), num_predict_steps=6, device=CPU)
        trainer.update()
        chi[name] = trainer.model.assessment.uncertainty.reduced_chi_square
    assert chi["right"] < 1.2
    assert chi["wrong"] > 10
