"""The interleaved loop: who trains when, on what, and that a killed run goes on as if nothing had happened."""

import math

import pytest
import torch

from hyco.inversion.result import NotConverged
from hyco.storage import read_bundle, write_bundle
from hyco.training import available
from hyco.training.checkpoints import ResumeError
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.physical import PhysicalTrainer, train_physical
from hyco.training.synthetic import SyntheticTrainer, train_synthetic

CPU = torch.device("cpu")


def history(steps):
    return [record for _, record in steps]


def assert_equal_bundles(one, other):
    assert one.tensors.keys() == other.tensors.keys()
    for name in one.tensors:
        assert torch.equal(one.tensors[name], other.tensors[name]), name


def test_the_list_of_available_trainings_is_synthetic_physical_hybrid():
    assert available() == ["synthetic", "physical", "hybrid"]


def test_one_hybrid_epoch_gives_one_entry_in_each_history(problem):
    records = history(problem.hybrid(epochs=1, warmup_epochs=0).train())
    assert [r["epoch"] for r in records] == [1]
    for key in ("synthetic_loss", "physical_loss", "validation_synthetic", "validation_physical", "estimate.viscosity"):
        assert math.isfinite(records[0]["metrics"][key])


def test_warm_up_epochs_have_null_physical_losses_and_later_ones_do_not(problem):
    records = history(problem.hybrid(epochs=4, warmup_epochs=2).train())
    losses = [r["metrics"]["physical_loss"] for r in records]
    assert losses[:2] == [None, None]
    assert all(math.isfinite(v) for v in losses[2:])
    assert [r["metrics"]["alpha"] for r in records] == [1.0, 1.0, 0.7, 0.7]


def test_the_physics_is_updated_every_interleave_frequency_epochs_after_the_warm_up(problem):
    records = history(problem.hybrid(epochs=6, warmup_epochs=1, interleave_frequency=2).train())
    updated = [r["epoch"] for r in records if r["metrics"]["physical_loss"] is not None]
    assert updated == [3, 5]


def test_adaptive_interleaving_updates_a_settled_physics_less_often(problem):
    adaptive = {"enabled": True, "min_improvement": 0.9, "max_frequency": 4}
    records = history(problem.hybrid(epochs=8, warmup_epochs=0, adaptive=adaptive).train())
    updated = [r["epoch"] for r in records if r["metrics"]["physical_loss"] is not None]
    assert updated[0] == 1
    assert len(updated) < 8
    gaps = torch.tensor(updated).diff()
    assert gaps.max() > 1
    assert gaps.max() <= 4


def test_the_synthetic_loss_falls_and_the_estimate_improves(problem):
    trainer = problem.hybrid(epochs=12, synthetic={"use_sliding_window": True, "learning_rate": 1e-2})
    records = history(trainer.train())
    assert len(records) == 12
    assert records[-1]["metrics"]["synthetic_loss"] < 0.5 * records[0]["metrics"]["synthetic_loss"]
    estimate = trainer.physical.estimates()["viscosity"]
    assert abs(estimate["estimate"] - 0.1) < 0.05 < abs(0.5 - 0.1)
    assert estimate["identifiable"]


def test_alpha_one_is_each_model_alone_to_the_bit(problem):
    trainer = problem.hybrid(alpha=1.0, epochs=6, warmup_epochs=2)
    *_, (last, _) = trainer.train()
    configuration = {"seed": 0}
    *_, (synthetic, _) = train_synthetic(
        problem.observations, problem.synthetic(epochs=6), 0, configuration=configuration, device=CPU
    )
    *_, (physical, _) = train_physical(
        problem.equation,
        problem.observations,
        problem.physical(epochs=4, max_iterations=5, suppress_convergence_errors=True),
        configuration=configuration,
        device=CPU,
    )
    last.metadata["configuration"] = physical.metadata["configuration"] = {"equation": {"name": "burgers"}}
    assert_equal_bundles(final_synthetic_model(last), final_synthetic_model(synthetic))
    assert final_physical_model(last)["parameters"] == final_physical_model(physical)["parameters"]


def test_alpha_zero_uses_the_other_model_alone(problem, monkeypatch):
    """With alpha 0 the observations after t = 0 must not be looked at once the warm-up is over."""
    trainer = problem.hybrid(alpha=0.0, epochs=2, warmup_epochs=0)
    problem_of = trainer.physical.problem
    problem_of.targets = torch.full_like(problem_of.targets, torch.nan)
    trainer.synthetic._values = torch.full_like(trainer.synthetic._values, torch.nan)
    # The standard deviation comes from real data by definition; it is not what is tested here.
    known = problem.hybrid().physical
    known.assess()
    monkeypatch.setattr(trainer.physical, "assess", lambda: setattr(trainer.physical, "assessment", known.assessment))
    monkeypatch.setattr("hyco.training.physical.residual_summary", lambda *_: {})
    records = history(trainer.train())
    assert all(math.isfinite(r["metrics"][k]) for r in records for k in ("synthetic_loss", "physical_loss"))


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_run_that_is_killed_and_resumed_equals_the_uninterrupted_one(problem, tmp_path, killed_after):
    whole = list(problem.hybrid().train())
    interrupted = problem.hybrid().train()
    for _ in range(killed_after):
        checkpoint, _ = next(interrupted)
        write_bundle(tmp_path / "last.safetensors", checkpoint)
    interrupted.close()
    resumed = list(problem.hybrid().train(read_bundle(tmp_path / "last.safetensors"), resume=True))
    assert [r["epoch"] for _, r in resumed] == list(range(killed_after + 1, 7))
    assert_equal_bundles(resumed[-1][0], whole[-1][0])
    assert history(resumed) == history(whole)[killed_after:]
    assert resumed[-1][0].metadata["history"] == whole[-1][0].metadata["history"]
    assert resumed[-1][0].metadata["physical"] == whole[-1][0].metadata["physical"]


def test_resuming_with_another_configuration_names_the_key(problem):
    *_, (checkpoint, _) = problem.hybrid(epochs=1).train()
    with pytest.raises(ResumeError, match=r"hybrid\.alpha: 0\.7 in the checkpoint, 0\.6 now"):
        list(problem.hybrid(epochs=1, alpha=0.6).train(checkpoint, resume=True))


def test_a_finished_run_is_not_trained_again(problem):
    *_, (checkpoint, record) = problem.hybrid(epochs=2).train()
    again = list(problem.hybrid(epochs=2).train(checkpoint, resume=True))
    assert len(again) == 1
    assert again[0] == (checkpoint, record)


def test_resuming_from_nothing_starts_anew_and_says_so(problem, caplog):
    with caplog.at_level("INFO"):
        records = history(problem.hybrid(epochs=1).train(None, resume=True))
    assert len(records) == 1
    assert "Nothing to resume" in caplog.text


def test_the_same_seed_gives_the_same_run_to_the_bit(problem):
    runs = [list(problem.hybrid(epochs=3).train()) for _ in range(2)]
    assert_equal_bundles(runs[0][-1][0], runs[1][-1][0])
    assert history(runs[0]) == history(runs[1])


def test_hybrid_stops_at_not_converged_only_if_it_is_told_to(problem):
    trainer = problem.hybrid(
        warmup_epochs=0, physical=HARD | {"suppress_convergence_errors": False, "max_iterations": 1}
    )
    steps = trainer.train()
    _, record = next(steps)
    assert record["epoch"] == 1, "the epoch is saved before the error leaves"
    with pytest.raises(NotConverged) as caught:
        next(steps)
    assert caught.value.parameters["viscosity"] != 0.5


HARD = {"abs_tol": 1e-12}


def test_predictions_that_are_not_finite_reach_no_optimiser(problem, monkeypatch, caplog):
    trainer = problem.hybrid(epochs=2, warmup_epochs=0)
    nan = lambda starts, steps: torch.full((starts.shape[0], steps, *starts.shape[1:]), torch.nan)  # noqa: E731
    monkeypatch.setattr(trainer.physical, "predict", nan)
    monkeypatch.setattr(
        trainer.synthetic, "targets", lambda samples: (nan(samples.starts, trainer.config.num_predict_steps), None)
    )
    records = history(trainer.train())
    assert "not finite" in caplog.text
    assert all(math.isfinite(r["metrics"]["synthetic_loss"]) for r in records)
    assert all(torch.isfinite(p).all() for p in trainer.synthetic.model.parameters())
    assert trainer.physical.values["viscosity"] == pytest.approx(0.1, abs=0.05)


def test_both_predictions_of_an_epoch_start_from_the_same_states_and_are_equally_long(problem, monkeypatch):
    trainer = problem.hybrid(epochs=1, warmup_epochs=0)
    seen = {}
    physics, network = trainer.physical.predict, trainer.synthetic.targets

    def watch_physics(starts, steps):
        seen.setdefault("physical", (starts, physics(starts, steps)))
        return seen["physical"][1] if steps == 4 else physics(starts, steps)

    def watch_network(samples):
        found = network(samples)
        seen["synthetic"] = (samples.starts, found[0])
        return found

    monkeypatch.setattr(trainer.physical, "predict", watch_physics)
    monkeypatch.setattr(trainer.synthetic, "targets", watch_network)
    next(trainer.train())
    assert seen["physical"][1].shape == seen["synthetic"][1].shape
    assert torch.equal(trainer.synthetic.model.normalise(seen["physical"][0]), seen["synthetic"][0])


@pytest.mark.parametrize("space", [{"mode": "center", "fraction": 0.5}, {"mode": "points", "count": 12}])
def test_masked_observations_train_both_models(make_problem, space):
    problem = make_problem({"space": space})
    trainer = problem.hybrid(epochs=5)
    records = history(trainer.train())
    assert records[-1]["metrics"]["synthetic_loss"] < records[0]["metrics"]["synthetic_loss"]
    estimate = trainer.physical.estimates()["viscosity"]
    assert abs(estimate["estimate"] - 0.1) < 0.05


def test_memory_monitoring_records_each_phase(problem):
    records = history(problem.hybrid(epochs=2, warmup_epochs=0, enable_memory_monitoring=True).train())
    for phase in ("physical", "synthetic", "conversion"):
        assert records[-1]["metrics"][f"seconds.{phase}"] > 0
        assert records[-1]["metrics"][f"peak_bytes.{phase}"] > 1e6


def test_the_trainers_are_usable_alone(problem):
    synthetic = SyntheticTrainer(
        problem.observations, problem.synthetic(), 0, num_predict_steps=4, epochs=1, device=CPU
    )
    physical = PhysicalTrainer(
        problem.equation, problem.observations, problem.physical(), num_predict_steps=4, device=CPU
    )
    starts = problem.observations.initial_states
    assert synthetic.predict(starts, 3).shape == physical.predict(starts, 3).shape == (3, 3, 1, 32)
