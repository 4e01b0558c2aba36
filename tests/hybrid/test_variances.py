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
