"""The figures of physical models show the truth where it is, what is not known, and where the data were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.inversion.identifiability import INTERVAL
from hyco.inversion.identifiability import identifiability as judge
from hyco.plots import (
    channel_part,
    identifiability,
    middle_plane,
    parameter_fields,
    residual_correlation,
    residuals,
    to_array,
)
from hyco.plots.residuals import noise_band
from hyco.plots.style import METHODS, FigureOfWords, shortened

LINE = Grid(("x",), (-1.0,), (2.0,), (16,))
PLANE = Grid(("x", "y"), (1.0, -1.0), (4.0, 3.0), (8, 6))
SPACE = Grid(("x", "y", "z"), (1.0, -1.0, 0.0), (4.0, 3.0, 2.0), (8, 6, 4))
STAGGERED = Layout(PLANE, (FieldSpec("smoke"), FieldSpec("velocity", ("x", "y"), staggered=True, boundary=0.0)))


def images(figure: Figure) -> list[AxesImage]:
    return [image for axis in figure.get_axes() for image in axis.get_images()]


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    legends = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    inside = [t.get_text() for a in figure.get_axes() for t in [*a.texts, a.title, a.xaxis.label, a.yaxis.label]]
    ticks = [t.get_text() for a in figure.get_axes() for t in [*a.get_yticklabels(), *a.get_xticklabels()]]
    return "\n".join([*legends, *inside, *ticks, *(t.get_text() for t in figure.texts)])


def band(axis: Axes) -> FillBetweenPolyCollection:
    return next(c for c in axis.collections if isinstance(c, FillBetweenPolyCollection))


# --- fields


def fields(grid: Grid, name: str = "kappa") -> dict[str, np.ndarray]:
    """A truth that grows along the first axis, and two estimates that are a little off."""
    truth = np.zeros(grid.resolution) + np.arange(grid.resolution[0]).reshape(-1, *[1] * (grid.dimensions - 1))
    std = 0.1 + 0.2 * truth
    return {
        f"physical/{name}/estimate": truth + 0.5,
        f"physical/{name}/std": std,
        f"hybrid_physical/{name}/estimate": truth - 0.25,
        f"hybrid_physical/{name}/std": std / 2,
        f"truth/{name}": truth,
    }


def test_in_one_dimension_the_band_is_the_95_percent_interval_beside_the_truth() -> None:
    found = fields(LINE)
    (axis,) = parameter_fields(found, LINE).axes
    truth = next(line for line in axis.lines if line.get_color() == "black")
    assert list(truth.get_xdata()) == list(LINE.centers("x"))
    assert list(truth.get_ydata()) == list(found["truth/kappa"])
    edges = band(axis).get_paths()[0].vertices
    at_last = edges[np.isclose(edges[:, 0], LINE.centers("x")[-1]), 1]
    estimate, std = found["physical/kappa/estimate"][-1], found["physical/kappa/std"][-1]
    assert (at_last.min(), at_last.max()) == pytest.approx((estimate - 1.96 * std, estimate + 1.96 * std))
    assert axis.get_xlim() == (-1.0, 1.0)


def test_the_band_is_the_interval_where_it_holds_more_than_the_noise() -> None:
    found = {k: v for k, v in fields(LINE).items() if k.startswith(("truth", "physical/"))}
    estimate, std = found["physical/kappa/estimate"], found["physical/kappa/std"]
    found |= {"physical/kappa/lower": estimate - 3 * std, "physical/kappa/upper": estimate + 2 * std}
    for constant in ((), ("kappa",)):
        (axis,) = parameter_fields(found, LINE, up_to_a_constant=constant).axes
        edges = band(axis).get_paths()[0].vertices
        at_last = edges[np.isclose(edges[:, 0], LINE.centers("x")[-1]), 1] + (estimate.mean() if constant else 0.0)
        assert (at_last.min(), at_last.max()) == pytest.approx((estimate[-1] - 3 * std[-1], estimate[-1] + 2 * std[-1]))


def test_a_field_of_which_nothing_is_known_does_not_hide_the_estimates() -> None:
    found = fields(LINE) | {"physical/kappa/std": np.full(16, 1e6), "hybrid_physical/kappa/std": np.full(16, np.inf)}
    low, high = parameter_fields(found, LINE).axes[0].get_ylim()
    assert high - low < 60
    image = images(parameter_fields({k: v * 1e6 if "std" in k else v for k, v in fields(PLANE).items()}, PLANE))[3]
    assert image.get_clim()[1] <= 7


def test_in_two_dimensions_there_are_truth_estimate_error_and_deviation_with_a_colour_bar_each() -> None:
    found = fields(PLANE)
    figure = parameter_fields(found, PLANE)
    assert len(images(figure)) == 7
    truth, estimate, error, std = images(figure)[:4]
    assert truth.get_clim() == estimate.get_clim() == (0.0, 7.0)
    assert error.get_clim()[0] == -error.get_clim()[1]
    assert (error.get_array() == 0.5).all()
    assert std.get_array()[0, -1] == pytest.approx(0.1 + 0.2 * 7)
    assert truth.get_array().shape == (6, 8)
    assert tuple(truth.get_extent()) == (1.0, 5.0, -1.0, 2.0)
    labels = ["truth", "estimate", "estimate − truth", "standard deviation", "kappa", "$x$", "$y$", "physics\nalone"]
    assert all(label in words(figure) for label in labels)


def test_without_truth_or_deviation_their_maps_are_left_out() -> None:
    found = fields(PLANE)
    assert len(images(parameter_fields({k: v for k, v in found.items() if "truth" not in k}, PLANE))) == 4
    alone = parameter_fields({"physical/kappa/estimate": found["truth/kappa"]}, PLANE)
    assert len(images(alone)) == 1
    to_array(alone)


def test_fields_up_to_a_constant_are_shown_without_their_mean() -> None:
    figure = parameter_fields(fields(LINE, "potential"), LINE, up_to_a_constant=["potential"])
    (axis,) = figure.axes
    assert all(np.mean(line.get_ydata()) == pytest.approx(0.0, abs=1e-12) for line in axis.lines)
    assert axis.get_ylabel() == "potential − mean"


def test_sensors_are_marked_where_they_were() -> None:
    (axis,) = parameter_fields(fields(LINE), LINE, sensors=[[0.25], [0.5]]).axes
    assert [0.25, 0.5] in [list(line.get_xdata()) for line in axis.lines]
    figure = parameter_fields(fields(PLANE), PLANE, sensors=[[2.0, 0.5]])
    dots = [line for axis in figure.axes for line in axis.lines]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(2.0, 0.5)] * 2
    assert "observed here" in words(figure)


def test_of_three_dimensions_the_middle_plane_is_drawn() -> None:
    figure = parameter_fields(fields(SPACE), SPACE, sensors=[[2.0, 0.5, 1.0]])
    assert images(figure)[0].get_array().shape == (6, 8)
    assert "kappa at $z$ = 1.25" in words(figure)


def test_where_no_field_is_learnt_the_figure_says_so() -> None:
    assert "no parameter that varies in space is learnt" in words(parameter_fields({}, PLANE))


# --- identifiability


def report(p: int, smallest: float = -2.0) -> dict[str, Any]:
    """Singular values from 10³ down to a power of ten, along the coordinates."""
    values = torch.logspace(3, smallest, p, dtype=torch.float64) if p > 1 else torch.tensor([10.0**smallest])
    names = [f"permeability.c{i}" for i in range(p)]
    return judge(torch.diag(values.double()), torch.ones(p, dtype=torch.float64), names).to_dict()


@pytest.mark.parametrize(
    "p",
    [
        2,
        pytest.param(10, marks=pytest.mark.slow),
        pytest.param(40, marks=pytest.mark.slow),
        pytest.param(256, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("methods", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_singular_values_are_compared_with_the_threshold_on_a_logarithmic_axis(p: int, methods: int) -> None:
    figure = identifiability(dict.fromkeys(["physical", "hybrid_physical"][:methods], report(p)))
    axis = figure.axes[0]
    assert axis.get_yscale() == "log"
    assert any(list(line.get_ydata()) == [INTERVAL, INTERVAL] for line in axis.lines)
    assert "95% interval as wide as\nwhat was known beforehand" in words(figure)
    assert len(images(figure)) == (methods if p <= 40 else 0)
    assert "permeability.c0" in words(figure) or p == 256
    to_array(figure)


def test_the_words_at_the_threshold_keep_clear_of_many_values_below_it() -> None:
    values = np.where(np.arange(256) < 60, 10.0, 1.0).tolist()
    few_determined = identifiability({"physical": report(256) | {"singular_values": values}})
    for figure, side in ((few_determined, "right"), (identifiability({"physical": report(10)}), "left")):
        (text,) = [text for text in figure.axes[0].texts if "known beforehand" in text.get_text()]
        assert text.get_horizontalalignment() == side


def test_of_two_methods_with_the_same_values_both_are_seen() -> None:
    lines = identifiability({"physical": report(2, 2.0), "hybrid_physical": report(2, 2.0)}).axes[0].lines
    below, above = [line for line in lines if line.get_marker() == "s" and len(line.get_xdata())]
    assert below.get_markersize() > above.get_markersize()
    assert below.get_color() == METHODS["physical"].colour


@pytest.mark.parametrize(("smallest", "said"), [(2.0, "determine it"), (-2.0, "do not determine it")])
def test_of_a_single_number_there_is_no_picture(smallest: float, said: str) -> None:
    figure = identifiability({"physical": report(1, smallest)})
    assert isinstance(figure, FigureOfWords)
    assert said in words(figure)


def test_the_map_holds_every_direction_of_few_coordinates_and_the_ends_of_many() -> None:
    few, many = (images(identifiability({"physical": report(p)}))[0].get_array() for p in (3, 20))
    assert np.asarray(few) == pytest.approx(np.eye(3))
    assert many.shape == (20, 6)
    assert [int(column.argmax()) for column in many.T] == [0, 1, 16, 17, 18, 19]


@pytest.mark.slow
def test_of_very_many_coordinates_the_undetermined_directions_are_in_words() -> None:
    figure = identifiability({"physical": report(256)})
    assert "physics alone, not determined:" in words(figure)
    assert "1 permeability.c255" in words(figure)
    assert "all is determined" in words(identifiability({"physical": report(256, smallest=2.0)}))


def test_singular_values_of_zero_stand_at_the_edge_and_do_not_stretch_the_axis() -> None:
    found = report(3) | {"singular_values": [100.0, 1.0, 0.0]}
    axis = identifiability({"physical": found}).axes[0]
    low, _ = axis.get_ylim()
    assert low > 1e-2
    lowest = min(y for line in axis.lines for y in line.get_ydata())
    assert lowest > low


def test_too_many_unknowns_are_said_in_words() -> None:
    assert "too many unknowns" in words(identifiability({"physical": None}))
    assert "permeability.c0" in words(identifiability({"physical": None, "hybrid_physical": report(2)}))


def test_long_names_keep_what_tells_them_apart() -> None:
    assert shortened("permeability.c11") == "permeability.c11"
    assert shortened("thermal_conductivity.c11").endswith("….c11")
    assert len(shortened("thermal_conductivity.c11")) <= 18
    assert len(shortened("a_very_long_name_without_any_dot")) <= 18


# --- residuals

ONE = Layout(LINE, (FieldSpec("u"), FieldSpec("v")))


def test_residuals_of_exactly_zero_were_not_observed_and_are_left_out() -> None:
    space = np.ones((2, 16))
    space[:, 4:] = 0
    summary = {"time": [0, 1.1, 0, 0.9], "space": space.tolist()}
    time, u, v = residuals({"physical": summary}, ONE, 0.5).axes
    assert list(time.lines[-1].get_xdata()) == [0.5, 1.5]
    assert list(time.lines[-1].get_ydata()) == [1.1, 0.9]
    assert list(u.lines[-1].get_xdata()) == list(LINE.centers("x")[:4])
    assert [u.get_title(), v.get_title()] == ["u", "v"]
    assert all(any(list(line.get_ydata()) == [1, 1] for line in axis.lines) for axis in (time, u, v))


def test_the_band_holds_95_percent_of_what_noise_gives() -> None:
    generator = np.random.default_rng(0)
    for n in (1, 10, 300):
        rms = np.sqrt(generator.chisquare(n, 200_000) / n)
        lower, upper = noise_band(np.array([n]))
        assert ((rms > lower) & (rms < upper)).mean() == pytest.approx(0.95, abs=0.002)


def test_the_band_allows_for_what_a_fit_takes_up_of_the_noise() -> None:
    generator = np.random.default_rng(0)
    design = np.linalg.qr(generator.standard_normal((50, 10)))[0]
    noise = generator.standard_normal((20_000, 50))
    rms = np.sqrt(((noise - noise @ design @ design.T) ** 2).mean(axis=1))
    lower, upper = noise_band(np.array([50]), free=40 / 50)
    assert ((rms > lower) & (rms < upper)).mean() == pytest.approx(0.95, abs=0.005)


def test_the_band_is_drawn_only_for_known_numbers_of_residuals() -> None:
    summary = {"time": [0, 1.0, 1.2]}
    (axis,) = residuals({"physical": summary}, ONE, 0.5, counts_time=[0, 10, 40]).axes
    edges = band(axis).get_paths()[0].vertices
    lower, upper = noise_band(np.array([10]))
    at_first = edges[np.isclose(edges[:, 0], 0.5), 1]
    assert (at_first.min(), at_first.max()) == pytest.approx((lower[0], upper[0]))
    assert not residuals({"physical": summary}, ONE, 0.5).axes[0].collections


@pytest.mark.slow
def test_in_two_dimensions_one_is_white_and_what_was_not_observed_grey() -> None:
    space = np.zeros((3, *STAGGERED.shape))
    for channel in range(3):
        space[STAGGERED.index(channel, 0)] = 1.0
    summary = {"time": [0, 1.0, 1.0], "space": space}
    figure = residuals({"physical": summary, "hybrid_physical": summary}, STAGGERED, 0.5)
    assert [image.get_array().shape for image in images(figure)] == [(6, 8), (6, 7), (5, 8)] * 2
    assert all(image.norm(1.0) == 0.5 for image in images(figure))
    assert "not observed" not in words(figure)
    space[0, 0, 0] = 0.0
    assert "not observed" in words(residuals({"physical": summary}, STAGGERED, 0.5))


def test_a_static_problem_has_one_residual_per_method_and_no_time() -> None:
    summaries = {"physical": {"time": [0, 1.2]}, "hybrid_physical": {"time": [0, 1.1]}}
    figure = residuals(summaries, ONE, 1.0, counts_time=[0, 50])
    assert figure.axes[0].get_xlabel() == "rms residual / noise"
    assert METHODS["physical"].label.replace(" ", "\n") in words(figure)
    assert "time" not in words(figure)


def test_without_noise_there_is_no_line_of_the_noise() -> None:
    figure = residuals({"physical": {"time": [0, 0.1, 0.2]}}, ONE, 1.0, counts_time=[0, 5, 5], noise_free=True)
    (axis,) = figure.axes
    assert "10⁻³" in axis.get_ylabel()
    assert len(axis.lines) == 1
    assert not axis.collections


@pytest.mark.parametrize("summaries", [{}, {"physical": {}}, {"physical": {"time": [0.0, 0.0]}}])
def test_without_residuals_the_figure_says_so(summaries: dict[str, Any]) -> None:
    assert "no residuals" in words(residuals(summaries, ONE, 1.0))


# --- channels


@pytest.mark.parametrize(("boundary", "first", "count"), [("periodic", 1.0, 8), (0.0, 1.5, 7), ("neumann", 1.0, 9)])
def test_faces_are_drawn_where_they_are(boundary: Any, first: float, count: int) -> None:
    layout = Layout(PLANE, (FieldSpec("velocity", ("x", "y"), staggered=True, boundary=boundary),))
    part, grid = channel_part(np.zeros((5, 2, *layout.shape)), layout, 0)
    assert part.shape == (5, count, 6)
    assert grid.resolution == (count, 6)
    assert grid.centers("x")[0] == pytest.approx(first)
    assert np.diff(grid.centers("x")) == pytest.approx(0.5)
    assert list(grid.centers("y")) == list(PLANE.centers("y"))


def test_a_channel_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="channel 3 is not among the 3"):
        channel_part(np.zeros((5, 3, *STAGGERED.shape)), STAGGERED, 3)


def test_in_two_dimensions_the_middle_plane_is_all() -> None:
    values, grid, where = middle_plane(np.ones((3, 8, 6)), PLANE)
    assert values.shape == (3, 8, 6)
    assert grid is PLANE
    assert where == ""


def test_the_correlation_of_residuals_has_a_panel_for_time_and_one_for_space_with_the_band_of_white_noise() -> None:
    part = {"correlation": 0.7, "p": 0.0, "distances": [1.0, 2.0], "correlations": [0.7, 0.5], "band": [0.1, 0.2]}
    figure = residual_correlation({"physical": {"time": part, "space": part}, "hybrid_physical": None})
    time, space = figure.axes
    assert (time.get_xlabel(), space.get_xlabel()) == ("time between", "distance")
    assert list(map(float, time.lines[-1].get_ydata())) == [0.7, 0.5]  # type: ignore[arg-type]
    assert time.collections[0].get_datalim(time.transData).ymax == pytest.approx(0.2)
    one = {**part, "distances": [1.0], "correlations": [0.7], "band": [0.1]}
    assert len(residual_correlation({"physical": {"time": None, "space": one}}).axes) == 1
    assert "no residuals near each other" in words(residual_correlation({"physical": None}))


def test_learnt_fields_have_their_unit_at_axes_and_colour_bars():
    found = fields(LINE)
    name = next(key.split("/")[1] for key in found if key.endswith("/estimate"))
    (axis,) = parameter_fields(found, LINE, of_values={name: "m²/s"}).axes
    assert axis.get_ylabel().endswith("[m²/s]")
    shown = parameter_fields(fields(PLANE), PLANE, of_values={name: "m²/s"}).axes
    assert sum(axis.get_xlabel().endswith("[m²/s]") for axis in shown) == 3
