"""First guesses by the rates of change in the data, of series whose coefficients are known."""

import numpy as np
import pytest

from hyco.drafts.coefficients import Coefficient
from hyco.drafts.rates_in_data import Series, local_polynomials, told_by_rates
from hyco.drafts.variation import Variation
from hyco.equations.formula.syntax import Names, read


def coefficient(name, low, high):
    """One with wide bounds, of which units tell no more than these."""
    guess = np.sqrt(low * high) if low > 0 else 0.1 * high
    return Coefficient(name, "?", float(guess), (low, high), "its unit")


def told(coefficients, rates, series, varies):
    names = Names(tuple(series.places), tuple(rates), tuple(c.name for c in coefficients))
    found = told_by_rates(coefficients, {f: read(text, names) for f, text in rates.items()}, series, varies)
    return {c.name: c for c in found}


def noisy(values, part=0.02):
    return values + part * values.std() * np.random.default_rng(0).normal(size=values.shape)


def soliton(states=25):
    """Of u_t = -6 u u_x - u_xxx: c/2 sech²(√c/2 (x - ct)), c = 1.2."""
    t, x, c = np.linspace(0, 4, states), 0.3 * np.arange(80), 1.2
    u = c / 2 / np.cosh(np.sqrt(c) / 2 * (x - 8 - c * t[:, None])) ** 2
    return Series(t, {"x": x}, {"x"}, {"u": noisy(u)}), Variation(1.8, 1.4)


def test_slopes_of_polynomials_are_exact_beside_walls_too_and_of_waves_around_a_period():
    x = np.array([0.0, 0.3, 0.5, 0.9, 1.0, 1.4, 1.6])
    smooth, slope = local_polynomials(x, 2, 3, False)
    np.testing.assert_allclose(smooth @ (x**3 - x), x**3 - x, atol=1e-12)
    np.testing.assert_allclose(slope @ (x**3 - x), 3 * x**2 - 1, atol=1e-12)
    x = 2 * np.pi * np.arange(64) / 64
    np.testing.assert_allclose(local_polynomials(x, 3, 4, True)[1] @ np.sin(x), np.cos(x), atol=1e-4)


def test_a_soliton_with_noise_tells_speed_and_dispersion_to_a_third_and_bounds_about_them():
    series, varies = soliton()
    wide = [coefficient("a", 0.08, 80.0), coefficient("b", 0.09, 11000.0)]
    found = told(wide, {"u": "-a*u*dx(u) - b*dx(dx(dx(u)))"}, series, varies)
    for name, true in {"a": 6.0, "b": 1.0}.items():
        assert found[name].guess == pytest.approx(true, rel=0.35)
        low, high = found[name].bounds
        assert true / 5 < low < true / 2
        assert 2 * true < high < 5 * true
        assert "rates of change in the data" in found[name].reason


def test_what_stands_in_a_denominator_and_a_velocity_of_any_sign_are_told_too():
    t, x = np.linspace(0, 3, 31), np.linspace(0, 10, 51)
    v, r, K = -0.8, 0.9, 2.0
    start = 0.2 + 1.0 * np.exp(-((x - v * t[:, None] - 7) ** 2))
    u = K / (1 + (K / start - 1) * np.exp(-r * t[:, None]))
    wide = [coefficient("v", -10.0, 10.0), coefficient("r", 0.01, 10.0), coefficient("K", 1.0, 60.0)]
    series = Series(t, {"x": x}, frozenset(), {"u": noisy(u, 0.01)})
    found = told(wide, {"u": "-v*dx(u) + r*u*(1 - u/K)"}, series, Variation(1.0, 1.2))
    for name, true in {"v": v, "r": r, "K": K}.items():
        assert found[name].guess == pytest.approx(true, rel=0.2)
        assert found[name].bounds[0] < true < found[name].bounds[1]


@pytest.mark.parametrize("why", ["few states", "far apart", "another equation", "no effect"])
def test_what_the_data_do_not_tell_stays_as_it_was(why):
    series, varies = soliton(5 if why == "few states" else 25)
    rates, wide = {"u": "-a*u*dx(u) - b*dx(dx(dx(u)))"}, [coefficient("a", 0.08, 80.0), coefficient("b", 0.09, 110.0)]
    if why == "far apart":
        varies = Variation(1.8, 0.2)
    if why == "another equation":
        rates = {"u": "a*laplace(u) - b*u"}
    if why == "no effect":
        # A coefficient of something a thousand times smaller than the noise.
        rates, wide = {"u": "-a*u*dx(u) - dx(dx(dx(u))) + b*1e-6*u"}, [wide[0], coefficient("b", 0.09, 110.0)]
    found = told(wide, rates, series, varies)
    assert found["b"] == wide[1]
    assert (found["a"] == wide[0]) == (why != "no effect")


def test_coefficients_that_make_up_for_each_other_or_do_nothing_are_not_told_but_others_are():
    series, varies = soliton()
    wide = [coefficient("a", 0.08, 80.0), *(coefficient(name, 0.09, 110.0) for name in "bcd")]
    found = told(wide, {"u": "-a*u*dx(u) - (b + c)*dx(dx(dx(u))) + d*max(u - 50, 0)"}, series, varies)
    assert [found[c.name] == c for c in wide] == [False, True, True, True]


def test_many_states_of_few_places_take_no_matrix_of_all_by_all():
    where = np.linspace(0, 1, 10_000)
    smooth, slope = local_polynomials(where, 4, 2, False)
    assert smooth.nnz == slope.nnz == 9 * len(where)
    np.testing.assert_allclose(slope @ where**2, 2 * where, atol=1e-6)
