"""The study of Darcy flow in small: draws against the published errors."""

import importlib.util
import statistics
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("darcy_study", BENCHMARKS / "darcy.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lines(study):
    return [study.fit(seed, noise, starts=1) for noise in (0.0, 0.05) for seed in (0, 1)]


@pytest.mark.slow
def test_physics_alone_with_a_prior_finds_the_numbers_better_than_the_published_pinn(study, lines):
    for noise in (0.0, 0.05):
        error = statistics.median(line["parameter_error"] for line in lines if line["noise"] == noise)
        assert error <= study.PUBLISHED[noise][0][2]
    assert not any(line["diverged"] for line in lines)


@pytest.mark.slow
def test_without_noise_the_error_of_the_model_is_seen_and_the_numbers_are_found(lines):
    for line in lines[:2]:
        assert 0.002 < line["own_error"] < 0.02
        assert line["parameter_error"] < 0.15


@pytest.mark.slow
def test_intervals_hold_most_true_numbers_and_with_noise_m0_is_named_as_undetermined(lines):
    inside = [covered for line in lines for covered in line["covered"].values()]
    assert sum(inside) >= 0.9 * len(inside)
    assert all(any("m0" in words for words in line["undetermined"]) for line in lines[2:])


@pytest.mark.slow
def test_what_was_run_is_not_run_again_and_becomes_a_table(study, tmp_path):
    results = tmp_path / "lines.jsonl"
    first = study.run(range(1), [0.4], study.problem.NODES, 1, results)
    study.fit = None
    assert study.run(range(1), [0.4], study.problem.NODES, 1, results) == first
    assert "| 19×19 | 0.4 | 1 |" in study.page(first, "python benchmarks/darcy.py")
