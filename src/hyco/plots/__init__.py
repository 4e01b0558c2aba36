"""Figures and animations of a run: one figure per file, one look for all of them (`style.py`).

Every function takes plain numbers and returns a `matplotlib.figure.Figure`; nothing here touches pyplot's global state.
"""

from hyco.plots.animation import animate
from hyco.plots.parameter_estimates import parameter_estimates
from hyco.plots.predictions import predictions
from hyco.plots.rollout_error import rollout_error
from hyco.plots.style import Units, to_array, to_png
from hyco.plots.training_curves import training_curves

__all__ = [
    "Units",
    "animate",
    "parameter_estimates",
    "predictions",
    "rollout_error",
    "to_array",
    "to_png",
    "training_curves",
]
