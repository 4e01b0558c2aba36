"""Measurements from files that people have: one format per file, all to observations."""

from hyco.measurements.automatic_dt import automatic_dt, read_times
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.read import naming, observations_of, read
from hyco.measurements.sections import Target

__all__ = [
    "MeasurementsConfig",
    "Target",
    "automatic_dt",
    "naming",
    "observations_of",
    "read",
    "read_times",
]
