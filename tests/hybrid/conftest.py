"""What tests of hybrids share: either model alone, and data of which the physics lacks a term."""

import pytest
import torch

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.evaluation import evaluated_models, roll_out_methods
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.metrics import nrmse_per_step
from hyco.observations import ObservationConfig, observe
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import train_physical

CPU = torch.device("cpu")
# Convection and diffusion.
EQUATION = {
    "name": "advection_diffusion",
    "domain": {"x": {"size": 4.0, "resolution": 32}},
    "dt": 0.05,
    "max_speed": 1.0,
    "max_diffusivity": 0.1,
    "parameters": {"velocity_x": 0.6, "diffusivity": 0.05},
}
SYNTHETIC = {
    "network": {"name": "resnet", "filters": 8, "blocks": 1},
    "num_predict_steps": 4,
    "learning_rate": 5e-3,
    "batch_size": 4,
}
NUMBER = {"name": "velocity_x", "initial_guess": 0.3, "bounds": [0.0, 1.0]}
NO_DIFFUSION = {"parameters": {"diffusivity": 0.0}}


def _physics_alone(problem, **changes):
    """Coordinates that the physical model reaches alone, in the same chunks as in a hybrid."""
    config = problem.physical(max_iterations=5, suppress_convergence_errors=True, **changes)
    *_, (last, _) = train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU)
    return last.tensors["physical/coordinates"]


def _assert_equal_bundles(one, other):
    assert one.tensors.keys() == other.tensors.keys()
    for name in one.tensors:
        assert torch.equal(one.tensors[name], other.tensors[name]), name


@pytest.fixture
def assert_equal_bundles():
    return _assert_equal_bundles


@pytest.fixture
def physics_alone():
    return _physics_alone


class Corrections:
    """Hybrids whose network corrects a physics that may lack a term."""

    def __init__(self, assumed=None, resolution=None, noise=0.0):
        self.equation = build_equation(EQUATION)
        data = generate(self.equation, GenerationConfig(simulations=4, steps=12, length_scale=0.8), 0)
        config = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3], "noise": noise}
        self.states = data.tensors["trajectories"]
        self.observations = observe(data, ObservationConfig.model_validate(config), 0)
        self.physical = {
            "learnable_parameters": [NUMBER],
            "equation": assumed or {},
            "resolution": resolution,
            "suppress_convergence_errors": True,
            "max_iterations": 4,
        }

    def hybrid(self, synthetic=None, choice=None, **changes):
        hybrid = {"epochs": 4, "num_predict_steps": 4, "warmup_epochs": 2, "correction": True} | changes
        resolved = resolve_hybrid(hybrid, SYNTHETIC | (synthetic or {}), self.physical)
        return HybridTrainer(
            self.equation,
            self.observations,
            HybridConfig.model_validate(resolved),
            0,
            configuration={"equation": EQUATION, "hybrid": resolved, "seed": 0},
            device=CPU,
            choice=choice,
        )

    def errors(self, checkpoint):
        models = {
            "hybrid_synthetic": final_synthetic_model(checkpoint),
            "hybrid_physical": final_physical_model(checkpoint),
        }
        evaluated = evaluated_models(models, self.equation)
        rollouts = roll_out_methods(self.states, [3], self.equation, evaluated)
        return {m: sum(nrmse_per_step(rollouts[m], rollouts["truth"])[0]) / 12 for m in models}


@pytest.fixture(scope="session")
def make_corrections():
    return Corrections


@pytest.fixture(scope="session")
def lacking():
    """Diffusion is not known of: a term that depends on the state is missing."""
    return Corrections(NO_DIFFUSION)
