"""Optimisers for the physical model's parameters, and how sure their estimates are."""
