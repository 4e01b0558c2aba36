"""alpha: auto: neither model of a hybrid harms the other, and each learns from one that is better."""

import json

import pytest
import torch

from hyco.hybrid.variances import Weights
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import train_synthetic

CPU = torch.device("cpu")
# The truth, 0.1, is out of reach: as far as a network that trained for four epochs is concerned, useless.
USELESS = {"learnable_parameters": [{"name": "viscosity", "initial_guess": 0.9, "bounds": [0.8, 1.0]}]}
QUICK = {"learning_rate": 1e-2, "batch_size": 1}


def is_as_good(trainer, unit, alone):
    """Whether coordinates are the optimum on real data: no worse there, and as near as an update is worth going on for.

    Not to the bit: the hybrid takes over what the last update gains, however little.
    """
    with torch.no_grad():
        loss = [float(trainer.problem.objective(z[None]).square().sum()) for z in (unit, alone)]
    return loss[0] <= loss[1] < loss[0] + trainer.config.abs_tol


def test_useless_physics_leaves_the_network_as_it_is_alone_to_the_bit(problem):
    trainer = problem.hybrid(
        alpha="auto", epochs=5, warmup_epochs=3, physical=USELESS, synthetic=QUICK, interaction={"count": 4}
    )
    steps = list(trainer.train())
    assert [r["metrics"]["alpha"] for _, r in steps] == [1.0] * 5
    alone = list(
        train_synthetic(problem.observations, problem.synthetic(epochs=5, **QUICK), 0, configuration={}, device=CPU)
    )
    for name, weights in final_synthetic_model(alone[-1][0]).tensors.items():
        assert torch.equal(final_synthetic_model(steps[-1][0]).tensors[name], weights)
    last = steps[-1][0]
    for name, value in alone[-1][0].tensors.items():
        assert torch.equal(last.tensors[name], value), name


def test_an_untrained_network_leaves_the_physics_at_its_own_optimum_and_good_physics_teaches(problem, physics_alone):
    trainer = problem.hybrid(alpha="auto", epochs=4, warmup_epochs=0, synthetic={"learning_rate": 1e-12})
    records = [r["metrics"] for _, r in trainer.train()]
    assert is_as_good(trainer.physical, trainer.physical.model.coordinates, physics_alone(problem, epochs=4))
    assert [m["alpha_physical"] for m in records] == [1.0] * 4
    assert records[0]["alpha"] == 1.0, "the first guess of the parameters teaches nothing"
    assert all(m["alpha"] < 0.7 for m in records[1:])
    assert records[-1]["variance_physical"] < 1 < records[-1]["variance_synthetic"]
    assert records[-1]["physical_loss"] is None, "nothing is left to gain"


def trusting_the_network(problem, monkeypatch, epochs=2):
    """A hybrid that takes its network, which knows next to nothing, for the better model."""
    trainer = problem.hybrid(alpha="auto", epochs=epochs, warmup_epochs=0)
    monkeypatch.setattr(trainer.strategy, "weights", lambda epoch: Weights(1.0, 0.2))
    return trainer


@pytest.mark.slow
def test_predictions_that_do_not_improve_the_validation_are_taken_back(problem, physics_alone, monkeypatch, caplog):
    trainer = trusting_the_network(problem, monkeypatch, epochs=4)
    with caplog.at_level("INFO"):
        list(trainer.train())
    assert "do not help the physical model" in caplog.text
    alone = physics_alone(problem, epochs=4)
    assert is_as_good(trainer.physical, trainer.physical.model.coordinates, alone)
    assert torch.equal(trainer.strategy.optimum, trainer.physical.model.coordinates)
    estimate = trainer.physical.estimate
    assert not estimate.from_predictions
    assert len(estimate.evaluations) > trainer.physical.updates, "they were tried"


@pytest.mark.slow
def test_updates_that_are_taken_back_become_rarer_with_an_adaptive_interval(problem, monkeypatch):
    adaptive = {"enabled": True, "max_frequency": 4}
    trainer = problem.hybrid(alpha="auto", epochs=16, warmup_epochs=0, interleave_frequency=2, adaptive=adaptive)
    monkeypatch.setattr(trainer.strategy, "weights", lambda epoch: Weights(1.0, 0.2))
    update, epochs = trainer.strategy.update, []

    def count(*arguments):
        epochs.append(trainer.run.epoch + 1)
        return update(*arguments)

    monkeypatch.setattr(trainer.strategy, "update", count)
    list(trainer.train())
    assert trainer.physical.settled
    assert torch.tensor(epochs).diff().min() >= 2
    assert epochs[-1] - epochs[-2] == 4


def test_predictions_that_improve_it_are_kept_beside_the_own_optimum(problem, physics_alone, monkeypatch):
    trainer = trusting_the_network(problem, monkeypatch, epochs=4)  # first alone
    better = iter([1.0, 0.5] * 2)
    monkeypatch.setattr(trainer.strategy, "validated", lambda scores: {})
    monkeypatch.setattr(trainer.models.trust, "validation", lambda *_: next(better))
    list(trainer.train())
    assert is_as_good(trainer.physical, trainer.strategy.optimum, physics_alone(problem, epochs=4))
    assert not torch.equal(trainer.physical.model.coordinates, trainer.strategy.optimum)
    assert trainer.physical.estimate.from_predictions
    resumed = problem.hybrid(alpha="auto").physical
    resumed.load(trainer.physical.state())
    assert resumed.estimate.from_predictions


def test_a_network_that_is_not_finite_is_not_trusted_and_can_be_stored(problem, monkeypatch):
    trainer = problem.hybrid(alpha="auto", epochs=2, warmup_epochs=0)
    nan = lambda starts, steps, time=0.0: torch.full((len(starts), steps, *starts.shape[1:]), torch.nan)  # noqa: E731
    monkeypatch.setattr(trainer.synthetic, "rollout", nan)
    *_, (last, record) = trainer.train()
    assert record["metrics"]["alpha_physical"] == 1.0
    assert record["metrics"]["alpha"] == 0.5
    assert record["metrics"]["variance_synthetic"] is None
    json.dumps(last.metadata["strategy"], allow_nan=False)


@pytest.mark.slow
def test_without_validation_simulations_the_physics_never_learns_from_the_network(make_problem):
    trainer = make_problem({"val_sim": []}).hybrid(alpha="auto", epochs=2, warmup_epochs=0)
    records = [r["metrics"] for _, r in trainer.train()]
    assert [m["alpha_physical"] for m in records] == [1.0, 1.0]
    assert all(0 < m["alpha"] < 1 for m in records)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_bit(problem, assert_resumable):
    options = {"interaction": {"count": 3, "refresh_every": 2}, "adaptive": {"enabled": True}}

    def run(checkpoint, resume):
        return problem.hybrid(alpha="auto", epochs=5, warmup_epochs=1, validate_every=2, **options).train(
            checkpoint, resume
        )

    assert_resumable(run, 2, 4)


@pytest.mark.slow
def test_a_killed_run_that_tries_predictions_resumes_to_the_bit(problem, assert_resumable, monkeypatch):
    def run(checkpoint, resume):
        return trusting_the_network(problem, monkeypatch, epochs=3).train(checkpoint, resume)

    assert_resumable(run, 1)
