"""L-BFGS-B: bounds, best-so-far, non-finite values, exceptions, and the reasons for stopping."""

import numpy as np
import pytest

from hyco.inversion.optimisers.lbfgsb import minimise_lbfgsb
from hyco.inversion.optimisers.result import Status

BOX = np.array([[0.0, 1.0], [0.0, 1.0]])
START = np.array([0.9, 0.1])


def quadratic(x):
    target, weight = np.array([0.3, 0.6]), np.array([1e4, 10.0])
    return float(weight @ (x - target) ** 2), 2 * weight * (x - target)


def rosenbrock(x):
    u, v = 3 * x[0] - 1, 3 * x[1] - 1
    value = 100 * (v - u**2) ** 2 + (1 - u) ** 2
    gradient = np.array([-400 * u * (v - u**2) - 2 * (1 - u), 200 * (v - u**2)])
    return float(value), 3 * gradient


def test_a_badly_scaled_quadratic_is_minimised_with_and_without_a_scale():
    for scale in (None, 1 / np.sqrt([2e4, 20.0])):
        result = minimise_lbfgsb(quadratic, START, BOX, abs_tol=1e-12, max_iterations=50, scale=scale)
        assert result.status is Status.CONVERGED
        np.testing.assert_allclose(result.x, [0.3, 0.6], atol=1e-5)


def test_unit_curvature_makes_the_first_step_a_newton_step():
    result = minimise_lbfgsb(quadratic, START, BOX, abs_tol=1e-9, max_iterations=50, scale=1 / np.sqrt([2e4, 20.0]))
    assert result.evaluations <= 5


def test_the_minimum_outside_the_box_is_found_on_its_face():
    box = np.array([[0.5, 1.0], [0.0, 1.0]])
    result = minimise_lbfgsb(quadratic, START, box, abs_tol=1e-10, max_iterations=50)
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(result.x, [0.5, 0.6], atol=1e-4)
    assert all(0.5 <= entry["x"][0] <= 1.0 for entry in result.history)


def test_rounding_never_leaves_the_box():
    box, width = np.array([[-0.3, 0.1]] * 40), np.geomspace(1e-3, 7.0, 40)

    def beyond(x):
        assert (x >= box[:, 0]).all()
        assert (x <= box[:, 1]).all()
        return float(((x - 1) ** 2).sum()), 2 * (x - 1)

    result = minimise_lbfgsb(beyond, np.zeros(40), box, abs_tol=1e-9, max_iterations=20, scale=width)
    np.testing.assert_allclose(result.x, box[:, 1], rtol=1e-15)


def test_an_iteration_limit_returns_the_best_point_and_not_the_start():
    result = minimise_lbfgsb(rosenbrock, START, BOX, abs_tol=1e-12, max_iterations=3)
    assert result.status is Status.ITERATION_LIMIT
    assert result.improved
    assert result.value == min(entry["value"] for entry in result.history)
    assert result.value == rosenbrock(result.x)[0]
    assert not np.array_equal(result.x, START)


def test_a_non_finite_loss_is_stepped_back_from():
    def cliff(x):
        if x[0] < 0.29:
            return np.nan, np.full(2, np.nan)
        return quadratic(x)

    result = minimise_lbfgsb(cliff, START, BOX, abs_tol=1e-10, max_iterations=100)
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(result.x, [0.3, 0.6], atol=1e-3)


def test_infinite_beyond_a_wall_never_returns_the_start():
    def wall(x):
        return (np.inf, np.full(2, np.nan)) if x[0] < 0.5 else quadratic(x)

    result = minimise_lbfgsb(wall, START, BOX, abs_tol=1e-8, max_iterations=100)
    assert result.improved
    assert np.isfinite(result.value)
    assert result.x[0] >= 0.5


def test_a_loss_that_is_never_finite_is_a_divergence():
    for scale in (None, np.ones(2)):
        result = minimise_lbfgsb(
            lambda x: (np.nan, np.full(2, np.nan)), START, BOX, abs_tol=1e-8, max_iterations=5, scale=scale
        )
        assert result.status is Status.DIVERGED
        np.testing.assert_array_equal(result.x, START)


@pytest.mark.timeout(20)
def test_an_exception_in_the_loss_reaches_the_caller_and_never_hangs():
    calls = []

    def raising(x):
        calls.append(x)
        if len(calls) == 2:
            raise RuntimeError("the pressure solve failed")
        return quadratic(x)

    with pytest.raises(RuntimeError, match="pressure solve"):
        minimise_lbfgsb(raising, START, BOX, abs_tol=1e-8, max_iterations=5, scale=np.ones(2))


def test_a_wrong_gradient_is_told_apart_from_convergence():
    def wrong(x):
        value, gradient = quadratic(x)
        return value, -gradient

    result = minimise_lbfgsb(wrong, START, BOX, abs_tol=1e-12, max_iterations=20, scale=1 / np.sqrt([2e4, 20.0]))
    assert result.status is Status.LINE_SEARCH_FAILED
    assert result.value <= result.initial_value


def test_starting_at_the_minimum_converges_at_once():
    result = minimise_lbfgsb(quadratic, np.array([0.3, 0.6]), BOX, abs_tol=1e-8, max_iterations=5, scale=np.ones(2))
    assert result.status is Status.CONVERGED
    assert result.evaluations <= 2


def test_the_history_has_one_entry_per_evaluation():
    counted = []

    def counting(x):
        counted.append(x.copy())
        return quadratic(x)

    result = minimise_lbfgsb(counting, START, BOX, abs_tol=1e-8, max_iterations=20, scale=np.ones(2))
    assert len(result.history) == result.evaluations == len(counted)
