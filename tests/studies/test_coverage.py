"""The study of coverage: a few draws of each problem."""

import importlib.util
import json
from pathlib import Path

import pytest

from hyco.compute import ComputeConfig

PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("hyco_study_coverage", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heat", pytest.param("burgers", marks=pytest.mark.slow)])
def test_twelve_intervals_cover_the_truth_as_often_as_95_percent_would(study, name):
    lines = study.run(name, range(12), None)
    assert all(line["status"] == "converged" for line in lines)
    for label in lines[0]["numbers"]:
        assert study.in_band(sum(line["numbers"][label]["covered"] for line in lines), 12), label
        assert all(line["numbers"][label]["std"] < 0.02 * line["numbers"][label]["true"] for line in lines)
    assert f"| {name} |" in study.table(lines)


@pytest.mark.slow
def test_gray_scott_is_determined_to_a_thousandth(study):
    for line in study.run("gray_scott", range(2), None):
        assert line["status"] == "converged"
        for label, number in line["numbers"].items():
            assert number["std"] < 1e-3 * number["true"]
            assert abs(number["estimate"] - number["true"]) < 4 * number["std"], label


@pytest.mark.slow
def test_an_unknown_initial_state_widens_the_interval(study):
    (known,), (unknown,) = (study.run(name, [0], None) for name in ("burgers", "burgers_noisy_start"))
    for label, number in known["numbers"].items():
        assert 1.1 * number["std"] < unknown["numbers"][label]["std"] < 2 * number["std"]


def test_a_file_of_results_is_continued_where_it_ends(study, tmp_path):
    results = tmp_path / "heat.jsonl"
    first = study.run("heat", [0], results)
    both = study.run("heat", [0, 1], results)
    assert [line["seed"] for line in both] == [0, 1]
    assert both[0] == first[0]
    assert len(results.read_text().splitlines()) == 2


def test_draws_that_others_do_are_those_of_this_process(study, tmp_path, monkeypatch):
    results = tmp_path / "heat.jsonl"
    (alone,) = study.run("heat", [1], results)
    monkeypatch.setattr(ComputeConfig, "is_elsewhere", True)  # pieces of work, which this process does
    drawn, same = study.run("heat", [0, 1], results, ComputeConfig())
    assert [json.loads(line)["seed"] for line in results.read_text().splitlines()] == [1, 0]
    assert same == alone
    assert {**drawn, "seconds": 0} == {**study.draw("heat", 0), "seconds": 0}


def test_the_band_is_the_exact_binomial_one(study):
    """Of 500 draws, 462 to 487 are what coverage 0.95 explains at 99 %."""
    inside = [k for k in range(501) if study.in_band(k, 500)]
    assert (inside[0], inside[-1]) == (462, 487)
