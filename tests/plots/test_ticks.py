"""Numbers beside axes."""

import matplotlib.pyplot as plt
import pytest

from hyco.plots.ticks import PlainNumbers


@pytest.mark.parametrize(
    ("low", "step", "text"),
    [
        (1.1e5, 1e-3, "+1.1×10⁵"),
        (0.0, 1e-6, "×10⁻⁶"),
        (0.0021, 1e-9, "×10⁻⁹+2.1×10⁻³"),
        (0.0, 1.0, ""),
    ],
)
def test_what_all_numbers_are_multiplied_by_and_what_is_added(low, step, text):
    figure, axes = plt.subplots()
    axes.plot([0, 1], [low, low + 4 * step])
    axes.yaxis.set_major_formatter(PlainNumbers())
    figure.canvas.draw()
    assert axes.yaxis.get_major_formatter().get_offset() == text
    plt.close(figure)
