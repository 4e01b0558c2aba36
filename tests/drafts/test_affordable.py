"""First guesses of bounds are no wider than steps can afford, and no narrower than they need be."""

import pytest

from hyco.drafts.affordable import affordable
from hyco.drafts.coefficients import Coefficient
from hyco.equations.registry import build_equation


def config_of(rate, parameters):
    domain = {"x": {"size": 20.0, "resolution": 64}}
    section = {"name": "formula", "domain": domain, "dt": 0.5, "rates": {"u": rate}, "parameters": parameters}
    return build_equation(section).config


def test_bounds_that_ask_for_thousands_of_substeps_are_narrowed_and_say_so():
    config = config_of("M*laplace(u**3 - u - g*laplace(u))", {"M": 1.3, "g": 1.2})
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
    config = config_of("laplace(u) + k*u", {"k": 0.3})
    given = [Coefficient("k", "1/T", 0.3, bounds, "the scales")]
    assert affordable(given, config, 2.0, 12.0) == given
