"""What is measured of a trajectory: y = H(trajectory) + noise, which is all that a training sees of it."""

from hyco.observations.config import HoldoutConfig, ObservationConfig
from hyco.observations.holdout import hold_out
from hyco.observations.measure import observe
from hyco.observations.observations import NOISE_FREE_SIGMA, Observations
from hyco.observations.on_disk import counts, in_memory, observe_on_disk
from hyco.observations.operators import GridOperator, Operator, PointOperator

__all__ = [
    "NOISE_FREE_SIGMA",
    "GridOperator",
    "HoldoutConfig",
    "ObservationConfig",
    "Observations",
    "Operator",
    "PointOperator",
    "counts",
    "hold_out",
    "in_memory",
    "observe",
    "observe_on_disk",
]
