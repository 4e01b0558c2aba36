"""What is measured of a trajectory: y = H(trajectory) + noise, which is all that a training sees of it."""

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
