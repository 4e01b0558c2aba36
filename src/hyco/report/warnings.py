"""What to worry about in a report, in words."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hyco.inversion.assessor import NO_FREEDOM
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.loss import OUTLIER
from hyco.report.misfit import (
    chi_square_words,
    grid_words,
    noise_of_walls_words,
    structure_words,
    verdict_words,
    walls_words,
)

log = logging.getLogger(__name__)

# A pull above this many standard deviations is more than the error bar says.
PULL = 1.0
# A network whose error is more than this of persistence's is of no use yet.
HARDLY = 0.7
# A fit elsewhere that is better by this in χ² is no rounding.
BETTER = 2.0
# More outliers than this are not Gaussian noise, which has 0.27 % of them.
OUTLIERS = 0.01


def estimate_warnings(
    method: str, estimate: PhysicalEstimate, parameters: Mapping[str, Mapping[str, Any]], *, measured: bool = False
) -> Iterator[str]:
    """Where error bars are not to be trusted, in words.

    Args:
        method: that of the report.
        estimate: of the physical model.
        parameters: entries of the report.
        measured: the data are not simulated: noise that nobody knows is there, and the residuals are taken for it.
    """
    if estimate.outcome is None:
        yield (
            f"{method} is the first guess: the physical model had no update. Raise hybrid.epochs to at least "
            "warmup_epochs + interleave_frequency."
        )
        return
    if not estimate.noise_told:
        yield NO_FREEDOM % method
    if (estimate.outliers or 0.0) > OUTLIERS:
        yield (
            f"{method}: {100 * (estimate.outliers or 0.0):.2g} % of the measurements are more than {OUTLIER:g} "
            "standard deviations from the prediction (outliers). physical.loss keeps them from pulling the estimate; "
            "look at them, or at the equation where they gather."
        )
    noise_estimated = measured and estimate.degrees_of_freedom is not None
    if (words := chi_square_words(estimate, parameters)) is not None and not noise_estimated:
        yield f"{method} {words}"
    said = (*verdict_words(estimate), *structure_words(estimate), *walls_words(estimate, parameters))
    said = (*said, *noise_of_walls_words(parameters))
    for words in (*said, *grid_words(estimate, parameters, measured=measured)):
        yield f"{method}: {words}"
    for name, entry in parameters.items():
        profile = entry.get("profile") or {"values": [], "chi_square": []}
        pairs = zip(profile["chi_square"], profile["values"], strict=True)
        least, value = min(((c, v) for c, v in pairs if c is not None and v is not None), default=(0.0, 0.0))
        if least < -BETTER:
            yield (
                f"{method}: the search ended too early, or in another minimum: with {name} = {value:.4g} the fit is "
                f"better by {-least:.3g} in χ². Begin there (initial_guess), or allow more iterations or starts."
            )
        if (entry.get("pull") or 0.0) > PULL:
            covered = ", its interval does" if entry.get("interval") else ""
            yield (
                f"{method}: {name} is {entry['pull']:.2g} standard deviations from where the measurements alone put "
                f"it: its std does not cover that{covered}. {_cause_of_pull(estimate)}"
            )


def network_warnings(methods: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Which networks predict hardly better than that nothing changes.

    Args:
        methods: those of the report, by name.
    """

    def error(method: str) -> float | None:
        nrmse = methods.get(method, {}).get("nrmse", {})
        found: float | None = nrmse.get("overall", nrmse.get("mean"))
        return found

    nothing = error("persistence")
    for method in ("synthetic", "hybrid_synthetic"):
        own = error(method)
        if nothing and own is not None and own > HARDLY * nothing:
            yield (
                f"{method}: its error of {own:.3g} is hardly below that of persistence, {nothing:.3g}: predict with "
                "the physical model, or give the network more trajectories or epochs."
            )


def warn_of_estimate(
    method: str, estimate: PhysicalEstimate, parameters: Mapping[str, Mapping[str, Any]], *, measured: bool = False
) -> list[str]:
    """Log the `estimate_warnings`, and return them."""
    return _warn(estimate_warnings(method, estimate, parameters, measured=measured))


def undetermined_warnings(method: str, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Which parameters the data do not determine, and which sit on a limit.

    Args:
        method: that of the report.
        entries: of the parameters, as reports have them.
    """
    for name, entry in entries.items():
        if limit := entry.get("limit"):
            yield f"{method}: {name} {limit}."
        elif not entry.get("identifiable"):
            yield f"{method}: the data do not determine {name}: measure more of it, or say more about it beforehand."


def tell_estimate(method: str, estimate: PhysicalEstimate, *, measured: bool) -> list[str]:
    """Warn of what a training has estimated, where no report does, and return the warnings.

    Args:
        method: that of the report.
        estimate: what it has estimated.
        measured: see `estimate_warnings`.
    """
    entries = {name: number.to_json() for name, number in estimate.numbers.items()}
    return warn_of_estimate(method, estimate, entries, measured=measured)


def _cause_of_pull(estimate: PhysicalEstimate) -> str:
    """What keeps a parameter away from where the measurements alone put it, and what to do."""
    if not estimate.from_predictions:
        return "The optimisation ended on its way there: allow more iterations, or a smaller physical.abs_tol."
    return "The network's predictions pull it: raise hybrid.alpha, or train longer."


def warn_of_prior_knowledge(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say that a hybrid used more than the observations; returns what was said."""
    for entry in entries:
        interaction = entry.get("interaction", {})
        if interaction.get("prior_knowledge"):
            return _warn(
                [
                    "The hybrid was trained from initial states of a known distribution ({count} of them, length_scale "
                    "{length_scale:g}, amplitude {amplitude:g}): that is knowledge beyond the observations. "
                    "hybrid.interaction.source=estimated shows the result without it.".format(**interaction)
                ]
            )
    return []


def _warn(lines: Iterable[str]) -> list[str]:
    said = list(lines)
    for words in said:
        log.warning("%s", words)
    return said
