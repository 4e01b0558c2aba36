"""Recording operators changes no result, is asked for, and outlives a killed run."""

import pytest
import torch

from hyco.report import profile, profile_page
from hyco.runtime.storage import read_bundle, write_bundle
from hyco.training.final import final_synthetic_model
from hyco.training.physical import train_physical
from hyco.training.synthetic import train_synthetic

PARTS = {"synthetic", "physical", "conversion", "validation", "synthetic updates", "physical updates"}
SHORT = {"epochs": 3, "warmup_epochs": 1}


@pytest.fixture(scope="module")
def recorded(problem):
    return list(problem.hybrid(profile=True, **SHORT).train())


@pytest.mark.slow
def test_results_are_the_same_to_the_bit_and_nothing_is_recorded_unless_asked(problem, recorded):
    plain = list(problem.hybrid(**SHORT).train())
    assert [entry for _, entry in plain] == [entry for _, entry in recorded]
    (one, _), (other, _) = plain[-1], recorded[-1]
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    assert one.metadata["operators"] == {}
    assert "profiling" not in one.metadata["seconds"]
    assert set(other.metadata["operators"]) == PARTS
    updates = other.metadata["operators"]["synthetic updates"]["operators"]["cpu"]
    assert updates["_LineConvolutions"][0] > 0
    assert updates["_LineConvolutionsBackward"][0] > 0


@pytest.mark.slow
def test_each_model_alone_is_recorded_too(problem):
    arguments = {"configuration": {"seed": 0}, "device": torch.device("cpu"), "profile": True}
    *_, (synthetic, _) = train_synthetic(problem.observations, problem.synthetic(epochs=1), 0, **arguments)
    assert {"synthetic", "synthetic updates"} <= set(synthetic.metadata["operators"])
    *_, (physical, _) = train_physical(problem.equation, problem.observations, problem.physical(), **arguments)
    assert {"physical", "physical updates"} <= set(physical.metadata["operators"])


@pytest.mark.slow
def test_a_resumed_run_keeps_what_was_recorded_before_it_and_adds_to_it(problem, recorded, tmp_path):
    checkpoint, _ = recorded[1]
    before = checkpoint.metadata["operators"]["synthetic updates"]["operators"]["cpu"]["_LineConvolutions"][0]
    write_bundle(tmp_path / "last.safetensors", checkpoint)
    *_, (whole, _) = recorded
    counts = {}
    for asked in (True, False):
        trainer = problem.hybrid(profile=asked, **SHORT)
        *_, (last, _) = trainer.train(read_bundle(tmp_path / "last.safetensors"), resume=True)
        updates = last.metadata["operators"]["synthetic updates"]
        counts[asked] = updates["operators"]["cpu"]["_LineConvolutions"][0]
    expected = whole.metadata["operators"]["synthetic updates"]["operators"]["cpu"]["_LineConvolutions"][0]
    assert counts == {True: expected, False: before}
    assert before < expected


@pytest.mark.slow
def test_the_page_has_shares_that_sum_to_one_for_phases_and_operators(recorded):
    checkpoint, _ = recorded[-1]
    model = final_synthetic_model(checkpoint)
    found = profile([model.metadata["training"], model.metadata["training"]])
    (entry,) = found["trainings"].values()  # two models of one training
    assert sum(row["share"] for row in entry["phases"]) == pytest.approx(1)
    assert sum(row["seconds"] for row in entry["phases"]) == pytest.approx(entry["wall_seconds"])
    assert all(row["seconds"] >= 0 for row in entry["phases"])
    assert set(entry["operators"]) == PARTS
    for part in entry["operators"].values():
        assert sum(row["share"] for row in part["top"]) == pytest.approx(1, abs=0.02)
    page = profile_page(found)
    assert "## hybrid" in page
    assert "### Operators of physical updates" in page
    assert "| rest |" in page
