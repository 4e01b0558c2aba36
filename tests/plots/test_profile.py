"""The figure of profile likelihoods shows the curve, the parabola of the standard deviation, and the interval."""

from __future__ import annotations

import numpy as np
import pytest

from hyco.plots import profiles

CURVE = {"values": [0.3, 0.5, 0.8, 1.2, 2.0], "chi_square": [None, 3.9, 0.0, 1.5, 2.0]}
ENTRY = {"estimate": 0.8, "std": 0.1, "interval": [0.5, 2.0], "profile": CURVE}


def test_a_profile_stands_beside_its_parabola_with_the_line_of_95_percent() -> None:
    figure = profiles({"physical": {"viscosity": ENTRY, "other": {"estimate": 1.0, "std": 0.1}}})
    (axis,) = figure.axes
    parabola, curve, line = axis.lines
    assert list(curve.get_xdata()) == CURVE["values"][1:]  # where it is finite
    assert list(curve.get_ydata()) == CURVE["chi_square"][1:]
    at = np.argmin(np.abs(np.asarray(parabola.get_xdata()) - 1.0))
    x, y = parabola.get_xdata()[at], parabola.get_ydata()[at]
    assert y == pytest.approx(((x - 0.8) / 0.1) ** 2)
    assert list(line.get_ydata()) == [3.84, 3.84]
    (band,) = axis.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.5, 2.0))
    assert axis.get_xlabel() == "viscosity"


def test_several_numbers_have_panels_and_none_has_words() -> None:
    entries = {f"k{i}": ENTRY for i in range(4)}
    assert sum(axis.axison for axis in profiles({"physical": entries, "hybrid_physical": entries}).axes) == 4
    for nothing in ({}, {"physical": {"viscosity": {"estimate": 1.0, "std": 0.1}}}):
        assert "physical.profile" in profiles(nothing).axes[0].texts[0].get_text()
