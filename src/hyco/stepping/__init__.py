"""The physical model as a program on tensors: an equation's step is recorded, compiled and repeated to a rollout."""
