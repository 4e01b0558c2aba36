"""The physical model alone."""
