"""Numbers without bounds stay inside the equation's limits, and an interval at a limit is one-sided."""

import logging
import math
from functools import cache

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.observations import Observations
from hyco.training.physical import PhysicalConfig

CELLS, STEPS = 32, 10
METHODS = ("Levenberg-Marquardt", "L-BFGS-B")


@cache
def heat(dt, largest):
    """Made once, as its step is recorded for each anew."""
    return build_equation(
        {
            "name": "heat",
            "domain": {"x": {"size": 1.0, "resolution": CELLS}},
            "dt": dt,
            "order": 2,
            "max_diffusivity": largest,
            "parameters": {"diffusivity": 0.05},
        }
    )


def fitted(
    learnt, *, diffusivity=1e-4, end=0.5, noise=0.1, seed=0, steps=STEPS, method=METHODS[0], largest=0.5, **physical
):
    """The physical model after a fit of sin 2πx that decays, with independent noise."""
    dt = end / steps
    built = heat(dt, largest)
    x = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
    start = torch.sin(2 * math.pi * x)[None]
    decay = 4 * math.sin(math.pi / CELLS) ** 2 * CELLS**2
    times = dt * torch.arange(steps + 1, dtype=torch.float64)
    truth = torch.exp(-diffusivity * decay * times)[:, None, None] * start
    generator = torch.Generator().manual_seed(seed)
    values = truth + noise * torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    mask = torch.ones_like(values, dtype=torch.bool)
    mask[0] = False
    seen = Observations(
        values=values[None],
        mask=mask[None],
        noise_std=torch.tensor([noise], dtype=torch.float64),
        train=[0],
        val=[],
        layout=built.layout,
        dt=dt,
        initial_state="exact",
        initial_states=start[None],
    )
    section = {"learnable_parameters": [learnt], "method": method, "execution": "traced", "discretisation": False}
    config = PhysicalConfig.model_validate(section | {"num_predict_steps": steps} | physical)
    physics = Calibrator(built, seen, config, num_predict_steps=steps, device=torch.device("cpu"))
    physics.update()
    physics.conclude()
    return physics


FREE = {"name": "diffusivity", "initial_guess": 0.05}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_diffusivity_without_bounds_never_becomes_negative(seed, method, caplog):
    physics = fitted(FREE, seed=seed, method=method)
    found, estimate = physics.estimate["diffusivity"], physics.estimate
    assert estimate.outcome.status == "converged"
    assert 0 <= found.value < 0.002
    # λ T D to first order: σ/√(Σ (λ t sin)²) is 6.5e-4.
    assert found.std == pytest.approx(6.5e-4, rel=0.03)
    assert found.interval == pytest.approx((0.0, found.value + 1.96 * found.std), rel=0.02, abs=1e-12)
    assert found.identifiable
    assert "its interval reaches the limit of the equation, 0" in caplog.text
    assert estimate.reduced_chi_square == pytest.approx(1.0, abs=0.2)


def test_an_estimate_on_the_limit_has_a_one_sided_interval(caplog):
    seeds = (fitted(FREE, diffusivity=0.0, seed=seed) for seed in range(3, 30))
    physics = next(p for p in seeds if p.estimate["diffusivity"].value == 0.0)
    found = physics.estimate["diffusivity"]
    assert found.interval[0] == 0.0
    assert 0 < found.interval[1] < 2 * 1.96 * found.std
    assert found.std == pytest.approx(6.5e-4, rel=0.03)
    assert found.identifiable
    assert found.limit == "sits on the limit of the equation, 0"
    assert "diffusivity = 0: sits on the limit of the equation, 0; its interval is one-sided." in caplog.text


def test_the_interval_is_one_sided_where_there_are_too_many_unknowns_for_their_covariance(monkeypatch, caplog):
    for where in ("assessment", "assessor", "profile"):
        monkeypatch.setattr(f"hyco.inversion.{where}.LARGEST_DENSE", 0)
    found = fitted(FREE, seed=1).estimate["diffusivity"]
    assert found.std == pytest.approx(6.5e-4, rel=0.03)
    assert found.interval == pytest.approx((0.0, found.value + 1.96 * found.std), rel=0.02, abs=1e-12)
    assert found.identifiable
    assert "its interval reaches the limit of the equation, 0" in caplog.text
    pinned = (fitted(FREE, diffusivity=0.0, seed=seed) for seed in range(3, 30))
    found = next(p for p in pinned if p.estimate["diffusivity"].value == 0.0).estimate["diffusivity"]
    assert found.interval[0] == 0.0
    assert 0 < found.interval[1] < 2 * 1.96 * found.std


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_on_the_limit_of_the_scheme_names_the_key_that_moves_it(method, caplog):
    physics = fitted(FREE, diffusivity=2.0, end=0.02, noise=0.01, method=method, largest=1.0)
    found = physics.estimate["diffusivity"]
    assert found.value == pytest.approx(1.0, abs=1e-15)
    assert found.interval[1] == found.value <= 1.0
    assert not found.identifiable
    assert "sits on the limit of the scheme, 1 (equation.max_diffusivity)" in caplog.text
    assert "Raise equation.max_diffusivity" in caplog.text


def test_a_number_of_a_formula_stays_where_the_formula_is_allowed():
    formula = {"name": "diffusivity", "kind": "expression", "expression": "a - 0.1"}
    found = fitted(formula | {"scalars": [{"name": "a", "initial_guess": 0.2}]}, seed=5).estimate["diffusivity.a"]
    assert 0.1 <= found.value < 0.103
    assert found.interval[0] == pytest.approx(0.1, abs=1e-9)
    assert found.interval[1] == pytest.approx(found.value + 1.96 * found.std, rel=1e-3)


def test_a_bump_without_bounds_stays_where_it_is_allowed():
    bump = {"amplitude": 0.05, "center": [0.5], "width": 2}
    learnt = {"name": "diffusivity", "kind": "gaussians", "terms": [bump], "learn": ["amplitude"]}
    found = fitted(learnt, seed=5).estimate["diffusivity.amplitude_1"]
    assert 0 <= found.interval[0] <= found.value < found.interval[1] < 0.004


@pytest.mark.slow
@pytest.mark.parametrize(
    "learnt",
    [
        {
            "kind": "expression",
            "expression": "a + b * x",
            "scalars": [{"name": "a", "initial_guess": 0.2}, {"name": "b", "initial_guess": 0.1}],
        },
        {"kind": "fourier", "modes": 1, "offset": 0.05, "prior_std": 0.05},
        {"kind": "field", "initial_guess": 0.05, "scale": 0.05, "regularisation": {"weight": 1e3}},
    ],
    ids=["expression", "fourier", "field"],
)
def test_no_cell_of_a_field_leaves_the_limits(learnt, caplog):
    physics = fitted({"name": "diffusivity", **learnt}, seed=5)
    value = physics.estimate["diffusivity"].value
    assert float(value.min()) >= 0
    assert float(value.max()) < 0.1
    assert physics.estimate.reduced_chi_square == pytest.approx(1.0, abs=0.2)
    assert "diffusivity sits on the limit of the equation, 0 in" in caplog.text


def test_a_bound_of_ones_own_is_told_and_what_lies_on_it_is_not_identifiable(caplog):
    found = fitted(FREE | {"bounds": [0.01, 0.1]}).estimate["diffusivity"]
    assert found.value == pytest.approx(0.01)
    assert not found.identifiable
    assert "sits on its bound 0.01" in caplog.text


def test_an_estimate_inside_says_nothing_of_limits(caplog):
    with caplog.at_level(logging.WARNING):
        found = fitted(FREE, diffusivity=0.05, noise=0.01).estimate["diffusivity"]
    assert found.limit is None
    assert "limit" not in caplog.text
    assert "limit" not in found.to_json()
    assert found.identifiable


@pytest.mark.parametrize("method", METHODS)
def test_a_search_ends_by_its_gain_relative_to_the_misfit_where_there_is_no_noise(method):
    """At t = 1e-5 the wave has lost 4e-6 of its height: far less than a thousandth, the unit of the residuals."""
    learnt = FREE | {"bounds": [0.001, 0.5]}
    found = fitted(learnt, diffusivity=0.01, end=1e-5, noise=0.0, steps=1, method=method).estimate["diffusivity"]
    assert found.value == pytest.approx(0.01, rel=1e-5)
    assert found.identifiable


def test_one_value_and_one_unknown_without_noise_have_no_standard_deviation(wave):
    values = wave.states()
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[3, 0, 2] = True
    physics = wave.calibrated(wave.observations(values, mask))
    found = physics.estimate["diffusivity"]
    assert found.std is None
    assert found.interval is None
    assert not found.identifiable
    assert physics.model.assessor.profiles == {}
