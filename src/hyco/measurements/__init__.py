"""Measurements from files that people have: one format per file, all to observations."""

from hyco.measurements.config import MeasurementsConfig
from hyco.measurements.read import Target, read

__all__ = ["MeasurementsConfig", "Target", "read"]
