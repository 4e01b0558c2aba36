"""Residuals that are not white noise: they are told, white noise is not, and the error bars are those of such noise."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binom, chi2

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.correlated_noise import CorrelatedNoise
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.residual_places import Places, pairs_in_space, pairs_in_time
from hyco.inversion.structure import ResidualStructure, WhiteResiduals
from hyco.observations import ObservationConfig, observe
from hyco.runtime.storage import Bundle
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.physical import PhysicalConfig

CELLS, STEPS, SIGMA = 32, 6, 0.05


class Rod:
    """The heat equation with a smooth start; `fitted` takes noise of unit variance and returns the calibrator."""

    def __init__(self, initial="exact", space=None, **observation):
        self.equation = build_equation(
            {
                "name": "heat",
                "domain": {"x": {"size": 1.0, "resolution": CELLS}},
                "dt": 0.02,
                "max_diffusivity": 0.3,
                "parameters": {"diffusivity": 0.1},
            }
        )
        start = {"temperature": "sin(2 * pi * x) + 0.5 * cos(4 * pi * x)"}
        truth = generate(self.equation, GenerationConfig(simulations=1, steps=STEPS, initial_state=start), 0)
        given = {"train_sim": [0], "initial_state": initial, "noise_reference": "absolute", **observation}
        if space is not None:
            given["space"] = space
        self.clean = observe(truth, ObservationConfig.model_validate(given), 0)

    def seen(self, noise=None, *, sigma=SIGMA, known=True):
        """The observations with noise `[S, T, C, K]` of unit variance."""
        noise = torch.zeros_like(self.clean.values) if noise is None else noise
        values = torch.where(self.clean.mask, self.clean.values + sigma * noise, 0.0)
        starts = self.clean.initial_states if self.clean.initial_known else values[:, 0]
        std = torch.full((1,), sigma if known else 0.0, dtype=torch.float64)
        return replace(self.clean, values=values, initial_states=starts, noise_std=std)

    def fitted(self, noise=None, *, conclude=True, sigma=SIGMA, known=True, **options):
        section = {
            "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.2, "bounds": [0.005, 0.3]}],
            "method": "Levenberg-Marquardt",
            "num_predict_steps": STEPS,
            "abs_tol": 1e-12,
            "execution": "traced",
            "discretisation": False,
        }
        config = PhysicalConfig.model_validate(section | options)
        seen = self.seen(noise, sigma=sigma, known=known)
        physics = Calibrator(self.equation, seen, config, num_predict_steps=STEPS, device=torch.device("cpu"))
        if conclude:
            physics.update()
            physics.conclude()
        return physics


def white(seed, shape=(1, STEPS + 1, 1, CELLS)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_time(noise, rho=0.7):
    for step in range(1, noise.shape[1]):
        noise[:, step] = rho * noise[:, step - 1] + math.sqrt(1 - rho**2) * noise[:, step]
    return noise


def in_space(noise, cells=4.0):
    lag = torch.arange(CELLS, dtype=torch.float64)
    root = torch.fft.fft((-torch.minimum(lag, CELLS - lag) / cells).exp()).real.clamp_min(0).sqrt()
    return torch.fft.ifft(torch.fft.fft(noise) * root).real


def odd(noise, seed):
    """Two of a hundred are 5 to 10 standard deviations off."""
    generator = torch.Generator().manual_seed(1000 + seed)
    some = torch.rand(noise.shape, generator=generator) < 0.02
    return torch.where(some, noise.sign() * (5 + 5 * torch.rand(noise.shape, generator=generator)), noise)


def told(physics):
    """The tests that white noise fails."""
    structure = physics.model.assessor.structure
    parts = {name: getattr(structure, name) for name in ("time", "space", "outliers")}
    return {name for name, part in parts.items() if part is not None and part.told}


@pytest.fixture(scope="module")
def rod():
    return Rod()


def few_and_many(*cases):
    """Numbers of draws with what is asked of them: the first case is a slow test, the second a study."""
    marks = (pytest.mark.slow, pytest.mark.study)
    return [pytest.param(*case, marks=mark) for case, mark in zip(cases, marks, strict=True)]


@pytest.mark.parametrize(("draws", "most"), few_and_many((4, 1), (40, 3)))
@pytest.mark.parametrize("initial", ["exact", "full"])
@pytest.mark.parametrize("known", [True, False])
def test_white_noise_is_hardly_ever_told(initial, known, draws, most):
    rod = Rod(initial)
    assert sum(bool(told(rod.fitted(white(seed), known=known))) for seed in range(draws)) <= most


@pytest.mark.parametrize(("draws", "least"), few_and_many((3, 3), (20, 18)))
@pytest.mark.parametrize("initial", ["exact", "full"])
def test_what_is_not_white_is_told(initial, draws, least):
    rod = Rod(initial)
    for kind, make in {"time": in_time, "space": in_space}.items():
        assert sum(kind in told(rod.fitted(make(white(seed)))) for seed in range(draws)) >= least
    assert sum("outliers" in told(rod.fitted(odd(white(seed), seed))) for seed in range(draws)) >= least


def test_each_kind_is_told_and_white_noise_keeps_its_error_bars(rod):
    physics = rod.fitted(white(0))
    found = physics.estimate["diffusivity"]
    assert (told(physics), found.std_white) == (set(), None)
    before = rod.fitted(white(0), conclude=False)
    before.update()
    assert before.estimate["diffusivity"] == found, "to the bit"
    for kind, noise in {"time": in_time(white(0)), "space": in_space(white(0)), "outliers": odd(white(0), 0)}.items():
        physics = rod.fitted(noise)
        found = physics.estimate["diffusivity"]
        assert told(physics) == {kind}
        assert found.std > 1.3 * found.std_white
        low, high = found.interval
        assert high - low == pytest.approx(3.92 * found.std, rel=0.1)
        # Draws for predictions have that spread, too.
        spread = physics.model.assessor.covariance(physics.model.coordinates).sqrt()
        assert float(spread / physics.model.assessment.white) == pytest.approx(found.std / found.std_white)


def test_the_moments_are_those_of_white_residuals():
    """Residuals of a fit with many unknowns are correlated; that is allowed for."""
    places = Places.of(Rod().fitted(conclude=False).problem.data, STEPS)
    generator = torch.Generator().manual_seed(0)
    smooth = torch.linalg.qr(torch.randn(len(places), 40, generator=generator, dtype=torch.float64).cumsum(0))[0]
    (nearest, *_), (along, *_) = pairs_in_space(places), pairs_in_time(places)
    for pairs in (nearest, along):
        drawn = []
        for _ in range(400):
            e = torch.randn(len(places), generator=generator, dtype=torch.float64)
            (found,) = WhiteResiduals(e - smooth @ (smooth.T @ e), smooth).observed([pairs])
            drawn.append(found.correlation / found.std)
        z = torch.tensor(drawn)
        assert abs(float(z.mean())) < 0.2
        assert float(z.std()) == pytest.approx(1.0, abs=0.12)


def test_pairs_are_neighbours_around_a_periodic_axis(rod):
    physics = rod.fitted(conclude=False)
    places = Places.of(physics.problem.data, STEPS)
    nearest, second, *_ = pairs_in_space(places)
    assert nearest.distance == pytest.approx(1 / CELLS)
    assert len(nearest) == CELLS * STEPS  # 32 neighbours around the circle at each of six times
    assert second.distance == pytest.approx(2 / CELLS)
    first, *_ = pairs_in_time(places)
    assert first.distance == pytest.approx(0.02)
    assert len(first) == CELLS * (STEPS - 1)
    assert torch.equal(places.entry[first.first], places.entry[first.second])


SPACES = {
    "cells": None,
    "points": {"mode": "points", "count": 9},
    "samples": {"mode": "samples", "count": 70},
    "moving": {"mode": "moving", "count": 7, "path": {"x": "x0 + 0.1 * sin(9 * t)"}},
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("kind", [{"duration": 0.05}, {"length": 0.1}, {"duration": 0.05, "length": 0.1}])
def test_the_covariance_of_a_model_is_its_formula(space, kind):
    data = Rod(space=SPACES[space]).fitted(conclude=False).problem.data
    places = Places.of(data, STEPS)
    noise = CorrelatedNoise(0.8, kind.get("duration"), "exponential", kind.get("length"), "gaussian")
    apart = torch.from_numpy(cdist(places.position, places.position))
    apart = torch.minimum(apart, 1 - apart)
    between = torch.from_numpy(cdist(places.time[:, None], places.time[:, None]))
    expected = torch.ones_like(apart)
    if noise.length is not None:
        expected = expected * (-((apart / 0.1) ** 2)).exp()
    else:
        expected = expected * (places.sensor[:, None] == places.sensor)
    expected = expected * ((-between / 0.05).exp() if noise.duration is not None else (between == 0))
    expected = 0.8 * (expected - torch.eye(len(places), dtype=torch.float64))
    vectors = white(0, (len(places), 3))
    assert torch.allclose(noise.off_diagonal(places, vectors), expected @ vectors, atol=1e-10)


def test_an_estimate_and_a_checkpoint_keep_all_of_it_to_the_bit(rod):
    noise = in_space(in_time(white(3)))
    physics = rod.fitted(noise)
    estimate = physics.estimate
    assert estimate.structure["noise"]["length"] is not None
    again = PhysicalEstimate.from_json(estimate.to_json())
    assert (again.structure, again["diffusivity"]) == (estimate.structure, estimate["diffusivity"])
    structure = ResidualStructure.from_json(estimate.structure)
    assert structure == physics.model.assessor.structure
    state = physics.state()
    other = rod.fitted(noise, conclude=False)
    other.load(Bundle(dict(state.tensors), dict(state.metadata)))
    assert other.estimate["diffusivity"] == estimate["diffusivity"]
    assert torch.equal(other.estimate.covariance, estimate.covariance)
    assert other.estimate.to_json() == estimate.to_json()


def test_data_without_noise_are_not_tested(rod):
    physics = rod.fitted(known=False, sigma=1.0)
    assert physics.estimate.structure is None


def test_a_robust_loss_has_outliers_in_its_error_bars_and_correlation_widens_them(rod):
    physics = rod.fitted(odd(white(0), 0), loss="huber")
    assert physics.estimate["diffusivity"].std_white is None
    found = rod.fitted(in_time(white(0)), loss="huber").estimate["diffusivity"]
    assert found.std > 1.3 * found.std_white


# Half of the widening fails by the sum of squares of 30 draws; by a count of the intervals it may not.
@pytest.mark.parametrize("draws", [pytest.param(30, marks=pytest.mark.slow), pytest.param(80, marks=pytest.mark.study)])
@pytest.mark.parametrize("make", [in_time, in_space, lambda noise: in_space(in_time(noise))])
def test_errors_are_as_large_as_error_bars_say_and_intervals_hold_the_truth(rod, make, draws):
    estimates = [rod.fitted(make(white(seed))).estimate["diffusivity"] for seed in range(draws)]
    low, high = chi2.interval(0.95, draws)
    assert low < sum(((e.value - 0.1) / e.std) ** 2 for e in estimates) < high
    covered = sum(e.interval[0] < 0.1 < e.interval[1] for e in estimates)
    assert covered >= binom.ppf(0.005, draws, 0.95)


def test_a_profile_is_as_wide_as_the_noise_asks_for(rod):
    """χ² counts less in correlated noise: else the profile would be that of white noise."""
    found = rod.fitted(in_time(white(0)), profile=True).estimate["diffusivity"]
    low, high = found.interval
    assert found.profile is not None
    assert high - low == pytest.approx(3.92 * found.std, rel=0.1)
    assert found.std > 1.3 * found.std_white


def test_where_the_prior_came_from_the_data_its_doubt_stays():
    """The covariance of white noise, a mixture over priors, is in that of correlated noise."""
    some = Rod("observed", {"mode": "range", "x": [0.0, 0.6]})
    noise = in_time(white(1))
    physics = some.fitted(noise)
    before = some.fitted(noise, conclude=False)
    before.update()
    before.model.assessor.assess(before.model.coordinates)
    assert physics.estimate["diffusivity"].std_white == pytest.approx(before.estimate["diffusivity"].std)
    more = physics.model.assessment.joint - before.model.assessment.joint
    assert float(torch.linalg.eigvalsh(more).min()) > -1e-9
