"""Whether what is negative in a field is noise about zero."""

import numpy as np
import pytest

from hyco.drafts.points import Points
from hyco.drafts.variation import is_positive

X, T = np.linspace(0, 10, 50), np.linspace(0, 6, 13)
FRONT = np.exp(-(((X - 2 - T[:, None]) / 0.6) ** 2))
FIELDS = {"front": (FRONT, True), "front beside a trough": (FRONT - 0.12 * FRONT[:, ::-1], False)}


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.04, 0.1])
@pytest.mark.parametrize("name", FIELDS)
def test_plateaus_at_zero_with_noise_are_not_negative(name, noise):
    exact, positive = FIELDS[name]
    random = np.random.default_rng(0)
    for _ in range(20):
        values = exact + noise * random.normal(size=exact.shape)
        points = Points(
            simulation=np.zeros(values.size, dtype=np.int64),
            simulations=1,
            time=np.repeat(T, len(X)),
            position={"x": np.tile(X, len(T))},
            values={"u": values.ravel()},
            rounding={"x": 0.0},
        )
        # A trough no deeper than the noise cannot be told from it.
        if positive or noise < 0.04:
            assert is_positive(points, "u") is positive
