"""The lines that the page draws itself: where they are, and what is said of a place."""

import json
import re

import pytest

from hyco.report.chart import Series, chart
from hyco.report.page_charts import error_chart, estimate_charts


def drawn(**options):
    lines = [
        Series("synthetic", [1e-3, None, 1e-1]),
        Series("mine", [1.0, 1.0, 1.0], [0.5, 0.5, None], [2.0, 2.0, 2.0]),
    ]
    words = {"x_name": "t", "x_unit": "s", "y_label": "nRMSE", "caption": "c", "alt": "a"}
    return chart([0.0, 1.0, 3.0], lines, **{**words, **options})


def test_values_of_decades_stand_on_a_logarithmic_axis_and_gaps_stay_gaps():
    picture = drawn()
    first, second = picture.lines
    points = [tuple(map(float, point)) for point in re.findall(r"M([\d.]+) ([\d.]+)", first.path)]
    assert len(points) == 2  # nothing joins what is on both sides of the gap
    heights = {text: y for y, text in picture.y_ticks}
    assert points[0] == (picture.left, pytest.approx(heights["0.001"], abs=0.1))
    assert points[1] == (picture.right, pytest.approx(heights["0.1"], abs=0.1))
    assert second.band.endswith("Z")
    assert first.band == ""
    assert (first.label, first.dashes, second.label) == ("network alone", "6 4", "mine")


def test_what_is_said_of_a_place_has_every_value():
    places, words = json.loads(drawn().values)
    assert places == [76, pytest.approx(285.3, abs=0.1), 704]
    assert words[1] == "t = 1 s: network alone –; mine 1 (0.5 to 2)"
    assert words[2] == "t = 3 s: network alone 0.1; mine 1"


def test_without_time_or_values_there_is_no_chart():
    words = {"x_name": "t", "y_label": "", "caption": "", "alt": ""}
    assert chart([1.0], [Series("synthetic", [1.0])], **words) is None
    assert chart([1.0, 2.0], [Series("synthetic", [None, float("nan")])], **words) is None
    static = {"methods": {"physical": {"nrmse": {"mean": 0.1, "per_step": [0.1]}}}}
    assert error_chart(static, 0.1, "") is None


def test_errors_stand_at_the_times_that_they_are_of():
    error = {"mean": 0.1, "per_step": [0.1, 0.2], "steps": [5, 10]}
    places, words = json.loads(error_chart({"methods": {"physical": {"nrmse": error}}}, 0.1, "").values)
    assert [text.split(":")[0] for text in words] == ["t = 0.5", "t = 1"]
    assert len(places) == 2


def test_estimates_have_their_intervals_and_the_truth():
    history = [
        {"epoch": n, "metrics": {"estimate.d": 1.0 / n, "lower.d": 0.9 / n, "upper.d": 1.2 / n}} for n in (1, 2, 3)
    ]
    history.insert(0, {"epoch": 0, "metrics": {"synthetic_loss": 1.0}})
    entry = {"parameters": {"d": {"unit": "m²/s", "true": 0.4}}}
    (picture,) = estimate_charts({"methods": {"hybrid_physical": entry}}, {"hybrid": history})
    assert picture.y_label == "d [m²/s]"
    assert picture.truth is not None
    assert "epoch = 2: hybrid: physics 0.5 (0.45 to 0.6)" in json.loads(picture.values)[1]
