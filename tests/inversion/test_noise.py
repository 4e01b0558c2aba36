"""Noise that differs from one measurement to the next: estimates and error bars are those of weighted least squares."""

import numpy as np
import pytest
import scipy.optimize
import torch


def sigmas(wave):
    """Standard deviations between 0.005 and 0.2, `[T+1, 1, x]`."""
    exponents = torch.rand(wave.states().shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return 0.005 * 40**exponents


def draw(wave, sigma, seed):
    noise = torch.randn(sigma.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return wave.states() + sigma * noise


def test_estimate_and_error_bar_are_those_of_weighted_least_squares(wave):
    sigma = sigmas(wave)
    values = draw(wave, sigma, 0)
    found = wave.fitted(wave.observations(values, sigma_of_values=sigma[None]))
    start, times = wave.start.numpy(), wave.times[1:].numpy()
    rate = -float(torch.log(wave.states(1.0)[1, 0, 0] / wave.start[0, 0])) / times[0]

    def model(_, diffusivity):
        return (np.exp(-diffusivity * rate * times)[:, None, None] * start).ravel()

    best, covariance = scipy.optimize.curve_fit(
        model,
        None,
        values[1:].numpy().ravel(),
        p0=[0.15],
        sigma=sigma[1:].numpy().ravel(),
        absolute_sigma=True,
        ftol=1e-12,
        xtol=1e-12,
    )
    assert found.value == pytest.approx(best[0], abs=0.05 * found.std)  # its time steps
    assert found.std == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-3)


def test_the_same_sigma_for_all_is_that_of_the_channel(wave):
    values = draw(wave, torch.full_like(wave.states(), 0.05), 1)
    one = wave.fitted(wave.observations(values, noise_std=0.05))
    each = wave.fitted(wave.observations(values, sigma_of_values=torch.full_like(values, 0.05)[None]))
    assert each.value == pytest.approx(one.value, rel=1e-12)
    assert each.std == pytest.approx(one.std, rel=1e-9)


def test_residuals_in_units_of_their_own_noise_have_a_mean_square_of_one(wave):
    sigma = sigmas(wave)
    physics = wave.calibrated(wave.observations(draw(wave, sigma, 2), sigma_of_values=sigma[None]))
    assert physics.estimate.reduced_chi_square == pytest.approx(1.0, abs=4 * (2 / 47) ** 0.5)
    assert physics.estimate.residuals["time"][1:].square().mean() == pytest.approx(1.0, abs=4 * (2 / 48) ** 0.5)


@pytest.mark.slow
def test_errors_of_many_draws_are_those_of_the_cramer_rao_bound(wave):
    sigma, errors = sigmas(wave), []
    bound = float((wave.slopes() / sigma).square().sum()) ** -0.5
    covered = 0
    for seed in range(200):
        found = wave.fitted(wave.observations(draw(wave, sigma, seed), sigma_of_values=sigma[None]))
        errors.append((found.value - 0.1) / bound)
        covered += found.interval[0] < 0.1 < found.interval[1]
    assert torch.tensor(errors).square().mean().sqrt() == pytest.approx(1.0, abs=0.15)  # three times its spread
    assert covered > 0.95 * 200 - 3.1 * 3.5  # 3.1: the standard deviation of a count
