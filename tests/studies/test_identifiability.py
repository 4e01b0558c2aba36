"""Set-ups that do not determine their parameters are flagged, and those that do are not."""

import pytest

import identifiability as study

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", study.OPEN)
def test_what_the_data_do_not_determine_is_flagged_in_words(name):
    flagged, words = study.flags(*study.OPEN[name], seed=1)
    assert flagged
    assert words


@pytest.mark.parametrize("name", study.DETERMINED)
def test_what_the_data_determine_is_not_flagged(name):
    assert study.flags(*study.DETERMINED[name], seed=1) == (False, [])
