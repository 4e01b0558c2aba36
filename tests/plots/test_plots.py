"""The figures say what they show: labelled, to the right of and above where things are, whatever values are missing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from hyco.evaluation import METHODS as REPORTED
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.plots import (
    Units,
    animate,
    parameter_estimates,
    pictured,
    predictions,
    rollout_error,
    spectra,
    to_array,
    to_png,
    training_curves,
)
from hyco.plots.rollout_error import _LABEL_GAP, _spread
from hyco.plots.style import METHODS

LINE = Grid(("x",), (0.0,), (2.0,), (16,))
PLANE = Grid(("x", "y"), (0.0, -1.0), (4.0, 3.0), (8, 6))
UNITS = Units(length="m", time="s", value="m/s")


def rollouts(grid: Grid, steps: int = 5, methods: int = 5) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A truth `[T, 2, *space]` and predictions that are a little off."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(steps, 2, *grid.resolution))
    return truth, {name: truth + 0.1 * rng.normal(size=truth.shape) for name in REPORTED[:methods]}


def history(epochs: int, first_update: int = 1, interval: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "epoch": e,
            "metrics": {
                "synthetic_loss": 1 / e,
                "physical_loss": 2 / e if e >= first_update and (e - first_update) % interval == 0 else None,
                "validation_synthetic": float("nan") if e == 2 else 0.5 / e,
                "validation_physical": None,
            },
        }
        for e in range(1, epochs + 1)
    ]


def images(figure: Figure) -> list[AxesImage]:
    return [image for axis in figure.axes for image in axis.get_images()]


def texts(figure: Figure) -> list[str]:
    legends = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    inside = [
        t.get_text() for axis in figure.axes for t in [*axis.texts, axis.title, axis.xaxis.label, axis.yaxis.label]
    ]
    ticks = [t.get_text() for axis in figure.axes for t in axis.get_yticklabels()]
    return [text for text in [*legends, *inside, *ticks, *(t.get_text() for t in figure.texts)] if text]


def with_data(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.axes if axis.lines]


# --- training curves


def test_training_curves_label_every_axis_and_every_method() -> None:
    figure = training_curves({"synthetic": history(6), "physical": history(6), "hybrid": history(6)})
    assert all(axis.get_xlabel() == "epoch" and axis.get_ylabel() for axis in figure.axes)
    assert {"network alone", "physics alone", "hybrid: network", "hybrid: physics"} <= set(texts(figure))
    assert all(axis.get_yscale() == "log" for axis in figure.axes)


def test_the_physics_loss_is_shown_only_where_there_is_one() -> None:
    figure = training_curves({"hybrid": history(9, first_update=5, interval=2)})
    physics = next(axis for axis in figure.axes if "physics" in axis.get_ylabel())
    assert list(physics.lines[0].get_xdata()) == [5, 7, 9]


def test_epochs_before_the_first_possible_update_are_shaded_as_warm_up() -> None:
    figure = training_curves({"hybrid": history(9, first_update=5, interval=2)})
    spans = [
        patch.get_extents().transformed(axis.transData.inverted()) for axis in figure.axes for patch in axis.patches
    ]
    assert spans
    assert all(span.x1 == pytest.approx(3.5) for span in spans)
    assert "warm-up" in texts(figure)
    assert "warm-up" not in texts(training_curves({"hybrid": history(9)}))


def test_the_physics_loss_says_its_units() -> None:
    assert "physics loss\n(units of the noise)" in texts(training_curves({"physical": history(6)}))
    assert "physics loss\n(normalised units)" in texts(training_curves({"physical": history(6)}, noise_free=True))


@pytest.mark.parametrize("histories", [{}, {"hybrid": []}, {"hybrid": history(1)}, {"synthetic": history(1)}])
def test_training_curves_of_nothing_or_of_one_epoch_can_be_drawn(histories: dict[str, Any]) -> None:
    assert to_png(training_curves(histories)).startswith(b"\x89PNG")


# --- rollout error


def test_rollout_error_starts_one_step_after_the_initial_state() -> None:
    figure = rollout_error({"synthetic": [0.1, 0.2, 0.4]}, dt=0.5, units=UNITS)
    (axis,) = figure.axes
    assert list(axis.lines[0].get_xdata()) == [0.5, 1.0, 1.5]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_yscale()) == ("time $t$ [s]", "nRMSE", "log")


def test_every_method_keeps_its_colour_whichever_others_are_there() -> None:
    values = [0.1, 0.2]
    alone = rollout_error({"hybrid_physical": values}, 1.0).axes[0].lines[0].get_color()
    lines = rollout_error(dict.fromkeys(METHODS, values), 1.0).axes[0].lines
    together = lines[list(METHODS).index("hybrid_physical")].get_color()
    assert alone == together == METHODS["hybrid_physical"].colour
    assert len({style.colour for style in METHODS.values()}) == len(METHODS)


def test_labels_of_lines_that_end_together_do_not_overlap() -> None:
    figure = rollout_error({name: [0.1, 0.2] for name in REPORTED}, dt=1.0)
    figure.canvas.draw()
    boxes = sorted((Text.get_window_extent(t) for t in figure.axes[0].texts), key=lambda box: box.y0)
    assert len(boxes) == 5
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))
    assert boxes[0].y0 >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_labels_move_no_further_than_they_must() -> None:
    assert _spread([0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9])
    assert _spread([0.5, 0.5]) == pytest.approx([0.5 - _LABEL_GAP / 2, 0.5 + _LABEL_GAP / 2])
    assert max(_spread([1.0] * 5)) <= 1.0 + 1e-12


def test_a_rollout_that_blew_up_says_until_when_it_was_finite() -> None:
    figure = rollout_error(
        {"synthetic": [0.1, None, None], "physical": [float("nan")] * 3, "persistence": [0.0] * 3}, 0.5
    )
    assert {"network alone (until $t$ = 0.5)", "physics alone (not finite)", "persistence (zero)"} <= set(texts(figure))


def test_a_static_problem_has_one_point_per_method_and_no_time() -> None:
    figure = rollout_error({"synthetic": [0.1], "physical": [0.01]}, dt=1.0)
    (axis,) = figure.axes
    assert axis.get_xlabel() == "nRMSE"
    assert "time $t$" not in texts(figure)
    assert {"network alone", "physics alone"} <= set(texts(figure))


@pytest.mark.parametrize("per_step", [{}, {"synthetic": []}, {"synthetic": [None, None]}])
def test_rollout_error_without_values_says_so(per_step: dict[str, Any]) -> None:
    assert "no finite values" in texts(rollout_error(per_step, 1.0))


# --- predictions


@pytest.mark.parametrize("grid", [LINE, pytest.param(PLANE, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "methods", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
def test_predictions_share_one_colour_scale_for_states_and_one_for_errors(grid: Grid, methods: int) -> None:
    truth, predicted = rollouts(grid, methods=methods)
    figure = predictions(truth, predicted, grid, dt=0.1, channels=("u", "v"), units=UNITS)
    scales = {(image.get_cmap().name, image.get_clim()) for image in images(figure)}
    assert len(scales) == (2 if methods else 1)
    found = texts(figure)
    labels = [METHODS[name].label for name in predicted]
    assert all(label in found or label.replace(" ", "\n") in found for label in labels)
    assert "u [m/s]" in found
    assert "$x$ [m]" in found
    assert "prediction − truth [m/s]" in found or not methods
    assert ("time $t$ [s]" if grid is LINE else "$y$ [m]") in found


@pytest.mark.parametrize("grid", [LINE, PLANE])
def test_what_is_no_truth_is_not_called_so(grid: Grid) -> None:
    first, predicted = rollouts(grid, methods=1)
    figure = predictions(first, predicted, grid, dt=0.1, channels=("u", "v"), units=UNITS, reference="the physics")
    found = texts(figure)
    assert {"the physics", "the\nphysics"} & set(found)
    assert "difference [m/s]" in found
    assert not any("truth" in text or "error" in text for text in found)


def test_in_space_time_images_x_runs_right_and_time_up() -> None:
    truth = np.zeros((5, 1, 16))
    truth[-1, 0, -1] = 1.0
    image = images(predictions(truth, {"synthetic": truth}, LINE, dt=0.5))[0]
    assert image.get_array().shape == (5, 16)
    assert image.origin == "lower"
    assert image.get_array()[-1, -1] == 1.0
    assert image.get_extent() == pytest.approx((0.0, 2.0, 0.25, 2.75))


def test_in_snapshots_x_runs_right_and_y_up() -> None:
    truth = np.zeros((4, 2, 8, 6))
    truth[:, 1, 7, 0] = 1.0
    figure = predictions(truth, {"synthetic": truth}, PLANE, dt=0.5, channel="v", channels=["u", "v"])
    image = images(figure)[0]
    assert image.get_array().shape == (6, 8)
    assert image.origin == "lower"
    assert image.get_array()[0, 7] == 1.0
    assert image.get_extent() == pytest.approx((0.0, 4.0, -1.0, 2.0))
    pixels = to_array(figure)
    box = image.axes.get_window_extent()
    rows = slice(int(len(pixels) - box.y1) + 2, int(len(pixels) - box.y0) - 2)
    green = pixels[rows, int(box.x0) + 2 : int(box.x1) - 2, 1].astype(int)
    bright = np.argwhere(green > 200)
    assert (bright.mean(0) > np.array(green.shape) * (0.75, 0.8)).all(), "lower right in the picture"
    assert green.shape[1] / green.shape[0] == pytest.approx(4 / 3, rel=0.1)


def test_snapshots_include_the_last_state() -> None:
    truth, predicted = rollouts(PLANE, steps=9, methods=1)
    titles = [axis.get_title() for axis in predictions(truth, predicted, PLANE, dt=1.0).axes if axis.get_title()]
    assert titles[:3] == ["$t$ = 4", "$t$ = 6", "$t$ = 9"]


def test_measurements_with_holes_are_named_so_and_compared_where_they_are() -> None:
    truth, methods = rollouts(PLANE, steps=9, methods=1)
    truth[[0, 1, 2, 4, 6, 7, 8]] = np.nan
    truth[:, :, ::2] = np.nan
    figure = predictions(truth, methods, PLANE, 0.1, measured=True)
    shown = texts(figure)
    assert {"measured", "not measured"} <= set(shown)
    assert not any("truth" in text for text in shown)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["$t$ = 0.4", "$t$ = 0.6"] * 2
    (name,) = methods
    row, values = truth[:, :1, :, 0], {name: methods[name][:, :1, :, 0]}
    figure = predictions(row, values, Grid(("x",), (0.0,), (2.0,), (8,)), 0.1, measured=True)
    known = ~np.isnan(row)
    error = np.linalg.norm((values[name] - row)[known]) / np.linalg.norm(row[known])
    (title,) = [t for t in texts(figure) if t.startswith("rel. error")]
    assert float(title.removeprefix("rel. error ")) == pytest.approx(error, rel=0.1)


def test_errors_of_some_steps_stand_at_their_times() -> None:
    axis = rollout_error({"synthetic": [0.1, 0.2]}, 0.5, steps=[3, 8]).axes[0]
    assert axis.lines[0].get_xdata() == pytest.approx([1.5, 4.0])


@pytest.mark.slow
@pytest.mark.parametrize("grid", [pytest.param(LINE, marks=pytest.mark.slow), PLANE])
def test_a_prediction_that_diverges_neither_breaks_nor_dominates_the_figure(grid: Grid) -> None:
    truth, predicted = rollouts(grid)
    predicted["synthetic"][2:] = np.nan
    predicted["physical"][3:] *= 1e9
    predicted["hybrid_synthetic"][4] = np.inf
    figure = predictions(truth, predicted, grid, dt=0.1)
    assert all(abs(limit) < 10 for image in images(figure) for limit in image.get_clim())
    assert "not finite" in texts(figure)
    to_array(figure)


@pytest.mark.parametrize("grid", [LINE, pytest.param(PLANE, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "value", [0.0, pytest.param(3.0, marks=pytest.mark.slow), pytest.param(1e-12, marks=pytest.mark.slow)]
)
def test_constant_fields_without_error_have_a_colour_scale(grid: Grid, value: float) -> None:
    truth = np.full((1, 1, *grid.resolution), value)
    figure = predictions(truth, {"synthetic": truth}, grid, dt=1.0)
    assert all(image.get_clim()[0] < image.get_clim()[1] for image in images(figure))
    to_array(figure)


def test_the_padding_of_a_staggered_tensor_is_not_drawn() -> None:
    truth = np.zeros((2, 2, 9, 7))
    assert images(predictions(truth, {}, PLANE, dt=1.0))[0].get_array().shape == (6, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": "w", "channels": ["u", "v"]}, "unknown channel 'w'; available: u, v"),
        ({"channel": 2}, "channel 2 is not among the 2"),
        ({"predictions": {"synthetic": np.zeros((3, 2, 8, 6))}}, "synthetic has"),
        ({"truth": np.zeros((5, 2, 6, 8))}, "expected"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    truth, predicted = rollouts(PLANE, methods=1)
    with pytest.raises(ValueError, match=message):
        predictions(**({"truth": truth, "predictions": predicted, "grid": PLANE, "dt": 1.0} | change))


@pytest.mark.parametrize("methods", [0, 2])
def test_a_single_state_on_a_line_is_drawn_as_lines_without_a_time(methods: int) -> None:
    truth, predicted = rollouts(LINE, steps=1, methods=methods)
    figure = predictions(truth, predicted, LINE, dt=1.0, channels=("u", "v"))
    assert not images(figure)
    assert len(figure.axes) == (2 if methods else 1)
    assert list(figure.axes[0].lines[0].get_ydata()) == list(truth[0, 0])
    assert not any("$t$" in text for text in texts(figure))


@pytest.mark.parametrize("height", [3.0, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("methods", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_single_state_in_a_plane_is_an_image_per_method_without_a_time(height: float, methods: int) -> None:
    grid = Grid(("x", "y"), (0.0, -1.0), (4.0, height), (8, 6))
    truth, predicted = rollouts(grid, steps=1, methods=methods)
    figure = predictions(truth, predicted, grid, dt=1.0, channels=("u", "v"))
    assert len(images(figure)) == 1 + 2 * methods
    assert all(image.get_extent() == pytest.approx((0.0, 4.0, -1.0, height - 1)) for image in images(figure))
    assert {"$x$", "$y$"} <= set(texts(figure))
    assert not any("$t$" in text for text in texts(figure))
    assert len(animate(truth, predicted, grid, dt=1.0)["frames"]) == 1


# --- parameter estimates

GUESS = {"physical": {"viscosity": 0.5}}


def test_without_any_number_the_figure_says_so() -> None:
    assert "no number is learnt" in texts(parameter_estimates({"physical": {}}, {}))


def test_estimates_are_compared_with_the_truth_in_one_panel_per_parameter() -> None:
    run = {"epoch": [1, 2, 3], "estimate": [0.5, 0.2, 0.011], "std": [None, 0.1, 0.001]}
    figure = parameter_estimates(
        {"physical": {"viscosity": run, "speed": {**run, "estimate": [-1.0, 0.5, 1.0], "std": [None, 0.5, 0.5]}}},
        {"viscosity": 0.01, "speed": None},
        {"physical": {"viscosity": 0.9}},
        {"viscosity": (1e-4, 1.0)},
        units={"viscosity": "m²/s"},
    )
    viscosity, enlarged, speed = with_data(figure)
    assert viscosity.get_ylabel() == enlarged.get_ylabel() == "viscosity [m²/s]"
    assert viscosity.get_yscale() == "log"
    assert speed.get_ylabel() == "speed"
    assert speed.get_yscale() == "linear"
    dashed = [list(line.get_ydata()) for line in viscosity.lines if line.get_linestyle() == "--"]
    assert [0.01, 0.01] in dashed
    assert len(speed.lines) == 1, "no truth where it is unknown"
    assert {"physics alone", "95% interval", "truth", "first guess"} <= set(texts(figure))


def bars(axis: Axes) -> list[float]:
    """Lower and upper end of the interval with caps."""
    ((path,),) = [c.get_paths() for c in axis.containers[0].lines[2]]
    return sorted(float(y) for _, y in path.vertices)


@pytest.mark.parametrize("first", [0.5, 30.0])
@pytest.mark.parametrize("after", [0, 1, 12])
def test_an_interval_too_small_to_be_seen_is_enlarged_beside_the_overview(first: float, after: int) -> None:
    estimate = [first] * after + [0.1002, 0.0998]
    run = {"epoch": list(range(1, after + 3)), "estimate": estimate, "std": [0.001] * len(estimate)}
    figure = parameter_estimates(
        {"hybrid_physical": {"viscosity": run}}, {"viscosity": 0.1}, {"hybrid_physical": {"viscosity": first}}
    )
    overview, enlarged = with_data(figure)
    assert overview.get_ylim()[1] > first
    low, high = enlarged.get_ylim()
    assert bars(enlarged) == pytest.approx([0.0998 - 1.96e-3, 0.0998 + 1.96e-3])
    assert 0.4 < 2 * 1.96e-3 / (high - low) < 0.9
    assert low < 0.1 < high
    start, end = enlarged.get_xlim()
    assert after < start < after + 1
    assert end > after + 2
    assert overview.get_xlim()[0] < 0


def test_epochs_without_ends_of_an_interval_have_one_by_their_standard_deviation() -> None:
    run = {"estimate": [0.1, 0.45, 0.4985], "std": [None, 0.01, 0.0002]}
    nothing = {"lower": [None] * 3, "upper": [None] * 3}
    with_ends, without = (
        parameter_estimates({"physical": {"buoyancy": found}}, {"buoyancy": 0.5}) for found in (run | nothing, run)
    )
    assert bars(with_ends.axes[1]) == bars(without.axes[1]) == pytest.approx([0.4985 - 3.92e-4, 0.4985 + 3.92e-4])


def test_an_interval_that_is_not_symmetric_is_drawn_as_it_is() -> None:
    ends: dict[str, Any] = {"lower": [None, 0.4, 0.498], "upper": [None, 1e300, 0.5005]}
    run = {"estimate": [0.1, 0.45, 0.4985], "std": [None, 0.01, 0.0002]} | ends
    figure = parameter_estimates({"hybrid_physical": {"buoyancy": run}}, {"buoyancy": 0.5})
    enlarged = figure.axes[1]
    (bar,) = enlarged.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 1] == pytest.approx([0.498, 0.5005])
    to_array(figure)


def test_a_single_estimate_can_be_enlarged() -> None:
    run = {"epoch": [1], "estimate": [0.1], "std": [0.001]}
    figure = parameter_estimates({"physical": {"viscosity": run}}, {"viscosity": 0.2}, GUESS)
    _, enlarged = with_data(figure)
    assert bars(enlarged) == pytest.approx([0.1 - 1.96e-3, 0.1 + 1.96e-3])
    assert enlarged.get_ylim()[1] < 0.2, "a truth far away does not set the range"
    to_array(figure)


def test_methods_that_agree_share_the_enlargement() -> None:
    alone = {"epoch": [1], "estimate": [0.099], "std": [0.001]}
    hybrid = {"epoch": [1, 2, 3], "estimate": [0.5, 0.5, 0.101], "std": [0.001] * 3}
    estimates = {"physical": {"viscosity": alone}, "hybrid_physical": {"viscosity": hybrid}}
    _, enlarged = with_data(parameter_estimates(estimates, {"viscosity": None}, GUESS))
    low, high = enlarged.get_ylim()
    assert low < 0.099 - 1.96e-3 < 0.101 + 1.96e-3 < high
    start, end = enlarged.get_xlim()
    assert start < 1
    assert end > 3
    assert len(enlarged.containers) == 2


def test_each_method_starts_from_its_own_first_guess() -> None:
    run = {"epoch": [1, 2], "estimate": [0.3, 0.1], "std": [0.1, 0.05]}
    guesses = {"physical": {"viscosity": 0.5}, "hybrid_physical": {"viscosity": 0.8}}
    (axis,) = parameter_estimates({m: {"viscosity": run} for m in guesses}, {"viscosity": 0.1}, guesses).axes
    assert [float(line.get_ydata()[0]) for line in axis.lines if line.get_linestyle() == ":"] == [0.5, 0.8]
    assert [float(line.get_ydata()[0]) for line in axis.lines if line.get_marker() == "D"] == [0.5, 0.8]


def test_an_interval_that_can_be_seen_is_not_enlarged() -> None:
    run = {"epoch": [1, 2], "estimate": [0.3, 0.1], "std": [0.1, 0.05]}
    figure = parameter_estimates({"physical": {"viscosity": run}}, {"viscosity": 0.1}, GUESS)
    assert len(with_data(figure)) == 1


def test_a_wide_early_interval_does_not_hide_the_estimates() -> None:
    run = {"epoch": [1, 2, 3], "estimate": [1.0, 1.1, 1.2], "std": [1e6, 0.1, 0.01]}
    low, high = parameter_estimates({"physical": {"speed": run}}, {"speed": 1.2}).axes[0].get_ylim()
    assert high - low < 1.0


@pytest.mark.parametrize(
    "run",
    [
        {"epoch": [1], "estimate": [0.5], "std": [0.1]},
        {"epoch": [1], "estimate": [0.5], "std": None},
        {"epoch": [1, 2], "estimate": [None, None], "std": [None, None]},
        {"epoch": [1, 2, 3], "estimate": [2.0, 2.0, 2.0], "std": [0.0, 0.0, 0.0]},
        {"estimate": []},
    ],
)
def test_short_constant_or_missing_estimates_can_be_drawn(run: dict[str, Any]) -> None:
    to_array(parameter_estimates({"hybrid_physical": {"viscosity": run}}, {}))
    to_array(parameter_estimates({}, {}))


# --- animation


@pytest.mark.parametrize("grid", [LINE, pytest.param(PLANE, marks=pytest.mark.slow)])
def test_an_animation_has_few_frames_of_one_size_that_move(grid: Grid) -> None:
    truth, predicted = rollouts(grid, steps=4, methods=2)
    result = animate(truth, predicted, grid, dt=0.1, units=UNITS)
    frames = result["frames"]
    assert frames.dtype == np.uint8
    assert frames.shape[0] == 4
    assert frames.shape[3] == 3
    assert frames.shape[1] < 500
    assert frames.shape[2] < 700
    assert result["fps"] > 0
    assert all((a != b).any() for a, b in pairwise(frames))


@pytest.mark.slow
def test_a_long_rollout_is_shortened_to_sixty_frames() -> None:
    truth = np.zeros((150, 1, 16))
    assert len(animate(truth, {}, LINE, dt=0.1)["frames"]) == 60


@pytest.mark.slow
def test_values_that_are_not_finite_can_be_animated() -> None:
    truth, predicted = rollouts(PLANE, steps=2, methods=5)
    predicted["physical"][1] = np.nan
    animate(truth, predicted, PLANE, dt=0.1)


# --- style


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure = rollout_error({"synthetic": [0.1, 0.2]}, 1.0)
    figure.savefig(tmp_path / "figure.pdf")
    figure.savefig(tmp_path / "figure.png")
    assert dict(mpl.rcParams) == before


def test_a_figure_looks_the_same_whatever_the_settings_are() -> None:
    def draw() -> np.ndarray:
        return to_array(rollout_error({"synthetic": [0.1, 0.2]}, 1.0))

    usual = draw()
    with mpl.rc_context({"font.size": 20, "xtick.major.size": 12, "figure.dpi": 50, "axes.grid": False}):
        assert (draw() == usual).all()


def measured_every(n: int, steps: int = 12) -> dict[str, Any]:
    """The picture of a line of which every n-th state was measured, and a model."""
    layout = Layout(LINE, (FieldSpec("temperature"),))
    states = np.random.default_rng(0).normal(size=(steps, 1, 16))
    truth = np.where((np.arange(1, steps + 1) % n == 0)[:, None, None], states, np.nan)
    units = {"time": "h", "x": "m", "temperature": "degC"}
    return pictured({"truth": truth, "physical": states}, layout, 0.1, 0, measured=True, units=units)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_states_between_the_times_of_measurements_are_left_out(every: int) -> None:
    shown = measured_every(every)
    assert np.isfinite(shown["truth"]).all()
    assert shown["predictions"]["physical"].shape == shown["truth"].shape == (12 // every, 1, 16)
    assert shown["dt"] == pytest.approx(0.1 * every)
    figure = predictions(**shown)
    assert not figure.legends  # nothing is grey
    image = figure.axes[0].images[0]
    assert image.get_extent()[2:] == pytest.approx([0.05 * every, 1.2 + 0.05 * every])


def test_measurements_at_irregular_times_keep_their_states() -> None:
    layout = Layout(LINE, (FieldSpec("temperature"),))
    truth = np.full((9, 1, 16), np.nan)
    truth[[1, 4, 5]] = 1.0
    assert pictured({"truth": truth}, layout, 0.1, 0, measured=True)["truth"].shape == (9, 1, 16)


def test_units_of_a_file_are_behind_the_labels() -> None:
    texts = [text.get_text() for axis in predictions(**measured_every(2)).axes for text in axis.findobj(Text)]
    assert {"$x$ [m]", "time $t$ [h]", "temperature [degC]", "prediction − measured [degC]"} <= set(texts)


def test_a_band_lies_about_its_line_and_only_that():
    lines = {"synthetic": [0.1, 0.2, 0.4], "physical": [0.01, 0.01, 0.01]}
    figure = rollout_error(lines, 0.1, bands={"synthetic": ([0.05, 0.1, 0.2], [0.2, 0.4, 0.8])})
    (band,) = figure.axes[0].collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(0.05)
    assert corners[:, 1].max() == pytest.approx(0.8)


def test_spectra_leave_the_mean_out_and_rounding_too():
    energies = {"truth": [9.0, 1.0, 1e-3, 1e-20], "synthetic": [9.0, 1.0, 1e-4, 1e-20]}
    figure = spectra(
        [0.0, 1.0, 2.0, 3.0], energies, {"synthetic": [0.0, 1e-6, 1e-5, 0.0]}, units=Units("m", "s", "m/s")
    )
    states, errors = figure.axes
    assert states.get_xlabel() == "wavenumber $k$ [1/m]"
    assert states.get_ylabel() == "energy $E(k)$ [(m/s)² m]"
    assert np.nanmin([line.get_ydata() for line in states.lines]) == pytest.approx(1e-4)
    assert len(errors.lines) == 2
    alone = spectra([0.0, 1.0, 2.0, 3.0], energies, {"synthetic": [0.0] * 4})
    assert len(alone.axes) == 1
