"""The Huber loss: gross errors do not pull an estimate, and error bars are those of an M-estimator."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch

from hyco.inversion.loss import Huber, robust_std, share_of_outliers

NOISE = 0.05


def contaminated(wave, seed, share=0.05, noise=NOISE, size=40.0):
    """The wave with Gaussian noise, and gross errors of one sign in a share of the values."""
    random = np.random.default_rng(seed)
    noises = torch.from_numpy(noise * random.standard_normal(wave.states().shape))
    bad = torch.from_numpy(random.random(noises.shape) < share)
    # Where the wave is high, so that they say it has not decayed.
    bad &= wave.start.expand_as(noises) > 0
    return wave.states() + noises + bad * size * noise


@pytest.mark.parametrize("method", ["Levenberg-Marquardt", "L-BFGS-B"])
@pytest.mark.parametrize("noise_std", [NOISE, 0.0])
def test_gross_errors_do_not_pull_an_estimate(method, noise_std, wave):
    seen = wave.observations(contaminated(wave, 1, share=0.1), noise_std=noise_std)
    robust = wave.calibrated(seen, loss="huber", method=method).estimate
    squares = wave.fitted(seen, method=method)
    found = robust["diffusivity"]
    assert abs(found.value - 0.1) < 2 * found.std
    assert found.std < 0.03
    assert abs(squares.value - 0.1) > 3 * found.std
    assert 0.02 < robust.outliers < 0.1
    assert found.pull < 0.05


@pytest.mark.parametrize("delta", [0.8, 1.345])
def test_the_estimate_is_that_of_scipys_huber_loss(delta, wave):
    values = contaminated(wave, 2)
    found = wave.fitted(wave.observations(values, noise_std=NOISE), loss={"name": "huber", "delta": delta})
    start, times = wave.start.numpy(), wave.times[1:].numpy()
    rate = -float(torch.log(wave.states(1.0)[1, 0, 0] / wave.start[0, 0])) / times[0]

    def residuals(diffusivity):
        exact = np.exp(-diffusivity * rate * times)[:, None, None] * start
        return ((exact - values[1:].numpy()) / NOISE).ravel()

    # SciPy's loss is for squares: with its scale δ it is Huber's of size δ.
    best = scipy.optimize.least_squares(residuals, 0.15, loss="huber", f_scale=delta, xtol=1e-12, ftol=1e-12)
    assert found.value == pytest.approx(best.x[0], abs=0.05 * found.std)


@pytest.mark.parametrize("noise_std", [NOISE, 0.0])
def test_without_outliers_it_is_five_percent_less_sure_than_squares(noise_std, wave):
    values = contaminated(wave, 3, share=0.0)
    seen = wave.observations(values, noise_std=noise_std)
    robust, squares = wave.calibrated(seen, loss="huber").estimate, wave.calibrated(seen).estimate
    ratio = robust["diffusivity"].std / squares["diffusivity"].std
    assert 0.85 < ratio < 1.25
    assert abs(robust["diffusivity"].value - squares["diffusivity"].value) < 0.7 * squares["diffusivity"].std
    assert robust.reduced_chi_square == pytest.approx(squares.reduced_chi_square, rel=0.35)
    assert squares.outliers is None


def test_the_reduced_chi_square_of_unknown_noise_is_in_the_unit_of_squares(wave):
    """A thousandth of the values' standard deviation, so that its root says how large the noise is."""
    noise = torch.from_numpy(NOISE * np.random.default_rng(5).standard_normal(wave.states().shape))
    seen = wave.observations(wave.states() + noise, noise_std=0.0)
    robust, squares = wave.calibrated(seen, loss="huber").estimate, wave.calibrated(seen).estimate
    assert robust.reduced_chi_square == pytest.approx(squares.reduced_chi_square, rel=0.3)
    unit = 1e-3 * float(seen.values[seen.mask].std())
    assert robust.reduced_chi_square**0.5 * unit == pytest.approx(NOISE, rel=0.2)
    assert float(robust.residuals["time"].max()) == pytest.approx(float(squares.residuals["time"].max()), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("noise_std", [NOISE, 0.0])
def test_intervals_hold_the_truth_in_spite_of_gross_errors(noise_std, wave):
    """Gross errors of either sign, in 5 % of the values."""
    draws, covered, errors = 80, 0, []
    for seed in range(draws):
        random = np.random.default_rng(seed)
        shape = wave.states().shape
        bad = random.random(shape) < 0.05
        noise = NOISE * np.where(bad, 30 * np.sign(random.standard_normal(shape)), random.standard_normal(shape))
        found = wave.fitted(
            wave.observations(wave.states() + torch.from_numpy(noise), noise_std=noise_std), loss="huber"
        )
        covered += found.interval[0] < 0.1 < found.interval[1]
        errors.append((found.value - 0.1) / found.std)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(1.0, abs=0.25)
    assert covered > 0.95 * draws - 3 * math.sqrt(draws * 0.95 * 0.05)


def test_the_covariance_of_a_mean_is_hubers_formula():
    """Location: Var = E ψ² / (E ψ')² / n, with the integrals of a Gaussian; 1.0526 / n for δ = 1.345."""
    r = torch.from_numpy(scipy.stats.norm.ppf((np.arange(20000) + 0.5) / 20000))
    robust = Huber().linearised(r, 1.0, None)
    assert 1 / robust.precision**2 == pytest.approx(1.0526, rel=2e-3)
    assert robust.reduced_chi_square == pytest.approx(1.0, abs=2e-3)
    assert robust.slope == pytest.approx(0.8214, abs=1e-3)


def test_the_transformed_residuals_are_the_loss_and_smooth():
    r = torch.linspace(-5, 5, 201, dtype=torch.float64, requires_grad=True)
    loss = Huber(delta=1.5)
    rho = torch.where(r.abs() <= 1.5, r**2 / 2, 1.5 * (r.abs() - 0.75))
    transformed = loss.transformed(r)
    assert torch.allclose(transformed.square() / 2, rho)
    (slope,) = torch.autograd.grad(transformed.square().sum() / 2, r)
    assert torch.allclose(slope, loss.pull(r))


def test_the_scale_by_the_median_is_that_of_the_core():
    generator = torch.Generator().manual_seed(0)
    r = 3 * torch.randn(4000, generator=generator, dtype=torch.float64)
    r[:200] = 1e6
    assert robust_std(r, 0) == pytest.approx(3, rel=0.1)
    assert share_of_outliers(r / 3) == pytest.approx(0.05 + 0.95 * 0.0027, abs=0.003)


def test_a_search_that_goes_on_has_the_same_scale(wave):
    seen = wave.observations(contaminated(wave, 1), noise_std=0.0)
    first, other = (
        wave.calibrated(seen, loss="huber"),
        wave.calibrated(seen, loss="huber", epochs=1, suppress_convergence_errors=True),
    )
    other.load(first.state())
    assert other.problem.data.scale == first.problem.data.scale > 1
    assert other.estimate["diffusivity"] == first.estimate["diffusivity"]


@pytest.mark.parametrize("noise_std", [NOISE, 0.0])
def test_the_profile_of_a_robust_fit_is_as_wide_as_its_error_bar_where_the_loss_is_a_parabola(noise_std, wave):
    seen = wave.observations(contaminated(wave, 1), noise_std=noise_std)
    found = wave.calibrated(seen, loss="huber", profile=True).estimate["diffusivity"]
    rises = np.array(found.profile["chi_square"])
    assert rises.min() == 0.0
    assert rises[[0, -1]] == pytest.approx(3.84, rel=0.05)
    low, high = found.interval
    half = 1.96 * found.std
    assert (found.value - low, high - found.value) == pytest.approx((half, half), rel=0.15)
