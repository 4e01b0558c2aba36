"""The physical model on its grid: steps on plain tensors, recorded and compiled, and rollouts of them."""
