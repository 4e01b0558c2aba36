"""Where error bars are not to be trusted is said in words, and what may be wrong."""

import logging
import math
from dataclasses import replace

import pytest
import torch

from hyco.inversion.estimate import FieldEstimate, NumberEstimate, Outcome, PhysicalEstimate
from hyco.report.misfit import largest_chi_square
from hyco.report.warnings import tell_estimate

WHITE = {"correlation": 0.01, "p": 0.4, "distances": [0.1], "correlations": [0.01], "band": [0.1]}
SOUND = {"time": WHITE, "space": WHITE, "outliers": {"share": 0.0, "p": 1.0, "beyond": 4.0}, "noise": None}
ESTIMATE = PhysicalEstimate(
    {"viscosity": NumberEstimate(0.1, 0.01, (0.08, 0.12), identifiable=True, pull=0.0, discretisation=0.001)},
    values={"viscosity": 0.1},
    reduced_chi_square=1.0,
    residual_freedom=200.0,
    outcome=Outcome("converged", "done"),
    structure=SOUND,
    grid={"cells": {"x": 48, "y": 20}, "order": 2.0, "accurate": {"scheme": "spectral"}},
)


def words(caplog, *, measured=True, method="physical", **changes):
    """What is warned of at the end of a training alone."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        tell_estimate(method, replace(ESTIMATE, **changes), measured=measured)
    return " ".join(r.getMessage() for r in caplog.records if r.levelname == "WARNING")


def number(**changes):
    return {"viscosity": replace(ESTIMATE.numbers["viscosity"], **changes)}


def test_what_is_sound_is_not_warned_of(caplog):
    assert words(caplog) == ""


@pytest.mark.parametrize(
    ("rises", "told"), [([3.9, 0.0, -62.4], True), ([3.9, 0.0, -0.2], False), ([3.9, 0, None], False)]
)
def test_a_better_fit_that_the_profile_found_is_told(rises, told, caplog):
    said = words(caplog, numbers=number(profile={"values": [0.08, 0.1, 0.13], "chi_square": rises}))
    assert ("with viscosity = 0.13 the fit is better by 62.4 in χ²" in said) == told
    assert bool(said) == told


@pytest.mark.parametrize("freedom", [10.0, 200.0, 1e4])
def test_a_misfit_is_warned_of_beyond_three_deviations_of_chi_square(freedom, caplog):
    most = 1 + 3 * math.sqrt(2 / freedom)
    assert words(caplog, residual_freedom=freedom, reduced_chi_square=0.99 * most) == ""
    said = words(caplog, residual_freedom=freedom, reduced_chi_square=1.01 * most)
    assert "times the noise" in said
    assert "The equation or the noise level is wrong" in said
    assert "network" not in said
    assert largest_chi_square(replace(ESTIMATE, residual_freedom=None)) == 1.5


def test_of_a_hybrid_the_network_may_pull(caplog):
    assert "network still pulls" in words(caplog, reduced_chi_square=2.0, from_predictions=True)


def test_where_residuals_have_to_tell_the_noise_they_are_no_misfit(caplog):
    assert words(caplog, reduced_chi_square=2.0, degrees_of_freedom=200.0) == ""
    assert "times the noise" in words(caplog, reduced_chi_square=2.0, degrees_of_freedom=200.0, measured=False)


def test_a_coarse_grid_is_named_as_the_cause_with_the_cells_that_would_do(caplog):
    coarse = number(discretisation=-0.02)
    said = words(caplog, numbers=coarse, reduced_chi_square=2.0)
    assert "The grid is the likely cause: its error in viscosity" in said
    # Two standard deviations, to be half of one: four times less, by twice as many cells.
    assert "With about 96 cells along x and 40 cells along y" in said
    assert "equation.scheme: spectral" in said
    said = words(caplog, numbers=coarse)
    assert "the error of grid and time step in viscosity is 2 standard deviations" in said
    assert "simulated on the same grid" not in said
    assert "simulated on the same grid do not have" in words(caplog, numbers=coarse, measured=False)
    field = FieldEstimate(
        torch.full((48, 20), 0.1), torch.full((48, 20), 0.01), discretisation=torch.full((48, 20), 0.03)
    )
    said = words(caplog, fields={"source": field})
    assert "step in source is 3 standard deviations; its interval, but not the band of the picture, covers it" in said
    # A fit of data without noise, made on this grid.
    assert words(caplog, numbers=coarse, reduced_chi_square=1e-9, degrees_of_freedom=200.0) == ""


@pytest.mark.parametrize(("key", "said"), [("time", "a sensor and the next"), ("space", "neighbouring places")])
def test_correlated_residuals_are_told_with_what_was_done_about_them(key, said, caplog):
    told = {**SOUND, key: {**WHITE, "correlation": 0.7, "p": 1e-9}}
    text = words(caplog, structure=told, numbers=number(std_white=0.005))
    assert "residuals are correlated: 0.7 between" in text
    assert said in text
    assert "std_white" in text


def test_outliers_are_told_and_a_loss_that_bears_them_named(caplog):
    told = {**SOUND, "outliers": {"share": 0.02, "p": 1e-9, "beyond": 4.0}}
    text = words(caplog, structure=told)
    assert "2 % of the residuals are beyond 4 robust standard deviations" in text
    assert "physical.loss: huber" in text
    # A robust loss has said so itself.
    assert "beyond 4" not in words(caplog, structure=told, outliers=0.02)
