"""Discretisation: differences, transport, staggered grids, Fourier, time integrators and linear solves."""
