"""How finely a column of numbers is written."""

import numpy as np
import pytest
import xarray as xr

from hyco.drafts.geometry import _distinct
from hyco.measurements.columns import resolution

CENTRES = (np.arange(48) + 0.5) / 24


def of(values):
    return resolution(xr.Dataset({"x": ("entry", np.asarray(values, dtype=np.float64))}), "x")


@pytest.mark.parametrize(("digits", "rounding"), [(5, 5e-5), (6, 5e-6), (9, 5e-9)])
def test_numbers_of_few_digits_are_rounded(digits, rounding):
    assert of([float(f"{place:.{digits}g}") for place in CENTRES]) == pytest.approx(rounding)


@pytest.mark.parametrize(
    "values",
    [
        500010 + 10.0 * np.arange(32),
        20000.0 + np.arange(64),
        np.round(52 + 1e-4 * np.arange(200), 4),
        np.round(15 + 0.0125 * np.arange(81), 4),
        [20001.0, 20002.0, 20005.0, 20011.0],
        [0.0, 0.1, 1.0, 10.0, 100.0, 1000.0, 12345.0],
    ],
    ids=["metres", "seconds", "degrees", "even", "uneven", "of many sizes"],
)
def test_numbers_that_their_digits_just_tell_apart_are_exact(values):
    found = of(values)
    assert found <= 1e-15 * np.max(values)
    assert len(_distinct(np.asarray(values), found)) == len(values)
