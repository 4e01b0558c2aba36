"""How good trained models are: their rollouts on simulations that no training saw, and the errors of learnt fields."""

from hyco.evaluation.fields import field_error, parameter_fields
from hyco.evaluation.measured import MeasuredErrors, MeasuredRollouts, roll_out_to_measurements
from hyco.evaluation.models import METHODS, EvaluatedModel, dt_of, evaluated_models
from hyco.evaluation.rollouts import initial_states_of_tests, roll_out_methods
from hyco.evaluation.spectra import energy_spectrum, spectra

__all__ = [
    "METHODS",
    "EvaluatedModel",
    "MeasuredErrors",
    "MeasuredRollouts",
    "dt_of",
    "energy_spectrum",
    "evaluated_models",
    "field_error",
    "initial_states_of_tests",
    "parameter_fields",
    "roll_out_methods",
    "roll_out_to_measurements",
    "spectra",
]
