"""Equations by formula: a PDE as one line of text for each field."""
