"""Ways to train both models together, one per file: in turns, one after the other, or the network as correction."""
