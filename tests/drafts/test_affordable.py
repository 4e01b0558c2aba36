"""First guesses of bounds are no wider than steps can afford, and no narrower than they need be."""

import pytest

from hyco.drafts.affordable import affordable
from hyco.drafts.coefficients import Coefficient
from hyco.equations.registry import build_equation


def config_of(rates, parameters):
    domain = {"x": {"size": 20.0, "resolution": 64}}
    section = {"name": "formula", "domain": domain, "dt": 0.5, "rates": rates, "parameters": parameters}
    return build_equation(section).config


def test_bounds_that_ask_for_thousands_of_substeps_are_narrowed_and_say_so():
    config = config_of({"u": "M*laplace(u**3 - u - g*laplace(u))"}, {"M": 1.3, "g": 1.2})
    given = [
        Coefficient("M", "L²/T", 1.3, (0.013, 130.0), "the scales"),
        Coefficient("g", "L²", 1.2, (0.012, 400.0), "the scales"),
    ]
    before = config.steps_for(1.1, {c.name: c.bounds for c in given})[0]
    made = affordable(given, config, 1.1, 12.0)
    after = config.steps_for(1.1, {c.name: c.bounds for c in made})[0]
    assert before > 1000
    assert after <= before / 4
    for old, new in zip(given, made, strict=True):
        assert old.bounds[0] <= new.bounds[0] <= new.guess / 9.9
        assert new.guess * 9.9 <= new.bounds[1] <= old.bounds[1]
    assert f"wider bounds ask for {before} sub-steps" in made[0].reason
    assert made[1].bounds[1] == 400.0  # what damps costs nothing where it is large


@pytest.mark.parametrize("bounds", [(0.001, 10.0), (-3.0, 3.0), (0.0, 5.0)])
def test_bounds_that_cost_little_stay(bounds):
    config = config_of({"u": "laplace(u) + k*u"}, {"k": 0.3})
    given = [Coefficient("k", "1/T", 0.3, bounds, "the scales")]
    assert affordable(given, config, 2.0, 12.0) == given


def test_fields_that_are_alike_are_narrowed_together():
    rates = {u: f"M{i}*laplace({u}**3 - {u} - g{i}*laplace({u}))" for i, u in enumerate("uv")}
    config = config_of(rates, {"M0": 1.3, "g0": 1.2, "M1": 1.3, "g1": 1.2})
    given = [
        Coefficient(f"{name}{i}", unit, guess, bounds, "the scales")
        for i in (0, 1)
        for name, unit, guess, bounds in [("M", "L²/T", 1.3, (0.013, 130.0)), ("g", "L²", 1.2, (0.012, 400.0))]
    ]
    before = config.steps_for(1.1, {c.name: c.bounds for c in given})[0]
    made = affordable(given, config, 1.1, 12.0)
    assert config.steps_for(1.1, {c.name: c.bounds for c in made})[0] <= before / 4
    assert [(c.bounds, c.reason) for c in made[:2]] == [(c.bounds, c.reason) for c in made[2:]]
    assert made[1].bounds[1] == 400.0


def test_what_stays_costly_says_so():
    config = config_of({"u": "-M*laplace(laplace(u)) - u**3"}, {"M": 1.3})
    given = [Coefficient("M", "L⁴/T", 1.3, (0.0, 13.0), "the scales")]
    (made,) = affordable(given, config, 300.0, 12.0)
    assert made.bounds == (0.0, 13.0)
    count = config.steps_for(300.0, {"M": made.bounds})[0]
    assert made.reason == f"the scales; these still ask for {count}: a simulation takes more than 8000"
