"""Observations y = H(trajectory) + noise: what was measured, and nothing else, reaches the training."""

from hyco.observations.config import ObservationConfig
from hyco.observations.measure import observe
from hyco.observations.observations import NOISE_FREE_SIGMA, Observations
from hyco.observations.operators import GridOperator, Operator, PointOperator

__all__ = [
    "NOISE_FREE_SIGMA",
    "GridOperator",
    "ObservationConfig",
    "Observations",
    "Operator",
    "PointOperator",
    "observe",
]
