"""Measurements from files that people have: one format per file, all to observations."""

from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.read import read
from hyco.measurements.sections import Target
from hyco.measurements.source import units

__all__ = ["MeasurementsConfig", "Target", "read", "units"]
