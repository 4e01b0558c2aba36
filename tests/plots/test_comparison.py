"""Every seed is there, the bar is at the median, and what failed is said."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hyco.plots import comparison, to_png


def marks(figure: Figure, panel: int, method: int) -> np.ndarray:
    """Values of the marks of one method, which has a line of marks and a bar."""
    return np.asarray(figure.axes[panel].lines[2 * method].get_xdata(), dtype=float)


def bar(figure: Figure, panel: int, method: int) -> float:
    return float(np.asarray(figure.axes[panel].lines[2 * method + 1].get_xdata())[0])


def labels(figure: Figure, panel: int) -> list[str]:
    return [label.get_text() for label in figure.axes[panel].get_yticklabels()]


def test_all_seeds_and_the_median_are_drawn_and_failures_are_counted():
    errors = {
        "nRMSE": {"my_unet": [0.3, 0.1, 0.2], "synthetic": [0.5, None, 0.7]},
        "relative error of viscosity": {"physical": [0.01, 0.5, 0.02]},
    }
    figure = comparison(errors)
    assert labels(figure, 0) == ["network alone (1 of 3 failed)", "my unet"]
    assert list(marks(figure, 0, 0)) == [0.5, 0.7]
    assert list(marks(figure, 0, 1)) == [0.3, 0.1, 0.2]
    assert bar(figure, 0, 1) == 0.2
    assert labels(figure, 1) == ["physics alone"]
    assert bar(figure, 1, 0) == 0.02
    assert [axis.get_xlabel() for axis in figure.axes] == ["nRMSE", "relative error of viscosity"]
    assert to_png(figure).startswith(b"\x89PNG")


def test_the_axis_is_logarithmic_where_values_span_more_than_a_decade():
    figure = comparison({"a": {"synthetic": [0.1, 0.9]}, "b": {"synthetic": [0.1, 1.1]}})
    assert [axis.get_xscale() for axis in figure.axes] == ["linear", "log"]


def test_a_linear_axis_has_few_numbers_however_much_room_there_seems_to_be():
    figure = comparison({"a": {"physical": [0.0039, 0.0056, 0.0086, 0.0123, 0.0208]}})
    axis = figure.axes[0]
    axis.tick_params(axis="x", labelsize=1)
    assert 2 < len(axis.xaxis.get_major_locator().tick_values(*axis.get_xlim())) <= 6


def test_zeros_on_a_logarithmic_axis_stand_at_its_end_and_equal_values_side_by_side():
    figure = comparison({"a": {"physical": [0.0, 1e-3, 1.0], "synthetic": [0.5, 0.5, 0.5]}})
    axis = figure.axes[0]
    shown = marks(figure, 0, 1)
    assert len(shown) == 3
    assert shown[0] == axis.get_xlim()[0]
    heights = axis.lines[0].get_ydata()
    assert len(set(heights)) == 3


def test_a_method_of_which_all_runs_failed_has_its_row():
    figure = comparison({"nRMSE": {"synthetic": [None, None], "physical": [0.1, 0.2]}})
    assert labels(figure, 0) == ["network alone (2 of 2 failed)", "physics alone"]
    figure = comparison({"nRMSE": {"synthetic": [None]}})
    assert "no finite values" in [text.get_text() for text in figure.axes[0].texts]


def test_an_odd_number_of_panels_leaves_no_empty_axes_visible():
    figure = comparison({name: {"physical": [0.1, 0.2]} for name in "abc"})
    assert [axis.axison for axis in figure.axes] == [True, True, True, False]
