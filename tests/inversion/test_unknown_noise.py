"""Noise that nobody knows: intervals are Student's, and there are none where no degrees of freedom are left."""

import logging
import math

import pytest
import scipy.stats
import torch

from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.uncertainty import laplace, quantile
from hyco.runtime.storage import Bundle

STUDENT_4 = 2.7764451  # from a table: 97.5 % with four degrees of freedom


def few(wave, count, noise, seed):
    """Measurements of a few places and times after t = 0."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(wave.states().shape, dtype=torch.bool)
    mask.view(-1)[8 + torch.randperm(mask.numel() - 8, generator=torch.Generator().manual_seed(1))[:count]] = True
    values = wave.states() + noise * torch.randn(mask.shape, generator=generator, dtype=torch.float64)
    return wave.observations(values, mask)


def test_the_interval_is_students(wave):
    physics = wave.calibrated(few(wave, 5, 0.02, 0))
    found, estimate = physics.estimate["diffusivity"], physics.estimate
    assert estimate.degrees_of_freedom == pytest.approx(4.0, abs=1e-6)
    low, high = found.interval
    # The coordinate is that of the bounds: the ends are not quite symmetric about the value.
    assert high - low == pytest.approx(2 * STUDENT_4 * found.std, rel=0.1)
    assert quantile(4.0) == pytest.approx(STUDENT_4, rel=1e-6)
    assert quantile(math.inf) == 1.96


def test_the_standard_deviation_is_that_of_the_residuals_with_their_degrees_of_freedom(wave):
    seen = few(wave, 5, 0.02, 0)
    found = wave.fitted(seen)
    mask = seen.mask[0]
    residuals = (wave.states(found.value) - seen.values[0])[mask]
    slopes = wave.slopes(found.value)[mask]
    variance = residuals.square().sum() / 4
    assert found.std == pytest.approx(float((variance / slopes.square().sum()).sqrt()), rel=1e-2)


@pytest.mark.parametrize("prior", [False, True])
def test_intervals_of_few_measurements_hold_the_truth_as_often_as_they_say(prior):
    """A linear problem of 5 measurements; with a prior that holds 30 more unknowns of little effect.

    With a prior, intervals are never surer than residuals of unit variance allow, so that they hold it more often.
    """
    generator = torch.Generator().manual_seed(3)
    n, draws, covered, narrow = 5, 1000, 0, 0
    design = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    if prior:
        design = torch.cat([design, 0.02 * torch.randn(n, 30, generator=generator, dtype=torch.float64)], dim=1)
    held = torch.eye(design.shape[1], dtype=torch.float64)[1:]
    stacked = torch.cat([design, held])
    for _ in range(draws):
        noise = torch.randn(n, generator=generator, dtype=torch.float64)
        hidden = torch.randn(design.shape[1] - 1, generator=generator, dtype=torch.float64)
        data = noise + design[:, 1:] @ hidden
        best = torch.linalg.lstsq(stacked, torch.cat([data, torch.zeros(len(held))])[:, None]).solution[:, 0]
        found = laplace(design, design @ best - data, prior=held if prior else None, known_noise=False)
        covered += abs(best[0]) < found.quantile * found.std[0]
        narrow += abs(best[0]) < 1.96 * found.std[0]
    scatter = (draws * 0.95 * 0.05) ** 0.5
    if prior:
        assert covered > 0.95 * draws - 3 * scatter
        return
    assert covered == pytest.approx(0.95 * draws, abs=3 * scatter)
    gaussian = 2 * scipy.stats.t.cdf(1.96, 4) - 1  # 0.88
    assert narrow == pytest.approx(gaussian * draws, abs=3 * (draws * gaussian * (1 - gaussian)) ** 0.5)


@pytest.mark.slow
@pytest.mark.study
def test_intervals_of_the_diffusivity_hold_the_truth_as_often_as_they_say(wave):
    covered, draws = 0, 400
    for seed in range(draws):
        low, high = wave.fitted(few(wave, 5, 0.02, seed)).interval
        covered += low < 0.1 < high
    assert covered == pytest.approx(0.95 * draws, abs=3 * (draws * 0.95 * 0.05) ** 0.5)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_one_value_and_one_unknown_say_nothing_of_the_error(noise, wave, caplog):
    with caplog.at_level(logging.WARNING):
        physics = wave.calibrated(few(wave, 1, noise, 0))
    found = physics.estimate["diffusivity"]
    assert (found.std, found.interval, found.identifiable, found.pull) == (None, None, False, None)
    assert "the residuals say nothing of the noise" in caplog.text
    assert physics.estimate.degrees_of_freedom == pytest.approx(0.0, abs=1e-6)
    assert not physics.estimate.noise_told
    assert found.value == pytest.approx(0.1, rel=0.01 if noise == 0 else 0.5)
    metrics = physics.model.metrics()
    assert (metrics["std.diffusivity"], metrics["lower.diffusivity"]) == (None, None)


def test_one_value_of_known_noise_has_an_error_bar(wave):
    seen = few(wave, 1, 0.02, 0)
    seen.noise_std[:] = 0.02
    found = wave.fitted(seen)
    slope = wave.slopes(found.value)[seen.mask[0]]
    assert found.std == pytest.approx(float(0.02 / slope.abs()), rel=0.01)


def test_the_degrees_of_freedom_are_in_the_files(wave):
    estimate = wave.calibrated(few(wave, 1, 0.02, 0)).estimate
    for again in (
        PhysicalEstimate.from_json(estimate.to_json()),
        PhysicalEstimate.from_bundle(Bundle(estimate.to_bundle().tensors, estimate.to_bundle().metadata)),
    ):
        assert again.degrees_of_freedom == estimate.degrees_of_freedom
        assert again["diffusivity"] == estimate["diffusivity"]


@pytest.mark.parametrize("loss", ["squares", "huber"])
@pytest.mark.parametrize("prior", [None, {"mean": 0.0, "std": 1.0}])
def test_another_minimum_is_listed_where_the_residuals_tell_the_noise(loss, prior, wave, caplog):
    """The diffusivity is a square: both signs of its root fit, to what the residuals tell of the noise."""
    root = {"name": "a", "initial_guess": 0.5, "bounds": [-0.7, 0.7]} | ({} if prior is None else {"prior": prior})
    square = {"name": "diffusivity", "kind": "expression", "expression": "a**2", "scalars": [root]}
    noise = 0.02 * torch.randn(wave.states().shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    physics = wave.calibrated(
        wave.observations(wave.states() + noise), learnable_parameters=[square], starts=5, loss=loss
    )
    found = physics.model.values["diffusivity.a"]
    assert abs(found) == pytest.approx(0.1**0.5, rel=0.1)
    (other,) = physics.estimate.alternative_minima
    assert other["diffusivity.a"] == pytest.approx(-found, rel=0.02)
    assert "Another minimum fits the data as well: diffusivity.a" in caplog.text
