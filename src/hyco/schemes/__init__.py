"""How derivatives become sums over cells: differences, transport, staggered grids, Fourier, time steps, solvers."""
