"""Boundary conditions: one per file, what is common to all (`wall.py`), the pairs of all axes (`boundary.py`)."""
