"""The partial differential equations: one per file, with what all have in common in `equation.py`."""
