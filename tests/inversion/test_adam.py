"""Adam: it descends, stays in its box, serves many starts, and remembers the best point."""

import math

import pytest
import torch

from hyco.inversion.optimisers.adam import minimise_adam
from hyco.inversion.optimisers.result import Status

LOWER, UPPER = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
TARGET = torch.tensor([0.3, 0.8], dtype=torch.float64)


def bowl(z):
    return (z - TARGET).square().sum(dim=1), 2 * (z - TARGET)


def minimise(objective=bowl, start=((0.9, 0.1),), **options):
    settings = {"abs_tol": 1e-10, "max_iterations": 2000, "learning_rate": 0.02} | options
    return minimise_adam(objective, torch.tensor(start, dtype=torch.float64), LOWER, UPPER, **settings)


def test_a_bowl_is_descended_to_its_bottom():
    found = minimise()
    assert found.status is Status.CONVERGED
    assert found.x == pytest.approx(TARGET.numpy(), abs=1e-3)


def test_the_box_is_kept():
    found = minimise(lambda z: ((z + 1).square().sum(dim=1), 2 * (z + 1)))
    assert found.x.tolist() == [0.0, 0.0]


def test_the_best_of_several_starts_is_returned_and_all_are_reported():
    found = minimise(start=((0.9, 0.1), (0.31, 0.79)), max_iterations=3)
    assert found.status is Status.ITERATION_LIMIT
    assert len(found.ends) == 2
    assert found.value == min(s["value"] for s in found.ends)


def test_a_value_that_is_not_finite_sends_it_back_to_the_best_point():
    def cliff(z):
        value, gradient = bowl(z)
        bad = z[:, 0] < 0.5
        return torch.where(bad, math.nan, value), gradient

    found = minimise(cliff, max_iterations=300)
    assert math.isfinite(found.value)
    assert found.x[0] == pytest.approx(0.5, abs=0.05)


def test_a_start_that_is_given_up_has_no_value():
    def half(z):
        value, gradient = bowl(z)
        return torch.where(z[:, 0] > 0.5, math.nan, value), gradient

    found = minimise(half, start=((0.9, 0.1), (0.2, 0.7)), max_iterations=3)
    assert [s["value"] is None for s in found.ends] == [True, False]


def test_a_start_that_is_not_finite_is_a_divergence():
    found = minimise(lambda z: (torch.full_like(z[:, 0], math.nan), z))
    assert found.status is Status.DIVERGED
