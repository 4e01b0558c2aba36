"""strategy: auto: right physics teaches the network, wrong physics is corrected by it, and the report says why."""

from dataclasses import replace

import pytest
import torch

from hyco.hybrid import factory
from hyco.hybrid.choice import Choice, _held_out, choose
from hyco.hybrid.trust import Misfit
from hyco.inversion.calibrator import Calibrator
from hyco.runtime.storage import read_bundle, write_bundle
from hyco.training.final import final_physical_model, final_synthetic_model

AUTO = {"strategy": "auto", "correction": None}


def test_right_physics_gets_alpha_auto(make_corrections):
    trainer = make_corrections(noise=0.01).hybrid(**AUTO)
    choice = trainer.strategy.choice
    assert choice.chosen == "alpha: auto"
    assert choice.why.startswith("the physics alone: consistent (")
    assert "held-out" in choice.why
    assert trainer.physical.problem.forward.correction is None


def test_physics_that_lacks_a_term_is_corrected_and_the_report_says_why(make_corrections):
    trainer = make_corrections({"parameters": {"diffusivity": 0.0}}, noise=0.01).hybrid(**AUTO, epochs=1)
    assert trainer.strategy.choice.chosen == "correction"
    *_, (last, _) = trainer.train()
    for summary in (final_physical_model(last)["hybrid"], final_synthetic_model(last).metadata["hybrid"]):
        assert summary["strategy"]["chosen"] == "correction"
        assert summary["strategy"]["why"].startswith("the physics alone: physics (")
    # The term that is missing is part of the corrected step, and the parameter is right beside it.
    terms = last.metadata["physical"]["verdict"]["terms"]
    assert [term["formula"] for term in terms["terms"]] == ["laplace(concentration)"]
    assert terms["terms"][0]["coefficient"] == pytest.approx(0.05, rel=0.1)
    number = final_physical_model(last)["parameters"]["velocity_x"]
    assert number["separable"] is True
    assert number["interval"][0] < 0.6 < number["interval"][1]
    assert bool(trainer.synthetic.model.base.terms.any())
    # Where a search ended without the term is no other minimum.
    physical = trainer.physical
    there = {"x": [0.0], "value": 1.0, "status": "converged"}
    physical._progress = replace(physical._progress, outcome=replace(physical._progress.outcome, ends=[there]))
    physical.conclude()
    assert physical.estimate.alternative_minima == []


def test_the_error_on_held_out_data_is_told_in_units_that_there_are(make_corrections):
    known = make_corrections(noise=0.01).observations
    assert _held_out(2.5, known) == "its error variance on held-out data is 2.5 σ²"
    free = make_corrections(noise=0.0).observations
    assert not free.noise_known
    # A tenth of the data's standard deviation is a hundred of those σ.
    assert _held_out(100.0**2, free) == "its error on held-out data is 10 % of the data's standard deviation"


def test_what_is_held_out_of_one_training_simulation_begins_as_the_fit_has_it(make_corrections, monkeypatch):
    problem = make_corrections(noise=0.1)
    seen = problem.observations
    held = seen.mask & (torch.rand(seen.mask.shape, generator=torch.Generator().manual_seed(0)) < 0.2)
    held[:, 0] = False
    seen = replace(seen, train=[0], val=[], heldout=held, mask=seen.mask & ~held, initial_state="full")
    fits = []
    monkeypatch.setattr(Calibrator, "judge", lambda self, **_: fits.append(self))
    choice, _ = choose(problem.equation, seen, problem.hybrid().config, torch.device("cpu"))
    (fit,), error = fits, Misfit(seen, *seen.validation())
    fitted, measured = (error(fit.model, starts) for starts in (fit.model.initial_states, None))
    assert fitted < 0.9 * measured
    assert choice.why.endswith(_held_out(fitted, seen))


def test_a_fit_that_did_not_converge_is_not_judged(make_corrections):
    problem = make_corrections({"parameters": {"diffusivity": 0.0}}, noise=0.01)
    choice = problem.hybrid(**AUTO, calibration_iterations=1).strategy.choice
    assert choice.chosen == "alpha: auto"
    assert choice.why.startswith("the physics alone: not judged (")


def test_where_that_is_an_error_the_updates_of_the_training_may_still_converge(make_corrections):
    problem = make_corrections(noise=0.01)
    problem.physical |= {"suppress_convergence_errors": False}
    trainer = problem.hybrid(**AUTO, calibration_iterations=1, epochs=3, warmup_epochs=2)
    losses = [metrics["metrics"]["physical_loss"] for _, metrics in trainer.train()]
    # The fit that the choice was made by is no update: none is due in the warm-up.
    assert losses[:2] == [None, None]
    assert trainer.run.epoch == 3


def test_a_hybrid_begins_with_the_fit_that_it_was_chosen_by(make_corrections):
    trainer = make_corrections(noise=0.01).hybrid(**AUTO, epochs=1, warmup_epochs=0)
    fitted = trainer.physical.model.coordinates.clone()
    assert trainer.physical.settled
    assert trainer.physical.model.values["velocity_x"] == pytest.approx(0.6, rel=0.02)
    *_, (last, metrics) = trainer.train()
    assert metrics["metrics"]["physical_loss"] is None  # the update of this epoch had nothing left to gain
    assert last.metadata["physical"]["updates"] == 1
    assert torch.equal(last.tensors["physical/coordinates"], fitted)


@pytest.mark.slow
def test_a_correction_that_is_chosen_is_the_one_that_is_said(make_corrections):
    problem = make_corrections({"parameters": {"diffusivity": 0.0}}, noise=0.01)
    *_, (said, _) = problem.hybrid(epochs=1, warmup_epochs=0).train()
    *_, (chosen, _) = problem.hybrid(**AUTO, epochs=1, warmup_epochs=0).train()
    assert said.tensors.keys() == chosen.tensors.keys()
    for name in (name for name in said.tensors if name.startswith(("synthetic/", "physical/coordinates"))):
        assert torch.equal(said.tensors[name], chosen.tensors[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("assumed", [{"parameters": {"diffusivity": 0.0}}, None])
def test_what_was_chosen_goes_on_after_a_kill(make_corrections, tmp_path, assert_equal_bundles, monkeypatch, assumed):
    """To the bit, and the physics is not fitted a second time for the choice."""
    problem = make_corrections(assumed, noise=0.01)
    *_, (whole, _) = problem.hybrid(**AUTO, epochs=3).train()
    killed = problem.hybrid(**AUTO, epochs=3).train()
    write_bundle(tmp_path / "last.safetensors", next(killed)[0])
    killed.close()
    checkpoint = read_bundle(tmp_path / "last.safetensors")
    monkeypatch.setattr(factory, "choose", None)
    resumed = problem.hybrid(**AUTO, epochs=3, choice=Choice.of(checkpoint))
    *_, (last, _) = resumed.train(checkpoint, resume=True)
    assert_equal_bundles(last, whole)
    assert last.metadata["physical"]["verdict"] == whole.metadata["physical"]["verdict"]
    assert last.metadata["strategy"]["summary"] == whole.metadata["strategy"]["summary"]
    start = problem.states[:, 0]
    assert torch.isfinite(resumed.synthetic.rollout(start, 4)).all()


@pytest.mark.parametrize("others", [{"sequential": True, "correction": None}, {"correction": True}])
def test_it_chooses_alone(make_corrections, others):
    with pytest.raises(ValueError, match="strategy: auto chooses"):
        make_corrections().hybrid(strategy="auto", **others)
