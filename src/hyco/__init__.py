"""Hybrid training of a physical and a synthetic model of the same system."""

__version__ = "0.1.0"
