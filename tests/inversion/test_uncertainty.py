"""Covariances against closed forms, and directions that the data do not determine."""

import pytest
import torch

from hyco.inversion.jacobian import central_jacobian
from hyco.inversion.uncertainty import laplace


def test_the_batched_jacobian_equals_reverse_mode():
    def residuals(points):
        x, y = points[:, :1], points[:, 1:]
        t = torch.linspace(0, 1, 7, dtype=points.dtype)
        return x.exp() * torch.sin(3 * y * t) + y**2 * t

    point = torch.tensor([0.3, 0.7], dtype=torch.float64)
    exact = torch.autograd.functional.jacobian(lambda p: residuals(p[None])[0], point)
    free = torch.full_like(point, torch.inf)
    for lower, upper in ((-free, free), (point, free), (-free, point)):
        r, found = central_jacobian(residuals, point, lower, upper)
        assert torch.equal(r, residuals(point[None])[0])
        assert torch.allclose(found, exact, rtol=1e-6, atol=1e-7)


def test_no_copy_of_a_point_leaves_its_box():
    def residuals(points):
        assert float(points.min()) >= 0
        assert float(points.max()) <= 1
        return points**2

    for position in (0.0, 5e-6, 0.5, 1.0):
        point = torch.tensor([position], dtype=torch.float64)
        _, found = central_jacobian(residuals, point, torch.zeros_like(point), torch.ones_like(point))
        assert found.item() == pytest.approx(2 * position, abs=1e-9)


def test_the_covariance_of_a_straight_line_is_the_textbook_formula():
    x = torch.linspace(-1, 3, 20, dtype=torch.float64)
    design, sigma = torch.stack([torch.ones_like(x), x], dim=1), 0.3
    found = laplace(design / sigma, torch.zeros_like(x)).covariance
    centred = ((x - x.mean()) ** 2).sum()
    assert found[1, 1] == pytest.approx(float(sigma**2 / centred))
    assert found[0, 0] == pytest.approx(float(sigma**2 * (1 / 20 + x.mean() ** 2 / centred)))


def test_a_direction_without_information_has_infinite_variance_and_the_other_has_not():
    design = torch.zeros(10, 2, dtype=torch.float64)
    design[:, 0] = 1.0
    found = laplace(design, torch.zeros(10, dtype=torch.float64))
    assert found.std[0] == pytest.approx(10**-0.5)
    assert found.std[1] == torch.inf


def test_parameters_that_enter_as_a_sum_are_both_undetermined():
    design = torch.ones(10, 2, dtype=torch.float64)
    assert torch.isinf(laplace(design, torch.zeros(10, dtype=torch.float64)).std).all()


def test_residuals_of_a_fit_with_a_prior_have_a_reduced_chi_square_of_one():
    generator = torch.Generator().manual_seed(1)
    n, p, found = 30, 20, []
    for _ in range(200):
        design = torch.randn(n, p, generator=generator, dtype=torch.float64)
        prior = torch.eye(p, dtype=torch.float64) * torch.linspace(0.1, 10, p)[:, None]
        truth = torch.linalg.solve(prior, torch.randn(p, generator=generator, dtype=torch.float64))
        data = design @ truth + torch.randn(n, generator=generator, dtype=torch.float64)
        right = torch.cat([data, torch.zeros(p, dtype=torch.float64)])
        fit = torch.linalg.lstsq(torch.cat([design, prior]), right[:, None]).solution[:, 0]
        found.append(laplace(design, design @ fit - data, prior=prior).reduced_chi_square)
    assert sum(found) / len(found) == pytest.approx(1, abs=0.05)


def test_the_information_is_the_curvature_whatever_the_residuals_say_of_the_noise():
    design = torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]], dtype=torch.float64)
    found = laplace(design, 100 * torch.ones(3, dtype=torch.float64), known_noise=False)
    assert torch.allclose(found.information, design.T @ design)


def test_unknown_noise_is_taken_from_the_residuals():
    generator = torch.Generator().manual_seed(0)
    design = torch.randn(500, 1, generator=generator, dtype=torch.float64)
    residual = 5.0 * torch.randn(500, generator=generator, dtype=torch.float64)
    known, unknown = (laplace(design, residual, known_noise=k) for k in (True, False))
    assert unknown.std[0] / known.std[0] == pytest.approx(5.0, rel=0.1)


def test_residuals_without_noise_do_not_count_in_the_reduced_chi_square():
    generator = torch.Generator().manual_seed(0)
    design = torch.randn(50, 2, generator=generator, dtype=torch.float64)
    residual = torch.randn(50, generator=generator, dtype=torch.float64)
    alone, noisy = laplace(design, residual), torch.arange(150) < 50
    more = laplace(torch.cat([design, design.new_zeros(100, 2)]), torch.cat([residual, torch.zeros(100)]), noisy=noisy)
    assert more.reduced_chi_square == pytest.approx(alone.reduced_chi_square)
    assert torch.allclose(more.covariance, alone.covariance)


def test_a_jacobian_that_is_not_finite_says_that_nothing_is_known():
    found = laplace(torch.full((5, 1), torch.nan), torch.zeros(5))
    assert torch.isinf(found.std).all()
