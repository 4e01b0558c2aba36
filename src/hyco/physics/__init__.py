"""The physical models: one equation per file, their parameters, and the stepper that runs them on tensors."""
