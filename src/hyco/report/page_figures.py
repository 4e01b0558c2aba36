"""Which figures stand where on the page, and what they show in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyco.display.summary import METHODS
from hyco.display.words import with_error
from hyco.report.page_parts import Picture, png_picture

# By part of the page the figures, each with its caption.
_PLACES = {
    "data": {"measurements": "Where and when the training data were measured."},
    "estimates": {
        "parameter_estimates": "Every estimate over the epochs with its 95 % interval; dashed: the truth, where it is "
        "known.",
        "profiles": "How the misfit rises with each number: the 95 % interval ends where χ² has risen by 3.84.",
        "identifiability": "What the data determine: singular values of the sensitivities, and the combinations of "
        "unknowns that they belong to.",
        "parameter_fields": "Learnt fields beside the truth, where it is known, with their standard deviations.",
    },
    "predictions": {
        "rollout_error": "Error of every method.",
        "predictions": "The truth or what was measured of it, what the methods predict, and their errors.",
        "spectra": "Energy spectra of the last states, and of the methods' errors: where an error meets the truth, the "
        "method knows nothing of these scales.",
    },
    "residuals": {
        "residuals": "Residuals of the training data over time and space, in units of the noise where it is known.",
        "residual_correlation": "Correlation of the residuals in time and space: white noise has none.",
    },
    "training": {
        "training_curves": "Losses, and errors on what is held out, over the epochs.",
        "exchange": "What the models of the hybrid give each other to learn from: both rolled out from the same state, "
        "as long as in an epoch, and where they differ. A weight of 0: the other model learnt nothing from it in the "
        "last epoch.",
    },
}


def pictures(figures: Mapping[str, bytes | None], report: Mapping[str, Any]) -> dict[str, list[Picture]]:
    """The figures that there are, by part of the page.

    Args:
        figures: by name PNG files; None where there was nothing to show.
        report: the content of report.json, for the alternative texts.
    """
    found: dict[str, list[Picture]] = {}
    for place, captions in _PLACES.items():
        found[place] = []
        for name, caption in captions.items():
            data = figures.get(name)
            if data is not None:
                found[place].append(png_picture(data, _alternative(name, caption, report), caption))
    return found


def _alternative(name: str, caption: str, report: Mapping[str, Any]) -> str:
    """What a figure shows, with the numbers that matter."""
    methods = report["methods"]
    if name == "rollout_error":
        means = [f"{METHODS.get(m, m)} {e['nrmse']['mean']:.3g}" for m, e in methods.items()]
        return f"Lines of the error against time. Means: {', '.join(means)}."
    if name in ("parameter_estimates", "profiles"):
        ends = [
            f"{key} {with_error(p['estimate'], p.get('std'))} by {METHODS.get(m, m)}"
            for m, e in methods.items()
            for key, p in (e.get("parameters") or {}).items()
            if p.get("estimate") is not None
        ]
        return f"{caption} At the end: {', '.join(ends[:8])}."
    return caption
