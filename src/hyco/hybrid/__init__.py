"""Training of both models together (HYCO): each learns from the data and from the predictions of the other."""
