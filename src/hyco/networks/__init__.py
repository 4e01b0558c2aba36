"""The synthetic model: a neural network that learns how a state changes in one step, one architecture per file."""
