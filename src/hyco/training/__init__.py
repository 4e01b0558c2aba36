"""Training of either model alone, on data: epochs, windows of trajectories, learning rates, validation, checkpoints."""
