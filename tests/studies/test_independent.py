"""The study of data that no solver of hyco made: truths that solve their equations, and draws."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from hyco.expressions import Expression

PATH = Path(__file__).parents[2] / "benchmarks" / "independent.py"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("hyco_study_independent", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["heat", "burgers", "advection_diffusion_walls", "gray_scott", "fisher", "field"])
def test_a_truth_begins_with_the_formula_of_its_start(study, name):
    problem = study.PROBLEMS[name]()
    start, truth = problem.draw(np.random.default_rng(0))
    axes = problem.section["domain"]
    # On cell centres of the rod's fine grid.
    at = {axis: np.array([[0.25, 0.5, 0.75]]) * keys["size"] + 1 / 1056 for axis, keys in axes.items()}
    found = truth(np.array([1e-9]), at)
    for column, channel in problem.channels.items():
        formula = Expression(start[channel])
        values = formula({axis: at[axis][0] for axis in formula.names})
        assert found[column][0] == pytest.approx(np.asarray(values), abs=2e-4)


def test_a_coarse_plate_is_told_and_its_interval_holds_the_truth_where_that_of_noise_does_not(study):
    lines = [study.draw("heat_coarse", seed) for seed in range(2)]
    assert all(line["told"] == ["diffusivity"] for line in lines)
    (row,) = study.table(lines).splitlines()[2:]
    assert row.startswith("| heat_coarse | diffusivity | 2 | 2 |")
