"""Measurements from files that people have: one format per file, all to observations."""

from hyco.measurements.automatic_dt import automatic_dt
from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.read import naming, observations_of, read
from hyco.measurements.sections import Target
from hyco.measurements.source import units

__all__ = [
    "MeasurementsConfig",
    "Target",
    "automatic_dt",
    "naming",
    "observations_of",
    "read",
    "units",
]
