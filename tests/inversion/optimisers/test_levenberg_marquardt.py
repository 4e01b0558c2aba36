"""Levenberg-Marquardt: exact on what is linear, inside its box, with many starts at once, and never a plausible lie."""

import numpy as np
import pytest
import torch

from hyco.inversion.optimisers.levenberg_marquardt import minimise_levenberg_marquardt
from hyco.inversion.optimisers.result import Status

INFINITE = torch.full((2,), torch.inf, dtype=torch.float64)
T = torch.linspace(0, 2, 30, dtype=torch.float64)
TRUE = torch.tensor([2.0, 1.3], dtype=torch.float64)


def decay(z):
    """a exp(-b t) minus its value at the truth."""
    return z[:, :1] * torch.exp(-z[:, 1:] * T) - TRUE[0] * torch.exp(-TRUE[1] * T)


def minimise(residuals=decay, start=(1.0, 0.2), lower=-INFINITE, upper=INFINITE, **options):
    starts = torch.tensor(np.atleast_2d(start), dtype=torch.float64)
    settings = {"abs_tol": 1e-12, "max_iterations": 50} | options
    return minimise_levenberg_marquardt(residuals, starts, lower, upper, **settings)


def test_noise_free_data_give_the_truth_to_rounding_in_a_few_iterations():
    found = minimise(abs_tol=1e-28)
    assert found.status is Status.CONVERGED
    assert found.x == pytest.approx(TRUE.numpy(), rel=1e-12)
    assert found.iterations <= 12
    assert found.evaluations == len(found.history) + 2 * len(found.history)


def test_a_linear_problem_is_solved_in_two_iterations():
    design = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = design @ TRUE + 0.1 * torch.randn(20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = minimise(lambda z: z @ design.T - right, abs_tol=1e-9)
    assert found.iterations <= 4
    assert found.x == pytest.approx(torch.linalg.lstsq(design, right).solution.numpy(), rel=1e-5)


def test_rosenbrocks_valley_is_followed_to_its_end():
    def rosenbrock(z):
        return torch.stack([10 * (z[:, 1] - z[:, 0] ** 2), 1 - z[:, 0]], dim=1)

    found = minimise(rosenbrock, start=(-1.2, 1.0), abs_tol=1e-20)
    assert found.x == pytest.approx([1.0, 1.0], rel=1e-7)


def test_the_minimum_on_a_bound_is_found_there():
    upper = torch.tensor([1.5, torch.inf], dtype=torch.float64)
    found = minimise(upper=upper)
    assert found.x[0] == 1.5
    assert found.status is Status.CONVERGED
    free = minimise(lambda z: decay(torch.cat([torch.full_like(z[:, :1], 1.5), z[:, 1:]], dim=1)), start=(1.5, 0.2))
    assert found.x[1] == pytest.approx(free.x[1], rel=1e-5)


def test_a_step_out_of_the_box_along_a_valley_is_not_taken_for_convergence():
    """Cut off at the box, the step to the far minimum leads uphill."""

    def valley(z):
        return torch.stack([10 * (z[:, 0] + z[:, 1] - 0.2), z[:, 0] - z[:, 1] - 10], dim=1)

    found = minimise(valley, start=(0.1, 0.1), lower=torch.zeros_like(TRUE), upper=torch.ones_like(TRUE))
    assert found.status is Status.CONVERGED
    assert found.x == pytest.approx([30 / 101, 0.0], abs=1e-6)


def test_many_starts_in_one_batch_find_the_best_of_two_minima():
    def two_valleys(z):
        return torch.stack([(z[:, 0] ** 2 - 1), 0.1 * (z[:, 0] + 1), z[:, 1]], dim=1)

    calls = []

    def counted(z):
        calls.append(len(z))
        return two_valleys(z)

    single = minimise(two_valleys, start=(2.0, 1.0))
    assert single.x[0] > 0.5
    found = minimise(counted, start=[(2.0, 1.0), (-3.0, 1.0), (0.5, 0.5)])
    assert found.x == pytest.approx([-1.0, 0.0], abs=1e-5)
    assert len(found.ends) == 3
    assert max(calls) == 9


def test_a_region_that_is_not_finite_is_stepped_back_from():
    def walled(z):
        r = decay(z)
        return torch.where(z[:, 1:] > 1.5, torch.nan, r)

    found = minimise(walled, start=(1.0, 0.2))
    assert found.x == pytest.approx(TRUE.numpy(), rel=1e-5)
    assert any(entry["value"] is None for entry in found.history) or found.evaluations < 60


def test_a_start_that_is_not_finite_is_a_divergence_and_others_go_on():
    def half(z):
        return torch.where(z[:, :1] < 0, torch.nan, decay(z))

    lost = minimise(half, start=(-1.0, 0.2))
    assert lost.status is Status.DIVERGED
    assert np.isnan(lost.value)
    found = minimise(half, start=[(-1.0, 0.2), (1.0, 0.3)])
    assert found.status is Status.CONVERGED
    assert np.isnan(found.initial_value)


def test_the_iteration_limit_is_told_and_the_best_point_is_kept():
    found = minimise(max_iterations=2)
    assert found.status is Status.ITERATION_LIMIT
    assert found.value < found.initial_value
    assert found.value == min(entry["value"] for entry in found.history)


def test_a_gradient_that_lies_is_told():
    found = minimise(jacobian=lambda z, r: -torch.ones(len(z), 30, 2, dtype=z.dtype) * torch.randn(30, 2).double())
    assert found.status in (Status.LINE_SEARCH_FAILED, Status.ITERATION_LIMIT)


def test_an_unknown_that_nothing_depends_on_stays_where_it_is():
    found = minimise(lambda z: decay(torch.cat([torch.full_like(z[:, :1], 2.0), z[:, 1:]], dim=1)), start=(0.7, 0.2))
    assert found.x[0] == 0.7
    assert found.x[1] == pytest.approx(1.3, rel=1e-6)


def test_a_slope_that_vanishes_on_the_way_does_not_stall_the_search():
    """m² has no slope at 0: scaled by the present slopes instead of the largest so far, this takes 244 iterations."""

    def squared(z):
        m, c = z[:, 0], z[:, 1]
        fit = [m**2 + torch.nn.functional.softplus(c) + 0.2, 0.5 * (m**2 + 0.5 * c + 0.4)]
        return torch.stack([*fit, 0.1 * m, 0.1 * c], dim=1)

    found = minimise(squared, start=(1.0, 0.0), max_iterations=300)
    assert found.status is Status.CONVERGED
    assert found.iterations < 40


def test_the_exception_of_a_loss_reaches_the_caller():
    def failing(z):
        raise RuntimeError("the solver failed")

    with pytest.raises(RuntimeError, match="the solver failed"):
        minimise(failing)
