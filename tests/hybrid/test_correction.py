"""A network that corrects the physical step: gradients through both, and the file that it is kept in."""

import math

import pytest
import torch

from hyco.hybrid.correction import model_from_bundle
from hyco.runtime.storage import Bundle, read_bundle, write_bundle
from hyco.training.final import final_synthetic_model

NO_DIFFUSION = {"parameters": {"diffusivity": 0.0}}


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [None, pytest.param({"x": 16}, marks=pytest.mark.slow)])
def test_the_gradient_through_the_corrected_rollout_passes_a_taylor_test(make_corrections, resolution):
    trainer = make_corrections(NO_DIFFUSION, resolution).hybrid()
    model = trainer.synthetic.model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    trainer.strategy.correction.take(model)
    problem = trainer.physical.problem
    z, direction = trainer.physical.model.coordinates.clone(), torch.tensor([0.7], dtype=torch.float64)

    def loss(point):
        return problem.real(point[None]).square().sum()

    slope = torch.autograd.functional.jacobian(loss, z) @ direction
    rest = [float(loss(z + h * direction) - loss(z) - h * slope) for h in (2e-4, 1e-4)]
    assert 1.95 < math.log2(rest[0] / rest[1]) < 2.05
    _, differences = problem.linearised(z).dense()
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


@pytest.mark.slow
def test_the_final_model_holds_all_that_it_is_made_of(lacking, tmp_path):
    """Equation, parameters and network come from the file alone, and give the same rollout to the bit."""
    trainer = lacking.hybrid(synthetic={"ema_decay": 0.9}, epochs=3, warmup_epochs=1)
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
