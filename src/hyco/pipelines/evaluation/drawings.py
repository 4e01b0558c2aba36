"""Figures and page of a report, made of plain numbers by a process that need not have what these are taken from.

`units` are the arguments of `hyco.plots.axis_units`; `shown` are those of `hyco.plots.pictured`, the layout as a
dictionary. All else is as in the functions of `hyco.plots` of the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from hyco.report.page_charts import History


def measurements(*arguments: Any) -> Figure:
    """Where and when something was measured."""
    from hyco.plots import measurements as draw

    return draw(*arguments)


def training_curves(*arguments: Any, **options: Any) -> Figure:
    """Losses and validation errors over the epochs."""
    from hyco.plots import training_curves as draw

    return draw(*arguments, **options)


def rollout_error(*arguments: Any, units: Any, **options: Any) -> Figure:
    """Error of every method over the rollout."""
    from hyco.plots import axis_units
    from hyco.plots import rollout_error as draw

    return draw(*arguments, units=axis_units(*units), **options)


def predictions(shown: dict[str, Any], *, marks: Any = None, **options: Any) -> Figure:
    """A reference, predictions and errors.

    Args:
        shown: see above.
        marks: times and places of measurements, if any.
        options: for the figure.
    """
    from hyco.plots import Marks
    from hyco.plots import predictions as draw

    return draw(**_pictured(shown), marks=None if marks is None else Marks(*marks), **options)


def animation(shown: dict[str, Any], fps: float) -> dict[str, Any]:
    """Truth and predictions over time."""
    from hyco.plots import animate

    return {**animate(**_pictured(shown)), "fps": fps}


def spectra(*arguments: Any, units: Any, **options: Any) -> Figure:
    """Energy spectra."""
    from hyco.plots import axis_units
    from hyco.plots import spectra as draw

    return draw(*arguments, units=axis_units(*units), **options)


def words(text: str) -> Figure:
    """Why there is no figure."""
    from hyco.plots.style import figure_of_words

    return figure_of_words(text)


def parameter_estimates(*arguments: Any, **options: Any) -> Figure:
    """Every parameter's estimate over the epochs."""
    from hyco.plots import parameter_estimates as draw

    return draw(*arguments, **options)


def parameter_fields(*arguments: Any, units: Any, **options: Any) -> Figure:
    """Every learnt field with its uncertainty."""
    from hyco.plots import axis_units
    from hyco.plots import parameter_fields as draw

    return draw(*arguments, units=axis_units(*units), **options)


def identifiability(*arguments: Any) -> Figure:
    """What the data determine."""
    from hyco.plots import identifiability as draw

    return draw(*arguments)


def profiles(*arguments: Any) -> Figure:
    """Profile likelihoods."""
    from hyco.plots import profiles as draw

    return draw(*arguments)


def residuals(summaries: dict[str, Any], layout: dict[str, Any], dt: float, *, units: Any, **options: Any) -> Figure:
    """What each physical model leaves of the data."""
    from hyco.fields import Layout
    from hyco.plots import axis_units
    from hyco.plots import residuals as draw

    return draw(summaries, Layout.from_dict(layout), dt, units=axis_units(*units), **options)


def residual_correlation(*arguments: Any, units: Any) -> Figure:
    """How residuals are correlated."""
    from hyco.plots import axis_units
    from hyco.plots import residual_correlation as draw

    return draw(*arguments, units=axis_units(*units))


def report_page(
    report: dict[str, Any],
    figures: Mapping[str, bytes | Figure | Callable[[], Figure] | None],
    animation: dict[str, Any] | Callable[[], dict[str, Any]],
    histories: Mapping[str, History],
    **told: Any,
) -> str:
    """The page of a run.

    Args:
        report: the content of report.json.
        figures: PNG files, None where there was nothing to show, or in memory as drawn, or what draws them.
        animation: frames and their speed, or what draws them.
        histories: by training, the records of its live metrics.
        told: all else of a `hyco.report.page.Run`.
    """
    from hyco.plots.style import as_png
    from hyco.report.page import Run
    from hyco.report.page import report_page as write

    drawn = {name: as_png(figure) for name, figure in figures.items()}
    moving = animation() if callable(animation) else animation
    return write(report, Run(figures=drawn, animation=moving, histories=histories, **told))


def _pictured(shown: dict[str, Any]) -> dict[str, Any]:
    from hyco.fields import Layout
    from hyco.plots import pictured

    return pictured(**shown | {"layout": Layout.from_dict(shown["layout"])})
