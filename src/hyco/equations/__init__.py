"""Physical models: one PDE per file, what is common to all (`equation.py`), their registry and their initial states."""
