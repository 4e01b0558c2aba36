"""correction: the hybrid starts as the physics, the network learns what is missing and follows the parameters."""

from dataclasses import replace

import pytest
import torch

from hyco.runtime.storage import read_bundle, write_bundle


@pytest.mark.parametrize("resolution", [None, pytest.param({"x": 16}, marks=pytest.mark.slow)])
def test_the_corrected_model_starts_as_the_physics(make_corrections, resolution):
    problem = make_corrections(resolution=resolution)
    trainer = problem.hybrid()
    start = problem.states[:, 0]
    physics, corrected = trainer.physical.model.rollout(start, 6), trainer.synthetic.rollout(start, 6)
    if resolution is not None:
        transfer = trainer.physical.problem.forward.model.transfer
        physics, corrected = transfer.restrict(physics), transfer.restrict(corrected)
    assert torch.allclose(corrected, physics, rtol=0, atol=2e-6 * float(physics.abs().max()))


@pytest.mark.slow
def test_a_missing_term_is_learnt_and_the_error_halved(lacking):
    *_, (last, _) = lacking.hybrid(epochs=30, interleave_frequency=10, warmup_epochs=10).train()
    errors = lacking.errors(last)
    assert errors["hybrid_synthetic"] < 0.5 * errors["hybrid_physical"], errors


@pytest.mark.slow
def test_the_network_follows_the_parameters(lacking):
    trainer = lacking.hybrid(epochs=3, warmup_epochs=1, correction={"terms": False})
    list(trainer.train())
    values = trainer.physical.model.values
    assert float(trainer.synthetic.model.base.get_buffer("parameter_velocity_x")) == values["velocity_x"]
    assert trainer.physical.updates >= 3
    # The prediction of the physical model is that of the physics alone.
    start = lacking.states[:, 0]
    forward, theta = trainer.physical.problem.forward, trainer.physical.model.theta
    bare = forward.model.rollout(start, forward.values(theta), 3)
    assert torch.equal(trainer.physical.model.rollout(start, 3), bare)
    assert not torch.equal(forward.rollout(start, theta, 3), bare)


@pytest.mark.slow
def test_the_first_update_is_that_of_physics_alone(lacking):
    trainer = lacking.hybrid(epochs=1, warmup_epochs=1, correction={"terms": False})
    list(trainer.train())
    alone = lacking.hybrid(epochs=1, warmup_epochs=0)
    alone.physical.calibrate(alone.config.calibration)
    assert trainer.physical.model.values == alone.physical.model.values
    assert trainer.synthetic.best.epoch in (0, 1)


def test_the_parameters_are_not_fitted_beside_a_correction_that_is_of_no_use(lacking):
    alone = lacking.hybrid(epochs=1, warmup_epochs=0)
    alone.physical.calibrate(alone.config.calibration)
    trainer = lacking.hybrid(
        epochs=3, warmup_epochs=1, correction={"terms": False}, synthetic={"learning_rate": 1.0, "gradient_clip": 10.0}
    )
    list(trainer.train())
    assert trainer.synthetic.best.epoch == 0
    assert trainer.physical.model.values == alone.physical.model.values


def test_a_correction_beside_which_parameters_were_fitted_is_kept(lacking):
    """It validates better than the physics once, and never after the fit of the parameters beside it."""
    trainer = lacking.hybrid(epochs=3, warmup_epochs=0, correction={"terms": False})
    validate, scores = trainer.models.validate, iter([1.0, 0.5])

    class Scored:
        available = True

        def __call__(self, model, initial):
            return validate(model, initial) | ({"score": next(scores, 2.0)} if model is trainer.synthetic else {})

    trainer.strategy.models = replace(trainer.models, validate=Scored())
    list(trainer.train())
    assert trainer.physical.updates > 1
    assert (trainer.synthetic.best.epoch, trainer.synthetic.best.score) == (1, 0.5)


EVERY_SECOND = {"epochs": 5, "warmup_epochs": 1, "interleave_frequency": 2, "synthetic": {"ema_decay": 0.9}}
OF_NO_USE = {
    "epochs": 4,
    "warmup_epochs": 1,
    "correction": {"terms": False},
    "synthetic": {"learning_rate": 1.0, "gradient_clip": 10.0, "ema_decay": 0.9},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "killed_after"),
    [(EVERY_SECOND, 1), (EVERY_SECOND, 3), (OF_NO_USE, 1), (OF_NO_USE, 2), (OF_NO_USE, 3)],
)
def test_killed_and_resumed_equals_uninterrupted(lacking, tmp_path, changes, killed_after):
    whole = list(lacking.hybrid(**changes).train())
    if changes is OF_NO_USE:
        assert whole[-1][0].metadata["synthetic"]["best_epoch"] == 0
    interrupted = lacking.hybrid(**changes).train()
    for _ in range(killed_after):
        checkpoint, _ = next(interrupted)
        write_bundle(tmp_path / "last.safetensors", checkpoint)
    interrupted.close()
    resumed = list(lacking.hybrid(**changes).train(read_bundle(tmp_path / "last.safetensors"), resume=True))
    assert [r for _, r in resumed] == [r for _, r in whole][killed_after - 1 :]
    assert resumed[-1][0].tensors.keys() == whole[-1][0].tensors.keys()
    for name, tensor in whole[-1][0].tensors.items():
        assert torch.equal(resumed[-1][0].tensors[name], tensor), name
    assert resumed[-1][0].metadata["physical"] == whole[-1][0].metadata["physical"]


@pytest.mark.slow
def test_a_resumed_run_takes_the_path_that_it_had_in_both_models(lacking):
    interrupted = lacking.hybrid(epochs=3).train()
    checkpoint, _ = next(interrupted)
    interrupted.close()
    checkpoint.metadata["physical"]["estimate"]["execution"] = "plain"  # as on a machine that could do no other
    resumed = lacking.hybrid(epochs=3)
    last, _ = list(resumed.train(checkpoint, resume=True))[-1]
    assert (
        last.metadata["physical"]["estimate"]["execution"]
        == resumed.physical.problem.forward.stepper.execution
        == "plain"
    )
    assert resumed.synthetic.model.base.physical.stepper.execution == "plain"


@pytest.mark.parametrize("others", [{"alpha": "auto"}, {"sequential": True}, {"interaction": {"count": 4}}])
def test_what_would_have_no_effect_is_refused(lacking, others):
    with pytest.raises(ValueError, match="correction trains on real data alone"):
        lacking.hybrid(**others)


def test_the_correction_may_have_a_network_of_its_own(lacking):
    trainer = lacking.hybrid(correction={"network": {"name": "resnet", "filters": 4, "blocks": 1}})
    assert trainer.synthetic.model.config.filters == 4
    with pytest.raises(ValueError, match="unknown network"):
        lacking.hybrid(correction={"network": {"name": "resnets"}})
