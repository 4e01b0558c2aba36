"""The weights that alpha: auto makes of error variances."""

import json
import math

import pytest

from hyco.hybrid.variances import Variances, Weights, inverse_variance_alpha


def test_alpha_weighs_each_group_by_the_inverse_of_its_variance():
    assert inverse_variance_alpha(1.0, 1.0, 0.0) == 0.5
    assert inverse_variance_alpha(1.0, 3.0, 0.0) == pytest.approx(0.75)
    assert inverse_variance_alpha(1.0, 3.0, 1.0) == pytest.approx(4 / 6), "1/2 against 1/4"
    assert inverse_variance_alpha(1.0, 4.0, 1e9) == pytest.approx(0.5, abs=1e-6), "worse than both: they count the same"
    assert inverse_variance_alpha(1.0, math.inf, 0.0) == 1.0
    assert inverse_variance_alpha(1.0, 1.0, math.inf) == 0.5
    assert inverse_variance_alpha(0.0, 0.0, 0.0) == 0.5, "both exact"
    assert inverse_variance_alpha(1.0, 1e3, 0.0) == 1.0, "what is below a hundredth is left out"
    assert inverse_variance_alpha(1.0, 1e-3, 0.0) == 0.0


def test_variances_survive_json_with_infinities():
    variances = Variances(1.0, math.inf, 0.1 + 0.2, True)
    assert Variances.from_dict(json.loads(json.dumps(variances.to_dict(), allow_nan=False))) == variances


@pytest.mark.parametrize(
    ("physical", "synthetic", "validated", "expected"),
    [
        (0.0, 1e6, True, Weights(0.5, 1.0)),
        (1e6, 2.0, True, Weights(1.0, inverse_variance_alpha(1.0, 2.0, 1e6))),
        (math.inf, 2.0, True, Weights(1.0, 0.5)),
        (2.0, math.inf, True, Weights(0.5, 1.0)),
        (math.inf, math.inf, True, Weights(1.0, 1.0)),
        (3.0, 26.0, True, Weights(1.0, 1.0)),
        (3.0, 28.0, True, Weights(inverse_variance_alpha(1.0, 3.0, 28.0), 1.0)),
        (28.0, 3.0, True, Weights(1.0, inverse_variance_alpha(1.0, 3.0, 28.0))),
        (26.0, 3.0, True, Weights(1.0, 1.0)),
        (3.0, 2.0, False, Weights(inverse_variance_alpha(1.0, 3.0, 2.0), 1.0)),
    ],
)
def test_only_a_model_with_three_times_the_error_learns_from_the_other(physical, synthetic, validated, expected):
    weights = Variances(1.0, physical, synthetic, validated).weights
    assert weights.network == pytest.approx(expected.network, abs=1e-5)
    assert weights.physics == pytest.approx(expected.physics)


def test_in_short_windows_errors_are_smaller_than_in_whole_simulations():
    weights = Variances(1.0, 0.4, 40.0, True, window=0.25).weights
    assert weights.network == pytest.approx(inverse_variance_alpha(1.0, 0.4 / 16, 40.0 / 16))
    assert Variances(0.0, 0.4, 40.0, True, window=0.25).weights == Variances(0.0, 0.4, 40.0, True).weights


@pytest.mark.parametrize("synthetic", [0.01, 0.1, 40.0])
def test_physics_in_which_the_data_show_no_error_teaches_however_near_the_network_is(synthetic):
    """Its predictions then weigh by what they are off by, not by what the network is."""
    weights = Variances(1.0, 0.05, synthetic, True, resolution=0.1).weights
    assert weights.network == pytest.approx(0.05 / 1.05)
    assert weights.physics == 1.0
    assert Variances(0.0, 0.05, synthetic, True, resolution=1.0).weights.network == pytest.approx(0.05 / 1.05)
    assert Variances(1.0, 0.2, synthetic, True, resolution=0.1).weights.network > 0.15
