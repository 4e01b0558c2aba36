"""The weight of a regularisation on a deconvolution with known noise."""

import math

import pytest
import torch

from hyco.inversion.regularisation import Fit, discrepancy_principle, l_curve

N = 60
X = torch.linspace(0, 1, N, dtype=torch.float64)
BLUR = torch.exp(-((X[:, None] - X[None]) ** 2) / (2 * 0.05**2)) / N * 8
TRUTH = torch.sin(2 * math.pi * X) + 0.5 * X
SIGMA = 0.01
DATA = BLUR @ TRUTH + SIGMA * torch.randn(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SLOPE = torch.diff(torch.eye(N, dtype=torch.float64), dim=0)


def solve(weight, start):
    matrix = torch.cat([BLUR / SIGMA, math.sqrt(weight) * SLOPE])
    right = torch.cat([DATA / SIGMA, torch.zeros(N - 1, dtype=torch.float64)])
    z = torch.linalg.lstsq(matrix, right).solution
    misfit = ((BLUR @ z - DATA) / SIGMA).square().mean()
    return Fit(weight, z, float(misfit), float((SLOPE @ z).square().sum()))


def error(z):
    return float((z - TRUTH).norm() / TRUTH.norm())


def test_the_discrepancy_principle_fits_to_the_noise_and_no_better():
    fit, fits = discrepancy_principle(solve, torch.zeros(N, dtype=torch.float64), residuals=N, first=1e8)
    assert fit.misfit <= 1 + math.sqrt(2 / N)
    assert fit.misfit > 0.6
    best = min(error(solve(w, None).z) for w in torch.logspace(-6, 8, 60).tolist())
    assert error(fit.z) < 2 * best
    assert len(fits) > 3


def test_the_corner_of_the_l_curve_is_near_the_best_weight():
    fit, _ = l_curve(solve, torch.zeros(N, dtype=torch.float64), first=1e8, last=1e-6, count=25)
    best = min(error(solve(w, None).z) for w in torch.logspace(-6, 8, 60).tolist())
    assert error(fit.z) < 4 * best


def test_where_no_weight_fits_the_best_fit_is_returned():
    def hopeless(weight, start):
        return Fit(weight, torch.zeros(1), 50.0 + math.log10(weight), 1.0)

    fit, _ = discrepancy_principle(hopeless, torch.zeros(1), residuals=100, last=1e-3)
    assert fit.misfit == pytest.approx(47.0)
