"""The interleaved loop: who trains when, on what, and that a killed run goes on as if nothing had happened."""

import math

import pytest
import torch

from hyco.hybrid.variances import Weights
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.result import NotConverged
from hyco.runtime.storage import read_bundle, write_bundle
from hyco.training.checkpoints import ResumeError
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.synthetic import SyntheticTrainer

CPU = torch.device("cpu")
HARD = {"abs_tol": 1e-12}


def history(steps):
    return [record for _, record in steps]


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


def test_the_path_of_a_step_is_chosen_for_all_updates_of_the_hybrid(problem):
    """Five iterations each, of two rollouts of four steps."""
    trainer = problem.hybrid(epochs=6, warmup_epochs=1, interleave_frequency=2)
    assert trainer.physical.problem.forward.stepper.work == 2 * 5 * 2 * 4
    trainer = problem.hybrid(sequential=True, calibration_iterations=30)
    assert trainer.physical.problem.forward.stepper.work == 30 * 2 * 4


def test_adaptive_interleaving_updates_a_settled_physics_less_often(problem):
    adaptive = {"enabled": True, "min_improvement": 0.9, "max_frequency": 4}
    records = history(problem.hybrid(epochs=8, warmup_epochs=0, adaptive=adaptive).train())
    updated = [r["epoch"] for r in records if r["metrics"]["physical_loss"] is not None]
    assert updated[0] == 1
    assert len(updated) < 8
    gaps = torch.tensor(updated).diff()
    assert gaps.max() > 1
    assert gaps.max() <= 4


@pytest.mark.parametrize(
    ("network", "physics", "teaching"),
    [
        pytest.param(0.7, 0.7, True, marks=pytest.mark.slow),
        (1.0, 0.7, True),
        pytest.param(0.7, 1.0, True, marks=pytest.mark.slow),
        pytest.param(1.0, 1.0, False, marks=pytest.mark.slow),
    ],
)
def test_every_window_is_filled_where_predictions_teach_and_only_there(
    make_problem, monkeypatch, network, physics, teaching
):
    """Nothing is measured of the windows that start at the fourth state: they serve predictions alone."""
    problem = make_problem({"time": {"mode": "custom", "indices": [0, 2]}})
    trainer = problem.hybrid(epochs=2, warmup_epochs=0)
    monkeypatch.setattr(trainer.strategy, "weights", lambda epoch: Weights(network, physics))
    seen, update = [], trainer.strategy.update

    def watch(alpha, make_targets):
        seen.append(make_targets().starts)
        return update(alpha, make_targets)

    monkeypatch.setattr(trainer.strategy, "update", watch)
    list(trainer.train())
    later = ~trainer.synthetic.windows.initial
    assert [bool((starts[later] != 0).all()) for starts in seen] == [teaching] * 2


@pytest.mark.parametrize(
    "killed_after", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)]
)
def test_a_killed_and_resumed_run_equals_the_uninterrupted_one(problem, assert_equal_bundles, tmp_path, killed_after):
    whole = list(problem.hybrid().train())
    interrupted = problem.hybrid().train()
    for _ in range(killed_after):
        checkpoint, _ = next(interrupted)
        write_bundle(tmp_path / "last.safetensors", checkpoint)
    interrupted.close()
    resumed = list(problem.hybrid().train(read_bundle(tmp_path / "last.safetensors"), resume=True))
    assert [r["epoch"] for _, r in resumed] == list(range(killed_after, 7))
    assert_equal_bundles(resumed[-1][0], whole[-1][0])
    assert history(resumed) == history(whole)[killed_after - 1 :]
    assert resumed[-1][0].metadata["metrics"] == whole[-1][0].metadata["metrics"]
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


def test_the_same_seed_gives_the_same_run_to_the_bit(problem, assert_equal_bundles):
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


def test_predictions_that_are_not_finite_reach_no_optimiser(problem, monkeypatch, caplog):
    trainer = problem.hybrid(epochs=2, warmup_epochs=0)
    nan = lambda starts, steps, time=0.0: torch.full((starts.shape[0], steps, *starts.shape[1:]), torch.nan)  # noqa: E731
    monkeypatch.setattr(trainer.physical.model, "rollout", nan)
    monkeypatch.setattr(
        trainer.synthetic, "targets", lambda samples: (nan(samples.starts, trainer.config.num_predict_steps), None)
    )
    records = history(trainer.train())
    assert "not finite" in caplog.text
    assert all(math.isfinite(r["metrics"]["synthetic_loss"]) for r in records)
    assert all(torch.isfinite(p).all() for p in trainer.synthetic.model.parameters())
    assert trainer.physical.model.values["viscosity"] == pytest.approx(0.1, abs=0.05)


def test_both_predictions_of_an_epoch_start_from_the_same_states_and_are_equally_long(problem, monkeypatch):
    trainer = problem.hybrid(epochs=1, warmup_epochs=0)
    seen = {}
    physics, network = trainer.physical.model.rollout, trainer.synthetic.targets

    def watch_physics(starts, steps, time=0.0):
        seen.setdefault("physical", (starts, physics(starts, steps, time)))
        return seen["physical"][1] if steps == 4 else physics(starts, steps, time)

    def watch_network(samples):
        found = network(samples)
        seen["synthetic"] = (samples.starts, found[0])
        return found

    monkeypatch.setattr(trainer.physical.model, "rollout", watch_physics)
    monkeypatch.setattr(trainer.synthetic, "targets", watch_network)
    next(trainer.train())
    assert seen["physical"][1].shape == seen["synthetic"][1].shape
    assert torch.equal(trainer.synthetic.model.normalise(seen["physical"][0]), seen["synthetic"][0])


def test_memory_monitoring_records_each_phase(problem):
    records = history(problem.hybrid(epochs=2, warmup_epochs=0, enable_memory_monitoring=True).train())
    for phase in ("physical", "synthetic", "conversion"):
        assert records[-1]["metrics"][f"seconds.{phase}"] > 0
        assert records[-1]["metrics"][f"peak_bytes.{phase}"] > 1e6


def test_the_trainers_are_usable_alone(problem):
    synthetic = SyntheticTrainer(
        problem.observations, problem.synthetic(), 0, num_predict_steps=4, epochs=1, device=CPU
    )
    physical = Calibrator(problem.equation, problem.observations, problem.physical(), num_predict_steps=4, device=CPU)
    starts = problem.observations.initial_states
    assert synthetic.rollout(starts, 3).shape == physical.model.rollout(starts, 3).shape == (3, 3, 1, 32)


@pytest.mark.parametrize("order", [{"sequential": True}, pytest.param({"correction": True}, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suppressed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_fit_before_the_network_has_a_limit_that_is_reported(problem, order, suppressed, caplog):
    physical = HARD | {"max_iterations": 1, "suppress_convergence_errors": suppressed}
    trainer = problem.hybrid(epochs=2, warmup_epochs=0, calibration_iterations=2, physical=physical, **order)
    steps = trainer.train()
    checkpoint, _ = next(steps)
    (line,) = (r for r in caplog.records if "fitted to real data alone" in r.message)
    assert line.levelname == "WARNING"
    assert "limit of 2 iterations" in line.message
    assert "Raise hybrid.calibration_iterations" in line.message
    if suppressed:
        next(steps)
        return
    assert checkpoint.metadata["physical"]["updates"] == 1, "no update takes the place of the fit"
    with pytest.raises(NotConverged, match=r"limit of 2 iterations.*Raise hybrid\.calibration_iterations,"):
        next(steps)


@pytest.mark.parametrize(("order", "epochs"), [({"sequential": True}, 1), ({}, 2)])
def test_a_training_that_ended_with_an_error_does_not_go_on_as_if_there_were_none(problem, order, epochs):
    options = {"epochs": 4, "warmup_epochs": 1, "calibration_iterations": 2, **order}
    physical = HARD | {"max_iterations": 1, "suppress_convergence_errors": False}
    steps = problem.hybrid(physical=physical, **options).train()
    for _ in range(epochs):
        checkpoint, _ = next(steps)
    with pytest.raises(NotConverged):
        next(steps)
    with pytest.raises(ResumeError, match="the training ended with an error: physical: the limit of"):
        next(problem.hybrid(physical=physical, **options).train(checkpoint, resume=True))


@pytest.mark.slow
def test_estimated_initial_states_reach_a_network_that_learns_from_the_physics(make_problem, assert_resumable):
    problem = make_problem({"initial_state": "full", "noise": 0.05})
    trainers = []

    def run(checkpoint, resume):
        trainers.append(problem.hybrid(epochs=3, warmup_epochs=0))
        return trainers[-1].train(checkpoint, resume)

    assert_resumable(run, 1)
    for trainer in trainers[0], trainers[-1]:
        assert not torch.equal(trainer.synthetic.starts.initial_states, problem.observations.initial_states[[0, 1]])
    assert torch.equal(trainers[0].synthetic.starts.initial_states, trainers[-1].synthetic.starts.initial_states)


def test_predictions_are_no_work_of_the_inversion(problem):
    physical = problem.hybrid().physical
    work = physical.problem.forward.work
    physical.model.rollout(problem.observations.initial_states, 5)
    assert physical.problem.forward.work == work


def test_early_stopping_counts_after_the_warm_up_and_leaves_a_complete_checkpoint(problem):
    trainer = problem.hybrid(
        epochs=9, warmup_epochs=3, early_stopping=1, synthetic={"learning_rate": 1e-12, "scheduler": "constant"}
    )
    steps = list(trainer.train())
    assert 4 <= len(steps) < 9
    last = steps[-1][0]
    assert last.metadata["finished"]
    assert final_synthetic_model(last).metadata["training"]["epochs"] == len(steps)
    last.metadata["configuration"] = {"equation": {"name": "burgers"}}
    final = final_physical_model(last)
    assert final["parameters"]["viscosity"]["std"] > 0
    assert final["residuals"], "what a finished training owes is there"


@pytest.mark.parametrize(
    "options",
    [
        {"sequential": True},
        {"synthetic": {"ema_decay": 0.9, "input_noise": 0.05, "curriculum": {"start": 1, "epochs": 3}}},
    ],
    ids=["sequential", "options"],
)
def test_a_killed_run_with_options_resumes_to_the_bit(problem, assert_resumable, options):
    def run(checkpoint, resume):
        return problem.hybrid(epochs=3, warmup_epochs=1, **options).train(checkpoint, resume)

    assert_resumable(run, 1)


@pytest.mark.parametrize(("alpha", "count"), [(0.7, 0), ("auto", 3)])
def test_both_final_models_tell_what_they_learnt_from(problem, alpha, count):
    known = {"count": count, "source": "distribution", "length_scale": 0.8, "amplitude": 1.0}
    *_, (last, record) = problem.hybrid(alpha=alpha, epochs=2, warmup_epochs=1, interaction=known).train()
    last.metadata["configuration"] = {"equation": {"name": "burgers"}}
    network, physics = final_synthetic_model(last).metadata["hybrid"], final_physical_model(last)["hybrid"]
    assert network == physics
    told = {**known, "prior_knowledge": True} if count else {"count": 0}
    assert network["interaction"] == told
    assert network["alpha"] == {
        "rule": alpha,
        "synthetic": record["metrics"]["alpha"],
        "physical": record["metrics"].get("alpha_physical", alpha),
    }
    assert not network["sequential"]


@pytest.mark.parametrize("missing", ["metrics", "strategy", "schedule"])
def test_a_checkpoint_of_an_earlier_version_is_refused_in_words(problem, missing):
    (checkpoint, _), *_ = problem.hybrid(epochs=1).train()
    del checkpoint.metadata[missing]
    with pytest.raises(ResumeError, match=rf"earlier version of hyco: it has no {missing}.*resume=false"):
        next(problem.hybrid(epochs=1).train(checkpoint, resume=True))


@pytest.mark.slow
def test_a_robust_loss_of_the_physical_model_goes_through_a_hybrid(make_problem):
    problem = make_problem()
    seen = problem.observations
    seen.values[0, 3, 0, ::7] += 2.0  # gross errors
    errors = {}
    for loss in ("huber", "squares"):
        last = history(problem.hybrid(physical={"loss": loss}, alpha=1.0).train())[-1]["metrics"]
        assert math.isfinite(last["physical_loss"])
        errors[loss] = abs(last["estimate.viscosity"] - 0.1)
    assert errors["huber"] < 0.02
    assert errors["squares"] > 5 * errors["huber"]
