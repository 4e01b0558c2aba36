"""What is measured of a trajectory: y = H(trajectory) + noise, which is all that a training sees of it."""

from hyco.observations.config import HoldoutConfig, ObservationConfig
from hyco.observations.holdout import hold_out
from hyco.observations.measure import observe
from hyco.observations.observations import NOISE_FREE_SIGMA, Observations
from hyco.observations.operators import GridOperator, Operator, PointOperator

__all__ = [
    "NOISE_FREE_SIGMA",
    "GridOperator",
    "HoldoutConfig",
    "ObservationConfig",
    "Observations",
    "Operator",
    "PointOperator",
    "hold_out",
    "observe",
]
