"""Ways to minimise the residuals over the unknown parameters: one optimiser per file, all with one kind of result."""
