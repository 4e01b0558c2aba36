"""Measurements from files that people have: one format per file, all to observations."""

from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.read import naming, observations_of, read
from hyco.measurements.sections import Target

__all__ = ["MeasurementsConfig", "Target", "naming", "observations_of", "read"]
