"""What to worry about in a report, in words."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from hyco.inversion.assessor import NO_FREEDOM
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.loss import OUTLIER
from hyco.report.misfit import chi_square_words, grid_words, structure_words

log = logging.getLogger(__name__)

# A pull above this many standard deviations is more than the error bar says.
PULL = 1.0
# More outliers than this are not Gaussian noise, which has 0.27 % of them.
OUTLIERS = 0.01


def warn_of_estimate(
    method: str, estimate: PhysicalEstimate, parameters: Mapping[str, Mapping[str, Any]], *, measured: bool = False
) -> None:
    """Say where error bars are not to be trusted.

    Args:
        parameters: entries of the report.
        measured: the data are not simulated: noise that nobody knows is there, and the residuals are taken for it.
    """
    if estimate.outcome is None:
        log.warning(
            "%s is the first guess: the physical model had no update. Raise hybrid.epochs to at least "
            "warmup_epochs + interleave_frequency.",
            method,
        )
        return
    if not estimate.noise_told:
        log.warning(NO_FREEDOM, method)
    if (estimate.outliers or 0.0) > OUTLIERS:
        log.warning(
            "%s: %.2g %% of the measurements are more than %g standard deviations from the prediction (outliers). "
            "physical.loss keeps them from pulling the estimate; look at them, or at the equation where they gather.",
            method,
            100 * (estimate.outliers or 0.0),
            OUTLIER,
        )
    noise_estimated = measured and estimate.degrees_of_freedom is not None
    if (words := chi_square_words(estimate, parameters)) is not None and not noise_estimated:
        log.warning("%s %s", method, words)
    for words in (*structure_words(estimate), *grid_words(estimate, parameters, measured=measured)):
        log.warning("%s: %s", method, words)
    for name, entry in parameters.items():
        if (entry.get("pull") or 0.0) > PULL:
            log.warning(
                "%s: %s is %.2g standard deviations from where the measurements alone put it: its std does not "
                "cover that%s. %s",
                method,
                name,
                entry["pull"],
                ", its interval does" if entry.get("interval") else "",
                _cause_of_pull(estimate),
            )


def tell_estimate(method: str, estimate: PhysicalEstimate, *, measured: bool) -> None:
    """Say what a training has estimated, where no report does, and where error bars are not to be trusted.

    Args:
        method: that of the report.
        estimate: what it has estimated.
        measured: see `warn_of_estimate`.
    """
    for name, number in estimate.numbers.items():
        std = "" if number.std is None else f" ± {number.std:.2g}"
        ends = "" if number.interval is None else " (95 %: {:.4g} to {:.4g})".format(*number.interval)
        log.info("%s: %s = %.5g%s%s", method, name, number.value, std, ends)
    entries = {name: number.to_json() for name, number in estimate.numbers.items()}
    warn_of_estimate(method, estimate, entries, measured=measured)


def _cause_of_pull(estimate: PhysicalEstimate) -> str:
    """What keeps a parameter away from where the measurements alone put it, and what to do."""
    if not estimate.from_predictions:
        return "The optimisation ended on its way there: allow more iterations, or a smaller physical.abs_tol."
    return "The network's predictions pull it: raise hybrid.alpha, or train longer."


def warn_of_prior_knowledge(entries: Iterable[Mapping[str, Any]]) -> None:
    """Say that a hybrid used more than the observations."""
    for entry in entries:
        interaction = entry.get("interaction", {})
        if interaction.get("prior_knowledge"):
            log.warning(
                "The hybrid was trained from initial states of a known distribution (%d of them, length_scale %g, "
                "amplitude %g): that is knowledge beyond the observations. hybrid.interaction.source=trajectories "
                "shows the result without it.",
                *(interaction[key] for key in ("count", "length_scale", "amplitude")),
            )
            return
