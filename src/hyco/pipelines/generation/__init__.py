"""Pipeline that makes the data: trajectories of the equation, and noisy observations of them."""
