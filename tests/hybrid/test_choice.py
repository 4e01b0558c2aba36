"""strategy: auto: right physics teaches the network, wrong physics is corrected by it, and the report says why."""

import pytest
import torch

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


def test_a_fit_that_did_not_converge_is_not_judged(make_corrections):
    problem = make_corrections({"parameters": {"diffusivity": 0.0}}, noise=0.01)
    choice = problem.hybrid(**AUTO, calibration_iterations=1).strategy.choice
    assert choice.chosen == "alpha: auto"
    assert choice.why.startswith("the physics alone: not judged (")


@pytest.mark.slow
def test_what_was_chosen_goes_on_after_a_kill(make_corrections, tmp_path, assert_equal_bundles):
    problem = make_corrections({"parameters": {"diffusivity": 0.0}}, noise=0.01)
    *_, (whole, _) = problem.hybrid(**AUTO, epochs=3).train()
    killed = problem.hybrid(**AUTO, epochs=3).train()
    write_bundle(tmp_path / "last.safetensors", next(killed)[0])
    killed.close()
    resumed = problem.hybrid(**AUTO, epochs=3)
    *_, (last, _) = resumed.train(read_bundle(tmp_path / "last.safetensors"), resume=True)
    assert_equal_bundles(last, whole)
    assert last.metadata["physical"]["verdict"] == whole.metadata["physical"]["verdict"]
    start = problem.states[:, 0]
    assert torch.isfinite(resumed.synthetic.rollout(start, 4)).all()


@pytest.mark.parametrize("others", [{"sequential": True, "correction": None}, {"correction": True}])
def test_it_chooses_alone(make_corrections, others):
    with pytest.raises(ValueError, match="strategy: auto chooses"):
        make_corrections().hybrid(strategy="auto", **others)
