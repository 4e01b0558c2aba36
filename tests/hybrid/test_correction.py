"""A network that corrects the physical step: it starts as the physics, learns what is missing, and is kept whole."""

import math

import pytest
import torch

from hyco.config import resolve_hybrid
from hyco.equations.registry import build_equation
from hyco.evaluation import roll_out_methods
from hyco.hybrid.correction import FrozenCorrection, model_from_bundle
from hyco.hybrid.trainer import HybridConfig, HybridTrainer
from hyco.metrics import nrmse_per_step
from hyco.observations import ObservationConfig, observe
from hyco.runtime.storage import Bundle, read_bundle, write_bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.final import final_physical_model, final_synthetic_model

CPU = torch.device("cpu")
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


class Problem:
    def __init__(self, believed=None, resolution=None, noise=0.0):
        self.equation = build_equation(EQUATION)
        data = generate(self.equation, GenerationConfig(simulations=4, steps=12, length_scale=0.8), 0)
        config = {"train_sim": [0, 1], "val_sim": [2], "test_sim": [3], "noise": noise}
        self.states = data.tensors["trajectories"]
        self.observations = observe(data, ObservationConfig.model_validate(config), 0)
        self.physical = {
            "learnable_parameters": [NUMBER],
            "equation": believed or {},
            "resolution": resolution,
            "suppress_convergence_errors": True,
            "max_iterations": 4,
        }

    def trainer(self, synthetic=None, **changes):
        hybrid = {"epochs": 4, "num_predict_steps": 4, "warmup_epochs": 2, "correction": True} | changes
        resolved = resolve_hybrid(hybrid, SYNTHETIC | (synthetic or {}), self.physical)
        return HybridTrainer(
            self.equation,
            self.observations,
            HybridConfig.model_validate(resolved),
            0,
            configuration={"equation": EQUATION, "hybrid": resolved, "seed": 0},
            device=CPU,
        )

    def errors(self, checkpoint):
        models = {
            "hybrid_synthetic": final_synthetic_model(checkpoint),
            "hybrid_physical": final_physical_model(checkpoint),
        }
        rollouts = roll_out_methods(self.states, [3], self.equation, models)
        return {m: sum(nrmse_per_step(rollouts[m], rollouts["truth"])[0]) / 12 for m in models}


NO_DIFFUSION = {"parameters": {"diffusivity": 0.0}}


@pytest.fixture(scope="module")
def lacking():
    """Diffusion is not known of: a term that depends on the state is missing."""
    return Problem(NO_DIFFUSION)


@pytest.mark.parametrize("resolution", [None, {"x": 16}])
def test_the_corrected_model_starts_as_the_physics(resolution):
    problem = Problem(resolution=resolution)
    trainer = problem.trainer()
    start = problem.states[:, 0]
    physics, corrected = trainer.physical.rollout(start, 6), trainer.synthetic.rollout(start, 6)
    if resolution is not None:
        transfer = trainer.physical.problem.model.transfer
        physics, corrected = transfer.restrict(physics), transfer.restrict(corrected)
    assert torch.allclose(corrected, physics, rtol=0, atol=2e-6 * float(physics.abs().max()))


@pytest.mark.parametrize("resolution", [None, {"x": 16}])
def test_the_gradient_through_the_corrected_rollout_passes_a_taylor_test(resolution):
    trainer = Problem(NO_DIFFUSION, resolution).trainer()
    model = trainer.synthetic.model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    frozen = FrozenCorrection(model)
    frozen.take(model)
    problem = trainer.physical.problem
    problem.correction = frozen
    z, direction = trainer.physical.unit.clone(), torch.tensor([0.7], dtype=torch.float64)

    def loss(point):
        return problem.real(point[None]).square().sum()

    slope = torch.autograd.functional.jacobian(loss, z) @ direction
    rest = [float(loss(z + h * direction) - loss(z) - h * slope) for h in (2e-4, 1e-4)]
    assert 1.95 < math.log2(rest[0] / rest[1]) < 2.05
    _, differences = problem.linearised(z)
    reverse = torch.autograd.functional.jacobian(lambda v: problem.real(v[None])[0], z)
    assert torch.allclose(differences, reverse, rtol=0, atol=1e-5 * float(reverse.abs().max()))
    # The weights' gradient goes through the solver: several steps, in float64 to see the order.
    model.double()
    model.base.double()
    start = model.base.std * 0 + torch.randn(2, 1, 32, dtype=torch.float64, generator=generator)
    weights = {name: p.detach().clone().requires_grad_(True) for name, p in model.network.named_parameters()}
    moves = {name: torch.randn(p.shape, dtype=torch.float64, generator=generator) for name, p in weights.items()}
    scale = model.change_std / model.std

    def rolled(h):
        moved, state = {name: p + h * moves[name] for name, p in weights.items()}, start
        for _ in range(3):
            before = model.base(state)
            state = before + scale * torch.func.functional_call(model.network, moved, (before,))
        return state.square().sum()

    value = rolled(0.0)
    slopes = torch.autograd.grad(value, list(weights.values()))
    slope = float(sum((g * m).sum() for g, m in zip(slopes, moves.values(), strict=True)))
    rest = [abs(float(rolled(h).detach() - value.detach()) - h * slope) for h in (2e-4, 1e-4)]
    assert 1.9 < math.log2(rest[0] / rest[1]) < 2.1


def test_a_missing_term_is_learnt_and_the_error_halved(lacking):
    *_, (last, _) = lacking.trainer(epochs=30, interleave_frequency=10, warmup_epochs=10).train()
    errors = lacking.errors(last)
    assert errors["hybrid_synthetic"] < 0.5 * errors["hybrid_physical"], errors


def test_the_final_model_holds_all_that_it_is_made_of(lacking, tmp_path):
    """Equation, parameters and network come from the file alone, and give the same rollout to the bit."""
    trainer = lacking.trainer(synthetic={"ema_decay": 0.9}, epochs=3, warmup_epochs=1)
    *_, (last, _) = trainer.train()
    write_bundle(tmp_path / "model.safetensors", final_synthetic_model(last))
    model = model_from_bundle(read_bundle(tmp_path / "model.safetensors"))
    start = lacking.states[:, 0]
    trainer.synthetic.predictor.load_state_dict(trainer.synthetic.best.weights)
    assert torch.equal(model.rollout(start, 5), trainer.synthetic.rollout(start, 5))
    again = model.to_bundle()
    assert again.metadata["base"]["equation"]["parameters"]["diffusivity"] == 0.0
    assert all(torch.equal(again.tensors[k], v) for k, v in trainer.synthetic.best.weights.items())
    bare = Bundle(again.tensors, {k: v for k, v in again.metadata.items() if k != "base"})
    with pytest.raises(RuntimeError, match="base"):
        model_from_bundle(bare)


def test_the_network_follows_the_parameters(lacking):
    trainer = lacking.trainer(epochs=3, warmup_epochs=1)
    list(trainer.train())
    values = trainer.physical.values
    assert float(trainer.synthetic.model.base.get_buffer("parameter_velocity_x")) == values["velocity_x"]
    assert trainer.physical.updates >= 3
    # The prediction of the physical model is that of the physics alone.
    start = lacking.states[:, 0]
    problem = trainer.physical.problem
    bare = problem.model.rollout(start, problem.values(trainer.physical.theta), 3)
    assert torch.equal(trainer.physical.rollout(start, 3), bare)
    assert not torch.equal(problem.roll_out(start, trainer.physical.theta, 3, corrected=True), bare)


def test_the_first_update_is_that_of_physics_alone(lacking):
    trainer = lacking.trainer(epochs=1, warmup_epochs=1)
    list(trainer.train())
    alone = lacking.trainer(epochs=1, warmup_epochs=0)
    alone.physical.calibrate(alone.config.calibration_iterations)
    assert trainer.physical.values == alone.physical.values
    assert trainer.synthetic.best.epoch in (0, 1)


@pytest.mark.parametrize("killed_after", [1, 3])
def test_killed_and_resumed_equals_uninterrupted(lacking, tmp_path, killed_after):
    changes = {"epochs": 5, "warmup_epochs": 1, "interleave_frequency": 2, "synthetic": {"ema_decay": 0.9}}
    whole = list(lacking.trainer(**changes).train())
    interrupted = lacking.trainer(**changes).train()
    for _ in range(killed_after):
        checkpoint, _ = next(interrupted)
        write_bundle(tmp_path / "last.safetensors", checkpoint)
    interrupted.close()
    resumed = list(lacking.trainer(**changes).train(read_bundle(tmp_path / "last.safetensors"), resume=True))
    assert [r for _, r in resumed] == [r for _, r in whole][killed_after:]
    assert resumed[-1][0].tensors.keys() == whole[-1][0].tensors.keys()
    for name, tensor in whole[-1][0].tensors.items():
        assert torch.equal(resumed[-1][0].tensors[name], tensor), name
    assert resumed[-1][0].metadata["physical"] == whole[-1][0].metadata["physical"]


def test_a_resumed_run_takes_the_path_that_it_had_in_both_models(lacking):
    interrupted = lacking.trainer(epochs=3).train()
    checkpoint, _ = next(interrupted)
    interrupted.close()
    checkpoint.metadata["physical"]["execution"] = "plain"  # as on a machine that could do no other
    resumed = lacking.trainer(epochs=3)
    last, _ = list(resumed.train(checkpoint, resume=True))[-1]
    assert last.metadata["physical"]["execution"] == resumed.physical.problem.stepper.path == "plain"
    assert resumed.synthetic.model.base.physical.stepper.path == "plain"


@pytest.mark.parametrize("others", [{"alpha": "auto"}, {"sequential": True}, {"interaction": {"count": 4}}])
def test_what_would_have_no_effect_is_refused(lacking, others):
    with pytest.raises(ValueError, match="correction trains on real data alone"):
        lacking.trainer(**others)


def test_the_correction_may_have_a_network_of_its_own(lacking):
    trainer = lacking.trainer(correction={"network": {"name": "resnet", "filters": 4, "blocks": 1}})
    assert trainer.synthetic.model.config.filters == 4
    with pytest.raises(ValueError, match="unknown network"):
        lacking.trainer(correction={"network": {"name": "resnets"}})
