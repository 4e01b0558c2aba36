"""The study of heat with moving sensors: single draws against the bars."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("heat_study", BENCHMARKS / "heat.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fits(study):
    return study.Fits(18)


def test_sensors_turn_and_draw_nearer_to_the_centre_of_their_square(study):
    """By the angle t, anticlockwise."""
    places = study.problem.paths("half", 3) - 0.75
    start, end = places[0], places[-1]
    assert np.linalg.norm(end, axis=1) == pytest.approx(math.exp(-0.1) * np.linalg.norm(start, axis=1))
    turned = np.angle((end[:, 0] + 1j * end[:, 1]) / (start[:, 0] + 1j * start[:, 1]))
    assert turned == pytest.approx(np.ones(60))
    assert len({tuple(p) for p in np.round(start, 9)}) == 60
    assert start.min() >= -2.25
    assert start.max() <= 2.25


def test_the_truth_changes_little_with_its_grid_and_step(study):
    problem = study.problem
    fine, coarse = problem.truth(), problem.truth(nodes=50, dt=2e-4)
    where = np.random.default_rng(0).uniform(-2.9, 2.9, (200, 2))
    a, b = fine.read(100, where), coarse.read(100, where)
    assert np.linalg.norm(a - b) < 3e-3 * np.linalg.norm(a)


@pytest.mark.slow
@pytest.mark.parametrize("region", ["full", pytest.param("half", marks=pytest.mark.slow)])
def test_one_draw_finds_the_diffusivity_on_18_cells(study, fits, region):
    bar = study.BARS[18, region]
    found = fits.fit(region, 0.0, 0)
    assert found["status"] == "converged"
    assert found["e_s"] < bar[0]
    assert found["e_p"] < bar[1]
    assert not found["flagged"]


@pytest.mark.slow
def test_from_a_quarter_the_far_amplitude_is_flagged_and_its_interval_holds_the_truth(study, fits):
    found = fits.fit("quarter", 0.01, 0)
    assert found["flagged"]
    assert any("far amplitude" in words for words in found["undetermined"])
    assert found["inside"][3:] == [True, True, True]
    assert study.certainty([found]).count("far amplitude") == 1


def test_the_bumps_may_change_their_names(study):
    problem = study.problem
    true = problem.TRUTHS["published"]
    assert problem.parameter_error(problem.order(true, True)) == 0.0
    assert problem.parameter_error((3.0, 1.0, 1.0, 2.5, -2.0, -1.0)) == pytest.approx(1 / math.sqrt(10))
