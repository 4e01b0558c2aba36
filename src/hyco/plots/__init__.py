"""Pictures of a run: one figure or animation per file, all in the same style (`style.py`).

Every function takes plain numbers and returns a `matplotlib.figure.Figure`; nothing here touches pyplot's global state.
"""

from hyco.plots.animation import animate
from hyco.plots.comparison import comparison
from hyco.plots.fields import Marks, axis_units, channel_part, middle_plane, pictured
from hyco.plots.identifiability import identifiability
from hyco.plots.measurements import measurements
from hyco.plots.parameter_estimates import parameter_estimates
from hyco.plots.parameter_fields import parameter_fields
from hyco.plots.predictions import predictions
from hyco.plots.profile import profiles
from hyco.plots.residual_correlation import residual_correlation
from hyco.plots.residuals import residuals
from hyco.plots.rollout_error import rollout_error
from hyco.plots.spectra import spectra
from hyco.plots.style import Units, to_array, to_png
from hyco.plots.training_curves import training_curves

__all__ = [
    "Marks",
    "Units",
    "animate",
    "axis_units",
    "channel_part",
    "comparison",
    "identifiability",
    "measurements",
    "middle_plane",
    "parameter_estimates",
    "parameter_fields",
    "pictured",
    "predictions",
    "profiles",
    "residual_correlation",
    "residuals",
    "rollout_error",
    "spectra",
    "to_array",
    "to_png",
    "training_curves",
]
