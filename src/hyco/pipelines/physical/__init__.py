"""Pipeline that estimates the physical model's parameters alone, from observations."""
