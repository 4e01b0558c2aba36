"""The final network is that of the best validated epoch: its weights, not its number alone."""

import pytest
import torch

from hyco.networks.models import model_from_bundle
from hyco.runtime.storage import Bundle
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import synthetic_trainer, train_synthetic
from hyco.training.validation import Validation

CPU = torch.device("cpu")
SCORES = [3.0, 1.0, 2.0, 4.0]


def scored(problem, monkeypatch, scores=SCORES, **changes):
    """A training whose epochs validate with these scores."""
    remaining = iter(scores)
    monkeypatch.setattr(Validation, "__call__", lambda *_: {"score": next(remaining)})
    config = problem.synthetic(epochs=len(scores), learning_rate=1e-2, **changes)
    return [c for c, _ in train_synthetic(problem.observations, config, 0, configuration={}, device=CPU)]


def weights_that_predict(checkpoint, averaged):
    prefix = "synthetic/average/module." if averaged else "synthetic/weights/"
    return {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_the_final_network_has_the_weights_of_the_epoch_that_validated_best(problem, monkeypatch, ema_decay):
    checkpoints = scored(problem, monkeypatch, ema_decay=ema_decay)
    final = final_synthetic_model(checkpoints[-1])
    best, last = (weights_that_predict(checkpoints[i], ema_decay is not None) for i in (1, -1))
    assert final.metadata["epoch"] == 2
    assert final.tensors.keys() == best.keys()
    assert all(torch.equal(value, best[name]) for name, value in final.tensors.items())
    moved = [name for name, value in best.items() if not torch.equal(value, last[name])]
    assert any(name.startswith("network.") for name in moved), "the last epoch has other weights"


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_the_final_network_predicts_as_the_training_did_when_it_validated_best(problem, monkeypatch, ema_decay):
    checkpoints = scored(problem, monkeypatch, ema_decay=ema_decay)
    config = problem.synthetic(ema_decay=ema_decay)
    trainer = synthetic_trainer(problem.observations, config, 0, num_predict_steps=4, epochs=4, device=CPU)
    start = problem.observations.initial_states
    model = model_from_bundle(final_synthetic_model(checkpoints[-1]))
    weights = weights_that_predict(checkpoints[1], ema_decay is not None)
    trainer.predictor.load_state_dict(weights)
    assert torch.equal(model.rollout(start, 5), trainer.rollout(start, 5))
    trainer.predictor.load_state_dict(weights_that_predict(checkpoints[-1], ema_decay is not None))
    assert not torch.equal(model.rollout(start, 5), trainer.rollout(start, 5))


@pytest.mark.slow
def test_the_final_network_of_a_hybrid_has_the_weights_of_the_epoch_in_which_it_validated_best(problem, monkeypatch):
    # Of the network and of the physical model, epoch by epoch; the smallest one_step is in another epoch.
    errors = iter([(3.0, 1.0), (9.0, 9.0), (1.0, 3.0), (8.0, 8.0), (2.0, 0.5), (7.0, 7.0)])

    def error(*_):
        score, one_step = next(errors)
        return {"score": score, "one_step": one_step}

    monkeypatch.setattr(Validation, "__call__", error)
    checkpoints = [c for c, _ in problem.hybrid(epochs=3, warmup_epochs=0).train()]
    final, best = final_synthetic_model(checkpoints[-1]), weights_that_predict(checkpoints[1], averaged=False)
    assert final.metadata["epoch"] == 2
    assert all(torch.equal(value, best[name]) for name, value in final.tensors.items())


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_without_a_validation_the_weights_are_the_last(make_problem, ema_decay):
    problem = make_problem({"val_sim": []})
    config = problem.synthetic(epochs=2, ema_decay=ema_decay)
    *_, (last, _) = train_synthetic(problem.observations, config, 0, configuration={}, device=CPU)
    final, expected = final_synthetic_model(last), weights_that_predict(last, ema_decay is not None)
    assert final.metadata["epoch"] == 2
    assert all(torch.equal(value, expected[name]) for name, value in final.tensors.items())


def test_the_best_epoch_is_kept_when_the_training_is_resumed_after_it(problem, monkeypatch):
    checkpoints = scored(problem, monkeypatch)
    config = problem.synthetic(epochs=len(SCORES), learning_rate=1e-2)
    remaining = iter(SCORES[2:])
    monkeypatch.setattr(Validation, "__call__", lambda *_: {"score": next(remaining)})
    *_, (last, _) = train_synthetic(
        problem.observations, config, 0, configuration={}, device=CPU, checkpoint=checkpoints[1], resume=True
    )
    one, other = final_synthetic_model(last), final_synthetic_model(checkpoints[-1])
    assert one.metadata["epoch"] == other.metadata["epoch"] == 2
    assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_the_final_network_knows_the_dt_of_its_data_beside_the_same_tensors(problem):
    config = problem.synthetic(epochs=1)
    *_, (last, _) = train_synthetic(problem.observations, config, 0, configuration={}, device=CPU)
    final = final_synthetic_model(last)
    assert final.metadata["dt"] == problem.observations.dt
    assert not any("dt" in name.split(".") for name in final.tensors)
    earlier = Bundle(final.tensors, {key: value for key, value in final.metadata.items() if key != "dt"})
    start = problem.observations.initial_states
    assert torch.equal(model_from_bundle(earlier).rollout(start, 3), model_from_bundle(final).rollout(start, 3))
