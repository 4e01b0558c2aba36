"""The synthetic model alone."""
