"""sequential: the physical model alone, then the network on its predictions."""

import pytest
import torch

from hyco.training.physical import train_physical

CPU = torch.device("cpu")


def test_in_sequence_the_physics_is_that_alone_and_is_never_updated_again(problem, physics_alone, monkeypatch):
    trainer = problem.hybrid(epochs=3, warmup_epochs=1, sequential=True)
    units, epoch = [], trainer.synthetic.epoch

    def watch(number, samples, alpha):
        units.append(trainer.physical.model.coordinates.clone())
        assert (samples.physical is None) == (number == 1)
        return epoch(number, samples, alpha)

    monkeypatch.setattr(trainer.synthetic, "epoch", watch)
    records = [record for _, record in trainer.train()]
    expected = physics_alone(problem)
    assert all(torch.equal(unit, trainer.physical.model.coordinates) for unit in units)
    # Not to the bit that alone: the hybrid takes over what the last update gains, however little.
    assert torch.allclose(trainer.physical.model.coordinates, expected, atol=1e-4)
    assert [r["metrics"]["physical_loss"] is None for r in records] == [False, True, True]


@pytest.mark.slow
def test_in_sequence_the_physics_is_fitted_in_one_search(make_problem, caplog):
    problem = make_problem({"initial_state": "full"})
    trainer = problem.hybrid(epochs=1, warmup_epochs=1, sequential=True, calibration_iterations=200)
    with caplog.at_level("INFO", "hyco.inversion.calibrator"):
        (_, record), *_ = trainer.train()
    assert trainer.physical.updates == 1, "a memory of the curvature that starts afresh takes several times as many"
    assert trainer.physical.settled
    config = problem.physical(epochs=200)
    *_, (alone, expected) = train_physical(problem.equation, problem.observations, config, configuration={}, device=CPU)
    assert torch.equal(trainer.physical.model.coordinates, alone.tensors["physical/coordinates"])
    for name in ("physical_loss", "physical_evaluations"):
        assert record["metrics"][name] == expected["metrics"][name]
    (line,) = (r for r in caplog.records if "fitted to real data alone" in r.message)
    assert line.levelname == "INFO"
    assert "abs_tol" in line.message


def test_with_measured_weights_the_network_alone_learns_from_the_other(problem):
    trainer = problem.hybrid(epochs=3, warmup_epochs=1, sequential=True, alpha="auto")
    records = [r["metrics"] for _, r in trainer.train()]
    assert trainer.physical.updates == 1
    assert [m["alpha"] < 1 for m in records] == [False, True, True]
    assert trainer.strategy.summary()["alpha"] == {"rule": "auto", "synthetic": records[-1]["alpha"], "physical": 1.0}
    assert trainer.strategy.summary()["sequential"]


@pytest.mark.parametrize("alpha", [0.7, pytest.param("auto", marks=pytest.mark.slow)])
def test_a_killed_run_resumes_to_the_bit(problem, assert_resumable, alpha):
    def run(checkpoint, resume):
        return problem.hybrid(epochs=3, warmup_epochs=1, sequential=True, alpha=alpha).train(checkpoint, resume)

    assert_resumable(run, 1, 2)
