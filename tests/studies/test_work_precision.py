"""The study of error against time: both solvers get the same states, and ratios are those at equal errors."""

import numpy as np
import pytest
import torch

import work_precision
from work_precision import FINER, PROBLEMS, Problem, own_solver, ratios, states_of, table, write_problem


def small(cells=12):
    burgers = {"name": "burgers", "scheme": "spectral", "max_convection": 1.0, "parameters": {"viscosity": 0.3}}
    peer = ("Burgers", {"diffusivity": 0.3}, "diffusivity")
    return Problem(burgers, "viscosity", cells, 1, 6.0, 0.4, (2, 4), peer, {"max_speed": 1e-3}, (2, 0.3))


def test_states_are_the_same_functions_on_every_grid():
    problem = small()
    coarse, fine = (problem.equation(1, finer, max_speed=1.0).layout.grid for finer in (1, FINER))
    assert np.allclose(fine.centers("x")[FINER // 2 :: FINER], coarse.centers("x"))
    states = states_of(problem, coarse, 1), states_of(problem, fine, 1)[..., FINER // 2 :: FINER]
    assert torch.allclose(*states, atol=1e-14)


@pytest.mark.slow
def test_own_errors_fall_with_the_steps_and_work_can_be_timed(tmp_path):
    problem = small(48)
    write_problem(problem, tmp_path / "problem.npz")
    errors = []
    for steps in problem.steps:
        error, kinds = own_solver(problem, steps, tmp_path / "problem.npz")
        errors.append(error)
        assert all(measure() > 0 for measure in kinds.values())
    assert errors[1] < errors[0] < 1e-2


def test_every_problem_is_a_valid_configuration():
    for problem in PROBLEMS.values():
        equation = problem.equation(max(problem.steps), **problem.one_step)
        assert problem.learnt in equation.parameters
        assert equation.layout.grid.dimensions == problem.dimensions


def test_ratios_are_of_the_fastest_that_are_as_accurate():
    def row(solver, error, forward):
        return {
            "problem": "waves",
            "solver": solver,
            "steps": 1,
            "error": error,
            "forward": [forward] * 3,
            "gradient": [2 * forward] * 3,
            **({"initial": [3 * forward] * 3} if (error or 0) > 1e-4 else {}),  # not of all rows
        }

    own = [row("hyco", 1e-5, 4.0), row("hyco", 5e-4, 3.0), row("hyco", None, 0.1)]
    rows = [*own, row("exponax, order 4", 2e-5, 2.0), row("exponax, order 2", 9e-4, 1.0)]
    assert ratios(rows)[2:] == [
        "| waves | 0.001 | 3.00 | 3.00 | 3.00 |",
        "| waves | 0.0001 | 2.00 | 2.00 | — |",
        "| waves | 1e-05 | — | — | — |",
        "| geometric mean | | 2.45 | 2.45 | 3.00 |",
        "| worst | | 3.00 | 3.00 | 3.00 |",
    ]
    assert ratios(own) == []
    assert "not finite" in table(rows)
    assert work_precision.fastest(rows, "waves", "exponax", 1e-6, "forward") is None
